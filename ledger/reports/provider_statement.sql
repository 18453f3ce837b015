-- Provider statement: what a provider was paid for in a pay cycle, line by line.
-- For psql, say first which book, cycle and provider:
-- \set book 'main'
-- \set cycle '2026-04-15'
-- \set provider 'PT-07'
-- Amounts are whole minor units (cents). First what was carried from the cycle before (zero or less), then what this cycle
-- counted, each session once, then the payment: all together is what is left, zero or less. A claim that a payer denied
-- is not among them, since it changes nothing. Of a line that was held or left there is what is carried, and why.
WITH line AS (
    SELECT l.*, c.cycle, c.pay_date, r.outcome AS came_to, r.amount AS paid, r.entry_number, r.reason AS told
    FROM pay_cycles AS c
    JOIN pay_cycle_lines AS l ON l.book = c.book AND l.proposal = c.proposal AND l.provider = :'provider'
    JOIN pay_cycle_results AS r ON r.book = c.book AND r.cycle = c.cycle AND r.account = l.account
    WHERE c.book = :'book' AND c.cycle = CAST(:'cycle' AS date)
), told AS (
    SELECT
        1 AS place,
        'carried' AS line,
        CAST(NULL AS date) AS effective_date,
        CAST(NULL AS bigint) AS entry_number,
        CAST(NULL AS date) AS service_date,
        CAST(NULL AS text) AS claim,
        CAST(NULL AS text) AS session,
        CAST(NULL AS text) AS service_code,
        line.told AS description,
        line.currency,
        line.carried AS amount
    FROM line
    UNION ALL
    SELECT
        2, replace(i.kind, '_', ' '), e.effective_date, e.number, e.service_date, e.claim, e.session, e.service_code,
        e.description, line.currency, i.amount
    FROM line
    JOIN pay_cycle_items AS i ON i.book = line.book AND i.account = line.account AND i.cycle = line.cycle
    JOIN entries AS e ON e.book = i.book AND e.number = i.entry_number
    UNION ALL
    SELECT
        3, replace(line.came_to, '_', ' '), line.pay_date, line.entry_number, NULL, NULL, NULL, NULL, '', line.currency,
        -line.paid
    FROM line
)
SELECT line, effective_date, entry_number, service_date, claim, session, service_code, description, currency, amount
FROM told
ORDER BY place, entry_number;
