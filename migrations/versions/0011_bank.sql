-- The bank. Amounts are minor units; positive is money that came.

-- What a file is: an 835, or a statement of the bank.
ALTER TABLE deliveries ADD COLUMN form text NOT NULL DEFAULT 'remittance' CHECK (form IN ('remittance', 'statement'));

-- A remittance may wait for its deposit; then nothing of it is in the books. clearing is the account in which its money
-- waits once it is, applied what deposits have brought of it.
ALTER TABLE remittances
    ADD COLUMN clearing text COLLATE "C",
    ADD COLUMN applied bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT remittances_state_check,
    ADD CONSTRAINT remittances_state_check CHECK (
        state IN ('settled', 'settling', 'quarantined', 'duplicate', 'waiting')
    );
UPDATE remittances AS r SET clearing = (
    SELECT p.account FROM entries AS e JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
    WHERE e.book = r.book AND e.remittance = CAST(r.id AS text) AND p.account LIKE 'Assets:RemittanceClearing:%'
    LIMIT 1
) WHERE state IN ('settled', 'settling');
DROP INDEX remittances_content;
DROP INDEX remittances_trace;
CREATE UNIQUE INDEX remittances_content ON remittances (book, content_hash)
    WHERE state IN ('settled', 'settling', 'waiting');
CREATE UNIQUE INDEX remittances_trace ON remittances (book, signed_by, trace)
    WHERE state IN ('settled', 'settling', 'waiting');
CREATE INDEX remittances_by_trace ON remittances (book, trace);
CREATE INDEX remittances_in_transit ON remittances (book, payment_date) WHERE state = 'settled' AND applied <> paid;

-- One account in one file. Of a recorded one, all that the bank says moved is posted by it, was in the books already,
-- or is no deposit.
CREATE TABLE bank_statements (
    book text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    sha256 bytea NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    state text NOT NULL CHECK (state IN ('recorded', 'recording', 'quarantined')),
    account text NOT NULL,
    currency text,
    as_of date,
    credits bigint NOT NULL CHECK (credits >= 0),
    debits bigint NOT NULL CHECK (debits >= 0),
    posted bigint NOT NULL DEFAULT 0,
    repeated bigint NOT NULL DEFAULT 0,
    noted bigint NOT NULL DEFAULT 0,
    line_count integer NOT NULL CHECK (line_count >= 0),
    recorded_line bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, id),
    UNIQUE (book, sha256, position),
    FOREIGN KEY (book, sha256) REFERENCES deliveries,
    CONSTRAINT statement_ties CHECK (state <> 'recorded' OR credits - debits = posted + repeated + noted),
    CONSTRAINT quarantined_statement_posts_nothing CHECK (
        state <> 'quarantined' OR (posted = 0 AND repeated = 0 AND noted = 0)
    )
);
CREATE INDEX bank_statements_received ON bank_statements (book, received_at DESC, id);

-- One deposit, or money that the bank took back; its id follows from what makes it the same wherever it is told of.
-- A deposit is taken back once.
CREATE TABLE deposits (
    book text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    statement uuid,
    line integer,
    account text NOT NULL CHECK (account <> ''),
    effective_date date NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    currency text NOT NULL,
    reference text NOT NULL,
    payer_identifier text NOT NULL,
    payer text,
    returns uuid,
    entry_number bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL CHECK (recorded_by <> ''),
    PRIMARY KEY (book, id),
    UNIQUE (book, entry_number),
    UNIQUE (book, returns),
    FOREIGN KEY (book, statement) REFERENCES bank_statements (book, id),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    FOREIGN KEY (book, returns) REFERENCES deposits (book, id),
    CONSTRAINT deposit_of_a_line CHECK ((statement IS NULL) = (line IS NULL)),
    CONSTRAINT return_takes CHECK (returns IS NULL OR amount < 0)
);
CREATE INDEX deposits_recorded ON deposits (book, recorded_at DESC, id);
CREATE INDEX deposits_amount ON deposits (book, account, amount);

-- The payments that a deposit names (TRN02), and who signs for each (TRN03).
CREATE TABLE deposit_traces (
    book text COLLATE "C" NOT NULL,
    deposit uuid NOT NULL,
    trace text COLLATE "C" NOT NULL CHECK (trace <> ''),
    payer_identifier text NOT NULL,
    PRIMARY KEY (book, deposit, trace),
    FOREIGN KEY (book, deposit) REFERENCES deposits (book, id)
);
CREATE INDEX deposit_traces_trace ON deposit_traces (book, trace);

-- Money that moved between a deposit and a remittance, with the rule and the evidence; negative where it was undone.
CREATE TABLE deposit_applications (
    book text COLLATE "C" NOT NULL,
    entry_number bigint NOT NULL,
    deposit uuid NOT NULL,
    remittance uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    rule text NOT NULL CHECK (rule <> ''),
    evidence text NOT NULL CHECK (evidence <> ''),
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL CHECK (applied_by <> ''),
    PRIMARY KEY (book, entry_number, deposit, remittance),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    FOREIGN KEY (book, deposit) REFERENCES deposits (book, id),
    FOREIGN KEY (book, remittance) REFERENCES remittances (book, id)
);
CREATE INDEX deposit_applications_deposit ON deposit_applications (book, deposit);
CREATE INDEX deposit_applications_remittance ON deposit_applications (book, remittance);

-- When a payer's remittances are posted, and after how many days their money is missing; for all payers that have none of
-- their own, where payer is empty. The highest version is in force.
CREATE TABLE deposit_policies (
    book text COLLATE "C" NOT NULL REFERENCES books,
    payer text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    policy text NOT NULL CHECK (policy IN ('on_remittance', 'on_deposit')),
    missing_after_days integer NOT NULL CHECK (missing_after_days > 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (book, payer, version)
);

-- What a person must look at may be about a deposit.
ALTER TABLE exceptions
    ALTER COLUMN remittance DROP NOT NULL,
    ADD COLUMN deposit uuid,
    ADD FOREIGN KEY (book, deposit) REFERENCES deposits (book, id),
    ADD CONSTRAINT exception_is_about CHECK (remittance IS NOT NULL OR deposit IS NOT NULL);
CREATE INDEX exceptions_deposit ON exceptions (book, deposit) WHERE deposit IS NOT NULL AND closed_at IS NULL;

CREATE TRIGGER deposits_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON deposits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deposit_traces_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON deposit_traces
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deposit_applications_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON deposit_applications
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deposit_policies_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON deposit_policies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['deposits', 'deposit_traces', 'deposit_applications', 'deposit_policies'] LOOP
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
    END LOOP;
    FOREACH relation IN ARRAY ARRAY[
        'bank_statements', 'deposits', 'deposit_traces', 'deposit_applications', 'deposit_policies',
        'deliveries', 'remittances', 'exceptions'
    ] LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON bank_statements, deposits, deposit_traces, deposit_applications, deposit_policies
    TO ledger_program;
GRANT UPDATE (state, posted, repeated, noted, recorded_line, reason) ON bank_statements TO ledger_program;
GRANT UPDATE (clearing, applied) ON remittances TO ledger_program;
