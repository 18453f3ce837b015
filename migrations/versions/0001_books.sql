-- The books. Every key begins with the book: it is the unit of order, of tenancy and of distribution.

CREATE TABLE books (
    book text COLLATE "C" PRIMARY KEY CHECK (book ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,39}$'),
    name text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    opened_by text NOT NULL
);

-- One row a book. Whoever posts locks it first: from that follow gapless numbers, one order, no deadlocks.
CREATE TABLE heads (
    book text COLLATE "C" PRIMARY KEY REFERENCES books,
    number bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(hash) = 32),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE accounts (
    book text COLLATE "C" NOT NULL REFERENCES books,
    code text COLLATE "C" NOT NULL CHECK (
        code ~ '^(Assets|Liabilities|Equity|Revenue|Expenses)(:[A-Za-z0-9][A-Za-z0-9-]*)+$' AND length(code) <= 200
    ),
    type text NOT NULL CHECK (
        (split_part(code, ':', 1), type) IN (
            ('Assets', 'asset'), ('Liabilities', 'liability'), ('Equity', 'equity'),
            ('Revenue', 'revenue'), ('Expenses', 'expense')
        )
    ),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    normal_side text NOT NULL CHECK (normal_side IN ('debit', 'credit')),
    balance_limit text CHECK (balance_limit IN ('must_not_go_debit', 'must_not_go_credit')),
    item_required boolean NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    opened_by text NOT NULL,
    closed_at timestamptz,
    closed_by text,
    PRIMARY KEY (book, code),
    UNIQUE (book, code, currency),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);

-- No two codes may differ in case alone: people and exports would mix them up.
CREATE UNIQUE INDEX accounts_case ON accounts (book, lower(code));

CREATE TABLE entries (
    book text COLLATE "C" NOT NULL REFERENCES books,
    number bigint NOT NULL CHECK (number > 0),
    id uuid NOT NULL,
    kind text NOT NULL,
    effective_date date NOT NULL,
    recorded_at timestamptz NOT NULL,
    description text NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    idempotency_key text NOT NULL CHECK (idempotency_key <> ''),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    reverses bigint CHECK (reverses < number),
    payer text,
    provider text,
    claim text,
    session text,
    plan text,
    service_code text,
    licence_type text,
    state text,
    remittance text,
    pay_cycle text,
    service_date date,
    charge bigint,
    charge_currency text,
    posting_count integer NOT NULL CHECK (posting_count >= 2),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (book, number),
    UNIQUE (book, id),
    UNIQUE (book, actor, idempotency_key),
    UNIQUE (book, reverses),
    FOREIGN KEY (book, reverses) REFERENCES entries (book, number),
    CHECK ((charge IS NULL) = (charge_currency IS NULL))
);

-- Sessions of a claim, for matching and for what a denial is about.
CREATE INDEX entries_claim ON entries (book, claim) WHERE claim IS NOT NULL;
CREATE INDEX entries_session ON entries (book, session) WHERE session IS NOT NULL;
CREATE INDEX entries_service ON entries (book, payer, service_date) WHERE kind = 'session_earned';
CREATE INDEX entries_effective_date ON entries (book, effective_date, number);

CREATE TABLE postings (
    book text COLLATE "C" NOT NULL,
    entry_number bigint NOT NULL,
    line integer NOT NULL CHECK (line > 0),
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0), -- minor units, debit positive
    item text,
    PRIMARY KEY (book, entry_number, line),
    -- Deferred, because an entry's postings are written before it: see entries_are_whole.
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (book, account, currency) REFERENCES accounts (book, code, currency)
);

CREATE INDEX postings_account ON postings (book, account, entry_number);
CREATE INDEX postings_item ON postings (book, item, account) WHERE item IS NOT NULL;

-- Debits and credits of an account over all days, in minor units.
CREATE TABLE balances (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (book, account),
    FOREIGN KEY (book, account) REFERENCES accounts (book, code)
);

-- The same by effective date: a balance as of a date is a sum over days, not over postings.
CREATE TABLE daily_totals (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    effective_date date NOT NULL,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (book, account, effective_date),
    FOREIGN KEY (book, account) REFERENCES accounts (book, code)
);

-- Nothing posted is ever changed.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: nothing posted is ever changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER entries_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER postings_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An account is closed once and for ever; nothing else of it changes.
CREATE FUNCTION accounts_close_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL
        OR to_jsonb(NEW) - ARRAY['closed_at', 'closed_by'] <> to_jsonb(OLD) - ARRAY['closed_at', 'closed_by']
    THEN
        RAISE EXCEPTION 'account % is refused a change: it can be closed, once, and nothing else', OLD.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER accounts_close_once BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_close_once();
CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An entry comes after its postings, so that one check over the inserted rows sees it whole: as many postings
-- as it says, numbered from 1, and balanced in every currency.
CREATE FUNCTION entries_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken record;
BEGIN
    SELECT e.book, e.number INTO broken
    FROM inserted AS e
    LEFT JOIN LATERAL (
        SELECT sum(lines) AS lines, max(last_line) AS last_line, bool_and(difference = 0) AS balanced
        FROM (
            SELECT count(*) AS lines, max(line) AS last_line, sum(amount) AS difference
            FROM postings AS p
            WHERE p.book = e.book AND p.entry_number = e.number
            GROUP BY p.currency
        ) AS by_currency
    ) AS found ON true
    WHERE found.lines IS DISTINCT FROM e.posting_count
        OR found.last_line IS DISTINCT FROM e.posting_count
        OR found.balanced IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % of book % is not whole: its postings do not balance or are not all there',
            broken.number, broken.book USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_are_whole AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION entries_are_whole();

-- Nothing is added to an entry that is posted.
CREATE FUNCTION postings_come_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT book, entry_number FROM inserted) AS i
        JOIN entries AS e ON e.book = i.book AND e.number = i.entry_number
    ) THEN
        RAISE EXCEPTION 'postings cannot be added to an entry that is posted' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER postings_come_first AFTER INSERT ON postings REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION postings_come_first();

DO $$
DECLARE
    found record;
BEGIN
    -- The functions must see these tables whatever the caller's search_path says.
    EXECUTE format('ALTER FUNCTION entries_are_whole() SET search_path = pg_catalog, %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION postings_come_first() SET search_path = pg_catalog, %I, pg_temp', current_schema());
    -- ALWAYS: session_replication_role = replica does not switch these off.
    FOR found IN
        SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger
        WHERE tgrelid IN ('accounts'::regclass, 'entries'::regclass, 'postings'::regclass) AND NOT tgisinternal
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found.relation, found.tgname);
    END LOOP;
END $$;

-- The role under which the program works: it adds, and changes only heads, totals and an account's closing.
DO $$
BEGIN
    CREATE ROLE ledger_program NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role ledger_program does not exist and % may not create it: run as a superuser: '
            'CREATE ROLE ledger_program NOLOGIN; GRANT ledger_program TO %', current_user, current_user;
END $$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'ledger_program', 'MEMBER') THEN
        EXECUTE format('GRANT ledger_program TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ledger_program', current_schema());
END $$;

GRANT SELECT, INSERT ON books, heads, accounts, entries, postings, balances, daily_totals TO ledger_program;
GRANT SELECT ON alembic_version TO ledger_program; -- a server sees whether it fits
GRANT UPDATE (number, hash, recorded_at) ON heads TO ledger_program;
GRANT UPDATE (closed_at, closed_by) ON accounts TO ledger_program;
GRANT UPDATE (debits, credits) ON balances, daily_totals TO ledger_program;
