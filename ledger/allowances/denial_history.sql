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
-- MATERIALIZED: found once, even while PostgreSQL has no statistics of a book that was just filled.
WITH buckets AS MATERIALIZED (
    SELECT
        CAST(first AS integer) AS from_days,
        lead(CAST(first AS integer)) OVER (ORDER BY CAST(first AS integer)) - 1 AS to_days
    FROM unnest(string_to_array(:'age_buckets', ',')) AS first
), changes AS MATERIALIZED (
    SELECT p.account, p.item AS claim, p.entry_number, p.effective_date, sum(p.amount) AS amount
    FROM postings AS p
    WHERE p.book = :'book' AND p.currency = :'currency' AND p.item IS NOT NULL
        AND p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;'
        AND p.effective_date <= CAST(:'as_of' AS date) AND p.entry_number <= CAST(:'as_known_at' AS bigint)
    GROUP BY p.account, p.item, p.entry_number, p.effective_date
), losses AS MATERIALIZED (
    SELECT c.account, c.claim, c.effective_date, sum(p.amount) AS amount
    FROM changes AS c
    JOIN postings AS p ON p.book = :'book' AND p.entry_number = c.entry_number
        AND p.account = 'Expenses:DenialsAbsorbed' AND p.item = c.claim
    GROUP BY c.account, c.claim, c.effective_date
), served AS MATERIALIZED (
    -- A session that was reversed by then did not take place.
    SELECT s.claim, min(s.service_date) AS service_date
    FROM entries AS s
    WHERE s.book = :'book' AND s.kind = 'session_earned' AND s.effective_date <= CAST(:'as_of' AS date)
        AND s.number <= CAST(:'as_known_at' AS bigint)
        AND NOT EXISTS (
            SELECT FROM entries AS r
            WHERE r.book = s.book AND r.reverses = s.number AND r.effective_date <= CAST(:'as_of' AS date)
                AND r.number <= CAST(:'as_known_at' AS bigint)
        )
    GROUP BY s.claim
), claims AS MATERIALIZED (
    SELECT c.account, c.claim, coalesce(min(s.service_date), min(c.effective_date)) AS day, sum(c.amount) AS amount
    FROM changes AS c
    LEFT JOIN served AS s ON s.claim = c.claim
    GROUP BY c.account, c.claim
), matured AS MATERIALIZED (
    SELECT account, claim, day
    FROM claims
    WHERE day <= CAST(:'as_of' AS date) - CAST(:'matured_after_days' AS integer)
        AND day > CAST(CAST(:'as_of' AS date) - make_interval(months => CAST(:'history_months' AS integer)) AS date)
), reached AS (
    SELECT
        m.account,
        b.from_days,
        (
            SELECT sum(c.amount) FROM changes AS c
            WHERE c.account = m.account AND c.claim = m.claim AND c.effective_date <= m.day + b.from_days
        ) AS open,
        (
            SELECT sum(l.amount) FROM losses AS l
            WHERE l.account = m.account AND l.claim = m.claim AND l.effective_date > m.day + b.from_days
        ) AS absorbed
    FROM matured AS m
    CROSS JOIN buckets AS b
    WHERE m.day + b.from_days <= CAST(:'as_of' AS date)
), history AS MATERIALIZED (
    SELECT
        account,
        from_days,
        count(*) AS claims,
        sum(open) AS open,
        sum(least(greatest(coalesce(absorbed, 0), 0), open)) AS absorbed
    FROM reached
    WHERE open > 0
    GROUP BY account, from_days
), standing AS MATERIALIZED (
    SELECT c.account, b.from_days, sum(c.amount) AS amount
    FROM claims AS c
    JOIN buckets AS b ON greatest(CAST(:'as_of' AS date) - c.day, 0) BETWEEN b.from_days AND coalesce(b.to_days, 2147483647)
    GROUP BY c.account, b.from_days
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
    a.account,
    coalesce(payers.payer, split_part(a.account, ':', -1)) AS payer,
    b.from_days,
    coalesce(b.to_days, 0) AS to_days,
    coalesce(h.claims, 0) AS history_claims,
    coalesce(h.open, 0) AS history_open,
    coalesce(h.absorbed, 0) AS history_absorbed,
    coalesce(s.amount, 0) AS open
FROM (SELECT DISTINCT account FROM claims) AS a
CROSS JOIN buckets AS b
LEFT JOIN history AS h ON h.account = a.account AND h.from_days = b.from_days
LEFT JOIN standing AS s ON s.account = a.account AND s.from_days = b.from_days
LEFT JOIN payers ON payers.account = a.account
ORDER BY a.account, b.from_days;
