-- General ledger: every posting, account by account and from day to day, with the balance after each posting.
-- For psql, say first which book, accounts, days and entry, and how many lines after which place:
-- \set book 'main'
-- \set account ''
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- \set after_account ''
-- \set after_effective_date '-infinity'
-- \set after_entry_number '0'
-- \set after_line '0'
-- \set page_size '1000'
-- An empty account means all; a code, that account and all below it. The next page begins after the last line of the
-- one before. An entry at or beyond the head means all that is recorded; ledger/accounts/known_at.sql finds the entry
-- of a time. Amounts are whole minor units (cents); a balance is debit positive, credit negative, and holds what counts
-- before the first day too.
-- A page finds where it begins anew: what is recorded by day, and of the day itself what comes before the line, less
-- what was recorded after the entry.
WITH page AS MATERIALIZED (
    SELECT p.*
    FROM postings AS p
    WHERE p.book = :'book'
        AND (
            :'account' = '' OR p.account = :'account'
            OR (p.account > :'account' || ':' AND p.account < :'account' || ';')
        )
        AND p.effective_date >= CAST(:'effective_from' AS date)
        AND p.effective_date <= CAST(:'as_of' AS date)
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND (p.account, p.effective_date, p.entry_number, p.line) > (
            :'after_account', CAST(:'after_effective_date' AS date),
            CAST(:'after_entry_number' AS bigint), CAST(:'after_line' AS integer)
        )
    ORDER BY p.account, p.effective_date, p.entry_number, p.line
    LIMIT CAST(:'page_size' AS integer)
), firsts AS (
    SELECT DISTINCT ON (account) account, effective_date, entry_number, line
    FROM page
    ORDER BY account, effective_date, entry_number, line
), openings AS MATERIALIZED (
    SELECT
        f.account,
        coalesce((
            SELECT sum(d.debits - d.credits)
            FROM daily_totals AS d
            WHERE d.book = :'book' AND d.account = f.account AND d.effective_date < f.effective_date
        ), 0) + coalesce((
            SELECT sum(p.amount)
            FROM postings AS p
            WHERE p.book = :'book' AND p.account = f.account AND p.effective_date = f.effective_date
                AND (p.entry_number, p.line) < (f.entry_number, f.line)
        ), 0) - coalesce((
            SELECT sum(p.amount)
            FROM postings AS p
            WHERE p.book = :'book' AND p.account = f.account AND p.effective_date < f.effective_date
                AND p.entry_number > CAST(:'as_known_at' AS bigint)
        ), 0) AS balance
    FROM firsts AS f
)
SELECT
    p.account,
    p.effective_date,
    p.entry_number,
    p.line,
    e.recorded_at,
    e.kind,
    e.actor,
    e.description,
    p.item,
    p.currency,
    greatest(p.amount, 0) AS debits,
    greatest(-p.amount, 0) AS credits,
    o.balance + sum(p.amount) OVER (
        PARTITION BY p.account ORDER BY p.effective_date, p.entry_number, p.line
    ) AS balance
FROM page AS p
JOIN openings AS o ON o.account = p.account
JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
ORDER BY p.account, p.effective_date, p.entry_number, p.line;
