-- Integrity of pay cycles: recomputed from the entries. Returns no row while they are sound.
-- Paste it into psql as it is; it covers every book. Amounts are whole minor units, what is payable positive.
WITH settled AS (
    -- Lines whose items are counted for good, with the plan that was approved and what the plan says is left.
    SELECT
        r.book, r.account, r.cycle, r.outcome, r.amount, r.entry_number, r.closing, r.since, r.currency,
        l.carried, l.session_count, l.sessions, l.adjustment_count, l.adjustments, l.amount AS planned,
        lag(r.closing) OVER in_order AS closing_before
    FROM pay_cycle_results AS r
    JOIN pay_cycles AS c ON c.book = r.book AND c.cycle = r.cycle
    LEFT JOIN pay_cycle_lines AS l ON l.book = r.book AND l.proposal = c.proposal AND l.account = r.account
    WHERE r.closing IS NOT NULL
    WINDOW in_order AS (PARTITION BY r.book, r.account ORDER BY r.cycle)
), items AS (
    SELECT
        book, account, cycle,
        count(*) FILTER (WHERE kind = 'session') AS session_count,
        coalesce(sum(amount) FILTER (WHERE kind = 'session'), 0) AS sessions,
        count(*) FILTER (WHERE kind <> 'session') AS adjustment_count,
        coalesce(sum(amount) FILTER (WHERE kind <> 'session'), 0) AS adjustments
    FROM pay_cycle_items
    GROUP BY book, account, cycle
), payments AS (
    SELECT
        r.book, r.account, r.cycle, r.currency, r.amount, r.entry_number,
        s.entry_number AS settled_by,
        b.entry_number AS returned_by
    FROM pay_cycle_results AS r
    LEFT JOIN payment_states AS s ON s.book = r.book AND s.account = r.account AND s.cycle = r.cycle AND s.state = 'settled'
    LEFT JOIN payment_states AS b ON b.book = r.book AND b.account = r.account AND b.cycle = r.cycle AND b.state = 'returned'
    WHERE r.outcome = 'paid'
), moving AS (
    SELECT DISTINCT book, cycle, currency, number
    FROM payments CROSS JOIN LATERAL (VALUES (entry_number), (settled_by), (returned_by)) AS v (number)
    WHERE number IS NOT NULL
), in_transit AS (
    -- What a cycle has left in transit: as its payments stand, and as their entries moved it.
    SELECT
        p.book, p.cycle, p.currency,
        p.amount AS expected,
        coalesce((
            SELECT -sum(l.amount) FROM moving AS m
            JOIN postings AS l ON l.book = m.book AND l.entry_number = m.number
                AND l.account = 'Liabilities:PayoutsInTransit' AND l.currency = m.currency
            WHERE m.book = p.book AND m.cycle = p.cycle AND m.currency = p.currency
        ), 0) AS moved
    FROM (
        SELECT book, cycle, currency, coalesce(sum(amount) FILTER (WHERE settled_by IS NULL AND returned_by IS NULL), 0) AS amount
        FROM payments GROUP BY book, cycle, currency
    ) AS p
), faults AS (
    SELECT
        'cycle_item' AS check_name,
        i.book,
        i.account || ' in entry ' || i.entry_number AS subject,
        i.kind || ' of ' || i.amount AS expected,
        coalesce(e.kind || ' of ' || found.amount, 'no posting') AS found
    FROM pay_cycle_items AS i
    LEFT JOIN entries AS e ON e.book = i.book AND e.number = i.entry_number
    LEFT JOIN entries AS o ON o.book = e.book AND o.number = e.reverses AND e.kind = 'reversal'
    LEFT JOIN LATERAL (
        SELECT -sum(amount) AS amount FROM postings
        WHERE book = i.book AND entry_number = i.entry_number AND account = i.account
    ) AS found ON true
    WHERE found.amount IS DISTINCT FROM i.amount
        OR i.kind <> CASE
            WHEN e.kind = 'session_earned' THEN 'session'
            WHEN e.kind = 'payout_returned' THEN 'payment_returned'
            WHEN e.kind = 'reversal' AND o.kind = 'session_earned' THEN 'session_reversed'
            ELSE 'adjustment'
        END

    UNION ALL
    SELECT
        'cycle_line',
        s.book,
        s.account || ' in the cycle of ' || s.cycle,
        'as approved, ' || coalesce(s.session_count || ' sessions of ' || s.sessions || ' and ' || s.adjustment_count
            || ' adjustments of ' || s.adjustments, 'nothing'),
        coalesce(i.session_count, 0) || ' sessions of ' || coalesce(i.sessions, 0) || ' and '
            || coalesce(i.adjustment_count, 0) || ' adjustments of ' || coalesce(i.adjustments, 0)
    FROM settled AS s
    LEFT JOIN items AS i ON i.book = s.book AND i.account = s.account AND i.cycle = s.cycle
    WHERE (s.session_count, s.sessions, s.adjustment_count, s.adjustments) IS DISTINCT FROM (
        CAST(coalesce(i.session_count, 0) AS integer), CAST(coalesce(i.sessions, 0) AS bigint),
        CAST(coalesce(i.adjustment_count, 0) AS integer), CAST(coalesce(i.adjustments, 0) AS bigint)
    )

    UNION ALL
    SELECT
        'cycle_carried',
        book,
        account || ' in the cycle of ' || cycle,
        'carried ' || coalesce(closing_before, 0) || ', paid ' || planned || ', left ' || carried + sessions + adjustments - planned,
        'carried ' || carried || ', paid ' || amount || ', left ' || closing
    FROM settled
    WHERE carried <> coalesce(closing_before, 0) OR amount <> planned OR closing <> carried + sessions + adjustments - amount

    UNION ALL
    SELECT
        'cycle_payment',
        r.book,
        r.account || ' in the cycle of ' || r.cycle,
        r.amount || ' in transit on ' || c.pay_date || ' for ' || p.proposed_by,
        coalesce(e.kind || ' entry ' || e.number || ' of ' || e.effective_date || ' by ' || e.actor, 'no entry')
    FROM pay_cycle_results AS r
    JOIN pay_cycles AS c ON c.book = r.book AND c.cycle = r.cycle
    JOIN proposals AS p ON p.book = c.book AND p.number = c.proposal
    LEFT JOIN entries AS e ON e.book = r.book AND e.number = r.entry_number
    WHERE r.outcome = 'paid'
        AND (
            e.kind IS DISTINCT FROM 'provider_paid'
            OR e.pay_cycle IS DISTINCT FROM CAST(c.cycle AS text)
            OR e.effective_date <> c.pay_date
            OR e.actor <> p.proposed_by
            OR (SELECT count(*) FROM postings AS l WHERE l.book = r.book AND l.entry_number = r.entry_number
                AND (l.account, l.amount, l.currency) IN (
                    (r.account, r.amount, r.currency), ('Liabilities:PayoutsInTransit', -r.amount, r.currency)
                )) <> 2
        )

    UNION ALL
    -- Whatever an account's last settled cycle should have counted, and none did.
    SELECT
        'cycle_left_out',
        p.book,
        p.account || ' in entry ' || p.entry_number,
        'counted by a cycle, below entry ' || last.since,
        'counted by none'
    FROM (SELECT book, account, max(since) AS since FROM settled GROUP BY book, account) AS last
    JOIN postings AS p ON p.book = last.book AND p.account = last.account AND p.entry_number < last.since
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE NOT EXISTS (
            SELECT FROM pay_cycle_items AS i
            WHERE i.book = p.book AND i.entry_number = p.entry_number AND i.account = p.account
        )
        AND NOT EXISTS (SELECT FROM pay_cycle_results AS r WHERE r.book = p.book AND r.entry_number = p.entry_number)
        AND NOT EXISTS (SELECT FROM entry_reversals AS b WHERE b.book = p.book AND b.reverses = p.entry_number)
        AND (
            e.reverses IS NULL
            OR EXISTS (
                SELECT FROM pay_cycle_items AS i
                WHERE i.book = p.book AND i.entry_number = e.reverses AND i.account = p.account
            )
            OR EXISTS (SELECT FROM pay_cycle_results AS r WHERE r.book = p.book AND r.entry_number = e.reverses)
        )
    GROUP BY p.book, p.account, p.entry_number, last.since
    HAVING sum(p.amount) <> 0

    UNION ALL
    SELECT
        'cycle_approved',
        c.book,
        'the cycle of ' || c.cycle,
        c.line_count || ' lines, approved by another than its maker',
        coalesce(p.act || ' ' || coalesce(d.verdict, 'not decided'), 'no proposal') || ', '
            || (SELECT count(*) FROM pay_cycle_lines AS l WHERE l.book = c.book AND l.proposal = c.proposal) || ' lines'
    FROM pay_cycles AS c
    LEFT JOIN proposals AS p ON p.book = c.book AND p.number = c.proposal
    LEFT JOIN proposal_decisions AS d ON d.book = c.book AND d.proposal = c.proposal
    WHERE p.act IS DISTINCT FROM 'run_pay_cycle'
        OR d.verdict IS DISTINCT FROM 'approved'
        OR d.decided_by = d.proposed_by
        OR c.line_count <> (SELECT count(*) FROM pay_cycle_lines AS l WHERE l.book = c.book AND l.proposal = c.proposal)
        OR EXISTS (
            SELECT FROM pay_cycle_results AS r
            WHERE r.book = c.book AND r.cycle = c.cycle AND NOT EXISTS (
                SELECT FROM pay_cycle_lines AS l
                WHERE l.book = c.book AND l.proposal = c.proposal AND l.account = r.account
            )
        )

    UNION ALL
    SELECT 'cycle_in_transit', book, 'the cycle of ' || cycle || ' in ' || currency, CAST(expected AS text), CAST(moved AS text)
    FROM in_transit
    WHERE expected <> moved

    UNION ALL
    SELECT
        'payment_settled',
        p.book,
        'entry ' || p.settled_by,
        'payouts of ' || sum(p.amount),
        coalesce((
            SELECT CAST(sum(l.amount) AS text) FROM postings AS l
            WHERE l.book = p.book AND l.entry_number = p.settled_by AND l.account = 'Liabilities:PayoutsInTransit'
        ), 'none')
    FROM payments AS p
    WHERE p.settled_by IS NOT NULL
    GROUP BY p.book, p.settled_by
    HAVING sum(p.amount) IS DISTINCT FROM (
        SELECT sum(l.amount) FROM postings AS l
        WHERE l.book = p.book AND l.entry_number = p.settled_by AND l.account = 'Liabilities:PayoutsInTransit'
    )

    UNION ALL
    SELECT
        'payment_returned',
        p.book,
        p.account || ' in the cycle of ' || p.cycle,
        'entry ' || p.returned_by || ' takes back entry ' || p.entry_number,
        coalesce(e.kind || ' of entry ' || coalesce(e.reverses, 0), 'no entry')
    FROM payments AS p
    LEFT JOIN entries AS e ON e.book = p.book AND e.number = p.returned_by
    WHERE p.returned_by IS NOT NULL
        AND (e.kind IS DISTINCT FROM 'payout_returned' OR e.reverses IS DISTINCT FROM p.entry_number)

    UNION ALL
    -- Only what the bank did with payments makes such entries.
    SELECT
        'payment_marked',
        e.book,
        'entry ' || e.number,
        'payments that it marks',
        'none'
    FROM entries AS e
    WHERE e.kind IN ('payout_settled', 'payout_returned')
        AND NOT EXISTS (SELECT FROM payment_states AS s WHERE s.book = e.book AND s.entry_number = e.number)

    UNION ALL
    SELECT
        'payee_accepted',
        a.book,
        'version ' || a.version || ' of the bank details of ' || coalesce(nullif(a.provider, ''), 'the company'),
        'proposed by ' || a.set_by || ' and approved by another',
        coalesce(p.act || ' of ' || p.proposed_by || ', ' || coalesce(d.verdict || ' by ' || d.decided_by, 'not decided'), 'no proposal')
    FROM payee_acceptances AS a
    LEFT JOIN proposals AS p ON p.book = a.book AND p.number = a.proposal
    LEFT JOIN proposal_decisions AS d ON d.book = a.book AND d.proposal = a.proposal
    WHERE p.act IS DISTINCT FROM 'accept_payee'
        OR p.proposed_by <> a.set_by
        OR d.verdict IS DISTINCT FROM 'approved'
        OR d.decided_by = a.set_by
)
SELECT check_name, book, subject, expected, found
FROM faults
ORDER BY book, check_name, subject;
