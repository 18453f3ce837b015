-- Pay cycles. Amounts are minor units; what is payable to a provider is positive. Rows are added, and never change.

-- When cycles are cut off: on days of the month (31 is its last day), or every so many days from first_cut_off on. The
-- highest version is in force.
CREATE TABLE pay_calendars (
    book text COLLATE "C" NOT NULL REFERENCES books,
    version integer NOT NULL CHECK (version > 0),
    rhythm text NOT NULL CHECK (rhythm IN ('days_of_month', 'every_days')),
    days text NOT NULL CHECK (days ~ '^[0-9]+( [0-9]+)*$'),
    first_cut_off date NOT NULL,
    days_to_payment integer NOT NULL CHECK (days_to_payment >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (book, version)
);

-- Providers whom no cycle pays, and those who were released: the highest version counts.
CREATE TABLE provider_holds (
    book text COLLATE "C" NOT NULL REFERENCES books,
    provider text NOT NULL CHECK (provider <> ''),
    version integer NOT NULL CHECK (version > 0),
    held boolean NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (book, provider, version)
);

-- Bank details as they were set; provider '' is the company itself. content has routing and account number, sealed as
-- the bytes of files are. In force is the highest version that is the first, or was accepted.
CREATE TABLE payees (
    book text COLLATE "C" NOT NULL REFERENCES books,
    provider text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    name text NOT NULL CHECK (name <> ''),
    holder text NOT NULL CHECK (holder IN ('person', 'company')),
    account_type text NOT NULL CHECK (account_type IN ('checking', 'savings')),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    last_four text NOT NULL CHECK (length(last_four) <= 4),
    company_id text NOT NULL,
    bank_name text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    content bytea NOT NULL,
    key_name text NOT NULL,
    nonce bytea NOT NULL,
    PRIMARY KEY (book, provider, version),
    UNIQUE (book, provider, version, set_by),
    CHECK ((key_name = '') = (octet_length(nonce) = 0))
);

-- A change of bank details that a second person has approved. set_by and proposed_by are the same person, so that
-- maker_is_not_checker keeps whoever has set them from approving.
CREATE TABLE payee_acceptances (
    book text COLLATE "C" NOT NULL,
    provider text NOT NULL,
    version integer NOT NULL CHECK (version > 1),
    set_by text NOT NULL,
    proposal bigint NOT NULL,
    PRIMARY KEY (book, provider, version),
    FOREIGN KEY (book, provider, version, set_by) REFERENCES payees (book, provider, version, set_by),
    FOREIGN KEY (book, proposal) REFERENCES proposal_decisions (book, proposal) DEFERRABLE INITIALLY DEFERRED
);

-- What a proposed cycle would do for each provider. carried + sessions + adjustments are due; amount is what is paid
-- of it: all, or nothing.
CREATE TABLE pay_cycle_lines (
    book text COLLATE "C" NOT NULL,
    proposal bigint NOT NULL,
    account text COLLATE "C" NOT NULL,
    provider text NOT NULL CHECK (provider <> ''),
    currency text COLLATE "C" NOT NULL,
    carried bigint NOT NULL CHECK (carried <= 0),
    session_count integer NOT NULL CHECK (session_count >= 0),
    sessions bigint NOT NULL,
    adjustment_count integer NOT NULL CHECK (adjustment_count >= 0),
    adjustments bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount IN (0, carried + sessions + adjustments)),
    outcome text NOT NULL CHECK (outcome IN ('to_pay', 'carried', 'held', 'no_payee')),
    reason text NOT NULL,
    payee_version integer,
    since bigint NOT NULL CHECK (since > 0),
    PRIMARY KEY (book, proposal, account),
    FOREIGN KEY (book, proposal) REFERENCES proposals (book, number),
    FOREIGN KEY (book, account) REFERENCES accounts (book, code),
    CHECK ((outcome = 'to_pay') = (amount > 0 AND payee_version IS NOT NULL))
);

-- A cycle that was approved; its name is its cut-off. known is the last entry that its plan knows of.
CREATE TABLE pay_cycles (
    book text COLLATE "C" NOT NULL REFERENCES books,
    cycle date NOT NULL,
    pay_date date NOT NULL CHECK (pay_date >= cycle),
    known bigint NOT NULL CHECK (known >= 0),
    line_count integer NOT NULL CHECK (line_count > 0),
    proposal bigint NOT NULL,
    PRIMARY KEY (book, cycle),
    UNIQUE (book, proposal),
    FOREIGN KEY (book, proposal) REFERENCES proposal_decisions (book, proposal) DEFERRABLE INITIALLY DEFERRED
);

-- What became of a line, once. Where it was paid or carried it counted everything below entry since; closing is what is
-- left after it, zero or less.
CREATE TABLE pay_cycle_results (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    cycle date NOT NULL,
    currency text COLLATE "C" NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('paid', 'carried', 'held', 'no_payee', 'changed')),
    amount bigint NOT NULL,
    entry_number bigint,
    closing bigint CHECK (closing <= 0),
    since bigint,
    reason text NOT NULL,
    PRIMARY KEY (book, account, cycle),
    UNIQUE (book, entry_number),
    FOREIGN KEY (book, cycle) REFERENCES pay_cycles (book, cycle),
    FOREIGN KEY (book, account) REFERENCES accounts (book, code),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    CONSTRAINT paid_by_an_entry CHECK ((outcome = 'paid') = (entry_number IS NOT NULL AND amount > 0)),
    CONSTRAINT paid_or_nothing CHECK (outcome = 'paid' OR amount = 0),
    CONSTRAINT counted_when_settled CHECK (
        (outcome IN ('paid', 'carried')) = (closing IS NOT NULL) AND (closing IS NULL) = (since IS NULL)
    )
);
CREATE INDEX pay_cycle_results_cycle ON pay_cycle_results (book, cycle, account);

-- What a line counted: each session once and for ever, whatever cycle it was; and all else on the payable. No foreign
-- key to the entries: it would cost more than all else, and the integrity check compares each with its posting.
CREATE TABLE pay_cycle_items (
    book text COLLATE "C" NOT NULL,
    entry_number bigint NOT NULL,
    account text COLLATE "C" NOT NULL,
    cycle date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('session', 'session_reversed', 'payment_returned', 'adjustment')),
    amount bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (book, entry_number, account),
    FOREIGN KEY (book, account, cycle) REFERENCES pay_cycle_results (book, account, cycle)
);
CREATE UNIQUE INDEX pay_cycle_items_session ON pay_cycle_items (book, entry_number) WHERE kind = 'session';
CREATE INDEX pay_cycle_items_line ON pay_cycle_items (book, account, cycle, entry_number);

-- What the bank did with a payment: each state once. day is the bank's.
CREATE TABLE payment_states (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    cycle date NOT NULL,
    state text NOT NULL CHECK (state IN ('sent', 'settled', 'returned')),
    day date NOT NULL,
    entry_number bigint,
    reason text NOT NULL CHECK (reason <> ''),
    marked_by text NOT NULL CHECK (marked_by <> ''),
    marked_at timestamptz NOT NULL,
    PRIMARY KEY (book, account, cycle, state),
    FOREIGN KEY (book, account, cycle) REFERENCES pay_cycle_results (book, account, cycle),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    CONSTRAINT posted_unless_sent CHECK ((state = 'sent') = (entry_number IS NULL))
);
CREATE INDEX payment_states_cycle ON payment_states (book, cycle, account);

-- Who read a payment file and why. The first read settles which payments are in it (those not reversed as known at an
-- entry), from which version of the company's own account, and the SHA-256; later reads have the same.
CREATE TABLE payment_file_reads (
    book text COLLATE "C" NOT NULL,
    cycle date NOT NULL,
    format text NOT NULL CHECK (format IN ('nacha', 'csv')),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    number integer NOT NULL CHECK (number > 0),
    known bigint NOT NULL,
    company_version integer NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    payment_count bigint NOT NULL,
    total bigint NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    read_at timestamptz NOT NULL,
    PRIMARY KEY (book, cycle, format, currency, number),
    FOREIGN KEY (book, cycle) REFERENCES pay_cycles (book, cycle)
);

-- A cycle and bank details are decided on by proposals too.
ALTER TABLE proposals
    DROP CONSTRAINT proposals_act_check,
    ADD CONSTRAINT proposals_act_check CHECK (
        act IN (
            'post_entry', 'reverse_entry', 'pay_provider', 'absorb_denial', 'recover_denial', 'set_approval_limit',
            'reopen_period', 'run_pay_cycle', 'accept_payee'
        )
    );

DO $$
DECLARE
    relation text;
BEGIN
    -- Seals are renewed as keys are, by the owner; nothing else of a payee changes.
    CREATE TRIGGER payees_never_change BEFORE UPDATE OF
        book, provider, version, name, holder, account_type, currency, last_four, company_id, bank_name, reason, set_by, set_at
        OR DELETE OR TRUNCATE ON payees FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    ALTER TABLE payees ENABLE ALWAYS TRIGGER payees_never_change;
    FOREACH relation IN ARRAY ARRAY[
        'pay_calendars', 'provider_holds', 'payee_acceptances', 'pay_cycle_lines', 'pay_cycles', 'pay_cycle_results',
        'pay_cycle_items', 'payment_states', 'payment_file_reads'
    ] LOOP
        -- ALWAYS: session_replication_role = replica does not switch these off.
        EXECUTE format(
            'CREATE TRIGGER %2$I BEFORE UPDATE OR DELETE OR TRUNCATE ON %1$I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', relation, relation || '_never_change'
        );
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO ledger_program', relation);
    END LOOP;
    -- Auditors see who is paid where by the last four digits; what is sealed is not among the columns.
    EXECUTE format(
        'CREATE VIEW ledger_reading.payees WITH (security_barrier) AS SELECT book, provider, version, name, holder, '
        'account_type, currency, last_four, company_id, bank_name, reason, set_by, set_at FROM %1$I.payees '
        'WHERE book IN (SELECT book FROM %1$I.reader_books WHERE login = session_user)', current_schema()
    );
END $$;

GRANT SELECT ON ledger_reading.payees TO ledger_reader;
GRANT SELECT, INSERT ON payees TO ledger_program;
