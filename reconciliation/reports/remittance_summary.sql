-- What remittances said was paid, by payer and month of payment, and what became of it.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_until 'infinity'
-- Known is what was recorded before as_known_until, a time. How remittances stood before version 0015 of the database is not
-- kept: ask of no time before the last that remittance_states has from_before.
-- Payments dated up to the day, as they stood then; one without a readable date counts on the day (UTC) it was received.
-- Amounts are whole minor units (cents): received = posted + suspended + quarantined + waiting + settling. A duplicate is
-- counted and not received again. provider_level is what PLB took off (positive) or added, of what is posted.
-- Of claim payments that were decided, charged (CLP03) = contractual + patient + denial + other_payer + suspense + sorted_paid
-- (CLP04): every adjustment (CAS) is in the bucket that its code meant when it was decided. Those whose buckets are not known
-- are in none of these: unsorted_count of them, of unsorted_paid. Some of their adjustments could not be read, or they were
-- decided before buckets were kept. claims_paid is of both, and posted + suspended + provider_level. difference is what
-- charge, adjustments and paid amount do not explain, claim payment by claim payment, without signs: zero.
WITH told AS (
    SELECT
        r.id,
        r.currency,
        r.claim_count,
        r.paid,
        stood.state,
        stood.posted,
        stood.suspended,
        stood.settled_claim_count,
        coalesce(stood.payer, nullif(r.payer_name, ''), r.signed_by) AS told_by,
        to_char(coalesce(r.payment_date, CAST(r.received_at AT TIME ZONE 'UTC' AS date)), 'YYYY-MM') AS month
    FROM remittances AS r
    JOIN LATERAL (
        SELECT * FROM remittance_states AS s
        WHERE s.book = r.book AND s.remittance = r.id
            AND s.known_at < CAST(:'as_known_until' AS timestamptz)
        ORDER BY s.version DESC
        LIMIT 1
    ) AS stood ON true
    WHERE r.book = :'book'
        AND coalesce(r.payment_date, CAST(r.received_at AT TIME ZONE 'UTC' AS date)) <= CAST(:'as_of' AS date)
), levels AS (
    SELECT remittance, sum(amount) AS amount
    FROM provider_level_adjustments
    WHERE book = :'book'
    GROUP BY remittance
), replaced AS (
    -- What was decided then of what was decided again since.
    SELECT DISTINCT ON (remittance, line) *
    FROM earlier_decisions
    WHERE book = :'book' AND replaced_at >= CAST(:'as_known_until' AS timestamptz)
    ORDER BY remittance, line, version
), decided AS (
    SELECT
        c.remittance,
        c.charge,
        c.paid,
        CASE WHEN e.version IS NULL THEN c.contractual ELSE e.contractual END AS contractual,
        CASE WHEN e.version IS NULL THEN c.patient ELSE e.patient END AS patient,
        CASE WHEN e.version IS NULL THEN c.denial ELSE e.denial END AS denial,
        CASE WHEN e.version IS NULL THEN c.other_payer ELSE e.other_payer END AS other_payer,
        CASE WHEN e.version IS NULL THEN c.suspense ELSE e.suspense END AS suspense
    FROM told AS t
    -- Large remittances are settled in the order of their claims.
    JOIN claim_payments AS c ON c.book = :'book' AND c.remittance = t.id AND c.line <= t.settled_claim_count
    LEFT JOIN replaced AS e ON e.remittance = c.remittance AND e.line = c.line
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
    FROM decided
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
    coalesce(sum(l.amount) FILTER (WHERE t.state = 'settled'), 0) AS provider_level,
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
