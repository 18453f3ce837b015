-- Trial balance: every account that was ever posted to, with its debits and credits up to a day.
-- For psql, say first which book and which day:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Amounts are whole minor units (cents) of the currency; a balance is debit positive, credit negative.
SELECT
    a.code AS account,
    a.currency,
    coalesce(sum(d.debits) FILTER (WHERE d.effective_date <= CAST(:'as_of' AS date)), 0) AS debits,
    coalesce(sum(d.credits) FILTER (WHERE d.effective_date <= CAST(:'as_of' AS date)), 0) AS credits,
    coalesce(sum(d.debits - d.credits) FILTER (WHERE d.effective_date <= CAST(:'as_of' AS date)), 0) AS balance
FROM accounts AS a
JOIN daily_totals AS d ON d.book = a.book AND d.account = a.code
WHERE a.book = :'book'
GROUP BY a.code, a.currency
ORDER BY a.code;
