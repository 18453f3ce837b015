-- Underpaid claims: every payment by which a payer allowed less than the contract was booked at, and what it said.
-- In psql, set these first: the days of payment, and how many entries after which number
-- \set book 'main'
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set after_entry_number '0'
-- \set page_size '1000'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents). booked is what the sessions of the claim were booked at before the payment, the
-- patient's part included; paid is what the payment paid (CLP04); underpaid is what it allowed less, and adds up to what
-- moved Revenue:ContractualAdjustments. said names the codes, or why somebody posted it by hand. What is taken off again,
-- by a payment that was taken back or an entry that was reversed, stands with its sign.
WITH page AS MATERIALIZED (
    SELECT DISTINCT p.entry_number
    FROM postings AS p
    WHERE p.book = :'book'
        AND p.effective_date >= CAST(:'effective_from' AS date) AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND p.entry_number > CAST(:'after_entry_number' AS bigint)
        AND (
            p.account = 'Revenue:ContractualAdjustments'
            OR (p.account > 'Revenue:ContractualAdjustments:' AND p.account < 'Revenue:ContractualAdjustments;')
        )
    ORDER BY p.entry_number
    LIMIT CAST(:'page_size' AS integer)
), adjusted AS MATERIALIZED (
    SELECT
        p.entry_number,
        p.item,
        p.currency,
        sum(p.amount) AS underpaid
    FROM page
    JOIN postings AS p ON p.book = :'book' AND p.entry_number = page.entry_number
    WHERE p.account = 'Revenue:ContractualAdjustments'
        OR (p.account > 'Revenue:ContractualAdjustments:' AND p.account < 'Revenue:ContractualAdjustments;')
    GROUP BY p.entry_number, p.item, p.currency
), told AS MATERIALIZED (
    SELECT remittance, line, min(detail) AS detail
    FROM exceptions
    WHERE book = :'book' AND reason = 'underpaid_against_contract' AND remittance IS NOT NULL
    GROUP BY remittance, line
)
SELECT
    a.entry_number,
    e.effective_date,
    coalesce(e.payer, '') AS payer,
    coalesce(a.item, '') AS claim,
    coalesce(r.trace, '') AS trace,
    a.currency,
    booked.amount AS booked,
    c.paid,
    a.underpaid,
    coalesce(told.detail, e.description) AS said
FROM adjusted AS a
JOIN entries AS e ON e.book = :'book' AND e.number = a.entry_number
LEFT JOIN LATERAL (
    SELECT remittance, line, paid FROM claim_payments
    WHERE book = :'book' AND claim = a.item AND entry_number = a.entry_number LIMIT 1
) AS c ON true
-- By the entry, which keeps its remittance whatever a person says of the claim payment later.
LEFT JOIN remittances AS r ON r.book = :'book' AND r.id = CASE
    WHEN e.remittance ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN CAST(e.remittance AS uuid)
END
LEFT JOIN told ON told.remittance = c.remittance AND told.line = c.line
LEFT JOIN LATERAL (
    SELECT sum(p.amount) AS amount
    FROM postings AS p
    JOIN entries AS s ON s.book = p.book AND s.number = p.entry_number
    LEFT JOIN entries AS original ON original.book = s.book AND original.number = s.reverses AND s.kind = 'reversal'
    WHERE p.book = :'book' AND p.item = a.item AND p.account > 'Assets:Receivable:' AND p.account < 'Assets:Receivable;'
        AND p.entry_number < a.entry_number AND coalesce(original.kind, s.kind) = 'session_earned'
) AS booked ON true
ORDER BY a.entry_number, a.item, a.currency
