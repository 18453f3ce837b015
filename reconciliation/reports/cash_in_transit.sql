-- Cash in transit: what remittances said was paid and the bank had not received on a day, by days since the payment.
-- For psql, say first which book and which day:
-- \set book 'main'
-- \set as_of '2026-06-30'
-- Amounts are whole minor units (cents). The rows of a currency add up to its accounts below
-- Assets:RemittanceClearing. Negative: more came than was waited for. A payment dated after the day counts as 0 days.
WITH clearing AS (
    SELECT t.account, a.currency, sum(t.debits - t.credits) AS total, min(t.effective_date) AS since
    FROM daily_totals AS t
    JOIN accounts AS a ON a.book = t.book AND a.code = t.account
    WHERE t.book = :'book' AND t.effective_date <= CAST(:'as_of' AS date)
        AND (
            t.account = 'Assets:RemittanceClearing'
            OR (t.account > 'Assets:RemittanceClearing:' AND t.account < 'Assets:RemittanceClearing;')
        )
    GROUP BY t.account, a.currency
    HAVING sum(t.debits - t.credits) <> 0
), told AS (
    -- One remittance for each account, as nearly always; where two share one, the account names neither.
    SELECT clearing AS account, max(coalesce(payer, signed_by)) AS payer, max(trace) AS trace,
        CASE WHEN count(*) = 1 THEN max(CAST(id AS text)) END AS remittance, min(payment_date) AS payment_date
    FROM remittances
    WHERE book = :'book' AND state IN ('settled', 'settling') AND clearing IN (SELECT account FROM clearing)
    GROUP BY clearing
), aged AS (
    SELECT
        coalesce(told.payer, split_part(c.account, ':', 3)) AS payer,
        coalesce(told.trace, split_part(c.account, ':', 4)) AS trace,
        coalesce(told.remittance, '') AS remittance,
        coalesce(told.payment_date, c.since) AS payment_date,
        c.currency, c.total
    FROM clearing AS c
    LEFT JOIN told ON told.account = c.account
)
SELECT
    payer, trace, remittance, payment_date, currency,
    CASE WHEN CAST(:'as_of' AS date) - payment_date <= 7 THEN total ELSE 0 END AS days_0_7,
    CASE WHEN CAST(:'as_of' AS date) - payment_date BETWEEN 8 AND 30 THEN total ELSE 0 END AS days_8_30,
    CASE WHEN CAST(:'as_of' AS date) - payment_date > 30 THEN total ELSE 0 END AS over_30_days,
    total
FROM aged
ORDER BY payer COLLATE "C", payment_date, trace COLLATE "C", currency
