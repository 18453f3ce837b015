-- What was not cleared at the end of a month, for more than so many days: payments between remittance and deposit,
-- suspense by item, deposits without a remittance. For psql, say first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set days '30'
-- Amounts are whole minor units (cents), debit positive. since is the day from which on a balance has not been at zero.
WITH unclear AS (
    -- By account, from the totals of days.
    SELECT
        CASE WHEN a.code LIKE 'Assets:%' THEN 'clearing' ELSE 'unapplied_cash' END AS kind,
        a.code AS subject,
        CAST(NULL AS text) AS item,
        a.currency,
        d.effective_date,
        d.debits - d.credits AS amount
    FROM accounts AS a
    JOIN daily_totals AS d ON d.book = a.book AND d.account = a.code
    WHERE a.book = :'book' AND d.effective_date <= CAST(:'as_of' AS date)
        AND (
            (a.code > 'Assets:RemittanceClearing:' AND a.code < 'Assets:RemittanceClearing;')
            OR a.code = 'Liabilities:UnappliedCash'
            OR (a.code > 'Liabilities:UnappliedCash:' AND a.code < 'Liabilities:UnappliedCash;')
        )
    UNION ALL
    -- Money in suspense is of one payment or of another: a balance of all together would hide both.
    SELECT 'suspense', p.account, p.item, p.currency, p.effective_date, sum(p.amount)
    FROM postings AS p
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND (
            p.account = 'Liabilities:Suspense'
            OR (p.account > 'Liabilities:Suspense:' AND p.account < 'Liabilities:Suspense;')
        )
    GROUP BY p.account, p.item, p.currency, p.effective_date
), running AS (
    SELECT *, sum(amount) OVER (PARTITION BY subject, item, currency ORDER BY effective_date) AS balance
    FROM unclear
), standing AS (
    SELECT
        kind,
        subject,
        item,
        currency,
        sum(amount) AS amount,
        coalesce(max(effective_date) FILTER (WHERE balance = 0), DATE '-infinity') AS last_at_zero
    FROM running
    GROUP BY kind, subject, item, currency
    HAVING sum(amount) <> 0
)
SELECT s.kind, s.subject, s.item, s.currency, s.amount, since.since, CAST(:'as_of' AS date) - since.since AS days
FROM standing AS s
CROSS JOIN LATERAL (
    SELECT min(r.effective_date) AS since
    FROM running AS r
    WHERE r.subject = s.subject AND r.item IS NOT DISTINCT FROM s.item AND r.currency = s.currency
        AND r.effective_date > s.last_at_zero
) AS since
WHERE CAST(:'as_of' AS date) - since.since > CAST(:'days' AS integer)
ORDER BY since.since, s.subject COLLATE "C", s.item COLLATE "C", s.currency;
