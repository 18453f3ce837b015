-- Trial balance: every account that was ever posted to, with its debits and credits as of a day, as known at an entry.
-- For psql, say first which book, day and entry:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents) of the currency; a balance is debit positive, credit negative.
-- All that is recorded is a sum over days, or what there is over all days less the later ones, whichever are fewer.
-- What was known earlier is a sum over whole segments of entries, the largest first, and over the postings after them;
-- segments that leave accounts out are of no use to all accounts together.
WITH levels AS (
    SELECT size, least(number, CAST(:'as_known_at' AS bigint)) / size * size AS covered
    FROM recorded_levels
    WHERE book = :'book' AND fewest = 1
), spans AS MATERIALIZED (
    SELECT
        size,
        covered,
        coalesce(
            max(covered) OVER (ORDER BY size DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
        ) AS covered_before
    FROM levels
), asked AS MATERIALIZED (
    SELECT
        number <= CAST(:'as_known_at' AS bigint) AS of_all,
        -- Whether the day lies in the later half of the days with entries.
        CAST(:'as_of' AS date) >= (
            SELECT first.effective_date + (last.effective_date - first.effective_date) / 2
            FROM
                (SELECT effective_date FROM entries WHERE book = :'book' ORDER BY effective_date LIMIT 1) AS first,
                (SELECT effective_date FROM entries WHERE book = :'book' ORDER BY effective_date DESC LIMIT 1) AS last
        ) AS is_late
    FROM heads WHERE book = :'book'
), parts AS (
    SELECT d.account, d.debits, d.credits
    FROM daily_totals AS d
    WHERE (SELECT of_all AND NOT is_late FROM asked)
        AND d.book = :'book' AND d.effective_date <= CAST(:'as_of' AS date)
    UNION ALL
    SELECT b.account, b.debits, b.credits
    FROM balances AS b
    WHERE (SELECT of_all AND is_late FROM asked) AND b.book = :'book'
    UNION ALL
    SELECT b.account, -d.debits, -d.credits
    FROM balances AS b
    CROSS JOIN LATERAL (
        SELECT sum(d.debits) AS debits, sum(d.credits) AS credits
        FROM daily_totals AS d
        WHERE d.book = b.book AND d.account = b.account AND d.effective_date > CAST(:'as_of' AS date)
    ) AS d
    WHERE (SELECT of_all AND is_late FROM asked) AND b.book = :'book' AND d.debits IS NOT NULL
    UNION ALL
    SELECT a.code, t.debits[t.day], t.credits[t.day]
    FROM accounts AS a
    CROSS JOIN spans AS s
    -- OFFSET keeps this one search in the primary key for each account and size, however many segments there are.
    CROSS JOIN LATERAL (
        SELECT t.debits, t.credits, width_bucket(CAST(:'as_of' AS date), t.days) AS day
        FROM recorded_totals AS t
        WHERE t.book = a.book AND t.account = a.code AND t.size = s.size
            AND t.number > s.covered_before AND t.number <= s.covered
        OFFSET 0
    ) AS t
    WHERE NOT (SELECT of_all FROM asked) AND a.book = :'book'
    UNION ALL
    SELECT p.account, greatest(p.amount, 0), greatest(-p.amount, 0)
    FROM postings AS p
    WHERE NOT (SELECT of_all FROM asked)
        AND p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number > coalesce((SELECT max(covered) FROM levels), 0)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
), sums AS (
    SELECT account, sum(debits) AS debits, sum(credits) AS credits FROM parts GROUP BY account
)
SELECT
    a.code AS account,
    a.currency,
    coalesce(s.debits, 0) AS debits,
    coalesce(s.credits, 0) AS credits,
    coalesce(s.debits - s.credits, 0) AS balance
FROM accounts AS a
LEFT JOIN sums AS s ON s.account = a.code
WHERE a.book = :'book'
    AND EXISTS (
        SELECT FROM postings AS p
        WHERE p.book = a.book AND p.account = a.code AND p.entry_number <= CAST(:'as_known_at' AS bigint)
    )
ORDER BY a.code;
