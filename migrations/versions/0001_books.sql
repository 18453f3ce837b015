-- The books. Every key begins with the book: it is the unit of order, of tenancy and of distribution.

CREATE TABLE books (
    book text COLLATE "C" PRIMARY KEY CHECK (book ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,39}$'),
    name text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    opened_by text NOT NULL
);

-- One row a book. Whoever posts locks it first: from that follow gapless numbers, one order, no deadlocks.
-- changes counts what was changed beside posting, such as accounts closed, so that whoever remembers how the book
-- stood sees that it changed.
CREATE TABLE heads (
    book text COLLATE "C" PRIMARY KEY REFERENCES books,
    number bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(hash) = 32),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changes bigint NOT NULL DEFAULT 0 CHECK (changes >= 0)
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

-- In partitions by number, made ahead of need by make_partitions(): what is written together lies together.
CREATE TABLE entries (
    book text COLLATE "C" NOT NULL,
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
    CHECK ((charge IS NULL) = (charge_currency IS NULL))
) PARTITION BY RANGE (number);

CREATE INDEX entries_id ON entries (book, id);
-- Sessions of a claim, for matching and for what a denial is about.
CREATE INDEX entries_claim ON entries (book, claim) WHERE claim IS NOT NULL;
CREATE INDEX entries_session ON entries (book, session) WHERE session IS NOT NULL;
CREATE INDEX entries_service ON entries (book, payer, service_date) WHERE kind = 'session_earned';
CREATE INDEX entries_effective_date ON entries (book, effective_date, number);

-- effective_date is its entry's, so that a statement is read from one index.
CREATE TABLE postings (
    book text COLLATE "C" NOT NULL,
    entry_number bigint NOT NULL,
    line integer NOT NULL CHECK (line > 0),
    effective_date date NOT NULL,
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0), -- minor units, debit positive
    item text,
    PRIMARY KEY (book, entry_number, line)
) PARTITION BY RANGE (entry_number);

CREATE INDEX postings_account ON postings (book, account, entry_number);
CREATE INDEX postings_statement ON postings (book, account, effective_date, entry_number);
CREATE INDEX postings_item ON postings (book, item, account) WHERE item IS NOT NULL;

-- What must be unique over all partitions. Written by entries_are_whole() alone, for each entry with it.
CREATE TABLE entry_keys (
    book text COLLATE "C" NOT NULL,
    actor text NOT NULL,
    idempotency_key text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (book, actor, idempotency_key)
);
CREATE TABLE entry_reversals (
    book text COLLATE "C" NOT NULL,
    reverses bigint NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (book, reverses),
    FOREIGN KEY (book, reverses) REFERENCES entries (book, number)
);

-- The next partitions of entries and postings, so that the given number of entries fits behind every head. They are
-- attached, which locks nobody out; nobody may reach one but through the table it is a part of.
CREATE FUNCTION make_partitions(ahead bigint) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    width CONSTANT bigint := 1000000;
    relation text;
    part text;
    bound bigint;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('session ledger partitions'));
    FOREACH relation IN ARRAY ARRAY['entries', 'postings'] LOOP
        SELECT count(*) * width INTO bound FROM pg_inherits WHERE inhparent = CAST(relation AS regclass);
        WHILE bound <= (SELECT coalesce(max(number), 0) FROM heads) + ahead LOOP
            SELECT format('%I.%I', nspname, relation || '_' || bound / width + 1) INTO part
                FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.oid = CAST(relation AS regclass);
            EXECUTE format('CREATE TABLE %s (LIKE %I INCLUDING ALL)', part, relation);
            EXECUTE format(
                'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', relation || '_never_change', part
            );
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', part, relation || '_never_change');
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)', relation, part, bound, bound + width
            );
            bound := bound + width;
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

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
    PRIMARY KEY (book, account, effective_date)
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
CREATE FUNCTION accounts_close_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL
        OR to_jsonb(NEW) - ARRAY['closed_at', 'closed_by'] <> to_jsonb(OLD) - ARRAY['closed_at', 'closed_by']
    THEN
        RAISE EXCEPTION 'account % is refused a change: it can be closed, once, and nothing else', OLD.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    UPDATE heads SET changes = changes + 1 WHERE book = NEW.book;
    RETURN NEW;
END $$;

CREATE TRIGGER accounts_close_once BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_close_once();
CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whoever posts moves the head, then writes postings, then entries. Each statement is checked as a whole, so that no
-- trigger runs once a row; at the commit the head must stand at the last entry. Together: every entry is there with all
-- its postings, balanced in every currency; no posting is there without its entry; numbers have no gap.
CREATE FUNCTION postings_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    its_book text;
    lowest bigint;
    highest bigint;
    broken bigint;
BEGIN
    SELECT min(book), min(entry_number), max(entry_number) INTO its_book, lowest, highest FROM inserted;
    IF EXISTS (SELECT FROM inserted WHERE book <> its_book) THEN
        RAISE EXCEPTION 'postings of several books in one statement' USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (SELECT FROM entries WHERE book = its_book AND number >= lowest) THEN
        RAISE EXCEPTION 'postings cannot be added to an entry that is posted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF lowest IS NOT NULL AND NOT EXISTS (SELECT FROM heads WHERE book = its_book AND number >= highest) THEN
        RAISE EXCEPTION 'postings beyond the head of book %', its_book USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT entry_number INTO broken
    FROM (
        SELECT
            entry_number,
            count(*) AS lines,
            min(line) AS first_line,
            max(line) AS last_line,
            min(effective_date) AS first_date,
            max(effective_date) AS last_date,
            sum(amount) AS difference
        FROM inserted
        GROUP BY entry_number, currency
    ) AS by_currency
    GROUP BY entry_number
    HAVING min(first_line) <> 1 OR max(last_line) <> sum(lines) OR bool_or(difference <> 0)
        OR min(first_date) <> max(last_date)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % of book % is not whole: its postings do not balance or are not all there',
            broken, its_book USING ERRCODE = 'check_violation';
    END IF;
    SELECT entry_number INTO broken
    FROM (
        SELECT account, currency, min(entry_number) AS entry_number
        FROM inserted
        GROUP BY account, currency
    ) AS used
    -- Asked for each account by itself: a join would be planned once, perhaps over all accounts.
    WHERE (SELECT a.currency FROM accounts AS a WHERE a.book = its_book AND a.code = used.account)
        IS DISTINCT FROM used.currency
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % of book % names an account that is not there in its currency', broken, its_book
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER postings_are_whole AFTER INSERT ON postings REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION postings_are_whole();

-- As its owner, since only here keys and reversals are written.
CREATE FUNCTION entries_are_whole() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    its_book text;
    lowest bigint;
    highest bigint;
    inserted_count bigint;
    broken bigint;
BEGIN
    SELECT min(book), min(number), max(number), count(*)
        INTO its_book, lowest, highest, inserted_count FROM inserted;
    IF inserted_count = 0 THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM inserted WHERE book <> its_book) THEN
        RAISE EXCEPTION 'entries of several books in one statement' USING ERRCODE = 'restrict_violation';
    END IF;
    IF highest - lowest + 1 <> inserted_count
        OR (lowest > 1 AND NOT EXISTS (SELECT FROM entries WHERE book = its_book AND number = lowest - 1))
        OR NOT EXISTS (SELECT FROM heads WHERE book = its_book AND number >= highest)
    THEN
        RAISE EXCEPTION 'entries % to % of book % leave a gap in the numbers', lowest, highest, its_book
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT e.number INTO broken
    FROM inserted AS e
    LEFT JOIN (
        SELECT
            entry_number,
            count(*) AS lines,
            min(effective_date) AS effective_date
        FROM postings
        WHERE book = its_book AND entry_number BETWEEN lowest AND highest
        GROUP BY entry_number
    ) AS found ON found.entry_number = e.number
    WHERE found.lines IS DISTINCT FROM e.posting_count OR found.effective_date IS DISTINCT FROM e.effective_date
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % of book % is not whole: its postings are not all there, or of another day',
            broken, its_book USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO entry_keys (book, actor, idempotency_key, number)
        SELECT book, actor, idempotency_key, number FROM inserted;
    INSERT INTO entry_reversals (book, reverses, number)
        SELECT book, reverses, number FROM inserted WHERE reverses IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_are_whole AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION entries_are_whole();

CREATE FUNCTION heads_stand_at_the_last_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head record;
    last record;
BEGIN
    SELECT number, hash INTO head FROM heads WHERE book = NEW.book;
    SELECT number, hash INTO last FROM entries WHERE book = NEW.book ORDER BY number DESC LIMIT 1;
    IF head.number <> coalesce(last.number, 0) OR head.hash <> coalesce(last.hash, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'the head of book % does not stand at its last entry', NEW.book
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER heads_stand_at_the_last_entry AFTER INSERT OR UPDATE ON heads
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION heads_stand_at_the_last_entry();
CREATE TRIGGER heads_stay BEFORE DELETE OR TRUNCATE ON heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_keys_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_reversals_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_reversals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    found record;
BEGIN
    -- The functions must see these tables whatever the caller's search_path says.
    FOR found IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p
        WHERE p.pronamespace = CAST(current_schema() AS regnamespace) AND p.proname IN (
            'accounts_close_once', 'make_partitions', 'postings_are_whole', 'entries_are_whole', 'heads_stand_at_the_last_entry'
        )
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', found.name, current_schema());
    END LOOP;
    -- Plans are kept from the first batch on, and that may be a small one: no plan may read a whole table.
    ALTER FUNCTION postings_are_whole() SET enable_seqscan = off;
    ALTER FUNCTION entries_are_whole() SET enable_seqscan = off;
    -- ALWAYS: session_replication_role = replica does not switch these off.
    FOR found IN
        SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger
        WHERE tgrelid IN (
            'accounts'::regclass, 'heads'::regclass, 'entries'::regclass, 'postings'::regclass,
            'entry_keys'::regclass, 'entry_reversals'::regclass
        ) AND NOT tgisinternal
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found.relation, found.tgname);
    END LOOP;
END $$;

SELECT make_partitions(1000000);

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
GRANT SELECT ON entry_keys, entry_reversals TO ledger_program; -- written by entries_are_whole()
GRANT SELECT ON alembic_version TO ledger_program; -- a server sees whether it fits
GRANT UPDATE (number, hash, recorded_at, changes) ON heads TO ledger_program;
GRANT UPDATE (closed_at, closed_by) ON accounts TO ledger_program;
GRANT UPDATE (debits, credits) ON balances, daily_totals TO ledger_program;
REVOKE EXECUTE ON FUNCTION make_partitions(bigint) FROM public;
GRANT EXECUTE ON FUNCTION make_partitions(bigint) TO ledger_program;
