-- Receivables roll-forward: what payers owed before a period, what changed it in the period and why, what they owe at its
-- end, as known at an entry.
-- For psql, say first which book, first and last day, and entry:
-- \set book 'main'
-- \set effective_from '2026-03-01'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents); each change bears its sign, so that a line adds up: opening + earned + paid +
-- contractual + patient + absorbed + recovered + forwarded + reversed + other = closing, and all closings of a currency are
-- Assets:Receivable:Insurer.
-- The kind of an entry tells earned, absorbed, recovered, forwarded (what payers left to the next one, with what the patient
-- owed of it) and reversed (payments taken back by payers, and entries undone). What a settlement did is told by its other
-- accounts: revenue is contractual; the patient's receivable and refunds: patient; DenialsAbsorbed: recovered; clearing, cash
-- or another liability: paid. Whatever is not told so, such as entries by hand, is other.
WITH facts AS (
    SELECT
        p.entry_number,
        p.account,
        p.currency,
        p.amount,
        'receivable' AS cause
    FROM postings AS p
    WHERE p.book = :'book' AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND p.effective_date >= CAST(:'effective_from' AS date) AND p.effective_date <= CAST(:'as_of' AS date)
        AND (
            p.account = 'Assets:Receivable:Insurer'
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
        )
    UNION ALL
    -- The other side, debit positive: it adds up to what the receivable lost.
    SELECT
        p.entry_number,
        NULL,
        p.currency,
        p.amount,
        CASE
            WHEN p.account = 'Expenses:DenialsAbsorbed' THEN 'absorbed'
            WHEN p.account IN ('Assets:Receivable:Patient', 'Liabilities:PatientRefunds') THEN 'patient'
            WHEN p.account > 'Revenue:' AND p.account < 'Revenue;' THEN 'contractual'
            ELSE 'paid'
        END
    FROM postings AS p
    WHERE p.book = :'book' AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND p.effective_date >= CAST(:'effective_from' AS date) AND p.effective_date <= CAST(:'as_of' AS date)
        AND (
            p.account IN ('Expenses:DenialsAbsorbed', 'Assets:Receivable:Patient', 'Assets:Cash')
            OR (p.account > 'Assets:Cash:' AND p.account < 'Assets:Cash;')
            OR (p.account > 'Assets:RemittanceClearing:' AND p.account < 'Assets:RemittanceClearing;')
            OR (p.account > 'Liabilities:' AND p.account < 'Liabilities;')
            OR (p.account > 'Revenue:' AND p.account < 'Revenue;')
        )
), told AS (
    -- The other side belongs to the receivable of its entry, where that is one alone.
    SELECT
        entry_number,
        currency,
        amount,
        cause,
        coalesce(
            account, CASE WHEN min(account) OVER entry = max(account) OVER entry THEN max(account) OVER entry END
        ) AS account
    FROM facts
    WINDOW entry AS (PARTITION BY entry_number, currency)
), changes AS (
    SELECT
        t.account,
        t.currency,
        t.amount,
        t.cause,
        CASE
            WHEN e.kind IN ('session_earned', 'denial_absorbed', 'denial_recovered', 'claim_forwarded') THEN e.kind
            WHEN e.kind IN ('reversal', 'payment_reversed') THEN 'reversed'
            WHEN e.kind IN (
                'claim_paid', 'claim_adjusted', 'overpayment_applied', 'patient_evened', 'remainder_written_off'
            ) THEN 'settled'
            ELSE 'other'
        END AS told_by
    FROM told AS t
    JOIN entries AS e ON e.book = :'book' AND e.number = t.entry_number
    WHERE t.account IS NOT NULL
), moved AS (
    SELECT
        account,
        currency,
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable' AND told_by = 'session_earned'), 0) AS earned,
        coalesce(-sum(amount) FILTER (WHERE cause = 'paid' AND told_by = 'settled'), 0) AS paid,
        coalesce(-sum(amount) FILTER (WHERE cause = 'contractual' AND told_by = 'settled'), 0) AS contractual,
        coalesce(-sum(amount) FILTER (WHERE cause = 'patient' AND told_by = 'settled'), 0) AS patient,
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable' AND told_by = 'denial_absorbed'), 0) AS absorbed,
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable' AND told_by = 'denial_recovered'), 0)
            - coalesce(sum(amount) FILTER (WHERE cause = 'absorbed' AND told_by = 'settled'), 0) AS recovered,
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable' AND told_by = 'claim_forwarded'), 0) AS forwarded,
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable' AND told_by = 'reversed'), 0) AS reversed,
        -- By hand or unknown; and what of a settlement no other account tells.
        coalesce(sum(amount) FILTER (WHERE cause = 'receivable' AND told_by = 'other'), 0)
            + coalesce(sum(amount) FILTER (WHERE told_by = 'settled'), 0) AS other,
        0 AS opening
    FROM changes
    GROUP BY account, currency
), before AS (
    SELECT d.account, a.currency, d.debits - d.credits AS amount
    FROM daily_totals AS d
    JOIN accounts AS a ON a.book = d.book AND a.code = d.account
    WHERE d.book = :'book' AND d.effective_date < CAST(:'effective_from' AS date)
        AND (
            d.account = 'Assets:Receivable:Insurer'
            OR (d.account > 'Assets:Receivable:Insurer:' AND d.account < 'Assets:Receivable:Insurer;')
        )
    UNION ALL
    SELECT p.account, p.currency, -p.amount
    FROM postings AS p
    WHERE p.book = :'book' AND p.entry_number > CAST(:'as_known_at' AS bigint)
        AND p.effective_date < CAST(:'effective_from' AS date)
        AND (
            p.account = 'Assets:Receivable:Insurer'
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
        )
), lines AS (
    SELECT * FROM moved
    UNION ALL
    SELECT account, currency, 0, 0, 0, 0, 0, 0, 0, 0, 0, sum(amount) FROM before GROUP BY account, currency
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
    coalesce(max(payers.payer), split_part(l.account, ':', -1)) AS payer,
    l.currency,
    sum(l.opening) AS opening,
    sum(l.earned) AS earned,
    sum(l.paid) AS paid,
    sum(l.contractual) AS contractual,
    sum(l.patient) AS patient,
    sum(l.absorbed) AS absorbed,
    sum(l.recovered) AS recovered,
    sum(l.forwarded) AS forwarded,
    sum(l.reversed) AS reversed,
    sum(l.other) AS other,
    sum(l.opening + l.earned + l.paid + l.contractual + l.patient + l.absorbed + l.recovered + l.forwarded + l.reversed + l.other)
        AS closing
FROM lines AS l
LEFT JOIN payers ON payers.account = l.account
GROUP BY l.account, l.currency
HAVING bool_or(
    l.opening <> 0 OR l.earned <> 0 OR l.paid <> 0 OR l.contractual <> 0 OR l.patient <> 0 OR l.absorbed <> 0
    OR l.recovered <> 0 OR l.forwarded <> 0 OR l.reversed <> 0 OR l.other <> 0
)
ORDER BY l.account COLLATE "C", l.currency;
