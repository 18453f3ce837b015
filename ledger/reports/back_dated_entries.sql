-- Back-dated entries: entries whose effective date is more than so many days before the day on which they were recorded.
-- For psql, say first which book, days and entry, how many days, and how many entries after which number:
-- \set book 'main'
-- \set days '0'
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set after_entry_number '0'
-- \set page_size '1000'
-- The day of recording is that of UTC. An entry at or beyond the head means all that is recorded. Amounts are whole
-- minor units (cents): all debits of the entry, one row a currency.
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
        SELECT *, CAST(recorded_at AT TIME ZONE 'UTC' AS date) - effective_date AS days_back
        FROM entries
        WHERE book = :'book'
            AND effective_date >= CAST(:'effective_from' AS date) AND effective_date <= CAST(:'as_of' AS date)
            AND CAST(recorded_at AT TIME ZONE 'UTC' AS date) - effective_date > CAST(:'days' AS integer)
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
    e.days_back,
    e.actor,
    e.kind,
    e.description,
    p.currency,
    sum(greatest(p.amount, 0)) AS debits
FROM page AS e
JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
GROUP BY e.number, e.effective_date, e.recorded_at, e.days_back, e.actor, e.kind, e.description, p.currency
ORDER BY e.number, p.currency;
