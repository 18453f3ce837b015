-- Totals by segments of entry numbers, for questions as known at an entry. Derived from the postings, filled behind the
-- head in whole segments and off the posting path; a segment is complete once it is filled, and never changes.
-- To fill them anew, as the owner: TRUNCATE recorded_totals; UPDATE recorded_levels SET number = 0; then run
-- ledger maintain.

-- How far the segments of each size are filled: up to entry `number`, and nothing is read beyond it. An account with
-- fewer than `fewest` postings in a segment has no totals there: its postings themselves are as quick to read.
CREATE TABLE recorded_levels (
    book text COLLATE "C" NOT NULL REFERENCES books,
    size bigint NOT NULL CHECK (size > 0),
    fewest integer NOT NULL CHECK (fewest > 0),
    number bigint NOT NULL CHECK (number >= 0 AND number % size = 0),
    PRIMARY KEY (book, size)
);

-- Debits and credits of an account in the segment of `size` entries that ends with entry `number`, up to and with an
-- effective date. Where `fewest` is above 1, an account with totals begins with a row at -infinity, which tells it from
-- one without. No foreign keys: millions of rows are written at once, and the integrity check recomputes each.
CREATE TABLE recorded_totals (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    number bigint NOT NULL,
    effective_date date NOT NULL,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (book, account, size, number, effective_date)
);

GRANT SELECT, INSERT ON recorded_levels, recorded_totals TO ledger_program;
GRANT UPDATE (number) ON recorded_levels TO ledger_program;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['recorded_levels', 'recorded_totals'] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
