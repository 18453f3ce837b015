-- How much of what payers decided was posted without a person, by payer, month of payment and matching rule, or any of these.
-- In psql, set these first, and yes for what to group by (nothing said: by payer and month):
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_until 'infinity'
-- \set by_payer 'yes'
-- \set by_month 'yes'
-- \set by_rule ''
-- Known is what was recorded before as_known_until, a time. How remittances stood before version 0015 of the database is not
-- kept: ask of no time before the last that remittance_states has from_before.
-- Claim payments (CLP) of remittances that are posted and dated up to the day, as they stood then. Nobody had to look at an
-- untouched one: its claim was found by a rule, and no exception was ever raised about it. The others were looked at, or
-- still are; of those, suspended ones have no claim yet. quarantined are the claims of remittances of which nothing is
-- posted; they count against the share, which is untouched of all, in percent, rounded to two digits for reading.
-- rule is the one that found the claim; it is empty where none did, and for the claims of quarantined remittances.
-- Amounts are whole minor units (cents), with the payer's sign: paid = untouched_paid + looked_at_paid.
WITH told AS (
    SELECT
        r.id,
        coalesce(stood.payer, nullif(r.payer_name, ''), r.signed_by) AS told_by,
        to_char(coalesce(r.payment_date, CAST(r.received_at AT TIME ZONE 'UTC' AS date)), 'YYYY-MM') AS month,
        r.currency,
        stood.state,
        stood.settled_claim_count,
        r.claim_count
    FROM remittances AS r
    JOIN LATERAL (
        SELECT * FROM remittance_states AS s
        WHERE s.book = r.book AND s.remittance = r.id
            AND s.known_at < CAST(:'as_known_until' AS timestamptz)
        ORDER BY s.version DESC
        LIMIT 1
    ) AS stood ON true
    WHERE r.book = :'book' AND stood.state IN ('settled', 'settling', 'quarantined')
        AND coalesce(r.payment_date, CAST(r.received_at AT TIME ZONE 'UTC' AS date)) <= CAST(:'as_of' AS date)
), raised AS (
    SELECT DISTINCT remittance, line FROM exceptions
    WHERE book = :'book' AND remittance IS NOT NULL AND opened_at < CAST(:'as_known_until' AS timestamptz)
), replaced AS (
    -- What was decided then of what was decided again since.
    SELECT DISTINCT ON (remittance, line) *
    FROM earlier_decisions
    WHERE book = :'book' AND replaced_at >= CAST(:'as_known_until' AS timestamptz)
    ORDER BY remittance, line, version
), payments AS (
    SELECT
        t.told_by,
        t.month,
        t.currency,
        coalesce(e.rule, p.rule) AS rule,
        1 AS payment,
        0 AS quarantined,
        CASE WHEN coalesce(e.decision, p.decision) <> 'suspended' AND raised.line IS NULL THEN 1 ELSE 0 END AS untouched,
        CASE WHEN coalesce(e.decision, p.decision) = 'suspended' THEN 1 ELSE 0 END AS suspended,
        coalesce(p.paid, 0) AS paid
    FROM told AS t
    -- Large remittances are settled in the order of their claims.
    JOIN claim_payments AS p ON p.book = :'book' AND p.remittance = t.id AND p.line <= t.settled_claim_count
    LEFT JOIN replaced AS e ON e.remittance = p.remittance AND e.line = p.line
    LEFT JOIN raised ON raised.remittance = p.remittance AND raised.line = p.line
    UNION ALL
    SELECT told_by, month, currency, '', 0, claim_count, 0, 0, 0 FROM told WHERE state = 'quarantined'
), grouped AS (
    SELECT
        CASE WHEN :'by_payer' <> '' OR :'by_month' || :'by_rule' = '' THEN told_by END AS payer,
        CASE WHEN :'by_month' <> '' OR :'by_payer' || :'by_rule' = '' THEN month END AS month,
        CASE WHEN :'by_rule' <> '' THEN rule END AS rule,
        currency,
        payment,
        quarantined,
        untouched,
        suspended,
        paid
    FROM payments
)
SELECT
    payer,
    month,
    rule,
    currency,
    sum(payment) AS payment_count,
    sum(untouched) AS untouched_count,
    sum(payment - untouched) AS looked_at_count,
    sum(suspended) AS suspended_count,
    sum(quarantined) AS quarantined_count,
    CAST(round(100.0 * sum(untouched) / nullif(sum(payment + quarantined), 0), 2) AS text) AS untouched_share,
    sum(paid) AS paid,
    sum(paid * untouched) AS untouched_paid,
    sum(paid * (1 - untouched)) AS looked_at_paid
FROM grouped
GROUP BY payer, month, rule, currency
ORDER BY payer COLLATE "C", month, rule COLLATE "C", currency
