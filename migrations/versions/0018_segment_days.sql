-- The first and the last effective day of the `size` entries that end with entry `number`. Derived from the entries, filled
-- behind the head in whole segments and off the posting path. From the first entry on, each begins where the one before
-- ends: what is not filled yet lies behind the last one, and is read from the entries themselves. To fill them anew, as the
-- owner: TRUNCATE segment_days; then run ledger maintain.
CREATE TABLE segment_days (
    book text COLLATE "C" NOT NULL REFERENCES books,
    number bigint NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    first_day date NOT NULL,
    last_day date NOT NULL,
    PRIMARY KEY (book, number),
    CONSTRAINT segment_days_within_its_book CHECK (number >= size),
    CONSTRAINT segment_days_first_before_last CHECK (first_day <= last_day)
);

GRANT SELECT, INSERT ON segment_days TO ledger_program;

DO $$
BEGIN
    EXECUTE format(
        'CREATE VIEW ledger_reading.segment_days WITH (security_barrier) AS SELECT * FROM %1$I.segment_days '
        'WHERE book IN (SELECT book FROM %1$I.reader_books WHERE login = session_user)',
        current_schema()
    );
    GRANT SELECT ON ledger_reading.segment_days TO ledger_reader;
END $$;
