-- Guards: what keeps posted entries as they are, in PostgreSQL itself. Returns no row while all are in place.
-- Paste it into psql as it is.
WITH kept (relation) AS (
    -- What is never changed, and each partition of it.
    SELECT CAST(name AS regclass)
    FROM unnest(ARRAY[
        'accounts', 'entries', 'postings', 'entry_keys', 'entry_reversals', 'proposals', 'proposal_decisions',
        'approval_limits', 'payer_identifiers'
    ]) AS names (name)
    UNION ALL
    SELECT inhrelid FROM pg_inherits WHERE inhparent IN (CAST('entries' AS regclass), CAST('postings' AS regclass))
), triggers (relation, name, definition) AS (
    VALUES
        (CAST('accounts' AS regclass), 'accounts_close_once',
         'BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION accounts_close_once()'),
        ('accounts', 'accounts_stay',
         'BEFORE DELETE OR TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('heads', 'heads_stay',
         'BEFORE DELETE OR TRUNCATE ON heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('heads', 'heads_stand_at_the_last_entry',
         'AFTER INSERT OR UPDATE ON heads DEFERRABLE INITIALLY DEFERRED '
         'FOR EACH ROW EXECUTE FUNCTION heads_stand_at_the_last_entry()'),
        ('entries', 'entries_are_whole',
         'AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted '
         'FOR EACH STATEMENT EXECUTE FUNCTION entries_are_whole()'),
        ('postings', 'postings_are_whole',
         'AFTER INSERT ON postings REFERENCING NEW TABLE AS inserted '
         'FOR EACH STATEMENT EXECUTE FUNCTION postings_are_whole()')
    UNION ALL
    SELECT
        k.relation,
        coalesce(CAST(CAST(i.inhparent AS regclass) AS text), CAST(k.relation AS text)) || '_never_change',
        'BEFORE DELETE OR UPDATE OR TRUNCATE ON ' || k.relation
            || ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'
    FROM kept AS k
    LEFT JOIN pg_inherits AS i ON i.inhrelid = k.relation
    WHERE k.relation <> CAST('accounts' AS regclass)
), constraints (relation, name, definition) AS (
    VALUES
        ('proposal_decisions', 'maker_is_not_checker',
         'CHECK (((verdict = ''withdrawn''::text) = (decided_by = proposed_by)))'),
        ('approval_limits', 'limit_raised_by_two',
         'CHECK (((proposal IS NOT NULL) OR (before IS NULL) OR ((amount IS NOT NULL) AND (amount <= before))))')
), rights (relation, privilege, but_for) AS (
    -- To close an account, the program changes these columns of it; the trigger lets it do so once.
    SELECT
        k.relation,
        p.privilege,
        CASE
            WHEN k.relation = CAST('accounts' AS regclass) AND p.privilege = 'UPDATE'
                THEN ARRAY['closed_at', 'closed_by', 'close_reason']
            ELSE '{}'
        END
    FROM kept AS k
    CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS p (privilege)
    UNION ALL
    -- Keys and reversals are written by a trigger, partitions through the table that they are a part of.
    SELECT k.relation, 'INSERT', '{}'
    FROM kept AS k
    LEFT JOIN pg_inherits AS i ON i.inhrelid = k.relation
    WHERE i.inhrelid IS NOT NULL OR k.relation IN (
        CAST('entry_keys' AS regclass), CAST('entry_reversals' AS regclass)
    )
    UNION ALL
    -- Totals of a segment are added once; the integrity check recomputes them.
    SELECT CAST('recorded_totals' AS regclass), p.privilege, '{}'
    FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS p (privilege)
), faults AS (
    SELECT
        'guard_in_place' AS check_name,
        'trigger ' || g.name || CASE WHEN g.name LIKE g.relation || '%' THEN '' ELSE ' on ' || g.relation END AS subject,
        'enabled always, ' || g.definition AS expected,
        coalesce(
            CASE t.tgenabled
                WHEN 'A' THEN 'enabled always'
                WHEN 'D' THEN 'disabled'
                ELSE 'enabled at times only'
            END || ', ' || regexp_replace(
                pg_get_triggerdef(t.oid, true), '^CREATE (CONSTRAINT )?TRIGGER ' || g.name || ' ', ''
            ),
            'no such trigger'
        ) AS found
    FROM triggers AS g
    LEFT JOIN pg_trigger AS t ON t.tgrelid = g.relation AND t.tgname = g.name

    UNION ALL
    SELECT
        'guard_in_place',
        'constraint ' || g.name,
        g.definition,
        coalesce(pg_get_constraintdef(c.oid), 'no such constraint')
    FROM constraints AS g
    LEFT JOIN pg_constraint AS c ON c.conrelid = CAST(g.relation AS regclass) AND c.conname = g.name

    UNION ALL
    SELECT
        'right_withheld',
        privilege || ' on ' || relation || ' for ledger_program',
        'withheld',
        CASE
            WHEN has_table_privilege('ledger_program', relation, privilege) THEN 'granted'
            WHEN privilege IN ('INSERT', 'UPDATE') AND EXISTS (
                SELECT FROM pg_attribute AS a
                WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
                    AND a.attname <> ALL (but_for)
                    AND has_column_privilege('ledger_program', relation, a.attname, privilege)
            ) THEN 'granted on some columns'
            ELSE 'withheld'
        END
    FROM rights
)
SELECT check_name, '' AS book, subject, expected, found
FROM faults
WHERE found <> expected
ORDER BY check_name, subject;
