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
WHERE r.state IN ('quarantined', 'duplicate') AND c.amount <> 0
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
ORDER BY 1, 2, 3
