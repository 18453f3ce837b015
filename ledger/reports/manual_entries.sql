-- Manual entries: what was posted by hand, why and by whom, and who approved it.
-- For psql, say first which book, days and entry, and how many entries after which number:
-- \set book 'main'
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set after_entry_number '0'
-- \set page_size '1000'
-- An entry at or beyond the head means all that is recorded. What needed no second person has no approver. Amounts are
-- whole minor units (cents): all debits of the entry, one row a currency.
WITH segments AS (
    -- Those that may have entries of these days, and what lies behind the last one.
    SELECT number - size AS after, number AS until
    FROM segment_days
    WHERE book = :'book' AND number > CAST(:'after_entry_number' AS bigint)
        AND last_day >= CAST(:'effective_from' AS date) AND first_day <= CAST(:'as_of' AS date)
    UNION ALL
    SELECT coalesce(max(number), 0), 9223372036854775807 FROM segment_days WHERE book = :'book'
    ORDER BY until OFFSET 0
), page AS MATERIALIZED (
    SELECT found.*
    FROM segments
    CROSS JOIN LATERAL (
        SELECT *
        FROM entries
        WHERE book = :'book' AND kind = 'manual'
            AND effective_date >= CAST(:'effective_from' AS date) AND effective_date <= CAST(:'as_of' AS date)
            AND number <= CAST(:'as_known_at' AS bigint)
            AND number > greatest(segments.after, CAST(:'after_entry_number' AS bigint)) AND number <= segments.until
        ORDER BY number
        LIMIT CAST(:'page_size' AS integer)
    ) AS found
    ORDER BY segments.until, found.number
    LIMIT CAST(:'page_size' AS integer)
)
SELECT
    e.number AS entry_number,
    e.effective_date,
    e.recorded_at,
    e.actor,
    e.description AS reason,
    d.decided_by AS approver,
    d.reason AS approved_because,
    p.currency,
    sum(greatest(p.amount, 0)) AS debits
FROM page AS e
JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
LEFT JOIN proposal_decisions AS d ON d.book = e.book AND d.entry_number = e.number
GROUP BY e.number, e.effective_date, e.recorded_at, e.actor, e.description, d.decided_by, d.reason, p.currency
ORDER BY e.number, p.currency;
