-- Advance exposure: what providers were paid for sessions before payers paid, what has come of it since, and what has not:
-- by payer, and by the days since the payout. Beside it, what absorbed denials cost in a period.
-- For psql, say first which book, day, entry, and the first day of the period (-infinity: from the beginning):
-- \set book 'main'
-- \set as_of '2026-06-30'
-- \set as_known_at '9223372036854775807'
-- \set effective_from '2026-06-01'
-- An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry of a time.
-- Amounts are whole minor units (cents).
--
-- 1. Which sessions were paid. On each payable, whatever was paid or taken off settles what was earned, in order: payouts by
--    effective date and entry; sessions (and what else raised the payable) first by the pay cycle that counted them, up to
--    the last one paid, then by effective date and entry. So a cycle pays what it counted, and a lump the oldest sessions.
--    What was undone is left out with what undid it. What a payout settles is paid; what a charge settles is not.
-- 2. What has come of it, claim by claim. The payments to providers for the sessions of a claim are held against: what
--    came of the claim (received), what payers owe of it (exposure), what the patient owes of it (patient), what was
--    absorbed, what the contract did not allow (contractual), what was written off by hand (other), each as far as it goes
--    and in this order; what is left was paid above all that was allowed (above_allowed). So
--    paid = received + exposure + patient + absorbed + contractual + other + above_allowed.
--    What came covers the oldest payout first: the age of what is exposed is that of the later ones.
-- A claim belongs to the payer that its sessions name, whoever owes it now; where they name several, to none. In the row
-- without a payer other is also what was paid for no session: a bonus posted by hand, or beyond all that was earned.
-- unpaid is what providers have not been paid yet, less what they were paid beyond: Liabilities:Payable:Provider.
-- receivable is all that payers owe, whether the provider was paid or not: Assets:Receivable:Insurer. absorption_cost is
-- what moved Expenses:DenialsAbsorbed in the period.
-- By windows rather than by joins: a plan made while PostgreSQL has no statistics of a book that was just filled would
-- compare everything with everything.
WITH payables AS (
    SELECT
        p.account,
        p.currency,
        coalesce(e.reverses, e.number) AS act,
        -p.amount AS amount,
        e.effective_date,
        e.kind,
        e.reverses IS NOT NULL AS undoes,
        e.claim,
        e.payer,
        CAST(NULL AS date) AS cycle,
        CAST(NULL AS date) AS paid_cycle
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account = 'Liabilities:Payable:Provider'
            OR (p.account > 'Liabilities:Payable:Provider:' AND p.account < 'Liabilities:Payable:Provider;')
        )
    UNION ALL
    SELECT account, NULL, entry_number, 0, NULL, NULL, NULL, NULL, NULL, cycle, NULL
    FROM pay_cycle_items
    WHERE book = :'book'
    UNION ALL
    SELECT account, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, max(cycle)
    FROM pay_cycle_results
    WHERE book = :'book' AND entry_number <= CAST(:'as_known_at' AS bigint)
    GROUP BY account
), counted AS (
    SELECT *, max(paid_cycle) OVER (PARTITION BY account) AS last_paid_cycle FROM payables
), acts AS (
    SELECT
        account,
        act,
        min(currency) AS currency,
        sum(amount) AS amount,
        coalesce(min(effective_date) FILTER (WHERE NOT undoes), min(effective_date)) AS day,
        min(kind) FILTER (WHERE NOT undoes) AS kind,
        min(claim) FILTER (WHERE NOT undoes) AS claim,
        min(payer) FILTER (WHERE NOT undoes) AS payer,
        CASE WHEN sum(amount) > 0 AND max(cycle) <= max(last_paid_cycle) THEN max(cycle) END AS cycle
    FROM counted
    GROUP BY account, act
    HAVING sum(amount) <> 0
), stacked AS (
    -- What was earned, and what settled it, each laid end to end.
    SELECT
        *,
        amount > 0 AS is_earned,
        sum(abs(amount)) OVER (
            PARTITION BY account, amount > 0 ORDER BY cycle NULLS LAST, day, act
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS ends
    FROM acts
), cut AS (
    -- Both cut where either ends: each piece is of one earning and of one payment, the next that end.
    SELECT
        account,
        currency,
        is_earned,
        day,
        kind,
        claim,
        payer,
        ends - coalesce(lag(ends) OVER along, 0) AS amount,
        count(*) FILTER (WHERE is_earned) OVER before AS earnings_before,
        count(*) FILTER (WHERE NOT is_earned) OVER before AS payments_before
    FROM stacked
    WINDOW
        along AS (PARTITION BY account ORDER BY ends, act),
        before AS (PARTITION BY account ORDER BY ends, act ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), pieces AS (
    SELECT
        currency,
        amount,
        max(kind) FILTER (WHERE is_earned) OVER earning AS earned_by,
        bool_or(is_earned) OVER earning AS is_earned,
        max(claim) FILTER (WHERE is_earned) OVER earning AS claim,
        max(payer) FILTER (WHERE is_earned) OVER earning AS payer,
        max(kind) FILTER (WHERE NOT is_earned) OVER payment AS paid_by,
        bool_or(NOT is_earned) OVER payment AS is_settled,
        max(day) FILTER (WHERE NOT is_earned) OVER payment AS paid_on
    FROM cut
    WINDOW
        earning AS (PARTITION BY account, earnings_before),
        payment AS (PARTITION BY account, payments_before)
), facts AS (
    -- What became of the claims: the receivables, and what was given up of them.
    SELECT
        coalesce(p.item, p.account) AS claim,
        p.account,
        p.currency,
        p.amount,
        CASE
            WHEN p.account = 'Assets:Receivable:Patient' THEN 'patient'
            WHEN p.account < 'Assets:Receivable;' THEN 'insurer'
            WHEN p.account < 'Expenses;' THEN 'absorbed'
            ELSE 'contractual'
        END AS part,
        CASE WHEN e.kind = 'session_earned' THEN e.payer END AS payer,
        CASE e.kind
            WHEN 'reversal' THEN (SELECT o.kind FROM entries AS o WHERE o.book = e.book AND o.number = e.reverses)
            ELSE e.kind
        END = 'session_earned' AS is_session,
        -- By hand, money came where the entry touches money or what is owed; else it was written off.
        e.kind NOT IN ('manual', 'reversal') OR EXISTS (
            SELECT FROM postings AS m
            WHERE m.book = p.book AND m.entry_number = p.entry_number
                AND (
                    m.account = 'Assets:Cash'
                    OR (m.account > 'Assets:Cash:' AND m.account < 'Assets:Cash;')
                    OR (m.account > 'Assets:RemittanceClearing:' AND m.account < 'Assets:RemittanceClearing;')
                    OR (m.account > 'Liabilities:' AND m.account < 'Liabilities;')
                )
        ) AS is_money,
        p.effective_date >= CAST(:'effective_from' AS date) AS is_of_period
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book' AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (
            p.account IN (
                'Assets:Receivable:Insurer', 'Assets:Receivable:Patient', 'Expenses:DenialsAbsorbed',
                'Revenue:ContractualAdjustments'
            )
            OR (p.account > 'Assets:Receivable:Insurer:' AND p.account < 'Assets:Receivable:Insurer;')
            OR (p.account > 'Expenses:DenialsAbsorbed:' AND p.account < 'Expenses:DenialsAbsorbed;')
            OR (p.account > 'Revenue:ContractualAdjustments:' AND p.account < 'Revenue:ContractualAdjustments;')
        )
), fates AS (
    SELECT
        claim,
        currency,
        CASE WHEN min(payer) = max(payer) THEN min(payer) END AS payer,
        count(payer) > 0 AS has_sessions,
        CASE
            WHEN min(account) FILTER (WHERE part = 'insurer') = max(account) FILTER (WHERE part = 'insurer')
                THEN max(account) FILTER (WHERE part = 'insurer')
        END AS account,
        coalesce(-sum(amount) FILTER (WHERE NOT is_session AND is_money), 0) AS received,
        coalesce(sum(amount) FILTER (WHERE part = 'insurer'), 0) AS receivable,
        coalesce(sum(amount) FILTER (WHERE part = 'patient'), 0) AS of_patient,
        coalesce(sum(amount) FILTER (WHERE part = 'absorbed'), 0) AS absorbed,
        coalesce(sum(amount) FILTER (WHERE part = 'contractual'), 0) AS contractual,
        coalesce(-sum(amount) FILTER (WHERE NOT is_session AND NOT is_money), 0) AS other,
        coalesce(sum(amount) FILTER (WHERE part = 'absorbed' AND is_of_period), 0) AS absorption_cost
    FROM facts
    GROUP BY claim, currency
), lines AS (
    SELECT
        CASE WHEN earned_by = 'session_earned' THEN claim END AS claim,
        currency,
        CASE WHEN earned_by = 'session_earned' THEN payer END AS payer,
        CAST(NULL AS text) AS account_payer,
        paid_on,
        CASE WHEN paid_by = 'provider_paid' THEN amount ELSE 0 END AS paid,
        CASE WHEN is_settled IS NOT TRUE THEN amount WHEN is_earned IS NOT TRUE THEN -amount ELSE 0 END AS unpaid,
        CAST(NULL AS numeric[]) AS marks,
        0 AS receivable,
        0 AS absorption_cost
    FROM pieces
    WHERE amount > 0
    UNION ALL
    SELECT
        claim,
        currency,
        payer,
        -- Of a claim without a session, the payer as the sessions on its account name it.
        CASE
            WHEN has_sessions OR account IS NULL THEN ''
            ELSE coalesce(max(payer) OVER (PARTITION BY account), split_part(account, ':', -1))
        END,
        NULL,
        0,
        0,
        -- How far each reaches, one laid behind the other.
        ARRAY[
            came,
            came + owed,
            came + owed + patient_owes,
            came + owed + patient_owes + lost,
            came + owed + patient_owes + lost + disallowed,
            came + owed + patient_owes + lost + disallowed + written_off
        ],
        receivable,
        absorption_cost
    FROM fates
    CROSS JOIN LATERAL (
        SELECT
            greatest(received, 0) AS came,
            greatest(receivable, 0) AS owed,
            greatest(of_patient, 0) AS patient_owes,
            greatest(absorbed, 0) AS lost,
            greatest(contractual, 0) AS disallowed,
            greatest(other, 0) AS written_off
    ) AS part
), held AS (
    SELECT
        claim,
        currency,
        paid_on,
        paid,
        unpaid,
        receivable,
        absorption_cost,
        coalesce(
            CASE WHEN min(payer) OVER of_claim = max(payer) OVER of_claim THEN min(payer) OVER of_claim END,
            max(account_payer) OVER of_claim, ''
        ) AS payer,
        sum(paid) OVER (PARTITION BY claim, currency ORDER BY paid_on NULLS FIRST ROWS UNBOUNDED PRECEDING) AS up_to,
        coalesce(max(marks) OVER of_claim, '{0,0,0,0,0,0}') AS marks
    FROM lines
    WINDOW of_claim AS (PARTITION BY claim, currency)
), told AS (
    -- The part of a payment, which reaches from up_to - paid to up_to, that lies below each mark.
    SELECT
        payer,
        currency,
        CAST(:'as_of' AS date) - paid_on AS days,
        paid,
        unpaid,
        receivable,
        absorption_cost,
        up_to - paid <= marks[1] AS is_first_exposed,
        least(up_to, marks[1]) - least(up_to - paid, marks[1]) AS received,
        least(up_to, marks[2]) - least(up_to - paid, marks[2]) AS to_exposed,
        least(up_to, marks[3]) - least(up_to - paid, marks[3]) AS to_patient,
        least(up_to, marks[4]) - least(up_to - paid, marks[4]) AS to_absorbed,
        least(up_to, marks[5]) - least(up_to - paid, marks[5]) AS to_contractual,
        CASE WHEN claim IS NULL THEN paid ELSE least(up_to, marks[6]) - least(up_to - paid, marks[6]) END AS to_other
    FROM held
), parted AS (
    SELECT *, to_exposed - received AS exposure FROM told
)
SELECT
    payer,
    currency,
    count(*) FILTER (WHERE exposure > 0 AND is_first_exposed) AS claim_count,
    sum(paid) AS paid,
    sum(received) AS received,
    coalesce(sum(exposure) FILTER (WHERE days <= 30), 0) AS days_0_30,
    coalesce(sum(exposure) FILTER (WHERE days BETWEEN 31 AND 60), 0) AS days_31_60,
    coalesce(sum(exposure) FILTER (WHERE days BETWEEN 61 AND 90), 0) AS days_61_90,
    coalesce(sum(exposure) FILTER (WHERE days BETWEEN 91 AND 120), 0) AS days_91_120,
    coalesce(sum(exposure) FILTER (WHERE days > 120), 0) AS over_120_days,
    sum(exposure) AS exposure,
    sum(to_patient - to_exposed) AS patient,
    sum(to_absorbed - to_patient) AS absorbed,
    sum(to_contractual - to_absorbed) AS contractual,
    sum(to_other - to_contractual) AS other,
    sum(paid - to_other) AS above_allowed,
    sum(unpaid) AS unpaid,
    sum(receivable) AS receivable,
    sum(absorption_cost) AS absorption_cost
FROM parted
GROUP BY payer, currency
HAVING bool_or(paid <> 0 OR unpaid <> 0 OR receivable <> 0 OR absorption_cost <> 0)
ORDER BY payer COLLATE "C", currency;
