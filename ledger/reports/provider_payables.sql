-- Provider payables: what each provider has earned, was paid and is owed, up to a day.
-- For psql, say first which book and which day:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Amounts are whole minor units (cents), credit positive: payable = earned - paid + other_changes, negative
-- where the provider owes. The rows of a currency add up to Liabilities:Payable:Provider.
-- earned: sessions less those reversed. paid: payouts less those reversed. other_changes: all the rest, such as
-- a payout that the bank returned.
-- MATERIALIZED: found once, even while PostgreSQL has no statistics of a book that was just filled.
WITH changes AS (
    SELECT
        p.account,
        p.currency,
        -p.amount AS amount,
        CASE WHEN e.kind = 'reversal' THEN original.kind ELSE e.kind END AS kind
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    LEFT JOIN entries AS original ON original.book = e.book AND original.number = e.reverses
    WHERE p.book = :'book' AND e.effective_date <= CAST(:'as_of' AS date)
        AND (
            p.account = 'Liabilities:Payable:Provider'
            OR (p.account > 'Liabilities:Payable:Provider:' AND p.account < 'Liabilities:Payable:Provider;')
        )
), sums AS MATERIALIZED (
    SELECT
        account,
        currency,
        coalesce(sum(amount) FILTER (WHERE kind = 'session_earned'), 0) AS earned,
        coalesce(-sum(amount) FILTER (WHERE kind = 'provider_paid'), 0) AS paid,
        coalesce(sum(amount) FILTER (WHERE kind NOT IN ('session_earned', 'provider_paid')), 0) AS other_changes,
        sum(amount) AS payable
    FROM changes
    GROUP BY account, currency
), providers AS MATERIALIZED (
    -- The provider as the sessions and payouts on its account name it.
    SELECT p.account, CASE WHEN min(e.provider) = max(e.provider) THEN min(e.provider) END AS provider
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND e.kind IN ('session_earned', 'provider_paid')
        AND p.account > 'Liabilities:Payable:Provider:' AND p.account < 'Liabilities:Payable:Provider;'
    GROUP BY p.account
)
SELECT
    coalesce(providers.provider, split_part(s.account, ':', -1)) AS provider,
    s.currency,
    s.earned,
    s.paid,
    s.other_changes,
    s.payable
FROM sums AS s
LEFT JOIN providers ON providers.account = s.account
ORDER BY s.account;
