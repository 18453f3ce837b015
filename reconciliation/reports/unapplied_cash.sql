-- Unapplied cash: what the bank had received by a day and nobody had said what for, by deposit and days since it came.
-- For psql, say first which book and which day:
-- \set book 'main'
-- \set as_of '2026-06-30'
-- Amounts are whole minor units (cents). The rows of a currency add up to Liabilities:UnappliedCash; what was posted
-- there by hand without an item is a row of its own. Negative: the bank took back what no deposit was known for.
WITH open_items AS (
    SELECT item, currency, -sum(amount) AS total, min(effective_date) AS since
    FROM postings
    WHERE book = :'book' AND effective_date <= CAST(:'as_of' AS date)
        AND (
            account = 'Liabilities:UnappliedCash'
            OR (account > 'Liabilities:UnappliedCash:' AND account < 'Liabilities:UnappliedCash;')
        )
    GROUP BY item, currency
    HAVING sum(amount) <> 0
), aged AS (
    SELECT
        coalesce(d.payer, d.payer_identifier, '') AS payer, coalesce(o.item, '') AS deposit,
        coalesce(d.account, '') AS account, coalesce(d.effective_date, o.since) AS effective_date,
        coalesce(d.reference, '') AS reference, o.currency, o.total
    FROM open_items AS o
    LEFT JOIN deposits AS d ON d.book = :'book' AND CAST(d.id AS text) = o.item
)
SELECT
    payer, deposit, account, effective_date, reference, currency,
    CASE WHEN CAST(:'as_of' AS date) - effective_date <= 7 THEN total ELSE 0 END AS days_0_7,
    CASE WHEN CAST(:'as_of' AS date) - effective_date BETWEEN 8 AND 30 THEN total ELSE 0 END AS days_8_30,
    CASE WHEN CAST(:'as_of' AS date) - effective_date > 30 THEN total ELSE 0 END AS over_30_days,
    total
FROM aged
ORDER BY effective_date, deposit COLLATE "C", currency
