-- Every flow of a claim: payers by rank, code tables of finance's own, denials as a life. Amounts are minor units.
-- Rows of these tables are added, and nothing of them changes: the highest version counts.

-- Which payer pays a claim, by rank: 2 after 1. Rank 1 is the payer of its sessions where no row says otherwise.
CREATE TABLE claim_payers (
    book text COLLATE "C" NOT NULL REFERENCES books,
    claim text COLLATE "C" NOT NULL CHECK (claim <> ''),
    payer_rank integer NOT NULL CHECK (payer_rank BETWEEN 1 AND 9),
    version integer NOT NULL CHECK (version > 0),
    payer text NOT NULL CHECK (payer <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    said_by text NOT NULL CHECK (said_by <> ''),
    said_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, claim, payer_rank, version)
);

-- What was posted beside a claim payment's own entry: what it leaves to the next payer, an overpayment set against
-- what is open. remittance and line are of the claim payment; null where a person asked for it.
CREATE TABLE claim_moves (
    book text COLLATE "C" NOT NULL,
    entry_number bigint NOT NULL,
    claim text COLLATE "C" NOT NULL,
    move text NOT NULL CHECK (move IN ('forwarded', 'applied', 'evened', 'taken_back')),
    payer text NOT NULL CHECK (payer <> ''),
    remittance uuid,
    line integer,
    PRIMARY KEY (book, entry_number),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    FOREIGN KEY (book, remittance, line) REFERENCES claim_payments (book, remittance, line),
    CHECK ((remittance IS NULL) = (line IS NULL))
);
CREATE INDEX claim_moves_claim ON claim_moves (book, claim);
CREATE INDEX claim_moves_line ON claim_moves (book, remittance, line);
CREATE INDEX exceptions_claim ON exceptions (book, claim) WHERE closed_at IS NULL;
CREATE INDEX claim_payments_claim ON claim_payments (book, claim) WHERE claim IS NOT NULL;

-- Under which identifiers remittances pay this book (N104, REF*TJ or the name in N102 of the payee). A book without
-- any takes what comes.
CREATE TABLE payee_identifiers (
    book text COLLATE "C" NOT NULL REFERENCES books,
    identifier text COLLATE "C" NOT NULL CHECK (identifier <> ''),
    version integer NOT NULL CHECK (version > 0),
    ours boolean NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    said_by text NOT NULL CHECK (said_by <> ''),
    said_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, identifier, version)
);

-- What a payer's code means to this book, over the tables that the program ships: for one payer or for all (''),
-- from a payment date on. revision counts all rows of the book: a remittance is decided by the rows that were there
-- when it was first taken up. meaning is a bucket (CAS) or an account (PLB); '' is as shipped.
CREATE TABLE codes (
    book text COLLATE "C" NOT NULL REFERENCES books,
    revision integer NOT NULL CHECK (revision > 0),
    list text NOT NULL CHECK (list IN ('adjustment', 'provider_level')),
    code_group text NOT NULL,
    code text NOT NULL CHECK (code <> ''),
    payer text NOT NULL,
    effective_from date NOT NULL,
    meaning text NOT NULL,
    label text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, revision),
    CONSTRAINT codes_group CHECK ((list = 'adjustment') = (code_group <> '')),
    -- What another payer has paid is no write-off, and the patient's part is the patient's.
    CONSTRAINT codes_no_write_off CHECK (
        list <> 'adjustment' OR NOT (
            (code_group = 'OA' AND code = '23' AND meaning NOT IN ('', 'other_payer', 'suspense'))
            OR (code_group = 'PR' AND meaning NOT IN ('', 'patient', 'suspense'))
        )
    )
);
ALTER TABLE remittances ADD COLUMN code_revision integer NOT NULL DEFAULT 0 CHECK (code_revision >= 0);

-- The life of a denial. codes are those of the payer (CO-29), open is what it leaves open; entry_number is what was
-- posted, such as the absorption.
CREATE TABLE denials (
    book text COLLATE "C" NOT NULL REFERENCES books,
    claim text COLLATE "C" NOT NULL CHECK (claim <> ''),
    payer text COLLATE "C" NOT NULL CHECK (payer <> ''),
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL CHECK (
        state IN ('denied', 'appealed', 'resubmitted', 'overturned', 'absorbed', 'recovered', 'taken_back')
    ),
    effective_date date NOT NULL,
    open bigint NOT NULL CHECK (open >= 0),
    currency text COLLATE "C" NOT NULL,
    codes text[] NOT NULL,
    reason text NOT NULL,
    policy text NOT NULL DEFAULT '',
    remittance uuid,
    line integer,
    entry_number bigint,
    said_by text NOT NULL CHECK (said_by <> ''),
    said_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, claim, payer, version),
    FOREIGN KEY (book, remittance, line) REFERENCES claim_payments (book, remittance, line),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    CHECK ((remittance IS NULL) = (line IS NULL))
);

-- What was denied before, and waits: its codes were not kept, so that no policy covers it.
INSERT INTO denials (
    book, claim, payer, version, state, effective_date, open, currency, codes, reason, remittance, line, said_by
)
SELECT x.book, x.claim, r.payer, row_number() OVER (PARTITION BY x.book, x.claim, r.payer ORDER BY x.opened_at, x.id),
    'denied', r.payment_date, greatest(x.amount, 0), x.currency, '{}', 'denied before codes were kept', x.remittance,
    x.line, 'migration'
FROM exceptions AS x JOIN remittances AS r ON r.book = x.book AND r.id = x.remittance
WHERE x.reason = 'denied' AND x.closed_at IS NULL AND x.line > 0 AND x.claim IS NOT NULL AND x.amount IS NOT NULL
    AND x.currency IS NOT NULL AND r.payer IS NOT NULL AND r.payment_date IS NOT NULL;

-- Which denials are absorbed without a person's decision on each: those whose every code is named here (CO-29, or a
-- group: CO), of one payer or of all (''), up to an amount, after so many days.
CREATE TABLE denial_policies (
    book text COLLATE "C" NOT NULL REFERENCES books,
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    version integer NOT NULL CHECK (version > 0),
    enabled boolean NOT NULL,
    codes text[] NOT NULL CHECK (cardinality(codes) > 0),
    payer text NOT NULL,
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    largest bigint NOT NULL CHECK (largest > 0),
    age_days integer NOT NULL CHECK (age_days >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, name, version)
);

-- Whether a provider may be charged for a fault of the provider's own. Without a row nobody is.
CREATE TABLE provider_charging (
    book text COLLATE "C" NOT NULL REFERENCES books,
    version integer NOT NULL CHECK (version > 0),
    allowed boolean NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, version)
);
ALTER TABLE proposals DROP CONSTRAINT proposals_act_check, ADD CONSTRAINT proposals_act_check CHECK (
    act IN (
        'post_entry', 'reverse_entry', 'pay_provider', 'absorb_denial', 'recover_denial', 'set_approval_limit',
        'reopen_period', 'run_pay_cycle', 'accept_payee', 'charge_provider'
    )
);

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'claim_payers', 'claim_moves', 'payee_identifiers', 'codes', 'denials', 'denial_policies', 'provider_charging'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER %2$I BEFORE UPDATE OR DELETE OR TRUNCATE ON %1$I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            relation, relation || '_never_change'
        );
        -- ALWAYS: session_replication_role = replica does not switch these off.
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
        EXECUTE format('GRANT SELECT, INSERT ON %I TO ledger_program', relation);
    END LOOP;
    -- What auditors see of the tables that are new, or have new columns.
    FOREACH relation IN ARRAY ARRAY[
        'claim_payers', 'claim_moves', 'payee_identifiers', 'codes', 'denials', 'denial_policies',
        'provider_charging', 'remittances'
    ] LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;

GRANT UPDATE (code_revision) ON remittances TO ledger_program;
GRANT UPDATE (reverses_remittance, reverses_line) ON claim_payments TO ledger_program;
