-- What a person had to look at at the end of a day (UTC), oldest first.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
SELECT
    x.opened_at,
    x.reason,
    coalesce(r.payer, r.signed_by, d.payer, d.payer_identifier, '') AS payer,
    coalesce(r.trace, (
        SELECT string_agg(t.trace, ' ' ORDER BY t.trace) FROM deposit_traces AS t
        WHERE t.book = x.book AND t.deposit = x.deposit
    ), '') AS trace,
    x.line,
    x.claim_as_sent,
    coalesce(x.claim, '') AS claim,
    x.currency,
    x.amount, -- minor units
    x.detail,
    coalesce((
        SELECT e.owner FROM exception_events AS e
        WHERE e.book = x.book AND e.exception = x.id AND e.said_at < CAST(:'as_of' AS date) + 1
        ORDER BY e.version DESC LIMIT 1
    ), '') AS owner,
    x.id
FROM exceptions AS x
LEFT JOIN remittances AS r ON r.book = x.book AND r.id = x.remittance
LEFT JOIN deposits AS d ON d.book = x.book AND d.id = x.deposit
WHERE x.book = :'book'
    AND x.opened_at < CAST(:'as_of' AS date) + 1
    AND (x.closed_at IS NULL OR x.closed_at >= CAST(:'as_of' AS date) + 1)
ORDER BY x.opened_at, x.id
