-- Actors: who posted how many entries of which kind, effective up to a day, as known at an entry.
-- For psql, say first which book, days and entry:
-- \set book 'main'
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded. Amounts are whole minor units (cents): the debits of these
-- entries, which add up to the trial balance's debits where no first day is said. An entry in two currencies is counted
-- in the row of each.
SELECT
    e.actor,
    e.kind,
    p.currency,
    count(DISTINCT e.number) AS entry_count,
    coalesce(sum(p.amount) FILTER (WHERE p.amount > 0), 0) AS debits,
    min(e.number) AS first_entry,
    max(e.number) AS last_entry,
    min(e.recorded_at) AS first_recorded_at,
    max(e.recorded_at) AS last_recorded_at
FROM entries AS e
JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
WHERE e.book = :'book'
    AND e.effective_date >= CAST(:'effective_from' AS date) AND e.effective_date <= CAST(:'as_of' AS date)
    AND e.number <= CAST(:'as_known_at' AS bigint)
GROUP BY e.actor, e.kind, p.currency
ORDER BY e.actor COLLATE "C", e.kind, p.currency;
