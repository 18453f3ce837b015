-- Provider payables: what each provider has earned, was paid and is owed up to a day, and how long it is owed.
-- For psql, say first which book, day and entry:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents), credit positive: payable = earned - paid + other_changes, negative
-- where the provider owes. The rows of a currency add up to Liabilities:Payable:Provider.
-- earned: sessions less those reversed. paid: payouts less those reversed. other_changes: all the rest, such as
-- a payout that the bank returned.
-- Age: whatever was paid, or taken off, settles the oldest sessions first, by the day of the visit (what is owed for
-- another reason counts from its effective date). What is left of each is as many days old as the day is after it.
-- The buckets add up to the payable; overpaid is what was paid beyond all that was earned, and negative.
-- MATERIALIZED: found once, even while PostgreSQL has no statistics of a book that was just filled.
WITH changes AS (
    SELECT
        p.account,
        p.currency,
        -p.amount AS amount,
        e.effective_date,
        e.service_date,
        CASE e.kind
            WHEN 'reversal' THEN (SELECT o.kind FROM entries AS o WHERE o.book = e.book AND o.number = e.reverses)
            ELSE e.kind
        END AS kind
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND e.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
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
), layers AS (
    -- A session and its reversal are of one visit, and leave nothing; a payout and its reversal leave nothing either.
    SELECT account, currency, day, sum(amount) AS amount
    FROM (
        SELECT account, currency, amount, kind,
            CASE
                WHEN kind = 'session_earned' THEN coalesce(service_date, effective_date)
                WHEN kind <> 'provider_paid' THEN effective_date
            END AS day
        FROM changes
    ) AS dated
    GROUP BY account, currency, kind = 'session_earned', kind = 'provider_paid', day
), stacked AS (
    -- By windows rather than by joins: a plan made without statistics would compare everything with everything.
    SELECT
        account,
        currency,
        coalesce(day, CAST(:'as_of' AS date)) AS day,
        amount,
        sum(greatest(amount, 0)) OVER (
            PARTITION BY account, currency ORDER BY day NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS so_far,
        -sum(least(amount, 0)) OVER (PARTITION BY account, currency) AS settled
    FROM layers
), unpaid AS (
    SELECT
        account,
        currency,
        day,
        CAST(:'as_of' AS date) - day AS days,
        least(amount, so_far - settled) AS amount
    FROM stacked
    WHERE amount > 0 AND so_far > settled
), aged AS MATERIALIZED (
    SELECT
        account,
        currency,
        coalesce(sum(amount) FILTER (WHERE days <= 30), 0) AS days_0_30,
        coalesce(sum(amount) FILTER (WHERE days BETWEEN 31 AND 60), 0) AS days_31_60,
        coalesce(sum(amount) FILTER (WHERE days BETWEEN 61 AND 90), 0) AS days_61_90,
        coalesce(sum(amount) FILTER (WHERE days > 90), 0) AS over_90_days,
        min(day) AS oldest_unpaid
    FROM unpaid
    GROUP BY account, currency
), providers AS MATERIALIZED (
    -- The provider as the first session or payout on its account names it.
    SELECT a.code AS account, named.provider
    FROM accounts AS a
    CROSS JOIN LATERAL (
        SELECT e.provider
        FROM postings AS p
        JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
        WHERE p.book = a.book AND p.account = a.code AND p.entry_number <= CAST(:'as_known_at' AS bigint)
            AND e.kind IN ('session_earned', 'provider_paid')
        ORDER BY p.entry_number
        LIMIT 1
    ) AS named
    WHERE a.book = :'book' AND a.code > 'Liabilities:Payable:Provider:' AND a.code < 'Liabilities:Payable:Provider;'
)
SELECT
    coalesce(providers.provider, split_part(s.account, ':', -1)) AS provider,
    s.currency,
    s.earned,
    s.paid,
    s.other_changes,
    s.payable,
    coalesce(a.days_0_30, 0) AS days_0_30,
    coalesce(a.days_31_60, 0) AS days_31_60,
    coalesce(a.days_61_90, 0) AS days_61_90,
    coalesce(a.over_90_days, 0) AS over_90_days,
    least(s.payable, 0) AS overpaid,
    a.oldest_unpaid
FROM sums AS s
LEFT JOIN aged AS a ON a.account = s.account AND a.currency = s.currency
LEFT JOIN providers ON providers.account = s.account
ORDER BY s.account;
