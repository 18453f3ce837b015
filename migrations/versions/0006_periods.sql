-- Months of a book: open, soft-closed, closed. The highest version of a month counts, from the entry after after_entry
-- on; a month without a row is open. Nothing is effective in a closed month or in one before it.

CREATE TABLE periods (
    book text COLLATE "C" NOT NULL REFERENCES books,
    month date NOT NULL CHECK (extract(day FROM month) = 1), -- its first day
    version integer NOT NULL CHECK (version > 0),
    before text NOT NULL CHECK (before IN ('open', 'soft_closed', 'closed')),
    state text NOT NULL CHECK (state IN ('open', 'soft_closed', 'closed')),
    after_entry bigint NOT NULL CHECK (after_entry >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    proposal bigint,
    -- Of a close: the hash of the last entry, how old something must be to stand in the way, who took responsibility
    -- for what did, and the hash over all that was frozen.
    last_entry_hash bytea,
    limit_days integer,
    override_by text,
    override_reason text,
    hash bytea,
    PRIMARY KEY (book, month, version),
    FOREIGN KEY (book, proposal) REFERENCES proposal_decisions (book, proposal) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT period_changes CHECK (before <> state AND (before <> 'closed' OR state = 'open')),
    CONSTRAINT period_reopened_by_two CHECK ((state = 'open') = (proposal IS NOT NULL)),
    CONSTRAINT period_closed_with_proof CHECK (
        CASE state
            WHEN 'closed' THEN
                coalesce(octet_length(hash) = 32 AND octet_length(last_entry_hash) = 32 AND limit_days >= 0, false)
            ELSE num_nonnulls(hash, last_entry_hash, limit_days, override_by) = 0
        END
    ),
    CONSTRAINT period_override_named CHECK (
        (override_by IS NULL) = (override_reason IS NULL) AND override_by <> '' AND override_reason <> ''
    )
);

-- The trial balance as of the last day of a month, as it was known when the month was closed.
CREATE TABLE period_balances (
    book text COLLATE "C" NOT NULL,
    month date NOT NULL,
    version integer NOT NULL,
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (book, month, version, account),
    FOREIGN KEY (book, month, version) REFERENCES periods (book, month, version)
);

-- What stood in the way of a close, and somebody took responsibility for. Minor units, debit positive.
CREATE TABLE period_findings (
    book text COLLATE "C" NOT NULL,
    month date NOT NULL,
    version integer NOT NULL,
    line integer NOT NULL CHECK (line > 0),
    kind text NOT NULL CHECK (kind IN ('clearing', 'suspense', 'unapplied_cash', 'exception')),
    subject text NOT NULL,
    item text,
    currency text COLLATE "C",
    amount bigint,
    since date NOT NULL,
    days integer NOT NULL,
    PRIMARY KEY (book, month, version, line),
    FOREIGN KEY (book, month, version) REFERENCES periods (book, month, version)
);

CREATE TRIGGER periods_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON periods
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER period_balances_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON period_balances
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER period_findings_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON period_findings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Looks at all entries of a statement at once: at the months from the earliest of them on, which are few however old
-- the book is. In a soft-closed month an entry says why. Who may post there is the program's to know.
CREATE FUNCTION entries_are_in_open_months() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    its_book text;
    earliest date;
    closed date;
    soft_closed date[];
    broken bigint;
BEGIN
    SELECT min(book), min(effective_date) INTO its_book, earliest FROM inserted;
    SELECT
        max(CAST(month + interval '1 month' AS date)) FILTER (WHERE state = 'closed'),
        array_agg(month) FILTER (WHERE state = 'soft_closed')
        INTO closed, soft_closed
    FROM (
        SELECT DISTINCT ON (month) month, state
        FROM periods
        WHERE book = its_book AND month >= CAST(date_trunc('month', CAST(earliest AS timestamp)) AS date)
        ORDER BY month, version DESC
    ) AS in_force;
    IF closed IS NULL AND soft_closed IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT number INTO broken
    FROM inserted
    WHERE effective_date < closed
        OR (
            description = ''
            AND CAST(date_trunc('month', CAST(effective_date AS timestamp)) AS date) = ANY (soft_closed)
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % of book % is effective in a closed month, or without a reason in a soft-closed one',
            broken, its_book USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_are_in_open_months AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION entries_are_in_open_months();

-- A month is reopened by a proposal too.
ALTER TABLE proposals
    DROP CONSTRAINT proposals_act_check,
    ADD CONSTRAINT proposals_act_check CHECK (
        act IN (
            'post_entry', 'reverse_entry', 'pay_provider', 'absorb_denial', 'recover_denial', 'set_approval_limit',
            'reopen_period'
        )
    );

DO $$
DECLARE
    relation text;
BEGIN
    EXECUTE format(
        'ALTER FUNCTION entries_are_in_open_months() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
    -- Its plan is kept from the first batch on, when there were no months to look at.
    ALTER FUNCTION entries_are_in_open_months() SET enable_seqscan = off;
    -- ALWAYS: session_replication_role = replica does not switch these off.
    ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_are_in_open_months;
    FOREACH relation IN ARRAY ARRAY['periods', 'period_balances', 'period_findings'] LOOP
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON periods, period_balances, period_findings TO ledger_program;
