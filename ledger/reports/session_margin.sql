-- Session margin: what sessions earned, less what providers earned for them, up to a day: by payer, plan, state, licence
-- type and month of service, or any of these.
-- For psql, say first which book, day and entry, and yes for what to group by (nothing said: by payer):
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set by_payer 'yes'
-- \set by_plan ''
-- \set by_state ''
-- \set by_licence_type ''
-- \set by_month ''
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents); a margin may be negative. The columns of a currency add up to
-- Revenue:Sessions, Expenses:ProviderServices, Revenue:ContractualAdjustments and Expenses:DenialsAbsorbed.
-- What was posted without a payer is in the row whose payer is empty, and so with the others. The month is that of the
-- service, YYYY-MM; what says nothing of a service has none. A reversed session is not counted.
WITH changes AS (
    SELECT
        CASE
            WHEN :'by_payer' <> '' OR :'by_plan' || :'by_state' || :'by_licence_type' || :'by_month' = ''
                THEN coalesce(e.payer, '')
        END AS payer,
        CASE WHEN :'by_plan' <> '' THEN coalesce(e.plan, '') END AS plan,
        CASE WHEN :'by_state' <> '' THEN coalesce(e.state, '') END AS state,
        CASE WHEN :'by_licence_type' <> '' THEN coalesce(e.licence_type, '') END AS licence_type,
        CASE WHEN :'by_month' <> '' THEN coalesce(to_char(e.service_date, 'YYYY-MM'), '') END AS month,
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
            WHEN e.kind = 'reversal' AND (
                SELECT o.kind FROM entries AS o WHERE o.book = e.book AND o.number = e.reverses
            ) = 'session_earned' THEN -1
            ELSE 0
        END AS sessions
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND e.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
), sums AS (
    SELECT
        payer,
        plan,
        state,
        licence_type,
        month,
        currency,
        sum(sessions) AS session_count,
        coalesce(-sum(amount) FILTER (WHERE change = 'revenue'), 0) AS revenue,
        coalesce(sum(amount) FILTER (WHERE change = 'cost'), 0) AS provider_cost,
        coalesce(sum(amount) FILTER (WHERE change = 'adjustment'), 0) AS contractual_adjustments,
        coalesce(sum(amount) FILTER (WHERE change = 'denial'), 0) AS denials_absorbed
    FROM changes
    WHERE change IS NOT NULL OR sessions <> 0
    GROUP BY payer, plan, state, licence_type, month, currency
)
SELECT
    payer,
    plan,
    state,
    licence_type,
    month,
    currency,
    CAST(session_count AS bigint) AS session_count,
    revenue,
    provider_cost,
    revenue - provider_cost AS margin,
    contractual_adjustments,
    denials_absorbed,
    revenue - provider_cost - contractual_adjustments - denials_absorbed AS margin_after_losses
FROM sums
ORDER BY
    payer COLLATE "C", plan COLLATE "C", state COLLATE "C", licence_type COLLATE "C", month COLLATE "C", currency;
