-- Reversed entries: every entry that was undone, with the entry that undid it, who did so and why.
-- For psql, say first which book, days and entry, and how many entries after which number:
-- \set book 'main'
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set after_entry_number '0'
-- \set page_size '1000'
-- The days are those on which reversals are effective. An entry at or beyond the head means all that is recorded.
-- Amounts are whole minor units (cents), one row a currency: all debits of the entry, and all credits of its reversal,
-- which are equal.
WITH page AS MATERIALIZED (
    SELECT x.book, x.reverses, x.number
    FROM entry_reversals AS x
    JOIN entries AS r ON r.book = x.book AND r.number = x.number
    WHERE x.book = :'book'
        AND r.effective_date >= CAST(:'effective_from' AS date) AND r.effective_date <= CAST(:'as_of' AS date)
        AND x.number <= CAST(:'as_known_at' AS bigint)
        AND x.reverses > CAST(:'after_entry_number' AS bigint)
    ORDER BY x.reverses
    LIMIT CAST(:'page_size' AS integer)
)
SELECT
    e.number AS entry_number,
    e.effective_date,
    e.recorded_at,
    e.kind,
    e.actor,
    r.number AS reversal_number,
    r.effective_date AS reversal_effective_date,
    r.recorded_at AS reversal_recorded_at,
    r.actor AS reversed_by,
    r.kind AS reversal_kind,
    r.description AS reason,
    p.currency,
    (SELECT sum(d.amount) FROM postings AS d
        WHERE d.book = e.book AND d.entry_number = e.number AND d.currency = p.currency AND d.amount > 0) AS debits,
    (SELECT -sum(c.amount) FROM postings AS c
        WHERE c.book = r.book AND c.entry_number = r.number AND c.currency = p.currency AND c.amount < 0
    ) AS reversal_credits
FROM page
JOIN entries AS e ON e.book = page.book AND e.number = page.reverses
JOIN entries AS r ON r.book = page.book AND r.number = page.number
CROSS JOIN LATERAL (
    SELECT DISTINCT currency FROM postings WHERE book = page.book AND entry_number = page.reverses
) AS p
ORDER BY e.number, p.currency;
