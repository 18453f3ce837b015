-- What remittances said was paid, by payer and month of payment, and what became of it.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Payments dated up to the day, as they stand now; one without a readable date counts on the day (UTC) it was received.
-- Amounts are whole minor units (cents): received = posted + suspended + quarantined + waiting + settling. A duplicate is
-- counted and not received again. provider_level is what PLB took off (positive) or added, of what is posted.
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
    coalesce(sum(l.amount) FILTER (WHERE t.state IN ('settled', 'settling')), 0) AS provider_level
FROM told AS t
LEFT JOIN levels AS l ON l.remittance = t.id
GROUP BY t.told_by, t.month, t.currency
ORDER BY t.told_by COLLATE "C", t.month, t.currency
