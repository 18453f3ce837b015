-- Balance: debits and credits of an account, or of all at and below it, as of a day, as known at an entry.
-- For psql, say first which book, account, day and entry:
-- \set book 'main'
-- \set code 'Assets:Cash'
-- \set below 'false'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- as_of may be infinity; an entry at or beyond the head means all that is recorded. known_at.sql finds the entry of a
-- time. Amounts are whole minor units (cents). One row a currency.
-- All that is recorded is a sum over days, and over all days one row. What was known earlier is a sum over whole
-- segments of entries, the largest first, and over the account's postings where no segment, or no total of a segment,
-- covers them. width_bucket finds the last of ascending days that is not after the day; 0 where there is none.
WITH levels AS (
    SELECT size, fewest, least(number, CAST(:'as_known_at' AS bigint)) / size * size AS covered
    FROM recorded_levels
    WHERE book = :'book'
), spans AS (
    SELECT
        size,
        fewest,
        covered,
        coalesce(
            max(covered) OVER (ORDER BY size DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
        ) AS covered_before
    FROM levels
), ranges AS (
    SELECT size, fewest, last_number - size AS after_number, last_number
    FROM (
        SELECT size, fewest, generate_series(covered_before + size, covered, size) AS last_number FROM spans
    ) AS segments
    UNION ALL
    SELECT NULL, NULL, coalesce((SELECT max(covered) FROM levels), 0), CAST(:'as_known_at' AS bigint)
), asked AS MATERIALIZED (
    SELECT number <= CAST(:'as_known_at' AS bigint) AS of_all FROM heads WHERE book = :'book'
)
SELECT
    a.currency,
    count(*) AS account_count,
    coalesce(sum(t.debits), 0) AS debits,
    coalesce(sum(t.credits), 0) AS credits
FROM accounts AS a
CROSS JOIN LATERAL (
    SELECT sum(parts.debits) AS debits, sum(parts.credits) AS credits
    FROM (
        SELECT b.debits, b.credits
        FROM balances AS b
        WHERE CAST(:'as_of' AS date) = 'infinity' AND (SELECT of_all FROM asked)
            AND b.book = a.book AND b.account = a.code
        UNION ALL
        SELECT d.debits, d.credits
        FROM daily_totals AS d
        WHERE CAST(:'as_of' AS date) < 'infinity' AND (SELECT of_all FROM asked)
            AND d.book = a.book AND d.account = a.code AND d.effective_date <= CAST(:'as_of' AS date)
        UNION ALL
        SELECT coalesce(s.debits, p.debits), coalesce(s.credits, p.credits)
        FROM ranges AS r
        LEFT JOIN LATERAL (
            SELECT
                coalesce(s.debits[width_bucket(CAST(:'as_of' AS date), s.days)], 0) AS debits,
                coalesce(s.credits[width_bucket(CAST(:'as_of' AS date), s.days)], 0) AS credits
            FROM recorded_totals AS s
            WHERE s.book = a.book AND s.account = a.code AND s.size = r.size AND s.number = r.last_number
            LIMIT 1
        ) AS s ON true
        -- The day is no condition of the search: the entries are few, the days of an account are not.
        LEFT JOIN LATERAL (
            SELECT
                sum(greatest(p.amount, 0)) FILTER (WHERE p.effective_date <= CAST(:'as_of' AS date)) AS debits,
                sum(greatest(-p.amount, 0)) FILTER (WHERE p.effective_date <= CAST(:'as_of' AS date)) AS credits
            FROM postings AS p
            WHERE s.debits IS NULL AND r.fewest IS DISTINCT FROM 1
                AND p.book = a.book AND p.account = a.code
                AND p.entry_number > r.after_number AND p.entry_number <= r.last_number
        ) AS p ON true
        WHERE NOT (SELECT of_all FROM asked)
    ) AS parts
) AS t
WHERE a.book = :'book'
    AND (
        a.code = :'code'
        OR (CAST(:'below' AS boolean) AND a.code > :'code' || ':' AND a.code < :'code' || ';')
    )
GROUP BY a.currency
ORDER BY a.currency;
