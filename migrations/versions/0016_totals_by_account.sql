-- Recorded totals were a row for each day of an account in a segment. Now the days are in one row, which takes a tenth of
-- the space, of the log and of the work of writing. They are derived: the server fills them anew behind the head, and
-- ledger maintain does so at once. What is asked meanwhile is read from postings.
DROP VIEW ledger_reading.recorded_totals;
DROP TABLE recorded_totals;
UPDATE recorded_levels SET number = 0;

-- Debits and credits of an account in the segment of `size` entries that ends with entry `number`: debits[n] and credits[n]
-- are those up to and with days[n]. Days ascend, and are those on which it was posted to. A segment from `fewest` = 1 may
-- be there for some accounts before it is for all: it counts once recorded_levels has come to it. No foreign keys: much
-- is written at once, and the integrity check recomputes each.
-- To fill them anew, as the owner: TRUNCATE recorded_totals; UPDATE recorded_levels SET number = 0; then run
-- ledger maintain.
CREATE TABLE recorded_totals (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    number bigint NOT NULL,
    days date[] NOT NULL CHECK (cardinality(days) > 0),
    debits bigint[] NOT NULL CHECK (0 <= ALL (debits)),
    credits bigint[] NOT NULL CHECK (0 <= ALL (credits)),
    PRIMARY KEY (book, account, size, number),
    -- From the first one on, which is number 1.
    CONSTRAINT recorded_totals_of_each_day CHECK (
        cardinality(debits) = cardinality(days) AND array_upper(debits, 1) = cardinality(days)
        AND cardinality(credits) = cardinality(days) AND array_upper(credits, 1) = cardinality(days)
    )
);

GRANT SELECT, INSERT ON recorded_totals TO ledger_program;

DO $$
BEGIN
    EXECUTE format(
        'CREATE VIEW ledger_reading.recorded_totals WITH (security_barrier) AS SELECT * FROM %1$I.recorded_totals '
        'WHERE book IN (SELECT book FROM %1$I.reader_books WHERE login = session_user)',
        current_schema()
    );
    GRANT SELECT ON ledger_reading.recorded_totals TO ledger_reader;
END $$;
