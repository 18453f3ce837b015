-- The guards of postings and entries as they were, asked of PostgreSQL in half as many queries. What decides is unchanged.
--
-- Until a table has been analyzed, all its indexes cost the same to PostgreSQL, and it may look for one entry by reading
-- all entries of the book through an index on something else, in every batch. So what is looked for by number is asked in
-- the order of numbers, which the primary key alone gives, and sorting is forbidden.
CREATE OR REPLACE FUNCTION postings_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    its_book text;
    other_book text;
    lowest bigint;
    highest bigint;
    head bigint;
    posted bigint;
    broken bigint;
    missing bigint;
BEGIN
    SELECT min(book), max(book), min(entry_number), max(entry_number)
        INTO its_book, other_book, lowest, highest FROM inserted;
    IF lowest IS NULL THEN
        RETURN NULL;
    END IF;
    IF its_book <> other_book THEN
        RAISE EXCEPTION 'postings of several books in one statement' USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT
        (SELECT number FROM heads WHERE book = its_book),
        (SELECT number FROM entries WHERE book = its_book AND number >= lowest ORDER BY number LIMIT 1)
        INTO head, posted;
    IF posted IS NOT NULL THEN
        RAISE EXCEPTION 'postings cannot be added to an entry that is posted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF head IS NULL OR head < highest THEN
        RAISE EXCEPTION 'postings beyond the head of book %', its_book USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT
        (
            SELECT entry_number
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
            LIMIT 1
        ),
        (
            SELECT entry_number
            FROM (
                SELECT account, currency, min(entry_number) AS entry_number
                FROM inserted
                GROUP BY account, currency
            ) AS used
            -- Asked for each account by itself: a join would be planned once, perhaps over all accounts.
            WHERE (SELECT a.currency FROM accounts AS a WHERE a.book = its_book AND a.code = used.account)
                IS DISTINCT FROM used.currency
            LIMIT 1
        )
        INTO broken, missing;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'entry % of book % is not whole: its postings do not balance or are not all there',
            broken, its_book USING ERRCODE = 'check_violation';
    END IF;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'entry % of book % names an account that is not there in its currency', missing, its_book
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

-- As its owner, since only here keys and reversals are written. Entries and postings are laid side by side and counted: a
-- join would be planned once, perhaps for a batch of one.
CREATE OR REPLACE FUNCTION entries_are_whole() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    its_book text;
    other_book text;
    lowest bigint;
    highest bigint;
    inserted_count bigint;
    reversal_count bigint;
    head bigint;
    before bigint;
    broken bigint;
BEGIN
    SELECT min(book), max(book), min(number), max(number), count(*), count(reverses)
        INTO its_book, other_book, lowest, highest, inserted_count, reversal_count FROM inserted;
    IF inserted_count = 0 THEN
        RETURN NULL;
    END IF;
    IF its_book <> other_book THEN
        RAISE EXCEPTION 'entries of several books in one statement' USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT
        (SELECT number FROM heads WHERE book = its_book),
        (
            SELECT number FROM entries
            WHERE book = its_book AND number >= lowest - 1 AND number < lowest ORDER BY number LIMIT 1
        ),
        (
            SELECT number
            FROM (
                SELECT number, posting_count, effective_date FROM inserted
                UNION ALL
                SELECT entry_number, count(*), min(effective_date)
                FROM (
                    SELECT entry_number, effective_date FROM postings
                    WHERE book = its_book AND entry_number BETWEEN lowest AND highest
                    ORDER BY entry_number OFFSET 0
                ) AS lines
                GROUP BY entry_number
            ) AS both_sides
            GROUP BY number
            HAVING count(*) <> 2 OR min(posting_count) <> max(posting_count) OR min(effective_date) <> max(effective_date)
            LIMIT 1
        )
        INTO head, before, broken;
    IF highest - lowest + 1 <> inserted_count OR head IS NULL OR head < highest OR (lowest > 1 AND before IS NULL) THEN
        RAISE EXCEPTION 'entries % to % of book % leave a gap in the numbers', lowest, highest, its_book
            USING ERRCODE = 'check_violation';
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'entry % of book % is not whole: its postings are not all there, or of another day',
            broken, its_book USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO entry_keys (book, actor, idempotency_key, number)
        SELECT book, actor, idempotency_key, number FROM inserted;
    IF reversal_count > 0 THEN
        INSERT INTO entry_reversals (book, reverses, number)
            SELECT book, reverses, number FROM inserted WHERE reverses IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

-- Only what lies at the head or beyond it is looked at, and so only the last partition.
CREATE OR REPLACE FUNCTION heads_stand_at_the_last_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head record;
    last record;
BEGIN
    SELECT number, hash INTO head FROM heads WHERE book = NEW.book;
    SELECT number, hash INTO last
        FROM entries WHERE book = NEW.book AND number >= head.number ORDER BY number DESC LIMIT 1;
    IF head.number <> coalesce(last.number, 0) OR head.hash <> coalesce(last.hash, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'the head of book % does not stand at its last entry', NEW.book
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

-- The next partitions, as before; and statistics of those that have begun to fill, since autovacuum looks once a minute
-- only and posts may be half a million entries by then.
CREATE OR REPLACE FUNCTION make_partitions(ahead bigint) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    width CONSTANT bigint := 1000000;
    relation text;
    part text;
    bound bigint;
    made integer := 0;
    begun boolean;
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
    FOR part IN
        SELECT CAST(c.oid AS regclass)
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent IN (CAST('entries' AS regclass), CAST('postings' AS regclass)) AND c.reltuples <= 0
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part) INTO begun;
        IF begun THEN
            EXECUTE format('ANALYZE %s', part);
        END IF;
    END LOOP;
    RETURN made;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'postings_are_whole()', 'entries_are_whole()', 'heads_stand_at_the_last_entry()', 'make_partitions(bigint)'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
    END LOOP;
    -- No plan depends on what is asked, so each is made once. None may read a whole table, nor sort what an index has in
    -- its order.
    FOREACH name IN ARRAY ARRAY[
        'postings_are_whole()', 'entries_are_whole()', 'heads_stand_at_the_last_entry()', 'entries_are_in_open_months()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', name);
        EXECUTE format('ALTER FUNCTION %s SET enable_sort = off', name);
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', name);
    END LOOP;
END $$;
