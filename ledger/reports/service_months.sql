-- Service months: receivables and results by month of service and month of effect, up to a day. What payers pay late
-- for old sessions stands in the row of the month of service and in the column of the month in which it counts.
-- For psql, say first which book and which day:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Amounts are whole minor units (cents). The columns of a currency add up to Revenue:Sessions,
-- Revenue:ContractualAdjustments, Expenses:DenialsAbsorbed, Assets:Receivable:Insurer and Assets:Receivable:Patient.
-- paid is what settled receivables otherwise: insurer + patient = revenue - contractual - absorbed - paid, in every row.
-- The month of service is the entry's, or else that of the first session of the claim on the line; a manual entry about
-- no claim has none. Of a claim with sessions in several months, payments count with the first.
WITH changes AS (
    SELECT
        p.entry_number,
        p.item,
        p.currency,
        p.amount,
        CASE
            WHEN p.account = 'Revenue:Sessions'
                OR (p.account > 'Revenue:Sessions:' AND p.account < 'Revenue:Sessions;') THEN 'revenue'
            WHEN p.account = 'Revenue:ContractualAdjustments'
                OR (p.account > 'Revenue:ContractualAdjustments:' AND p.account < 'Revenue:ContractualAdjustments;')
                THEN 'contractual'
            WHEN p.account = 'Expenses:DenialsAbsorbed'
                OR (p.account > 'Expenses:DenialsAbsorbed:' AND p.account < 'Expenses:DenialsAbsorbed;') THEN 'absorbed'
            WHEN p.account = 'Assets:Receivable:Insurer'
                OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
                THEN 'insurer'
            WHEN p.account = 'Assets:Receivable:Patient'
                OR (p.account > 'Assets:Receivable:Patient:' AND p.account < 'Assets:Receivable:Patient;')
                THEN 'patient'
        END AS change
    FROM postings AS p
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
), claims AS MATERIALIZED (
    SELECT s.claim, min(s.service_date) AS service_date
    FROM entries AS s
    WHERE s.book = :'book' AND s.kind = 'session_earned' AND s.claim IS NOT NULL
    GROUP BY s.claim
), sums AS (
    SELECT
        coalesce(to_char(coalesce(e.service_date, c.service_date), 'YYYY-MM'), '') AS service_month,
        to_char(e.effective_date, 'YYYY-MM') AS effective_month,
        d.currency,
        coalesce(-sum(d.amount) FILTER (WHERE d.change = 'revenue'), 0) AS revenue,
        coalesce(sum(d.amount) FILTER (WHERE d.change = 'contractual'), 0) AS contractual,
        coalesce(sum(d.amount) FILTER (WHERE d.change = 'absorbed'), 0) AS absorbed,
        coalesce(sum(d.amount) FILTER (WHERE d.change = 'insurer'), 0) AS insurer,
        coalesce(sum(d.amount) FILTER (WHERE d.change = 'patient'), 0) AS patient
    FROM changes AS d
    JOIN entries AS e ON e.book = :'book' AND e.number = d.entry_number
    LEFT JOIN claims AS c ON c.claim = d.item
    WHERE d.change IS NOT NULL
    GROUP BY 1, 2, 3
)
SELECT
    service_month,
    effective_month,
    currency,
    revenue,
    contractual,
    absorbed,
    revenue - contractual - absorbed - insurer - patient AS paid,
    insurer,
    patient
FROM sums
ORDER BY service_month COLLATE "C", effective_month COLLATE "C", currency;
