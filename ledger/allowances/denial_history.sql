-- Denial history: by payer and age, what was open when claims reached the age and was absorbed later, and what is open
-- now. From these an allowance for denials is computed.
-- For psql, say first which book, currency, last day and entry, and the policy's own terms:
-- \set book 'main'
-- \set currency 'USD'
-- \set as_of '2026-06-30'
-- \set as_known_at '9223372036854775807'
-- \set age_buckets '0,31,61,91,121'
-- \set matured_after_days '180'
-- \set history_months '24'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents). A claim is as old as the day is after its first service (or its first posting).
-- History: claims at least matured_after_days old, of at most history_months ago, that were open at the end of the day
-- on which they reached the age. Absorbed is what was absorbed after that day, less what was recovered, and never more
-- than was open. The rate of a bucket is history_absorbed / history_open.
-- By windows rather than by joins: a plan made while PostgreSQL has no statistics of a book that was just filled would
-- compare everything with everything. MATERIALIZED: found once.
WITH buckets AS MATERIALIZED (
    SELECT
        CAST(first AS integer) AS from_days,
        lead(CAST(first AS integer)) OVER (ORDER BY CAST(first AS integer)) - 1 AS to_days
    FROM unnest(string_to_array(:'age_buckets', ',')) AS first
), facts AS (
    SELECT
        p.entry_number,
        p.account,
        p.item AS claim,
        p.effective_date,
        p.amount,
        CAST(0 AS bigint) AS absorbed,
        CAST(NULL AS date) AS service_date
    FROM postings AS p
    WHERE p.book = :'book' AND p.currency = :'currency' AND p.item IS NOT NULL
        AND p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;'
        AND p.effective_date <= CAST(:'as_of' AS date) AND p.entry_number <= CAST(:'as_known_at' AS bigint)
    UNION ALL
    SELECT p.entry_number, NULL, p.item, p.effective_date, 0, p.amount, NULL
    FROM postings AS p
    WHERE p.book = :'book' AND p.currency = :'currency' AND p.item IS NOT NULL
        AND p.account = 'Expenses:DenialsAbsorbed'
        AND p.effective_date <= CAST(:'as_of' AS date) AND p.entry_number <= CAST(:'as_known_at' AS bigint)
    UNION ALL
    -- The sessions of the claims. One that was reversed by then did not take place.
    SELECT NULL, NULL, s.claim, NULL, 0, 0, s.service_date
    FROM entries AS s
    WHERE s.book = :'book' AND s.kind = 'session_earned' AND s.effective_date <= CAST(:'as_of' AS date)
        AND s.number <= CAST(:'as_known_at' AS bigint)
        AND NOT EXISTS (
            SELECT FROM entries AS r
            WHERE r.book = s.book AND r.reverses = s.number AND r.effective_date <= CAST(:'as_of' AS date)
                AND r.number <= CAST(:'as_known_at' AS bigint)
        )
), told AS (
    SELECT
        coalesce(account, CASE WHEN entry_number IS NOT NULL THEN max(account) OVER (PARTITION BY entry_number, claim) END)
            AS account,
        claim,
        effective_date,
        amount,
        absorbed,
        min(service_date) OVER (PARTITION BY claim) AS service_date
    FROM facts
), dated AS (
    SELECT
        account,
        claim,
        effective_date,
        amount,
        absorbed,
        coalesce(service_date, min(effective_date) OVER (PARTITION BY account, claim)) AS day
    FROM told
    WHERE account IS NOT NULL
), aged AS (
    SELECT
        d.account,
        d.claim,
        d.day,
        b.from_days,
        b.to_days,
        coalesce(sum(d.amount) FILTER (WHERE d.effective_date <= d.day + b.from_days), 0) AS open_then,
        coalesce(sum(d.absorbed) FILTER (WHERE d.effective_date > d.day + b.from_days), 0) AS absorbed_since,
        sum(d.amount) AS open_now,
        d.day <= CAST(:'as_of' AS date) - CAST(:'matured_after_days' AS integer)
            AND d.day > CAST(
                CAST(:'as_of' AS date) - make_interval(months => CAST(:'history_months' AS integer)) AS date
            )
            AND d.day + b.from_days <= CAST(:'as_of' AS date) AS is_history,
        greatest(CAST(:'as_of' AS date) - d.day, 0) BETWEEN b.from_days AND coalesce(b.to_days, 2147483647) AS is_now
    FROM dated AS d
    CROSS JOIN buckets AS b
    GROUP BY d.account, d.claim, d.day, b.from_days, b.to_days
), sums AS MATERIALIZED (
    SELECT
        account,
        from_days,
        to_days,
        count(*) FILTER (WHERE is_history AND open_then > 0) AS history_claims,
        sum(open_then) FILTER (WHERE is_history AND open_then > 0) AS history_open,
        sum(least(greatest(absorbed_since, 0), open_then)) FILTER (WHERE is_history AND open_then > 0)
            AS history_absorbed,
        sum(open_now) FILTER (WHERE is_now) AS open
    FROM aged
    GROUP BY account, from_days, to_days
), payers AS MATERIALIZED (
    -- The payer as the sessions on its account name it.
    SELECT p.account, CASE WHEN min(e.payer) = max(e.payer) THEN min(e.payer) END AS payer
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND e.kind = 'session_earned'
        AND p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;'
    GROUP BY p.account
)
SELECT
    s.account,
    coalesce(payers.payer, split_part(s.account, ':', -1)) AS payer,
    s.from_days,
    coalesce(s.to_days, 0) AS to_days,
    s.history_claims,
    coalesce(s.history_open, 0) AS history_open,
    coalesce(s.history_absorbed, 0) AS history_absorbed,
    coalesce(s.open, 0) AS open
FROM sums AS s
LEFT JOIN payers ON payers.account = s.account
ORDER BY s.account, s.from_days;
