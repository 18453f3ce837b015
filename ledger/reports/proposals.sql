-- What waited for a second person at the end of a day (UTC), oldest first: a row for each currency of a proposal.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- Amounts are whole minor units: an entry's debits, the limit that is wanted (none where it is to be removed), what a
-- pay cycle would pay; none for a change of bank details.
SELECT
    p.number,
    p.proposed_at,
    p.proposed_by,
    p.act,
    wanted.currency,
    wanted.amount,
    CAST(:'as_of' AS date) - CAST(p.proposed_at AT TIME ZONE 'UTC' AS date) AS days_open,
    p.reason
FROM proposals AS p
LEFT JOIN proposal_decisions AS d ON d.book = p.book AND d.proposal = p.number
CROSS JOIN LATERAL (
    SELECT
        posting #>> '{amount,currency_code}' AS currency,
        sum(CAST(posting #>> '{amount,minor_units}' AS bigint)) AS amount
    FROM jsonb_array_elements(p.shown #> '{entry,postings}') AS posting
    WHERE posting ->> 'side' = 'SIDE_DEBIT'
    GROUP BY posting #>> '{amount,currency_code}'

    UNION ALL
    SELECT
        p.shown #>> '{limit,after,currency_code}',
        CASE
            WHEN p.shown #> '{limit,after,amount}' IS NOT NULL
            THEN CAST(coalesce(p.shown #>> '{limit,after,amount,minor_units}', '0') AS bigint)
        END
    WHERE p.act = 'set_approval_limit'

    UNION ALL
    SELECT CAST(NULL AS text), CAST(NULL AS bigint) -- a month is about no amount
    WHERE p.act = 'reopen_period'

    UNION ALL
    SELECT total #>> '{planned,currency_code}', CAST(coalesce(total #>> '{planned,minor_units}', '0') AS bigint)
    FROM jsonb_array_elements(p.shown #> '{pay_cycle,totals}') AS total

    UNION ALL
    SELECT p.shown #>> '{payee,after,currency_code}', NULL
    WHERE p.act = 'accept_payee'
) AS wanted
WHERE p.book = :'book'
    AND p.proposed_at < CAST(:'as_of' AS date) + 1
    AND (d.decided_at IS NULL OR d.decided_at >= CAST(:'as_of' AS date) + 1)
ORDER BY p.number, wanted.currency;
