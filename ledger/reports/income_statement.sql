-- Income statement: revenue and expenses of a period by account, beside those of the period before, as known at an entry.
-- For psql, say first which book, first and last day, and entry:
-- \set book 'main'
-- \set effective_from '2026-03-01'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents): revenue credit positive, expenses debit positive, result = revenue - expenses.
-- The period before has as many whole months, where this one is made of whole months, or else as many days.
-- What was known earlier is what is recorded by day less what was recorded after the entry.
WITH asked AS (
    SELECT
        CAST(:'effective_from' AS date) AS first_day,
        CAST(:'as_of' AS date) AS last_day,
        CAST(:'as_known_at' AS bigint) AS known,
        extract(day FROM CAST(:'effective_from' AS date)) = 1
            AND extract(day FROM CAST(:'as_of' AS date) + 1) = 1 AS is_whole_months,
        age(CAST(CAST(:'as_of' AS date) + 1 AS timestamp), CAST(CAST(:'effective_from' AS date) AS timestamp)) AS months
), period AS (
    SELECT
        first_day,
        last_day,
        known,
        CASE
            WHEN is_whole_months THEN CAST(first_day - months AS date)
            ELSE first_day - (last_day - first_day + 1)
        END AS first_day_before
    FROM asked
), parts AS (
    SELECT d.account, d.effective_date, d.debits - d.credits AS amount
    FROM daily_totals AS d
    CROSS JOIN period
    WHERE d.book = :'book'
        AND d.effective_date >= period.first_day_before AND d.effective_date <= period.last_day
        AND ((d.account > 'Revenue:' AND d.account < 'Revenue;') OR (d.account > 'Expenses:' AND d.account < 'Expenses;'))
    UNION ALL
    SELECT p.account, p.effective_date, -p.amount
    FROM postings AS p
    CROSS JOIN period
    WHERE p.book = :'book' AND p.entry_number > period.known
        AND p.effective_date >= period.first_day_before AND p.effective_date <= period.last_day
        AND ((p.account > 'Revenue:' AND p.account < 'Revenue;') OR (p.account > 'Expenses:' AND p.account < 'Expenses;'))
), sums AS (
    SELECT
        a.code AS account,
        a.type,
        a.currency,
        coalesce(sum(parts.amount) FILTER (WHERE parts.effective_date >= period.first_day), 0) AS amount,
        coalesce(sum(parts.amount) FILTER (WHERE parts.effective_date < period.first_day), 0) AS amount_before
    FROM parts
    CROSS JOIN period
    JOIN accounts AS a ON a.book = :'book' AND a.code = parts.account
    GROUP BY a.code, a.type, a.currency
)
SELECT
    account,
    currency,
    CASE WHEN type = 'revenue' THEN -amount ELSE 0 END AS revenue,
    CASE WHEN type = 'expense' THEN amount ELSE 0 END AS expenses,
    -amount AS result,
    CASE WHEN type = 'revenue' THEN -amount_before ELSE 0 END AS revenue_before,
    CASE WHEN type = 'expense' THEN amount_before ELSE 0 END AS expenses_before,
    -amount_before AS result_before,
    amount_before - amount AS change
FROM sums
WHERE amount <> 0 OR amount_before <> 0
ORDER BY type = 'expense', account COLLATE "C", currency;
