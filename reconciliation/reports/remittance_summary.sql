-- What remittances said was paid, by payer and month of payment, and what became of it.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Payments dated up to the day, as they stand now; one without a readable date counts on the day (UTC) it was received.
-- Amounts are whole minor units (cents): received = posted + suspended + quarantined + waiting + settling. A duplicate is
-- counted and not received again. provider_level is what PLB took off (positive) or added, of what is posted.
-- Of claim payments that were decided, charged (CLP03) = contractual + patient + denial + other_payer + suspense + sorted_paid
-- (CLP04): every adjustment (CAS) is in the bucket that its code meant when it was decided. Those whose buckets are not known
-- are in none of these: unsorted_count of them, of unsorted_paid. Some of their adjustments could not be read, or they were
-- decided before buckets were kept. claims_paid is of both, and posted + suspended + provider_level. difference is what
-- charge, adjustments and paid amount do not explain, claim payment by claim payment, without signs: zero.
WITH told AS (
    SELECT
        r.*,
        coalesce(r.payer, nullif(r.payer_name, ''), r.signed_by) AS told_by,
        to_char(coalesce(r.payment_date, CAST(r.received_at AT TIME ZONE 'UTC' AS date)), 'YYYY-MM') AS month
    FROM remittances AS r
    WHERE r.book = :'book'
        AND coalesce(r.payment_date, CAST(r.received_at AT TIME ZONE 'UTC' AS date)) <= CAST(:'as_of' AS date)
), levels AS (
    SELECT remittance, sum(amount) AS amount
    FROM provider_level_adjustments
    WHERE book = :'book'
    GROUP BY remittance
), claims AS (
    SELECT
        remittance,
        sum(charge) FILTER (WHERE contractual IS NOT NULL) AS charged,
        sum(contractual) AS contractual,
        sum(patient) AS patient,
        sum(denial) AS denial,
        sum(other_payer) AS other_payer,
        sum(suspense) AS suspense,
        sum(paid) FILTER (WHERE contractual IS NOT NULL) AS sorted_paid,
        count(*) FILTER (WHERE contractual IS NULL) AS unsorted_count,
        sum(paid) FILTER (WHERE contractual IS NULL) AS unsorted_paid,
        sum(paid) AS claims_paid,
        sum(abs(charge - contractual - patient - denial - other_payer - suspense - paid)) AS difference
    FROM claim_payments
    WHERE book = :'book'
    GROUP BY remittance
)
SELECT
    t.told_by AS payer,
    t.month,
    t.currency,
    count(*) FILTER (WHERE t.state <> 'duplicate') AS remittance_count,
    count(*) FILTER (WHERE t.state = 'duplicate') AS duplicate_count,
    coalesce(sum(t.claim_count) FILTER (WHERE t.state <> 'duplicate'), 0) AS claim_count,
    coalesce(sum(t.paid) FILTER (WHERE t.state <> 'duplicate'), 0) AS received,
    coalesce(sum(t.posted) FILTER (WHERE t.state <> 'duplicate'), 0) AS posted,
    coalesce(sum(t.suspended) FILTER (WHERE t.state <> 'duplicate'), 0) AS suspended,
    coalesce(sum(t.paid) FILTER (WHERE t.state = 'quarantined'), 0) AS quarantined,
    coalesce(sum(t.paid) FILTER (WHERE t.state = 'waiting'), 0) AS waiting,
    coalesce(sum(t.paid - t.posted - t.suspended) FILTER (WHERE t.state = 'settling'), 0) AS settling,
    coalesce(sum(l.amount) FILTER (WHERE t.state IN ('settled', 'settling')), 0) AS provider_level,
    coalesce(sum(c.charged), 0) AS charged,
    coalesce(sum(c.contractual), 0) AS contractual,
    coalesce(sum(c.patient), 0) AS patient,
    coalesce(sum(c.denial), 0) AS denial,
    coalesce(sum(c.other_payer), 0) AS other_payer,
    coalesce(sum(c.suspense), 0) AS suspense,
    coalesce(sum(c.sorted_paid), 0) AS sorted_paid,
    coalesce(sum(c.unsorted_count), 0) AS unsorted_count,
    coalesce(sum(c.unsorted_paid), 0) AS unsorted_paid,
    coalesce(sum(c.claims_paid), 0) AS claims_paid,
    coalesce(sum(c.difference), 0) AS difference
FROM told AS t
LEFT JOIN levels AS l ON l.remittance = t.id
LEFT JOIN claims AS c ON c.remittance = t.id
GROUP BY t.told_by, t.month, t.currency
ORDER BY t.told_by COLLATE "C", t.month, t.currency
