-- What payers were paid too much, or carry forward from one remittance to a later one, and have not settled yet, by
-- the reference that opened it, at the end of a day. Negative where a payer has taken what nobody owed.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
SELECT
    split_part(p.account, ':', -1) AS payer,
    p.item AS reference,
    p.currency,
    -coalesce(sum(p.amount) FILTER (WHERE p.account LIKE 'Liabilities:PayerOverpayments:%'), 0) AS overpaid, -- minor units
    -coalesce(sum(p.amount) FILTER (WHERE p.account LIKE 'Liabilities:ForwardBalances:%'), 0) AS carried, -- minor units
    CAST(:'as_of' AS date) - min(p.effective_date) AS days_open
FROM postings AS p
WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
    AND (p.account LIKE 'Liabilities:PayerOverpayments:%' OR p.account LIKE 'Liabilities:ForwardBalances:%')
GROUP BY split_part(p.account, ':', -1), p.item, p.currency
HAVING sum(p.amount) FILTER (WHERE p.account LIKE 'Liabilities:PayerOverpayments:%') <> 0
    OR sum(p.amount) FILTER (WHERE p.account LIKE 'Liabilities:ForwardBalances:%') <> 0
ORDER BY 1, 2, 3
