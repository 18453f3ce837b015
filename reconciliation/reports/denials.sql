-- Denials as they stood at the end of a day (UTC), what each left open, and how long ago it was first denied.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
SELECT * FROM (
    SELECT DISTINCT ON (d.claim, d.payer)
        d.claim, d.payer, d.state, d.effective_date AS since,
        CAST(:'as_of' AS date) - min(d.effective_date) OVER (PARTITION BY d.claim, d.payer) AS days,
        d.currency,
        d.open, -- minor units
        array_to_string(d.codes, ' ') AS codes,
        d.policy,
        d.reason,
        d.said_by
    FROM denials AS d
    WHERE d.book = :'book' AND d.effective_date <= CAST(:'as_of' AS date)
    ORDER BY d.claim, d.payer, d.version DESC
) AS last
ORDER BY claim, payer
