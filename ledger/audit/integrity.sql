-- Integrity: recomputes the books from their entries and postings. Returns no row while they are sound.
-- Paste it into psql as it is; it covers every book. Amounts are whole minor units, debit positive.
WITH lines AS (
    SELECT
        book,
        entry_number,
        count(*) AS line_count,
        min(line) AS first_line,
        max(line) AS last_line,
        string_agg(
            int4send(8) || int8send(line)
            || int4send(octet_length(account)) || convert_to(account, 'UTF8')
            || int4send(octet_length(currency)) || convert_to(currency, 'UTF8')
            || int4send(8) || int8send(amount)
            || coalesce(int4send(octet_length(item)) || convert_to(item, 'UTF8'), '\xffffffff'),
            CAST('' AS bytea) ORDER BY line
        ) AS encoded
    FROM postings
    GROUP BY book, entry_number
), chained AS (
    SELECT
        e.*,
        lag(e.number) OVER in_order AS number_before,
        lag(e.recorded_at) OVER in_order AS recorded_before,
        coalesce(lag(e.hash) OVER in_order, decode(repeat('00', 32), 'hex')) AS hash_before
    FROM entries AS e
    WINDOW in_order AS (PARTITION BY e.book ORDER BY e.number)
), hashed AS (
    -- The hash before, a version byte, every column behind its length (an absent one is ffffffff), the postings.
    SELECT
        c.book,
        c.number,
        c.hash,
        sha256(
            c.hash_before || '\x01'
            || (
                SELECT string_agg(
                    coalesce(int4send(octet_length(field)) || field, '\xffffffff'), CAST('' AS bytea) ORDER BY place
                )
                FROM unnest(ARRAY[
                    convert_to(c.book, 'UTF8'),
                    int8send(c.number),
                    uuid_send(c.id),
                    convert_to(c.kind, 'UTF8'),
                    convert_to(to_char(c.effective_date, 'YYYY-MM-DD'), 'UTF8'),
                    int8send(CAST(extract(epoch FROM c.recorded_at) * 1000000 AS bigint)),
                    convert_to(c.description, 'UTF8'),
                    convert_to(c.actor, 'UTF8'),
                    convert_to(c.idempotency_key, 'UTF8'),
                    c.request_hash,
                    int8send(c.reverses),
                    convert_to(c.payer, 'UTF8'),
                    convert_to(c.provider, 'UTF8'),
                    convert_to(c.claim, 'UTF8'),
                    convert_to(c.session, 'UTF8'),
                    convert_to(c.plan, 'UTF8'),
                    convert_to(c.service_code, 'UTF8'),
                    convert_to(c.licence_type, 'UTF8'),
                    convert_to(c.state, 'UTF8'),
                    convert_to(c.remittance, 'UTF8'),
                    convert_to(c.pay_cycle, 'UTF8'),
                    convert_to(to_char(c.service_date, 'YYYY-MM-DD'), 'UTF8'),
                    int8send(c.charge),
                    convert_to(c.charge_currency, 'UTF8'),
                    int8send(c.posting_count)
                ]) WITH ORDINALITY AS fields (field, place)
            )
            || coalesce(l.encoded, '')
        ) AS recomputed
    FROM chained AS c
    LEFT JOIN lines AS l ON l.book = c.book AND l.entry_number = c.number
), days AS (
    SELECT
        p.book,
        p.account,
        e.effective_date,
        sum(greatest(p.amount, 0)) AS debits,
        sum(greatest(-p.amount, 0)) AS credits
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    GROUP BY p.book, p.account, e.effective_date
), totals AS (
    SELECT book, account, sum(greatest(amount, 0)) AS debits, sum(greatest(-amount, 0)) AS credits
    FROM postings
    GROUP BY book, account
), over_limit AS (
    -- Debits of an entry in a currency above the limit that was in force for it: the newest set before it.
    SELECT e.book, e.number, p.currency, sum(p.amount) AS debits, l.amount AS allowed
    FROM approval_limits AS l
    JOIN entries AS e ON e.book = l.book AND e.kind = l.kind AND e.number > l.after_entry
    JOIN postings AS p ON p.book = e.book AND p.entry_number = e.number AND p.currency = l.currency AND p.amount > 0
    WHERE NOT EXISTS (
        SELECT FROM approval_limits AS later
        WHERE later.book = l.book AND later.kind = l.kind AND later.currency = l.currency
            AND later.version > l.version AND later.after_entry < e.number
    )
    GROUP BY e.book, e.number, p.currency, l.amount
    HAVING sum(p.amount) > l.amount
), approved AS (
    -- What was approved, with what was shown of it.
    SELECT d.*, p.idempotency_key, p.request_hash, p.shown -> 'entry' AS entry, p.shown -> 'limit' AS change,
        p.shown #> '{period,after}' AS reopening
    FROM proposal_decisions AS d
    JOIN proposals AS p ON p.book = d.book AND p.number = d.proposal
    WHERE d.verdict = 'approved'
), segments AS (
    -- Every segment that is filled anew, and the next one, which may be there for some accounts before it is for all: what
    -- was posted to an account on a day, and to the account in the whole segment.
    SELECT
        l.book,
        l.size,
        l.fewest,
        l.number AS filled,
        (p.entry_number + l.size - 1) / l.size * l.size AS number,
        p.account,
        p.effective_date,
        sum(greatest(p.amount, 0)) AS debits,
        sum(greatest(-p.amount, 0)) AS credits,
        sum(count(*)) OVER (
            PARTITION BY l.book, l.size, (p.entry_number + l.size - 1) / l.size, p.account
        ) AS posting_count
    FROM recorded_levels AS l
    JOIN heads AS h ON h.book = l.book
    JOIN postings AS p ON p.book = l.book
        AND p.entry_number <= CASE WHEN l.number + l.size <= h.number THEN l.number + l.size ELSE l.number END
    GROUP BY l.book, l.size, (p.entry_number + l.size - 1) / l.size, p.account, p.effective_date
), recorded AS (
    SELECT book, account, size, number, effective_date,
        row_number() OVER up_to_the_day AS nth,
        sum(debits) OVER up_to_the_day AS debits, sum(credits) OVER up_to_the_day AS credits
    FROM segments AS s
    WHERE posting_count >= fewest
        AND (
            number <= filled
            OR EXISTS (
                SELECT FROM recorded_totals AS t
                WHERE t.book = s.book AND t.account = s.account AND t.size = s.size AND t.number = s.number
            )
        )
    WINDOW up_to_the_day AS (PARTITION BY book, size, number, account ORDER BY effective_date)
), kept AS (
    SELECT t.book, t.account, t.size, t.number, d.*
    FROM recorded_totals AS t
    CROSS JOIN LATERAL unnest(t.days, t.debits, t.credits)
        WITH ORDINALITY AS d (effective_date, debits, credits, nth)
), spans AS (
    -- The days of every segment that is filled, and the one before it, where it must begin.
    SELECT *, lag(number, 1, CAST(0 AS bigint)) OVER (PARTITION BY book ORDER BY number) AS number_before
    FROM segment_days
), closes AS (
    -- Every close with what came after it: it was in force for the entries after after_entry, up to until.
    SELECT c.*, later.after_entry AS until, later.version AS next_version, before.version AS version_before,
        before.state AS state_before, before.after_entry AS after_entry_before
    FROM periods AS c
    LEFT JOIN periods AS later ON later.book = c.book AND later.month = c.month AND later.version = c.version + 1
    LEFT JOIN periods AS before ON before.book = c.book AND before.month = c.month AND before.version = c.version - 1
), marks AS (
    -- The numbers behind which the closes of a book stand, so that one pass over the postings serves all of them.
    SELECT book, array_agg(DISTINCT after_entry + 1 ORDER BY after_entry + 1) AS marks
    FROM periods
    WHERE state = 'closed'
    GROUP BY book
), known AS (
    SELECT
        p.book,
        p.account,
        p.currency,
        CAST(date_trunc('month', CAST(p.effective_date AS timestamp)) AS date) AS month,
        width_bucket(p.entry_number, m.marks) AS bucket,
        sum(greatest(p.amount, 0)) AS debits,
        sum(greatest(-p.amount, 0)) AS credits
    FROM postings AS p
    JOIN marks AS m ON m.book = p.book
    GROUP BY 1, 2, 3, 4, 5
), frozen AS (
    SELECT
        c.book,
        c.month,
        c.version,
        k.account,
        k.currency,
        coalesce(sum(k.debits) FILTER (WHERE k.month <= c.month), 0) AS debits,
        coalesce(sum(k.credits) FILTER (WHERE k.month <= c.month), 0) AS credits
    FROM periods AS c
    JOIN marks AS m ON m.book = c.book
    JOIN known AS k ON k.book = c.book AND k.bucket < array_position(m.marks, c.after_entry + 1)
    WHERE c.state = 'closed'
    GROUP BY c.book, c.month, c.version, k.account, k.currency
), sealed AS (
    -- What a close stands for, each field behind its length: the version, what was found, the trial balance.
    SELECT
        c.*,
        sha256(
            '\x01'
            || (
                SELECT string_agg(
                    coalesce(int4send(octet_length(field)) || field, '\xffffffff'), CAST('' AS bytea) ORDER BY place
                )
                FROM unnest(ARRAY[
                    convert_to(c.book, 'UTF8'),
                    convert_to(to_char(c.month, 'YYYY-MM-DD'), 'UTF8'),
                    int8send(c.version),
                    int8send(c.after_entry),
                    c.last_entry_hash,
                    convert_to(c.set_by, 'UTF8'),
                    int8send(CAST(extract(epoch FROM c.set_at) * 1000000 AS bigint)),
                    convert_to(c.reason, 'UTF8'),
                    int8send(c.limit_days),
                    convert_to(c.override_by, 'UTF8'),
                    convert_to(c.override_reason, 'UTF8')
                ]) WITH ORDINALITY AS fields (field, place)
            )
            || (
                SELECT int4send(8) || int8send(count(*)) || coalesce(string_agg(
                    int4send(octet_length(kind)) || convert_to(kind, 'UTF8')
                    || int4send(octet_length(subject)) || convert_to(subject, 'UTF8')
                    || coalesce(int4send(octet_length(item)) || convert_to(item, 'UTF8'), '\xffffffff')
                    || coalesce(int4send(octet_length(currency)) || convert_to(currency, 'UTF8'), '\xffffffff')
                    || coalesce(int4send(8) || int8send(amount), '\xffffffff')
                    || int4send(10) || convert_to(to_char(since, 'YYYY-MM-DD'), 'UTF8')
                    || int4send(8) || int8send(days),
                    CAST('' AS bytea) ORDER BY line
                ), '')
                FROM period_findings AS f
                WHERE f.book = c.book AND f.month = c.month AND f.version = c.version
            )
            || (
                SELECT int4send(8) || int8send(count(*)) || coalesce(string_agg(
                    int4send(octet_length(account)) || convert_to(account, 'UTF8')
                    || int4send(octet_length(currency)) || convert_to(currency, 'UTF8')
                    || int4send(8) || int8send(debits)
                    || int4send(8) || int8send(credits),
                    CAST('' AS bytea) ORDER BY account
                ), '')
                FROM period_balances AS b
                WHERE b.book = c.book AND b.month = c.month AND b.version = c.version
            )
        ) AS recomputed
    FROM periods AS c
    WHERE c.state = 'closed'
), faults AS (
    SELECT
        'numbers_without_gaps' AS check_name,
        book,
        'entry ' || number AS subject,
        'number ' || coalesce(number_before, 0) + 1 AS expected,
        'number ' || number AS found
    FROM chained
    WHERE number <> coalesce(number_before, 0) + 1

    UNION ALL
    SELECT
        'head_is_last_entry',
        b.book,
        'head',
        'number ' || coalesce(last.number, 0) || ' hash ' || coalesce(encode(last.hash, 'hex'), repeat('00', 32)),
        coalesce('number ' || h.number || ' hash ' || encode(h.hash, 'hex'), 'no head')
    FROM books AS b
    LEFT JOIN heads AS h ON h.book = b.book
    LEFT JOIN LATERAL (
        SELECT number, hash FROM entries WHERE entries.book = b.book ORDER BY number DESC LIMIT 1
    ) AS last ON true
    WHERE h.number IS DISTINCT FROM coalesce(last.number, 0)
        OR h.hash IS DISTINCT FROM coalesce(last.hash, decode(repeat('00', 32), 'hex'))

    UNION ALL
    SELECT 'hash_chain', book, 'entry ' || number, encode(recomputed, 'hex'), encode(hash, 'hex')
    FROM hashed
    WHERE hash IS DISTINCT FROM recomputed

    UNION ALL
    SELECT
        'recorded_in_order',
        book,
        'entry ' || number,
        'not before ' || CAST(recorded_before AS text),
        CAST(recorded_at AS text)
    FROM chained
    WHERE recorded_at < recorded_before

    UNION ALL
    SELECT
        'postings_complete',
        coalesce(e.book, l.book),
        'entry ' || coalesce(e.number, l.entry_number),
        coalesce(e.posting_count || ' lines, from 1 to ' || e.posting_count, 'no postings without an entry'),
        coalesce(l.line_count || ' lines, from ' || l.first_line || ' to ' || l.last_line, 'no lines')
    FROM entries AS e
    FULL JOIN lines AS l ON l.book = e.book AND l.entry_number = e.number
    WHERE l.first_line IS DISTINCT FROM 1
        OR l.line_count IS DISTINCT FROM e.posting_count
        OR l.last_line IS DISTINCT FROM e.posting_count

    UNION ALL
    SELECT
        'posting_of_its_day',
        p.book,
        'entry ' || p.entry_number || ' line ' || p.line,
        CAST(e.effective_date AS text),
        CAST(p.effective_date AS text)
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.effective_date <> e.effective_date

    UNION ALL
    SELECT
        'entry_keys',
        coalesce(e.book, k.book),
        'key ' || coalesce(e.idempotency_key, k.idempotency_key) || ' of ' || coalesce(e.actor, k.actor),
        coalesce('entry ' || e.number, 'no row'),
        coalesce('entry ' || k.number, 'no row')
    FROM entries AS e
    FULL JOIN entry_keys AS k
        ON k.book = e.book AND k.actor = e.actor AND k.idempotency_key = e.idempotency_key AND k.number = e.number
    WHERE e.number IS NULL OR k.number IS NULL

    UNION ALL
    SELECT
        'entry_reversals',
        coalesce(e.book, r.book),
        'entry ' || coalesce(e.reverses, r.reverses),
        coalesce('reversed by entry ' || e.number, 'no row'),
        coalesce('reversed by entry ' || r.number, 'no row')
    FROM (SELECT book, number, reverses FROM entries WHERE reverses IS NOT NULL) AS e
    FULL JOIN entry_reversals AS r ON r.book = e.book AND r.reverses = e.reverses AND r.number = e.number
    WHERE e.number IS NULL OR r.number IS NULL

    UNION ALL
    SELECT 'ids_differ', book, 'id ' || id, 'one entry', count(*) || ' entries'
    FROM entries
    GROUP BY book, id
    HAVING count(*) > 1

    UNION ALL
    SELECT 'entry_balances', book, 'entry ' || entry_number || ' in ' || currency, '0', CAST(sum(amount) AS text)
    FROM postings
    GROUP BY book, entry_number, currency
    HAVING sum(amount) <> 0

    UNION ALL
    SELECT 'books_balance', book, 'all accounts in ' || currency, '0', CAST(sum(amount) AS text)
    FROM postings
    GROUP BY book, currency
    HAVING sum(amount) <> 0

    UNION ALL
    SELECT
        'daily_totals',
        coalesce(d.book, k.book),
        coalesce(d.account, k.account) || ' on ' || coalesce(d.effective_date, k.effective_date),
        coalesce('debits ' || d.debits || ' credits ' || d.credits, 'no row'),
        coalesce('debits ' || k.debits || ' credits ' || k.credits, 'no row')
    FROM days AS d
    FULL JOIN daily_totals AS k
        ON k.book = d.book AND k.account = d.account AND k.effective_date = d.effective_date
    WHERE k.debits IS DISTINCT FROM d.debits OR k.credits IS DISTINCT FROM d.credits

    UNION ALL
    SELECT
        'balances',
        coalesce(t.book, k.book),
        coalesce(t.account, k.account),
        coalesce('debits ' || t.debits || ' credits ' || t.credits, 'no row'),
        coalesce('debits ' || k.debits || ' credits ' || k.credits, 'no row')
    FROM totals AS t
    FULL JOIN balances AS k ON k.book = t.book AND k.account = t.account
    WHERE k.debits IS DISTINCT FROM t.debits OR k.credits IS DISTINCT FROM t.credits

    UNION ALL
    SELECT
        'recorded_totals',
        coalesce(r.book, k.book),
        coalesce(r.account, k.account) || ' until ' || coalesce(r.effective_date, k.effective_date) || ' in the '
            || coalesce(r.size, k.size) || ' entries up to ' || coalesce(r.number, k.number),
        coalesce('debits ' || r.debits || ' credits ' || r.credits, 'no row'),
        coalesce('debits ' || k.debits || ' credits ' || k.credits, 'no row')
    FROM recorded AS r
    FULL JOIN kept AS k
        ON k.book = r.book AND k.account = r.account AND k.size = r.size AND k.number = r.number AND k.nth = r.nth
    WHERE k.effective_date IS DISTINCT FROM r.effective_date
        OR k.debits IS DISTINCT FROM r.debits OR k.credits IS DISTINCT FROM r.credits

    UNION ALL
    SELECT
        'recorded_levels',
        l.book,
        'the segments of ' || l.size || ' entries',
        'filled up to ' || h.number || ' at most',
        'filled up to ' || l.number
    FROM recorded_levels AS l
    JOIN heads AS h ON h.book = l.book
    WHERE l.number > h.number

    UNION ALL
    SELECT
        'segment_days',
        s.book,
        'the ' || s.size || ' entries up to ' || s.number,
        CASE
            WHEN e.entry_count = s.size
            THEN 'behind entry ' || s.number_before || ' from ' || e.first_day || ' to ' || e.last_day
            ELSE 'no row'
        END,
        'behind entry ' || s.number - s.size || ' from ' || s.first_day || ' to ' || s.last_day
    FROM spans AS s
    CROSS JOIN LATERAL (
        SELECT count(*) AS entry_count, min(effective_date) AS first_day, max(effective_date) AS last_day
        FROM (
            SELECT effective_date FROM entries
            WHERE book = s.book AND number > s.number - s.size AND number <= s.number
            ORDER BY number OFFSET 0
        ) AS of_segment
    ) AS e
    WHERE e.entry_count <> s.size OR s.number - s.size <> s.number_before
        OR e.first_day <> s.first_day OR e.last_day <> s.last_day

    UNION ALL
    SELECT 'balance_limit', a.book, a.code, replace(a.balance_limit, '_', ' '), CAST(t.debits - t.credits AS text)
    FROM accounts AS a
    JOIN totals AS t ON t.book = a.book AND t.account = a.code
    WHERE (a.balance_limit = 'must_not_go_debit' AND t.debits > t.credits)
        OR (a.balance_limit = 'must_not_go_credit' AND t.debits < t.credits)

    UNION ALL
    SELECT 'closed_at_zero', a.book, a.code, '0', CAST(t.debits - t.credits AS text)
    FROM accounts AS a
    JOIN totals AS t ON t.book = a.book AND t.account = a.code
    WHERE a.closed_at IS NOT NULL AND t.debits <> t.credits

    UNION ALL
    SELECT DISTINCT 'account_currency', p.book, p.account, coalesce(a.currency, 'no such account'), p.currency
    FROM postings AS p
    LEFT JOIN accounts AS a ON a.book = p.book AND a.code = p.account
    WHERE a.currency IS DISTINCT FROM p.currency

    UNION ALL
    SELECT 'item_named', p.book, 'entry ' || p.entry_number || ' line ' || p.line, 'an item on ' || p.account, 'none'
    FROM postings AS p
    JOIN accounts AS a ON a.book = p.book AND a.code = p.account
    WHERE a.item_required AND p.item IS NULL

    UNION ALL
    SELECT
        'reversal_mirrors',
        r.book,
        'entry ' || r.number,
        coalesce('entry ' || o.number || ' with its sides exchanged', 'an entry to reverse'),
        CASE WHEN o.kind = 'reversal' THEN 'the reversal of a reversal' ELSE 'other lines' END
    FROM entries AS r
    LEFT JOIN entries AS o ON o.book = r.book AND o.number = r.reverses
    WHERE r.kind = 'reversal'
        AND (
            o.number IS NULL
            OR o.kind = 'reversal'
            OR EXISTS (
                SELECT
                FROM (SELECT * FROM postings WHERE book = r.book AND entry_number = r.number) AS back
                FULL JOIN (SELECT * FROM postings WHERE book = o.book AND entry_number = o.number) AS line
                    ON line.line = back.line
                WHERE line.account IS DISTINCT FROM back.account
                    OR line.currency IS DISTINCT FROM back.currency
                    OR line.amount IS DISTINCT FROM -back.amount
                    OR line.item IS DISTINCT FROM back.item
            )
        )

    UNION ALL
    SELECT
        'approval_borne',
        o.book,
        'entry ' || o.number || ' in ' || o.currency,
        'an approval for more than ' || o.allowed,
        o.debits || ' without one'
    FROM over_limit AS o
    WHERE NOT EXISTS (
        SELECT FROM approved AS a
        WHERE a.book = o.book AND a.entry_number = o.number AND a.decided_by <> a.proposed_by
    )
        AND NOT EXISTS (
            -- Payments of a pay cycle were approved with it.
            SELECT FROM pay_cycle_results AS r
            JOIN pay_cycles AS c ON c.book = r.book AND c.cycle = r.cycle
            JOIN approved AS a ON a.book = c.book AND a.proposal = c.proposal AND a.decided_by <> a.proposed_by
            WHERE r.book = o.book AND r.entry_number = o.number
        )

    UNION ALL
    SELECT 'maker_is_not_checker', book, 'proposal ' || proposal, 'another than ' || proposed_by, decided_by
    FROM proposal_decisions
    WHERE (verdict = 'withdrawn') <> (decided_by = proposed_by)

    UNION ALL
    SELECT
        'approval_ties',
        a.book,
        'proposal ' || a.proposal,
        'what was shown, posted for ' || a.proposed_by,
        CASE WHEN e.number IS NULL THEN 'no entry' ELSE 'entry ' || e.number || ', which is another' END
    FROM approved AS a
    LEFT JOIN entries AS e ON e.book = a.book AND e.number = a.entry_number
    WHERE a.entry IS NOT NULL
        AND (
            e.number IS NULL
            OR e.actor <> a.proposed_by
            OR e.idempotency_key <> a.idempotency_key
            OR e.request_hash <> a.request_hash
            OR 'KIND_' || upper(e.kind) <> a.entry ->> 'kind'
            OR to_char(e.effective_date, 'YYYY-MM-DD') <> a.entry ->> 'effective_date'
            OR e.description <> coalesce(a.entry ->> 'description', '')
            OR EXISTS (
                SELECT
                FROM (SELECT * FROM postings WHERE book = e.book AND entry_number = e.number) AS line
                FULL JOIN jsonb_array_elements(a.entry -> 'postings') WITH ORDINALITY AS seen (posting, place)
                    ON seen.place = line.line
                WHERE line.account IS DISTINCT FROM posting ->> 'account'
                    OR line.currency IS DISTINCT FROM posting #>> '{amount,currency_code}'
                    OR abs(line.amount) IS DISTINCT FROM CAST(posting #>> '{amount,minor_units}' AS bigint)
                    OR CASE WHEN line.amount > 0 THEN 'SIDE_DEBIT' ELSE 'SIDE_CREDIT' END
                        IS DISTINCT FROM posting ->> 'side'
                    OR line.item IS DISTINCT FROM posting ->> 'item'
            )
        )

    UNION ALL
    SELECT
        'limit_history',
        l.book,
        l.kind || ' in ' || l.currency || ' version ' || l.version,
        'after version ' || l.version - 1 || ', raised or removed by two',
        CASE
            WHEN l.version > 1 AND b.version IS NULL THEN 'no version before'
            WHEN b.amount IS DISTINCT FROM l.before THEN 'another limit before'
            WHEN b.after_entry > l.after_entry THEN 'in force before its time'
            ELSE 'approved by nobody'
        END
    FROM approval_limits AS l
    LEFT JOIN approval_limits AS b
        ON b.book = l.book AND b.kind = l.kind AND b.currency = l.currency AND b.version = l.version - 1
    LEFT JOIN approved AS a ON a.book = l.book AND a.proposal = l.proposal AND a.proposed_by = l.set_by
        AND 'KIND_' || upper(l.kind) = a.change #>> '{after,kind}'
        AND l.currency = a.change #>> '{after,currency_code}'
        AND CAST(l.version AS text) = a.change #>> '{after,version}'
        AND l.amount IS NOT DISTINCT FROM
            CASE
                WHEN a.change #> '{after,amount}' IS NOT NULL
                THEN CAST(coalesce(a.change #>> '{after,amount,minor_units}', '0') AS bigint)
            END
    WHERE (l.version > 1 AND b.version IS NULL)
        OR b.amount IS DISTINCT FROM l.before
        OR b.after_entry > l.after_entry
        OR (
            a.proposal IS NULL
            AND (l.proposal IS NOT NULL OR coalesce(l.amount > l.before, l.before IS NOT NULL AND l.amount IS NULL))
        )

    UNION ALL
    SELECT
        'period_closed',
        e.book,
        'entry ' || e.number,
        'nothing after entry ' || c.after_entry || ' up to ' || to_char(c.month, 'YYYY-MM'),
        'effective on ' || e.effective_date
    FROM closes AS c
    JOIN entries AS e ON e.book = c.book AND e.effective_date < CAST(c.month + interval '1 month' AS date)
        AND e.number > c.after_entry AND (c.until IS NULL OR e.number <= c.until)
    WHERE c.state = 'closed'

    UNION ALL
    SELECT
        'period_soft_closed',
        e.book,
        'entry ' || e.number,
        'a reason, since ' || to_char(c.month, 'YYYY-MM') || ' is soft-closed after entry ' || c.after_entry,
        'none'
    FROM closes AS c
    JOIN entries AS e ON e.book = c.book AND e.effective_date >= c.month
        AND e.effective_date < CAST(c.month + interval '1 month' AS date)
        AND e.number > c.after_entry AND (c.until IS NULL OR e.number <= c.until)
    WHERE c.state = 'soft_closed' AND e.description = ''

    UNION ALL
    SELECT
        'period_balances',
        coalesce(f.book, b.book),
        coalesce(f.account, b.account) || ' at the close of ' || to_char(coalesce(f.month, b.month), 'YYYY-MM')
            || ' version ' || coalesce(f.version, b.version),
        coalesce('debits ' || f.debits || ' credits ' || f.credits || ' ' || f.currency, 'no row'),
        coalesce('debits ' || b.debits || ' credits ' || b.credits || ' ' || b.currency, 'no row')
    FROM frozen AS f
    FULL JOIN period_balances AS b
        ON b.book = f.book AND b.month = f.month AND b.version = f.version AND b.account = f.account
        AND b.currency = f.currency
    WHERE b.debits IS DISTINCT FROM f.debits OR b.credits IS DISTINCT FROM f.credits

    UNION ALL
    SELECT
        'period_hash',
        book,
        to_char(month, 'YYYY-MM') || ' version ' || version,
        encode(recomputed, 'hex'),
        encode(hash, 'hex')
    FROM sealed
    WHERE hash IS DISTINCT FROM recomputed

    UNION ALL
    SELECT
        'period_last_entry',
        s.book,
        to_char(s.month, 'YYYY-MM') || ' version ' || s.version,
        'hash ' || coalesce(encode(e.hash, 'hex'), repeat('00', 32)) || ' of entry ' || s.after_entry,
        'hash ' || encode(s.last_entry_hash, 'hex')
    FROM sealed AS s
    LEFT JOIN entries AS e ON e.book = s.book AND e.number = s.after_entry
    WHERE s.last_entry_hash IS DISTINCT FROM
        CASE WHEN s.after_entry = 0 THEN decode(repeat('00', 32), 'hex') ELSE e.hash END

    UNION ALL
    SELECT
        'period_history',
        c.book,
        to_char(c.month, 'YYYY-MM') || ' version ' || c.version,
        'after version ' || c.version - 1 || ', opened again by two',
        CASE
            WHEN c.version > 1 AND c.version_before IS NULL THEN 'no version before'
            WHEN coalesce(c.state_before, 'open') <> c.before THEN 'another state before'
            WHEN c.after_entry_before > c.after_entry THEN 'in force before its time'
            ELSE 'approved by nobody'
        END
    FROM closes AS c
    LEFT JOIN approved AS a ON a.book = c.book AND a.proposal = c.proposal AND a.proposed_by = c.set_by
        AND a.decided_by <> a.proposed_by
        AND to_char(c.month, 'YYYY-MM') = a.reopening ->> 'month'
        AND CAST(c.version AS text) = a.reopening ->> 'version'
    WHERE (c.version > 1 AND c.version_before IS NULL)
        OR coalesce(c.state_before, 'open') <> c.before
        OR c.after_entry_before > c.after_entry
        OR (a.proposal IS NULL AND c.state = 'open')

    UNION ALL
    SELECT
        'period_order',
        c.book,
        to_char(c.month, 'YYYY-MM') || ' version ' || c.version,
        'no earlier month open or soft-closed while it is closed',
        to_char(o.month, 'YYYY-MM') || ' is ' || replace(o.state, '_', '-')
    FROM closes AS c
    JOIN closes AS o ON o.book = c.book AND o.month < c.month AND o.state <> 'closed'
        AND coalesce(least(o.until, c.until), 9223372036854775807) > greatest(o.after_entry, c.after_entry)
    WHERE c.state = 'closed'
        AND (
            o.state = 'soft_closed'
            OR EXISTS (
                SELECT FROM entries AS e
                WHERE e.book = o.book AND e.number <= c.after_entry AND e.effective_date >= o.month
                    AND e.effective_date < CAST(o.month + interval '1 month' AS date)
            )
        )
)
SELECT check_name, book, subject, expected, found
FROM faults
ORDER BY book, check_name, subject;
