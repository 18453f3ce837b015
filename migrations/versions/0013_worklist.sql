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

-- Up to which amount what a payer left open may be written off, by currency. Without a row, nothing may.
CREATE TABLE write_off_caps (
    book text COLLATE "C" NOT NULL REFERENCES books,
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    version integer NOT NULL CHECK (version > 0),
    amount bigint NOT NULL CHECK (amount >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (book, currency, version)
);
ALTER TABLE proposals DROP CONSTRAINT proposals_act_check, ADD CONSTRAINT proposals_act_check CHECK (
    act IN (
        'post_entry', 'reverse_entry', 'pay_provider', 'absorb_denial', 'recover_denial', 'set_approval_limit',
        'reopen_period', 'run_pay_cycle', 'accept_payee', 'charge_provider', 'write_off'
    )
);
ALTER TABLE approval_limits DROP CONSTRAINT approval_limits_kind_check, ADD CONSTRAINT approval_limits_kind_check CHECK (
    kind IN ('manual', 'reversal', 'provider_paid', 'denial_absorbed', 'denial_recovered', 'remainder_written_off')
);

DROP VIEW ledger_reading.exceptions;
ALTER TABLE exceptions DROP COLUMN owner;

CREATE TRIGGER exception_events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON exception_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE exception_events ENABLE ALWAYS TRIGGER exception_events_never_change;
CREATE TRIGGER write_off_caps_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON write_off_caps
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE write_off_caps ENABLE ALWAYS TRIGGER write_off_caps_never_change;
GRANT SELECT, INSERT ON exception_events, write_off_caps TO ledger_program;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['exceptions', 'exception_events', 'write_off_caps'] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
