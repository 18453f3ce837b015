-- Above a limit, what a person asks for is posted once a second person has approved it. Amounts are minor units.

-- What somebody asks for. asked is the request and shown what it would do, both in the JSON form of the wire;
-- content_hash stands for all that an approver sees.
CREATE TABLE proposals (
    book text COLLATE "C" NOT NULL REFERENCES books,
    number bigint NOT NULL CHECK (number > 0),
    act text NOT NULL CHECK (
        act IN ('post_entry', 'reverse_entry', 'pay_provider', 'absorb_denial', 'recover_denial', 'set_approval_limit')
    ),
    asked jsonb NOT NULL,
    shown jsonb NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    proposed_at timestamptz NOT NULL,
    idempotency_key text NOT NULL CHECK (idempotency_key <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (book, number),
    UNIQUE (book, proposed_by, idempotency_key),
    UNIQUE (book, number, proposed_by, content_hash)
);

-- What became of a proposal, once. The foreign key ties maker and content to the proposal, so that the check below
-- compares the two persons whatever the program says. entry_number is the entry that an approval has posted.
CREATE TABLE proposal_decisions (
    book text COLLATE "C" NOT NULL,
    proposal bigint NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('approved', 'declined', 'withdrawn')),
    proposed_by text NOT NULL,
    content_hash bytea NOT NULL,
    decided_by text NOT NULL CHECK (decided_by <> ''),
    decided_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    entry_number bigint,
    PRIMARY KEY (book, proposal),
    UNIQUE (book, entry_number),
    FOREIGN KEY (book, proposal, proposed_by, content_hash)
        REFERENCES proposals (book, number, proposed_by, content_hash),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    -- Maker is never checker: only to withdraw is the maker's own.
    CONSTRAINT maker_is_not_checker CHECK ((verdict = 'withdrawn') = (decided_by = proposed_by)),
    CHECK (verdict = 'approved' OR entry_number IS NULL)
);

-- The amount above which an entry of a kind needs a second person; null: none does. The highest version is in force,
-- from the entry after after_entry on. before is the amount that was in force: more than that, or none, was approved.
CREATE TABLE approval_limits (
    book text COLLATE "C" NOT NULL REFERENCES books,
    kind text NOT NULL CHECK (
        kind IN ('manual', 'reversal', 'provider_paid', 'denial_absorbed', 'denial_recovered')
    ),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    version integer NOT NULL CHECK (version > 0),
    before bigint,
    amount bigint CHECK (amount >= 0),
    after_entry bigint NOT NULL CHECK (after_entry >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    proposal bigint,
    PRIMARY KEY (book, kind, currency, version),
    FOREIGN KEY (book, proposal) REFERENCES proposal_decisions (book, proposal) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT limit_raised_by_two CHECK (
        proposal IS NOT NULL OR before IS NULL OR (amount IS NOT NULL AND amount <= before)
    )
);

CREATE TRIGGER proposals_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON proposals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER proposal_decisions_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON proposal_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER approval_limits_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_limits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who says for which payer an identifier stands says why, and what was said before stays: the highest version counts.
ALTER TABLE payer_identifiers
    ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    ADD COLUMN reason text NOT NULL DEFAULT 'identified before reasons were kept' CHECK (reason <> ''),
    DROP CONSTRAINT payer_identifiers_pkey,
    ADD PRIMARY KEY (book, identifier, version);
ALTER TABLE payer_identifiers ALTER COLUMN version DROP DEFAULT, ALTER COLUMN reason DROP DEFAULT;
CREATE TRIGGER payer_identifiers_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON payer_identifiers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An account is closed for a reason. NOT VALID: those that were closed before have none.
ALTER TABLE accounts
    ADD COLUMN close_reason text CHECK (close_reason <> ''),
    ADD CONSTRAINT accounts_close_reason CHECK ((closed_at IS NULL) = (close_reason IS NULL)) NOT VALID;

CREATE OR REPLACE FUNCTION accounts_close_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL
        OR to_jsonb(NEW) - ARRAY['closed_at', 'closed_by', 'close_reason']
            <> to_jsonb(OLD) - ARRAY['closed_at', 'closed_by', 'close_reason']
    THEN
        RAISE EXCEPTION 'account % is refused a change: it can be closed, once, and nothing else', OLD.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    UPDATE heads SET changes = changes + 1 WHERE book = NEW.book;
    RETURN NEW;
END $$;

DO $$
DECLARE
    relation text;
BEGIN
    EXECUTE format(
        'ALTER FUNCTION accounts_close_once() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
    -- ALWAYS: session_replication_role = replica does not switch these off.
    FOREACH relation IN ARRAY ARRAY['proposals', 'proposal_decisions', 'approval_limits', 'payer_identifiers'] LOOP
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
    END LOOP;
    -- What auditors see of the tables that are new, or have new columns.
    FOREACH relation IN ARRAY ARRAY[
        'proposals', 'proposal_decisions', 'approval_limits', 'payer_identifiers', 'accounts'
    ] LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON proposals, proposal_decisions, approval_limits TO ledger_program;
GRANT UPDATE (close_reason) ON accounts TO ledger_program;
REVOKE UPDATE (payer) ON payer_identifiers FROM ledger_program;
