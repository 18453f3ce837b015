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
), segments AS (
    -- Every complete segment anew: what was posted to an account on a day, and to the account in the whole segment.
    SELECT
        l.book,
        l.size,
        l.fewest,
        (p.entry_number + l.size - 1) / l.size * l.size AS number,
        p.account,
        p.effective_date,
        sum(greatest(p.amount, 0)) AS debits,
        sum(greatest(-p.amount, 0)) AS credits,
        sum(count(*)) OVER (
            PARTITION BY l.book, l.size, (p.entry_number + l.size - 1) / l.size, p.account
        ) AS posting_count
    FROM recorded_levels AS l
    JOIN postings AS p ON p.book = l.book AND p.entry_number <= l.number
    GROUP BY l.book, l.size, (p.entry_number + l.size - 1) / l.size, p.account, p.effective_date
), recorded AS (
    SELECT book, account, size, number, effective_date,
        sum(debits) OVER up_to_the_day AS debits, sum(credits) OVER up_to_the_day AS credits
    FROM segments
    WHERE posting_count >= fewest
    WINDOW up_to_the_day AS (PARTITION BY book, size, number, account ORDER BY effective_date)
    UNION ALL
    SELECT DISTINCT book, account, size, number, DATE '-infinity', 0, 0
    FROM segments
    WHERE posting_count >= fewest AND fewest > 1
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
    FULL JOIN recorded_totals AS k
        ON k.book = r.book AND k.account = r.account AND k.size = r.size AND k.number = r.number
        AND k.effective_date = r.effective_date
    WHERE k.debits IS DISTINCT FROM r.debits OR k.credits IS DISTINCT FROM r.credits

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
)
SELECT check_name, book, subject, expected, found
FROM faults
ORDER BY book, check_name, subject;
