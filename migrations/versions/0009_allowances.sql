-- Allowances for denials: what of the receivables is not expected to come, by rates that past months show.

-- How an allowance is computed. The highest version is in force; without one, or where it is off, none is posted. terms
-- is the policy in the JSON form of the wire.
CREATE TABLE allowance_policies (
    book text COLLATE "C" NOT NULL REFERENCES books,
    version integer NOT NULL CHECK (version > 0),
    is_on boolean NOT NULL,
    terms jsonb NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (book, version)
);

-- What was posted for a month, once: month is its last day. evidence holds the rates with the amounts that they come
-- from, in the JSON form of the wire. The reversal is of the first day of the next month.
CREATE TABLE allowances (
    book text COLLATE "C" NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month + 1) = 1),
    policy integer NOT NULL,
    entry_number bigint NOT NULL,
    reversal_number bigint NOT NULL,
    evidence jsonb NOT NULL,
    posted_by text NOT NULL CHECK (posted_by <> ''),
    posted_at timestamptz NOT NULL,
    PRIMARY KEY (book, month),
    FOREIGN KEY (book, policy) REFERENCES allowance_policies (book, version),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    FOREIGN KEY (book, reversal_number) REFERENCES entries (book, number),
    CONSTRAINT reversed_after_it_was_posted CHECK (reversal_number > entry_number)
);

CREATE TRIGGER allowance_policies_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON allowance_policies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER allowances_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON allowances
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON allowance_policies, allowances TO ledger_program;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['allowance_policies', 'allowances'] LOOP
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
