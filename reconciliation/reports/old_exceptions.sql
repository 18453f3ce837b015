-- What has waited for a person for more than so many days at a time, oldest first. In psql, set these first:
-- \set book 'main'
-- \set now '2026-05-04 09:00:00+00'
-- \set days '30'
SELECT
    x.reason,
    CAST(x.id AS text) AS id,
    x.currency,
    x.amount, -- minor units
    CAST(x.opened_at AT TIME ZONE 'UTC' AS date) AS since,
    CAST(CAST(:'now' AS timestamptz) AT TIME ZONE 'UTC' AS date) - CAST(x.opened_at AT TIME ZONE 'UTC' AS date) AS days
FROM exceptions AS x
WHERE x.book = :'book' AND x.closed_at IS NULL
    AND CAST(CAST(:'now' AS timestamptz) AT TIME ZONE 'UTC' AS date) - CAST(x.opened_at AT TIME ZONE 'UTC' AS date)
        > CAST(:'days' AS integer)
ORDER BY x.opened_at, x.id;
