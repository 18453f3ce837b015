-- Guards: what keeps posted entries as they are, in PostgreSQL itself. Returns no row while all are in place.
-- Paste it into psql as it is.
WITH triggers (relation, name, definition) AS (
    VALUES
        ('accounts', 'accounts_close_once',
         'BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION accounts_close_once()'),
        ('accounts', 'accounts_stay',
         'BEFORE DELETE OR TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('entries', 'entries_never_change',
         'BEFORE DELETE OR UPDATE OR TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('postings', 'postings_never_change',
         'BEFORE DELETE OR UPDATE OR TRUNCATE ON postings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('entries', 'entries_are_whole',
         'AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted '
         'FOR EACH STATEMENT EXECUTE FUNCTION entries_are_whole()'),
        ('postings', 'postings_come_first',
         'AFTER INSERT ON postings REFERENCING NEW TABLE AS inserted '
         'FOR EACH STATEMENT EXECUTE FUNCTION postings_come_first()'),
        ('proposals', 'proposals_never_change',
         'BEFORE DELETE OR UPDATE OR TRUNCATE ON proposals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('proposal_decisions', 'proposal_decisions_never_change',
         'BEFORE DELETE OR UPDATE OR TRUNCATE ON proposal_decisions '
         'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('approval_limits', 'approval_limits_never_change',
         'BEFORE DELETE OR UPDATE OR TRUNCATE ON approval_limits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('payer_identifiers', 'payer_identifiers_never_change',
         'BEFORE DELETE OR UPDATE OR TRUNCATE ON payer_identifiers '
         'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()')
), constraints (relation, name, definition) AS (
    VALUES
        ('proposal_decisions', 'maker_is_not_checker',
         'CHECK (((verdict = ''withdrawn''::text) = (decided_by = proposed_by)))'),
        ('approval_limits', 'limit_raised_by_two',
         'CHECK (((proposal IS NOT NULL) OR (before IS NULL) OR ((amount IS NOT NULL) AND (amount <= before))))')
), rights (relation, privilege, but_for) AS (
    -- To close an account, the program changes these columns of it; the trigger lets it do so once.
    SELECT
        relation,
        privilege,
        CASE
            WHEN relation = 'accounts' AND privilege = 'UPDATE' THEN ARRAY['closed_at', 'closed_by', 'close_reason']
            ELSE '{}'
        END
    FROM unnest(ARRAY[
        'accounts', 'entries', 'postings', 'proposals', 'proposal_decisions', 'approval_limits', 'payer_identifiers'
    ]) AS relations (relation)
    CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privileges (privilege)
), faults AS (
    SELECT
        'guard_in_place' AS check_name,
        'trigger ' || g.name AS subject,
        'enabled always, ' || g.definition AS expected,
        coalesce(
            CASE t.tgenabled
                WHEN 'A' THEN 'enabled always'
                WHEN 'D' THEN 'disabled'
                ELSE 'enabled at times only'
            END || ', ' || replace(pg_get_triggerdef(t.oid, true), 'CREATE TRIGGER ' || g.name || ' ', ''),
            'no such trigger'
        ) AS found
    FROM triggers AS g
    LEFT JOIN pg_trigger AS t ON t.tgrelid = CAST(g.relation AS regclass) AND t.tgname = g.name

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
            WHEN privilege = 'UPDATE' AND EXISTS (
                SELECT FROM pg_attribute AS a
                WHERE a.attrelid = CAST(relation AS regclass) AND a.attnum > 0 AND NOT a.attisdropped
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
