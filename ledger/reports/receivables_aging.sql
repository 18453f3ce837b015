-- Receivables aging: what payers owe on a day, by the days since the service: by payer, provider, plan and state, or any of
-- these.
-- For psql, say first which book, day and entry, and yes for what to group by (nothing said: by payer):
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set by_payer 'yes'
-- \set by_provider ''
-- \set by_plan ''
-- \set by_state ''
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents). The rows of a currency add up to its accounts at and below
-- Assets:Receivable:Insurer. A credit stays in the bucket of its claim; a service after the day counts as 0 days.
-- The payer is whose account it is; provider, plan and state are those that all sessions of the claim name. Where they name
-- several, or there is no session, the claim is in the row that has none: no part of it is assigned by a guess.
-- MATERIALIZED: found once, even while PostgreSQL has no statistics of a book that was just filled.
WITH facts AS (
    SELECT
        p.item AS claim,
        p.account,
        p.currency,
        p.amount,
        e.effective_date,
        CAST(NULL AS date) AS service_date,
        CAST(NULL AS text) AS provider,
        CAST(NULL AS text) AS plan,
        CAST(NULL AS text) AS state
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND e.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account = 'Assets:Receivable:Insurer'
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
        )
    UNION ALL
    -- The sessions of the claims. One that was reversed by then did not take place.
    SELECT
        s.claim,
        NULL,
        NULL,
        NULL,
        NULL,
        s.service_date,
        coalesce(s.provider, ''),
        coalesce(s.plan, ''),
        coalesce(s.state, '')
    FROM entries AS s
    WHERE s.book = :'book' AND s.kind = 'session_earned' AND s.effective_date <= CAST(:'as_of' AS date)
        AND s.number <= CAST(:'as_known_at' AS bigint)
        AND NOT EXISTS (
            SELECT FROM entry_reversals AS u
            JOIN entries AS r ON r.book = u.book AND r.number = u.number
            WHERE u.book = s.book AND u.reverses = s.number AND r.effective_date <= CAST(:'as_of' AS date)
                AND r.number <= CAST(:'as_known_at' AS bigint)
        )
), served AS (
    SELECT
        claim,
        account,
        currency,
        amount,
        effective_date,
        min(service_date) OVER sessions AS service_date,
        CASE WHEN min(provider) OVER sessions = max(provider) OVER sessions THEN min(provider) OVER sessions END AS provider,
        CASE WHEN min(plan) OVER sessions = max(plan) OVER sessions THEN min(plan) OVER sessions END AS plan,
        CASE WHEN min(state) OVER sessions = max(state) OVER sessions THEN min(state) OVER sessions END AS state
    FROM facts
    WINDOW sessions AS (PARTITION BY claim)
), open_items AS (
    SELECT
        account,
        currency,
        sum(amount) AS amount,
        CAST(:'as_of' AS date) - coalesce(min(service_date), min(effective_date)) AS days,
        min(provider) AS provider,
        min(plan) AS plan,
        min(state) AS state
    FROM served
    WHERE account IS NOT NULL
    GROUP BY account, currency, claim
    HAVING sum(amount) <> 0
), payers AS MATERIALIZED (
    -- The payer as the first session on its account names it: one look into an index for each account.
    SELECT a.code AS account, named.payer
    FROM accounts AS a
    CROSS JOIN LATERAL (
        SELECT e.payer
        FROM postings AS p
        JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
        WHERE p.book = a.book AND p.account = a.code AND p.entry_number <= CAST(:'as_known_at' AS bigint)
            AND e.kind = 'session_earned'
        ORDER BY p.entry_number
        LIMIT 1
    ) AS named
    WHERE a.book = :'book' AND a.code > 'Assets:Receivable:Insurer:' AND a.code < 'Assets:Receivable:Insurer;'
), aged AS (
    SELECT
        CASE
            WHEN :'by_payer' <> '' OR :'by_provider' || :'by_plan' || :'by_state' = ''
                THEN coalesce(payers.payer, split_part(o.account, ':', -1))
        END AS payer,
        CASE WHEN :'by_provider' <> '' THEN coalesce(o.provider, '') END AS provider,
        CASE WHEN :'by_plan' <> '' THEN coalesce(o.plan, '') END AS plan,
        CASE WHEN :'by_state' <> '' THEN coalesce(o.state, '') END AS state,
        o.currency,
        o.amount,
        o.days
    FROM open_items AS o
    LEFT JOIN payers ON payers.account = o.account
)
SELECT
    payer,
    provider,
    plan,
    state,
    currency,
    coalesce(sum(amount) FILTER (WHERE days <= 30), 0) AS days_0_30,
    coalesce(sum(amount) FILTER (WHERE days BETWEEN 31 AND 60), 0) AS days_31_60,
    coalesce(sum(amount) FILTER (WHERE days BETWEEN 61 AND 90), 0) AS days_61_90,
    coalesce(sum(amount) FILTER (WHERE days BETWEEN 91 AND 120), 0) AS days_91_120,
    coalesce(sum(amount) FILTER (WHERE days > 120), 0) AS over_120_days,
    sum(amount) AS total,
    count(*) AS claim_count
FROM aged
GROUP BY payer, provider, plan, state, currency
ORDER BY payer COLLATE "C", provider COLLATE "C", plan COLLATE "C", state COLLATE "C", currency;
