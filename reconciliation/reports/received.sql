-- The money that remittances say was paid: received = posted + suspended + quarantined + waiting (+ still settling), by
-- currency. A duplicate is not received again. An amount that cannot be read is counted, not added.
-- In psql, set the book first:
-- \set book 'main'
SELECT
    currency,
    count(*) AS remittance_count,
    coalesce(sum(paid), 0) AS received,
    coalesce(sum(posted), 0) AS posted,
    coalesce(sum(suspended), 0) AS suspended,
    coalesce(sum(paid) FILTER (WHERE state = 'quarantined'), 0) AS quarantined,
    coalesce(sum(paid) FILTER (WHERE state = 'waiting'), 0) AS waiting,
    coalesce(sum(paid - posted - suspended) FILTER (WHERE state = 'settling'), 0) AS settling,
    count(*) FILTER (WHERE paid IS NULL) AS unreadable_count
FROM remittances
WHERE book = :'book' AND state <> 'duplicate'
GROUP BY currency
ORDER BY currency
