-- Entries by actor: every entry in the order of the numbers, of everybody or of one actor, with who posted it.
-- For psql, say first which book, actor, days and entry, and how many entries after which number:
-- \set book 'main'
-- \set actor ''
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set after_entry_number '0'
-- \set page_size '1000'
-- An empty actor means everybody. An entry at or beyond the head means all that is recorded. Amounts are whole minor
-- units (cents): all debits of the entry, one row a currency. Of everybody they add up to the trial balance's debits.
WITH page AS MATERIALIZED (
    SELECT *
    FROM entries
    WHERE book = :'book'
        AND (:'actor' = '' OR actor = :'actor')
        AND effective_date >= CAST(:'effective_from' AS date) AND effective_date <= CAST(:'as_of' AS date)
        AND number <= CAST(:'as_known_at' AS bigint)
        AND number > CAST(:'after_entry_number' AS bigint)
    ORDER BY number
    LIMIT CAST(:'page_size' AS integer)
)
SELECT
    e.number AS entry_number,
    e.effective_date,
    e.recorded_at,
    e.actor,
    e.kind,
    e.description,
    p.currency,
    sum(greatest(p.amount, 0)) AS debits
FROM page AS e
JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
GROUP BY e.number, e.effective_date, e.recorded_at, e.actor, e.kind, e.description, p.currency
ORDER BY e.number, p.currency;
