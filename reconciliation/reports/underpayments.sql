-- Underpayments against contract: what payers allowed less than the contract was booked at, by payer and month of payment.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents): underpaid adds up to Revenue:ContractualAdjustments. A payment that was taken back
-- takes its part off again in the month in which it was. by_hand is what of it no payer's payment says: entries by hand.
SELECT
    coalesce(e.payer, '') AS payer,
    to_char(p.effective_date, 'YYYY-MM') AS month,
    p.currency,
    count(DISTINCT p.item) AS claim_count,
    sum(p.amount) AS underpaid,
    coalesce(sum(p.amount) FILTER (WHERE e.remittance IS NULL), 0) AS by_hand
FROM postings AS p
JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
    AND p.entry_number <= CAST(:'as_known_at' AS bigint)
    AND (
        p.account = 'Revenue:ContractualAdjustments'
        OR (p.account > 'Revenue:ContractualAdjustments:' AND p.account < 'Revenue:ContractualAdjustments;')
    )
GROUP BY coalesce(e.payer, ''), to_char(p.effective_date, 'YYYY-MM'), p.currency
ORDER BY coalesce(e.payer, '') COLLATE "C", 2, p.currency
