-- Balance sheet: assets, liabilities and equity at the end of a day, as known at an entry.
-- For psql, say first which book, day and entry, and from which day on the result is the current year's:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set effective_from ''
-- An empty first day means 1 January of the year. An entry at or beyond the head means all that is recorded;
-- ledger/accounts/known_at.sql finds the entry of a time. Amounts are whole minor units (cents): assets debit positive,
-- liabilities and equity credit positive. In each currency assets = liabilities + equity.
-- There are no closing entries: revenue less expenses up to the day is equity, in a row for the years before
-- (retained_result) and one for the current year (current_result). Both are added up from the accounts, never from the
-- difference of the two sides.
-- What was known earlier is what is recorded by day less what was recorded after the entry.
WITH asked AS (
    SELECT
        CAST(:'as_of' AS date) AS as_of,
        CAST(:'as_known_at' AS bigint) AS known,
        CASE
            WHEN :'effective_from' <> '' THEN CAST(nullif(:'effective_from', '') AS date)
            ELSE CAST(date_trunc('year', CAST(CAST(:'as_of' AS date) AS timestamp)) AS date)
        END AS first_day
), parts AS (
    SELECT d.account, d.effective_date, d.debits - d.credits AS amount
    FROM daily_totals AS d
    CROSS JOIN asked
    WHERE d.book = :'book' AND d.effective_date <= asked.as_of
    UNION ALL
    SELECT p.account, p.effective_date, -p.amount
    FROM postings AS p
    CROSS JOIN asked
    WHERE p.book = :'book' AND p.entry_number > asked.known AND p.effective_date <= asked.as_of
), sums AS (
    SELECT
        CASE
            WHEN a.type IN ('asset', 'liability', 'equity') THEN a.code
            ELSE ''
        END AS account,
        CASE a.type
            WHEN 'asset' THEN 'assets'
            WHEN 'liability' THEN 'liabilities'
            WHEN 'equity' THEN 'equity'
            ELSE CASE WHEN parts.effective_date < asked.first_day THEN 'retained_result' ELSE 'current_result' END
        END AS section,
        a.currency,
        sum(parts.amount) AS amount
    FROM parts
    CROSS JOIN asked
    JOIN accounts AS a ON a.book = :'book' AND a.code = parts.account
    GROUP BY 1, 2, 3
)
SELECT
    section,
    account,
    currency,
    CASE WHEN section = 'assets' THEN amount ELSE 0 END AS assets,
    CASE WHEN section = 'liabilities' THEN -amount ELSE 0 END AS liabilities,
    CASE WHEN section NOT IN ('assets', 'liabilities') THEN -amount ELSE 0 END AS equity
FROM sums
WHERE amount <> 0
ORDER BY
    array_position(ARRAY['assets', 'liabilities', 'equity', 'retained_result', 'current_result'], section),
    account COLLATE "C",
    currency;
