-- Lag triangle: by payer and month of service, what became of the receivable in each month after the service.
-- For psql, say first which book, day and entry:
-- \set book 'main'
-- \set as_of '2026-06-30'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents) of the month alone, so that columns can be added up: change = earned - paid -
-- adjusted - absorbed - other, and all changes of a currency add up to Assets:Receivable:Insurer. A share is of all that
-- was earned in the month of service, up to and with the month, in percent, rounded to two digits; the amounts are exact.
-- A claim belongs to the month of its first session, or of its first posting where it has none. What an entry did to a
-- receivable is told by its other accounts: a session earned it; clearing, cash or a liability: paid; a revenue
-- account or the patient: adjusted; Expenses:DenialsAbsorbed: absorbed (a recovery takes off again). Where an entry
-- touches several receivables or claims, it is not told, and is other.
-- By windows rather than by joins: a plan made while PostgreSQL has no statistics of a book that was just filled would
-- compare everything with everything. MATERIALIZED: found once.
WITH facts AS (
    SELECT
        p.entry_number,
        p.account,
        coalesce(p.item, '') AS claim,
        p.currency,
        p.effective_date,
        p.amount,
        'receivable' AS cause,
        CAST(NULL AS date) AS service_date
    FROM postings AS p
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account = 'Assets:Receivable:Insurer'
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
        )
    UNION ALL
    -- The other side, debit positive: it adds up to what the receivable lost.
    SELECT
        p.entry_number,
        NULL,
        NULL,
        p.currency,
        p.effective_date,
        p.amount,
        CASE
            WHEN p.account = 'Expenses:DenialsAbsorbed' THEN 'absorbed'
            WHEN p.account IN ('Assets:Receivable:Patient', 'Liabilities:PatientRefunds')
                OR (p.account > 'Revenue:' AND p.account < 'Revenue;') THEN 'adjusted'
            ELSE 'paid'
        END,
        NULL
    FROM postings AS p
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account IN ('Expenses:DenialsAbsorbed', 'Assets:Receivable:Patient', 'Assets:Cash')
            OR (p.account > 'Assets:Cash:' AND p.account < 'Assets:Cash;')
            OR (p.account > 'Assets:RemittanceClearing:' AND p.account < 'Assets:RemittanceClearing;')
            OR (p.account > 'Liabilities:' AND p.account < 'Liabilities;')
            OR (p.account > 'Revenue:' AND p.account < 'Revenue;')
        )
    UNION ALL
    -- The sessions of the claims.
    SELECT NULL, NULL, s.claim, NULL, NULL, NULL, NULL, s.service_date
    FROM entries AS s
    WHERE s.book = :'book' AND s.kind = 'session_earned' AND s.effective_date <= CAST(:'as_of' AS date)
        AND s.number <= CAST(:'as_known_at' AS bigint)
), told AS (
    SELECT
        entry_number,
        currency,
        effective_date,
        amount,
        cause,
        service_date,
        coalesce(account, CASE WHEN entry_number IS NOT NULL THEN max(account) OVER entry END) AS account,
        coalesce(claim, max(claim) OVER entry) AS claim,
        min(account) OVER entry = max(account) OVER entry AND min(claim) OVER entry = max(claim) OVER entry AS is_alone
    FROM facts
    WINDOW entry AS (PARTITION BY entry_number)
), served AS (
    SELECT
        entry_number,
        account,
        claim,
        currency,
        effective_date,
        amount,
        cause,
        min(service_date) OVER (PARTITION BY claim) AS service_date
    FROM told
    WHERE cause IS NULL OR cause = 'receivable' OR is_alone
), dated AS MATERIALIZED (
    SELECT
        *,
        CAST(
            date_trunc(
                'month',
                CAST(coalesce(service_date, min(effective_date) OVER (PARTITION BY account, claim)) AS timestamp)
            ) AS date
        ) AS month
    FROM served
    WHERE account IS NOT NULL
), changes AS (
    SELECT
        d.account,
        d.currency,
        d.month,
        greatest(
            CAST(
                (extract(year FROM d.effective_date) - extract(year FROM d.month)) * 12
                    + extract(month FROM d.effective_date) - extract(month FROM d.month) AS integer
            ), 0
        ) AS months_since,
        d.amount,
        d.cause,
        coalesce(original.kind, e.kind) = 'session_earned' AS is_earned
    FROM dated AS d
    JOIN entries AS e ON e.book = :'book' AND e.number = d.entry_number
    LEFT JOIN entries AS original ON original.book = e.book AND original.number = e.reverses AND e.kind = 'reversal'
), months AS (
    SELECT
        account,
        currency,
        month,
        months_since,
        coalesce(sum(amount) FILTER (WHERE is_earned AND cause = 'receivable'), 0) AS earned,
        coalesce(sum(amount) FILTER (WHERE NOT is_earned AND cause = 'paid'), 0) AS paid,
        coalesce(sum(amount) FILTER (WHERE NOT is_earned AND cause = 'adjusted'), 0) AS adjusted,
        coalesce(sum(amount) FILTER (WHERE NOT is_earned AND cause = 'absorbed'), 0) AS absorbed,
        coalesce(-sum(amount) FILTER (WHERE NOT is_earned), 0) AS other,
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable'), 0) AS change
    FROM changes
    GROUP BY account, currency, month, months_since
    HAVING count(*) FILTER (WHERE cause = 'receivable') > 0
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
)
SELECT
    coalesce(payers.payer, split_part(m.account, ':', -1)) AS payer,
    to_char(m.month, 'YYYY-MM') AS month,
    m.months_since,
    m.currency,
    m.earned,
    m.paid,
    m.adjusted,
    m.absorbed,
    m.other,
    m.change,
    CAST(round(100 * sum(m.paid) OVER up_to / nullif(sum(m.earned) OVER cohort, 0), 2) AS text) AS paid_share,
    CAST(round(100 * sum(m.adjusted) OVER up_to / nullif(sum(m.earned) OVER cohort, 0), 2) AS text) AS adjusted_share,
    CAST(round(100 * sum(m.absorbed) OVER up_to / nullif(sum(m.earned) OVER cohort, 0), 2) AS text) AS absorbed_share
FROM months AS m
LEFT JOIN payers ON payers.account = m.account
WINDOW
    cohort AS (PARTITION BY m.account, m.currency, m.month),
    up_to AS (PARTITION BY m.account, m.currency, m.month ORDER BY m.months_since)
ORDER BY m.account, m.currency, m.month, m.months_since;
