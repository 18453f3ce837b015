-- Auditors read with psql. Their role holds no right on any table; it sees views of the same names, in a schema of
-- its own, and in them only the books that the owner has given to the login. Views rather than row-level security on
-- the tables, since PostgreSQL refuses COPY into tables that have it.

-- Which login may read which book. Written by the owner alone.
CREATE TABLE reader_books (
    book text COLLATE "C" NOT NULL REFERENCES books,
    login text COLLATE "C" NOT NULL CHECK (login <> ''),
    given_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    given_by text NOT NULL DEFAULT session_user,
    PRIMARY KEY (book, login)
);

DO $$
BEGIN
    CREATE ROLE ledger_reader NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role ledger_reader does not exist and % may not create it: run as a superuser: '
            'CREATE ROLE ledger_reader NOLOGIN', current_user;
END $$;

CREATE SCHEMA ledger_reading;
GRANT USAGE ON SCHEMA ledger_reading TO ledger_reader;

-- session_user is who logged in: no SET ROLE changes it. security_barrier: a reader's own functions in a query see no
-- row of another book. The bytes of files (delivery_parts) are not among the views.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'books', 'heads', 'accounts', 'entries', 'postings', 'entry_keys', 'entry_reversals', 'balances', 'daily_totals',
        'payer_identifiers', 'deliveries', 'file_reads', 'remittances', 'claim_payments', 'provider_level_adjustments', 'exceptions'
    ] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
