-- What is open on providers' payables up to a cut-off, as known at an entry: what no cycle has counted yet.
-- For psql, say first which book, accounts, cut-off and entry:
-- \set book 'main'
-- \set accounts '{Liabilities:Payable:Provider:PT-07}'
-- \set cut_off '2026-04-15'
-- \set known '9223372036854775807'
-- \set only_sums 'no'
-- Amounts are whole minor units (cents), what is payable positive. With only_sums 'yes' there is one row an account
-- (entry_number null) with the sums that a line of a plan has; else one row an entry.
-- An account is read from the first entry on that its last settled cycle left open, so what was counted before costs
-- nothing. Payments of cycles are no items: they are what cycles did. An entry that was reversed before any cycle
-- counted it is left out for ever, and so is its reversal. Debits count at once, credits from their effective date on.
WITH last AS MATERIALIZED (
    SELECT
        a.code AS account,
        a.currency,
        coalesce(r.closing, 0) AS carried,
        coalesce(r.since, 1) AS since
    FROM unnest(CAST(:'accounts' AS text[])) AS asked (account)
    JOIN LATERAL (SELECT code, currency FROM accounts WHERE book = :'book' AND code = asked.account LIMIT 1) AS a ON true
    LEFT JOIN LATERAL (
        SELECT closing, since FROM pay_cycle_results
        WHERE book = :'book' AND account = a.code AND cycle < CAST(:'cut_off' AS date) AND since IS NOT NULL
        ORDER BY cycle DESC LIMIT 1
    ) AS r ON true
), touching AS MATERIALIZED (
    SELECT last.account, p.entry_number, -sum(p.amount) AS amount
    FROM last
    CROSS JOIN LATERAL (
        SELECT entry_number, amount FROM postings
        WHERE book = :'book' AND account = last.account
            AND entry_number BETWEEN last.since AND CAST(:'known' AS bigint)
    ) AS p
    GROUP BY last.account, p.entry_number
), counted AS MATERIALIZED (
    SELECT
        t.account,
        t.entry_number,
        t.amount,
        CASE
            WHEN e.kind = 'session_earned' THEN 'session'
            WHEN e.kind = 'payout_returned' THEN 'payment_returned'
            WHEN e.kind = 'reversal' AND o.kind = 'session_earned' THEN 'session_reversed'
            ELSE 'adjustment'
        END AS kind,
        CASE WHEN e.kind IN ('session_earned', 'provider_paid') THEN e.provider END AS provider,
        t.amount < 0 OR e.effective_date <= CAST(:'cut_off' AS date) AS is_due
    FROM touching AS t
    -- LATERAL with LIMIT: one look into an index for each entry, whatever the planner believes. A join would be planned
    -- as a hash of all entries of the book.
    CROSS JOIN LATERAL (
        SELECT kind, effective_date, provider, reverses FROM entries
        WHERE book = :'book' AND number = t.entry_number LIMIT 1
    ) AS e
    LEFT JOIN LATERAL (
        SELECT kind FROM entries
        WHERE e.kind = 'reversal' AND book = :'book' AND number = e.reverses LIMIT 1
    ) AS o ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM pay_cycle_items
        WHERE book = :'book' AND entry_number = t.entry_number AND account = t.account LIMIT 1
    ) AS item ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM pay_cycle_results
        WHERE book = :'book' AND entry_number = t.entry_number LIMIT 1
    ) AS payment ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM entry_reversals
        WHERE book = :'book' AND reverses = t.entry_number AND number <= CAST(:'known' AS bigint) LIMIT 1
    ) AS undone ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM pay_cycle_items
        WHERE book = :'book' AND entry_number = e.reverses AND account = t.account LIMIT 1
    ) AS undoes_item ON true
    LEFT JOIN LATERAL (
        SELECT true AS found FROM pay_cycle_results
        WHERE book = :'book' AND entry_number = e.reverses LIMIT 1
    ) AS undoes_payment ON true
    WHERE t.amount <> 0 AND item.found IS NULL AND payment.found IS NULL AND undone.found IS NULL
        AND (e.reverses IS NULL OR undoes_item.found OR undoes_payment.found)
)
SELECT
    account,
    entry_number,
    kind,
    amount,
    CAST(NULL AS text) AS provider,
    CAST(NULL AS text) AS currency,
    CAST(NULL AS bigint) AS carried,
    CAST(NULL AS bigint) AS session_count,
    CAST(NULL AS bigint) AS sessions,
    CAST(NULL AS bigint) AS adjustment_count,
    CAST(NULL AS bigint) AS adjustments,
    CAST(NULL AS bigint) AS since
FROM counted
WHERE is_due AND :'only_sums' = 'no'
UNION ALL
SELECT
    last.account,
    NULL,
    NULL,
    NULL,
    -- The provider as its sessions and payouts name it; an account that never had any, by its own name.
    coalesce(min(c.provider), (
        SELECT e.provider FROM postings AS p JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
        WHERE p.book = :'book' AND p.account = last.account AND e.kind IN ('session_earned', 'provider_paid')
        ORDER BY p.entry_number LIMIT 1
    ), split_part(last.account, ':', -1)),
    last.currency,
    last.carried,
    count(*) FILTER (WHERE c.is_due AND c.kind = 'session'),
    coalesce(sum(c.amount) FILTER (WHERE c.is_due AND c.kind = 'session'), 0),
    count(*) FILTER (WHERE c.is_due AND c.kind <> 'session'),
    coalesce(sum(c.amount) FILTER (WHERE c.is_due AND c.kind <> 'session'), 0),
    coalesce(min(c.entry_number) FILTER (WHERE NOT c.is_due), CAST(:'known' AS bigint) + 1)
FROM last
LEFT JOIN counted AS c ON c.account = last.account
WHERE :'only_sums' = 'yes'
GROUP BY last.account, last.currency, last.carried
HAVING last.carried <> 0 OR bool_or(c.is_due)
ORDER BY account, entry_number;
