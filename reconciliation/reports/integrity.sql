-- What must hold between the mail room and the books. Returns no rows while it does.
WITH cleared AS (
    -- What the entries of a remittance moved through its clearing account.
    SELECT e.book, e.remittance, sum(p.amount) AS amount
    FROM entries AS e
    JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
    WHERE e.remittance IS NOT NULL AND p.account LIKE 'Assets:RemittanceClearing:%'
        AND e.kind IN (
            'claim_paid', 'claim_adjusted', 'payment_reversed', 'payment_suspended', 'provider_level_adjusted'
        )
    GROUP BY e.book, e.remittance
), banked AS (
    -- What the entries of the bank moved, by entry, account and item.
    SELECT e.book, e.number, e.kind, p.account, p.item, sum(p.amount) AS amount
    FROM entries AS e
    JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number
    WHERE e.kind IN ('deposit_received', 'deposit_applied', 'deposit_unapplied', 'deposit_returned')
    GROUP BY e.book, e.number, e.kind, p.account, p.item
), kept AS (
    -- A deposit, less what of it was taken back; what of it is applied, and what the books keep of it as unapplied.
    SELECT d.book, d.id, d.amount + coalesce(r.amount, 0) AS amount,
        coalesce((
            SELECT sum(a.amount) FROM deposit_applications AS a WHERE a.book = d.book AND a.deposit = d.id
        ), 0) AS applied,
        -coalesce(i.amount, 0) AS unapplied
    FROM deposits AS d
    LEFT JOIN (
        SELECT book, item, sum(amount) AS amount FROM banked
        WHERE account = 'Liabilities:UnappliedCash' GROUP BY book, item
    ) AS i ON i.book = d.book AND i.item = CAST(d.id AS text)
    LEFT JOIN deposits AS r ON r.book = d.book AND r.returns = d.id
    WHERE d.returns IS NULL
)
SELECT 'clearing_equals_payment' AS check_name, r.book, CAST(r.id AS text) AS subject,
    CAST(r.paid AS text) AS expected, CAST(coalesce(c.amount, 0) AS text) AS found
FROM remittances AS r
LEFT JOIN cleared AS c ON c.book = r.book AND c.remittance = CAST(r.id AS text)
WHERE r.state = 'settled' AND coalesce(c.amount, 0) <> r.paid
UNION ALL
SELECT 'quarantined_posts_nothing', r.book, CAST(r.id AS text), '0', CAST(c.amount AS text)
FROM remittances AS r
JOIN cleared AS c ON c.book = r.book AND c.remittance = CAST(r.id AS text)
WHERE r.state IN ('quarantined', 'duplicate', 'waiting') AND c.amount <> 0
UNION ALL
SELECT 'every_claim_decided', r.book, CAST(r.id AS text), CAST(r.settled_claim_count AS text), CAST(count(c.line) AS text)
FROM remittances AS r
LEFT JOIN claim_payments AS c ON c.book = r.book AND c.remittance = r.id
GROUP BY r.book, r.id, r.settled_claim_count
HAVING count(c.line) <> r.settled_claim_count
UNION ALL
SELECT 'paid_equals_posted_and_suspended', r.book, CAST(r.id AS text), CAST(r.paid AS text),
    CAST(r.posted + r.suspended AS text)
FROM remittances AS r
WHERE r.state = 'settled' AND r.paid IS DISTINCT FROM r.posted + r.suspended
UNION ALL
-- What a payer carries forward belongs to an item of the worklist.
SELECT 'carried_forward_has_its_item', c.book, c.account || ' ' || c.item, 'an item', 'none'
FROM (
    SELECT book, account, item FROM postings
    WHERE account LIKE 'Liabilities:ForwardBalances:%' GROUP BY book, account, item HAVING sum(amount) < 0
) AS c
WHERE EXISTS (
        SELECT FROM provider_level_adjustments AS a
        WHERE a.book = c.book AND a.account = c.account AND a.amount < 0
            AND c.item IN (a.reference, a.remittance || ':PLB:' || a.line)
    )
    AND NOT EXISTS (
        SELECT FROM forward_balances AS f WHERE f.book = c.book AND f.account = c.account AND f.item = c.item
    )
UNION ALL
-- A remittance stands as was said of it last.
SELECT 'remittance_as_its_history_says', r.book, CAST(r.id AS text),
    coalesce(last.state || ' ' || coalesce(last.payer, '-') || ' ' || last.posted || ' ' || last.suspended, 'nothing said'),
    r.state || ' ' || coalesce(r.payer, '-') || ' ' || r.posted || ' ' || r.suspended
FROM remittances AS r
LEFT JOIN LATERAL (
    SELECT * FROM remittance_states AS s
    WHERE s.book = r.book AND s.remittance = r.id ORDER BY s.version DESC LIMIT 1
) AS last ON true
WHERE (r.state, r.payer, r.posted, r.suspended, r.settled_claim_count)
    IS DISTINCT FROM (last.state, last.payer, last.posted, last.suspended, last.settled_claim_count)
UNION ALL
-- Every cent between what was charged and what was paid for a claim is in a bucket, where the buckets are known.
SELECT 'adjusted_to_what_was_paid', c.book, c.remittance || ' ' || c.line, CAST(c.paid AS text),
    CAST(c.charge - c.contractual - c.patient - c.denial - c.other_payer - c.suspense AS text)
FROM claim_payments AS c
WHERE num_nulls(c.contractual, c.patient, c.denial, c.other_payer, c.suspense) < 5
    AND c.charge - c.contractual - c.patient - c.denial - c.other_payer - c.suspense IS DISTINCT FROM c.paid
UNION ALL
-- What moves beside a claim payment is between payers and patient: no money comes or goes by it.
SELECT 'moves_clear_nothing', m.book, CAST(m.entry_number AS text), m.move, p.account
FROM claim_moves AS m
JOIN postings AS p ON p.book = m.book AND p.entry_number = m.entry_number
WHERE p.account LIKE 'Assets:RemittanceClearing:%' OR p.account LIKE 'Liabilities:Payable:%' OR p.account = 'Assets:Cash'
UNION ALL
-- A denial that is absorbed was posted as such, on its own claim.
SELECT 'absorbed_as_posted', d.book, d.claim, 'denial_absorbed', coalesce(e.kind || ' of ' || e.claim, 'nothing')
FROM denials AS d
LEFT JOIN entries AS e ON e.book = d.book AND e.number = d.entry_number
WHERE d.state = 'absorbed' AND (e.kind IS DISTINCT FROM 'denial_absorbed' OR e.claim IS DISTINCT FROM d.claim)
UNION ALL
-- A claim payment stands as a person has said last, and nothing else says that a person did.
SELECT 'claim_payment_as_said', coalesce(c.book, m.book),
    coalesce(c.remittance, m.remittance) || ' ' || coalesce(c.line, m.line),
    coalesce(m.state, 'nothing said') || coalesce(' ' || m.entry_number, ''), c.rule || coalesce(' ' || c.entry_number, '')
FROM (
    SELECT DISTINCT ON (book, remittance, line) * FROM claim_matches WHERE state IN ('matched', 'unmatched')
    ORDER BY book, remittance, line, number DESC
) AS m
FULL JOIN (SELECT * FROM claim_payments WHERE rule IN ('by_hand', 'unmatched')) AS c
    ON c.book = m.book AND c.remittance = m.remittance AND c.line = m.line
WHERE (m.state, m.entry_number) IS DISTINCT FROM
    (CASE c.rule WHEN 'by_hand' THEN 'matched' ELSE c.rule END, c.entry_number)
UNION ALL
-- A reversal of which a person has said what it takes back takes back that, and nothing once that was said to be wrong.
SELECT 'reversal_takes_back_as_said', c.book, c.remittance || ' ' || c.line,
    coalesce(m.original_remittance || ' ' || m.original_line, 'nothing'),
    coalesce(c.reverses_remittance || ' ' || c.reverses_line, 'nothing')
FROM (
    SELECT DISTINCT ON (book, remittance, line)
        book, remittance, line,
        CASE state WHEN 'matched' THEN original_remittance END AS original_remittance,
        CASE state WHEN 'matched' THEN nullif(original_line, 0) END AS original_line
    FROM claim_matches WHERE state IN ('matched', 'unmatched')
    ORDER BY book, remittance, line, number DESC
) AS m
JOIN claim_payments AS c ON c.book = m.book AND c.remittance = m.remittance AND c.line = m.line
WHERE (m.original_remittance, m.original_line) IS DISTINCT FROM (c.reverses_remittance, c.reverses_line)
UNION ALL
-- What is closed is what its history ends with.
SELECT 'closed_as_its_history_says', x.book, CAST(x.id AS text), coalesce(last.change, 'opened'),
    CASE WHEN x.closed_at IS NULL THEN 'open' ELSE 'closed' END
FROM exceptions AS x
LEFT JOIN LATERAL (
    -- The last change but for a new owner.
    SELECT change FROM exception_events AS e
    WHERE e.book = x.book AND e.exception = x.id AND e.change <> 'assigned' ORDER BY e.version DESC LIMIT 1
) AS last ON true
WHERE (x.closed_at IS NULL) <> (coalesce(last.change, 'opened_again') = 'opened_again')
UNION ALL
SELECT 'deposit_is_in_cash_once', d.book, CAST(d.id AS text), CAST(d.amount AS text), CAST(coalesce(b.amount, 0) AS text)
FROM deposits AS d
LEFT JOIN banked AS b ON b.book = d.book AND b.number = d.entry_number AND b.account = 'Assets:Cash'
WHERE coalesce(b.amount, 0) <> d.amount
UNION ALL
SELECT 'cash_of_the_bank_is_of_a_deposit', b.book, CAST(b.number AS text), 'a deposit', CAST(b.amount AS text)
FROM banked AS b
WHERE b.account = 'Assets:Cash'
    AND NOT EXISTS (SELECT FROM deposits AS d WHERE d.book = b.book AND d.entry_number = b.number)
UNION ALL
SELECT 'deposit_is_applied_or_unapplied', k.book, CAST(k.id AS text), CAST(k.amount AS text),
    CAST(k.applied + k.unapplied AS text)
FROM kept AS k
WHERE k.amount <> k.applied + k.unapplied
UNION ALL
SELECT 'application_is_in_its_entry', coalesce(b.book, a.book), CAST(coalesce(b.number, a.entry_number) AS text),
    CAST(coalesce(a.amount, 0) AS text), CAST(coalesce(-b.amount, 0) AS text)
FROM (
    SELECT book, number, account, sum(amount) AS amount FROM banked
    WHERE account LIKE 'Assets:RemittanceClearing:%' GROUP BY book, number, account
) AS b
FULL JOIN (
    SELECT a.book, a.entry_number, r.clearing, sum(a.amount) AS amount
    FROM deposit_applications AS a
    JOIN remittances AS r ON r.book = a.book AND r.id = a.remittance
    GROUP BY a.book, a.entry_number, r.clearing
) AS a ON a.book = b.book AND a.entry_number = b.number AND a.clearing = b.account
WHERE coalesce(a.amount, 0) <> coalesce(-b.amount, 0)
UNION ALL
SELECT 'remittance_adds_up_applications', r.book, CAST(r.id AS text), CAST(coalesce(sum(a.amount), 0) AS text),
    CAST(r.applied AS text)
FROM remittances AS r
LEFT JOIN deposit_applications AS a ON a.book = r.book AND a.remittance = r.id
GROUP BY r.book, r.id, r.applied
HAVING coalesce(sum(a.amount), 0) <> r.applied
UNION ALL
SELECT 'statement_posts_its_deposits', s.book, CAST(s.id AS text), CAST(s.posted AS text),
    CAST(coalesce(sum(d.amount), 0) AS text)
FROM bank_statements AS s
LEFT JOIN deposits AS d ON d.book = s.book AND d.statement = s.id
GROUP BY s.book, s.id, s.posted
HAVING coalesce(sum(d.amount), 0) <> s.posted
ORDER BY 1, 2, 3
