-- Payer lag: by payer and month of service, how many days after the first session of a claim its first payment counted.
-- For psql, say first which book, day and entry:
-- \set book 'main'
-- \set as_of '2026-06-30'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Of those that were paid so far, half are paid within p50 days, and so on; each is a number of days that occurred. Beside
-- them stand the claims that were never paid and on which something is open, for a young month always looks quick: what it
-- waits for longest is not among its payments yet. A session that was reversed did not take place, and a payment that was
-- undone, by the payer or by hand, was none: such a claim counts with the next, or waits. One that stands again, since what
-- had taken it back was another's, counts from its own day.
-- All that is open in a currency, whole minor units (cents), is Assets:Receivable:Insurer. A claim belongs to the month of
-- its first session, or of its first posting where it has none. The days are effective dates.
WITH RECURSIVE again AS (
    -- What undid something that undid an entry, down to that entry.
    SELECT r.number, o.reverses AS act
    FROM entry_reversals AS r
    JOIN entry_reversals AS o ON o.book = r.book AND o.number = r.reverses
    WHERE r.book = :'book'
    UNION ALL
    SELECT a.number, o.reverses
    FROM again AS a
    JOIN entry_reversals AS o ON o.book = :'book' AND o.number = a.act
), done_again AS (
    SELECT number, min(act) AS act FROM again GROUP BY number
), acts AS (
    -- An entry, what undid it, and what undid that are one act.
    SELECT
        p.account,
        coalesce(p.item, '') AS claim,
        p.currency,
        sum(p.amount) AS amount,
        min(e.kind) FILTER (WHERE e.reverses IS NULL) AS kind,
        min(e.effective_date) AS effective_date,
        min(e.service_date) AS service_date,
        bool_or(e.reverses IS NULL) AND count(DISTINCT e.number) % 2 = 0 AS is_undone
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    LEFT JOIN done_again AS d ON d.number = e.number
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account = 'Assets:Receivable:Insurer'
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
        )
    GROUP BY p.account, p.item, p.currency, coalesce(d.act, e.reverses, e.number)
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
), claims AS (
    SELECT
        account,
        claim,
        currency,
        coalesce(
            min(service_date) FILTER (WHERE kind = 'session_earned' AND NOT is_undone), min(effective_date)
        ) AS served_on,
        min(effective_date) FILTER (WHERE kind = 'claim_paid' AND amount < 0 AND NOT is_undone) AS paid_on,
        sum(amount) AS open
    FROM acts
    GROUP BY account, claim, currency
    HAVING NOT bool_and(is_undone) OR sum(amount) <> 0
), lags AS (
    SELECT *, paid_on - served_on AS days, to_char(served_on, 'YYYY-MM') AS month FROM claims
)
SELECT
    coalesce(max(payers.payer), split_part(l.account, ':', -1)) AS payer,
    l.month,
    l.currency,
    count(*) AS claim_count,
    count(l.paid_on) AS paid_count,
    count(*) FILTER (WHERE l.paid_on IS NULL AND l.open <> 0) AS waiting_count,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY l.days) AS p50_days,
    percentile_disc(0.75) WITHIN GROUP (ORDER BY l.days) AS p75_days,
    percentile_disc(0.9) WITHIN GROUP (ORDER BY l.days) AS p90_days,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY l.days) AS p95_days,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY l.days) AS p99_days,
    max(l.days) AS longest_days,
    sum(l.open) AS open
FROM lags AS l
LEFT JOIN payers ON payers.account = l.account
GROUP BY l.account, l.month, l.currency
ORDER BY l.account COLLATE "C", l.month, l.currency;
