-- Session margin: what sessions earned from each payer, less what providers earned for them, up to a day.
-- For psql, say first which book and which day:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Amounts are whole minor units (cents); a margin may be negative. The columns of a currency add up to
-- Revenue:Sessions, Expenses:ProviderServices, Revenue:ContractualAdjustments and Expenses:DenialsAbsorbed.
-- What was posted without a payer is in the row whose payer is empty. A reversed session is not counted.
WITH changes AS (
    SELECT
        coalesce(e.payer, '') AS payer,
        p.currency,
        p.amount,
        CASE
            WHEN p.account = 'Revenue:Sessions' OR p.account LIKE 'Revenue:Sessions:%' THEN 'revenue'
            WHEN p.account = 'Expenses:ProviderServices' OR p.account LIKE 'Expenses:ProviderServices:%' THEN 'cost'
            WHEN
                p.account = 'Revenue:ContractualAdjustments' OR p.account LIKE 'Revenue:ContractualAdjustments:%'
                THEN 'adjustment'
            WHEN p.account = 'Expenses:DenialsAbsorbed' OR p.account LIKE 'Expenses:DenialsAbsorbed:%' THEN 'denial'
        END AS change,
        CASE
            WHEN p.line <> 1 THEN 0
            WHEN e.kind = 'session_earned' THEN 1
            WHEN e.kind = 'reversal' AND original.kind = 'session_earned' THEN -1
            ELSE 0
        END AS sessions
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    LEFT JOIN entries AS original ON original.book = e.book AND original.number = e.reverses
    WHERE p.book = :'book' AND e.effective_date <= CAST(:'as_of' AS date)
), sums AS (
    SELECT
        payer,
        currency,
        sum(sessions) AS session_count,
        coalesce(-sum(amount) FILTER (WHERE change = 'revenue'), 0) AS revenue,
        coalesce(sum(amount) FILTER (WHERE change = 'cost'), 0) AS provider_cost,
        coalesce(sum(amount) FILTER (WHERE change = 'adjustment'), 0) AS contractual_adjustments,
        coalesce(sum(amount) FILTER (WHERE change = 'denial'), 0) AS denials_absorbed
    FROM changes
    WHERE change IS NOT NULL OR sessions <> 0
    GROUP BY payer, currency
)
SELECT
    payer,
    currency,
    CAST(session_count AS bigint) AS session_count,
    revenue,
    provider_cost,
    revenue - provider_cost AS margin,
    contractual_adjustments,
    denials_absorbed,
    revenue - provider_cost - contractual_adjustments - denials_absorbed AS margin_after_losses
FROM sums
ORDER BY payer COLLATE "C", currency;
