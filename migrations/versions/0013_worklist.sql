-- The worklist: what became of each exception, by whom and why. Its opening is version 1, and each row makes the next; the
-- last says whose it is. Of two who answer to the same version one alone can write. exceptions.closed_at repeats what the
-- last row says, since what is open is looked for by it.
CREATE TABLE exception_events (
    book text COLLATE "C" NOT NULL,
    exception uuid NOT NULL,
    version integer NOT NULL CHECK (version > 1),
    change text NOT NULL CHECK (
        change IN ('assigned', 'settled', 'opened_again', 'closed', 'sent_back', 'absorbed', 'written_off')
    ),
    owner text COLLATE "C" CHECK (owner <> ''),
    note text NOT NULL,
    entry_number bigint,
    said_by text COLLATE "C" NOT NULL CHECK (said_by <> ''),
    said_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    idempotency_key text COLLATE "C" CHECK (idempotency_key <> ''),
    request_hash bytea,
    PRIMARY KEY (book, exception, version),
    UNIQUE (book, said_by, idempotency_key),
    FOREIGN KEY (book, exception) REFERENCES exceptions (book, id),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    CONSTRAINT event_asked_for_by_key CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);

-- What was closed before there was a history, and whom an item was given to by hand.
INSERT INTO exception_events (book, exception, version, change, owner, note, said_by, said_at)
SELECT book, id, 2, 'settled', nullif(owner, ''), 'closed before there was a history', 'migration', closed_at
FROM exceptions WHERE closed_at IS NOT NULL
UNION ALL
SELECT book, id, 2, 'assigned', owner, 'assigned before there was a history', 'migration', opened_at
FROM exceptions WHERE closed_at IS NULL AND owner <> '';

DROP VIEW ledger_reading.exceptions;
ALTER TABLE exceptions DROP COLUMN owner;

CREATE TRIGGER exception_events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON exception_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE exception_events ENABLE ALWAYS TRIGGER exception_events_never_change;
GRANT SELECT, INSERT ON exception_events TO ledger_program;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['exceptions', 'exception_events'] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
