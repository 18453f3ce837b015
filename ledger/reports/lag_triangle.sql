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
-- MATERIALIZED: found once, even while PostgreSQL has no statistics of a book that was just filled.
WITH counted AS MATERIALIZED (
    SELECT p.entry_number, p.account, coalesce(p.item, '') AS claim, p.currency, p.effective_date, sum(p.amount) AS amount
    FROM postings AS p
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account = 'Assets:Receivable:Insurer'
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
        )
    GROUP BY p.entry_number, p.account, coalesce(p.item, ''), p.currency, p.effective_date
), served AS MATERIALIZED (
    SELECT s.claim, min(s.service_date) AS service_date
    FROM entries AS s
    WHERE s.book = :'book' AND s.kind = 'session_earned' AND s.effective_date <= CAST(:'as_of' AS date)
        AND s.number <= CAST(:'as_known_at' AS bigint)
    GROUP BY s.claim
), cohorts AS MATERIALIZED (
    SELECT
        c.account,
        c.claim,
        CAST(date_trunc('month', CAST(coalesce(min(s.service_date), min(c.effective_date)) AS timestamp)) AS date)
            AS month
    FROM counted AS c
    LEFT JOIN served AS s ON s.claim = c.claim
    GROUP BY c.account, c.claim
), alone AS MATERIALIZED (
    SELECT entry_number FROM counted GROUP BY entry_number HAVING count(*) = 1
), causes AS MATERIALIZED (
    -- The other side of an entry, debit positive: it adds up to what the receivable lost.
    SELECT
        p.entry_number,
        sum(p.amount) FILTER (
            WHERE (p.account >= 'Assets:Cash' AND p.account < 'Assets:Cash;')
                OR (p.account >= 'Assets:RemittanceClearing' AND p.account < 'Assets:RemittanceClearing;')
                OR (
                    p.account >= 'Liabilities:' AND p.account < 'Liabilities;'
                    AND p.account NOT IN ('Liabilities:PatientRefunds')
                )
        ) AS paid,
        sum(p.amount) FILTER (
            WHERE (p.account >= 'Revenue:' AND p.account < 'Revenue;')
                OR p.account IN ('Assets:Receivable:Patient', 'Liabilities:PatientRefunds')
        ) AS adjusted,
        sum(p.amount) FILTER (WHERE p.account = 'Expenses:DenialsAbsorbed') AS absorbed
    FROM postings AS p
    WHERE p.book = :'book' AND p.entry_number IN (SELECT entry_number FROM alone)
    GROUP BY p.entry_number
), changes AS (
    SELECT
        c.account,
        c.currency,
        o.month,
        greatest(
            CAST(
                (extract(year FROM c.effective_date) - extract(year FROM o.month)) * 12
                    + extract(month FROM c.effective_date) - extract(month FROM o.month) AS integer
            ), 0
        ) AS months_since,
        c.amount,
        coalesce(original.kind, e.kind) = 'session_earned' AS is_earned,
        coalesce(k.paid, 0) AS paid,
        coalesce(k.adjusted, 0) AS adjusted,
        coalesce(k.absorbed, 0) AS absorbed
    FROM counted AS c
    JOIN cohorts AS o ON o.account = c.account AND o.claim = c.claim
    JOIN entries AS e ON e.book = :'book' AND e.number = c.entry_number
    LEFT JOIN entries AS original ON original.book = e.book AND original.number = e.reverses AND e.kind = 'reversal'
    LEFT JOIN causes AS k ON k.entry_number = c.entry_number
), months AS (
    SELECT
        account,
        currency,
        month,
        months_since,
        coalesce(sum(amount) FILTER (WHERE is_earned), 0) AS earned,
        coalesce(sum(paid) FILTER (WHERE NOT is_earned), 0) AS paid,
        coalesce(sum(adjusted) FILTER (WHERE NOT is_earned), 0) AS adjusted,
        coalesce(sum(absorbed) FILTER (WHERE NOT is_earned), 0) AS absorbed,
        coalesce(-sum(amount + paid + adjusted + absorbed) FILTER (WHERE NOT is_earned), 0) AS other,
        sum(amount) AS change
    FROM changes
    GROUP BY account, currency, month, months_since
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
