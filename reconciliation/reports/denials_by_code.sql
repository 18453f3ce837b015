-- Denials by payer and by the codes that it named, as they stood at the end of a day: what was refused and what became of it,
-- and what that did to the books.
-- In psql, set these first:
-- \set book 'main'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set as_known_until 'infinity'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time. Known of
-- denials is what was said before as_known_until: what is known at an entry was said before the next one was recorded.
-- Amounts are whole minor units (cents). refused is what each denial last left open, told once by how the denial stands:
-- refused = waiting + under_appeal + overturned + absorbed + recovered + taken_back. under_appeal is appealed or sent again,
-- before or after it was absorbed. still_open is what is open of those that are neither paid nor absorbed, as was last said.
-- booked_loss is what was posted to Expenses:DenialsAbsorbed, booked_recovery what was taken off it again by what came
-- after all; what was undone is in neither. net_loss is the first less the second, and adds up to the account. A loss of a
-- claim that no payer has denied by an 835 is in a row without codes.
-- What was matched to a claim wrongly, and so withdrawn, was no denial of it.
-- A denial with several codes is in the row of all of them together: an 835 does not say which of them refused how much.
WITH lives AS (
    SELECT
        d.claim,
        d.payer,
        d.state,
        d.currency,
        d.open,
        array_to_string(d.codes, ' ') AS codes,
        row_number() OVER (PARTITION BY d.claim, d.payer ORDER BY d.version DESC) AS age,
        first_value(d.open) OVER (
            PARTITION BY d.claim, d.payer ORDER BY d.state <> 'denied', d.version DESC
        ) AS refused
    FROM denials AS d
    WHERE d.book = :'book' AND d.effective_date <= CAST(:'as_of' AS date)
        AND d.said_at < CAST(:'as_known_until' AS timestamptz)
), losses AS (
    SELECT
        p.item AS claim,
        -- The payer whose denial the entry absorbed, or whose payment it is; else whose receivable it gave up.
        coalesce(said.payer, e.payer, split_part(owed.account, ':', -1)) AS payer,
        p.currency,
        p.amount,
        CASE coalesce(original.kind, e.kind)
            WHEN 'denial_absorbed' THEN true
            WHEN 'manual' THEN p.amount * CASE WHEN original.kind IS NULL THEN 1 ELSE -1 END > 0
            ELSE false
        END AS is_loss
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    LEFT JOIN entries AS original ON original.book = e.book AND original.number = e.reverses AND e.kind = 'reversal'
    LEFT JOIN LATERAL (
        SELECT d.payer FROM denials AS d
        WHERE d.book = p.book AND d.claim = p.item AND d.entry_number = p.entry_number LIMIT 1
    ) AS said ON true
    LEFT JOIN LATERAL (
        SELECT m.account FROM postings AS m
        WHERE m.book = p.book AND m.entry_number = p.entry_number AND m.account LIKE 'Assets:Receivable:Insurer:%' LIMIT 1
    ) AS owed ON true
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account = 'Expenses:DenialsAbsorbed'
            OR (p.account > 'Expenses:DenialsAbsorbed:' AND p.account < 'Expenses:DenialsAbsorbed;')
        )
), lines AS (
    SELECT claim, payer, currency, codes, state, open, refused, 0 AS loss, 0 AS recovery
    FROM lives
    WHERE age = 1 AND state <> 'withdrawn'
    UNION ALL
    SELECT
        claim,
        payer,
        currency,
        NULL,
        NULL,
        0,
        0,
        CASE WHEN is_loss THEN amount ELSE 0 END,
        CASE WHEN is_loss THEN 0 ELSE -amount END
    FROM losses
), named AS (
    -- A loss belongs to the one payer that has denied the claim; of several, to the one that its entry names.
    SELECT
        l.*,
        CASE
            WHEN l.state IS NULL AND l.claim IS NOT NULL AND min(l.payer) FILTER (WHERE l.state IS NOT NULL) OVER of_claim
                = max(l.payer) FILTER (WHERE l.state IS NOT NULL) OVER of_claim
                THEN min(l.payer) FILTER (WHERE l.state IS NOT NULL) OVER of_claim
            ELSE coalesce(l.payer, '')
        END AS by_payer
    FROM lines AS l
    WINDOW of_claim AS (PARTITION BY l.claim)
), coded AS (
    SELECT
        *,
        CASE WHEN claim IS NULL THEN '' ELSE coalesce(max(codes) OVER (PARTITION BY claim, by_payer), '') END AS by_codes
    FROM named
)
SELECT
    by_payer AS payer,
    by_codes AS codes,
    currency,
    count(state) AS denial_count,
    sum(refused) AS refused,
    coalesce(sum(refused) FILTER (WHERE state = 'denied'), 0) AS waiting,
    coalesce(sum(refused) FILTER (WHERE state IN ('appealed', 'resubmitted')), 0) AS under_appeal,
    coalesce(sum(refused) FILTER (WHERE state = 'overturned'), 0) AS overturned,
    coalesce(sum(refused) FILTER (WHERE state = 'absorbed'), 0) AS absorbed,
    coalesce(sum(refused) FILTER (WHERE state = 'recovered'), 0) AS recovered,
    coalesce(sum(refused) FILTER (WHERE state = 'taken_back'), 0) AS taken_back,
    coalesce(sum(open) FILTER (WHERE state IN ('denied', 'appealed', 'resubmitted', 'taken_back')), 0) AS still_open,
    sum(loss) AS booked_loss,
    sum(recovery) AS booked_recovery,
    sum(loss - recovery) AS net_loss
FROM coded
GROUP BY by_payer, by_codes, currency
ORDER BY by_payer COLLATE "C", by_codes COLLATE "C", currency
