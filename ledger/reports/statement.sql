-- Statement: what was posted to an account, or under an item, from day to day, with the balance after each posting.
-- For psql, say first which book, account, item, days and entry:
-- \set book 'main'
-- \set account 'Assets:Receivable:Insurer:AETNA'
-- \set item ''
-- \set effective_from '-infinity'
-- \set as_of '2026-03-31'
-- \set as_known_at '9223372036854775807'
-- An empty account or item means any; name at least one of them. An entry at or beyond the head means all that is
-- recorded; ledger/accounts/known_at.sql finds the entry of a time. Amounts are whole minor units (cents); a balance is
-- debit positive, credit negative, of the posting's account, and of the item alone where one is named. It holds what
-- counts before the first day too.
WITH lines AS (
    SELECT
        p.effective_date,
        p.entry_number,
        p.line,
        e.recorded_at,
        e.kind,
        e.description,
        p.account,
        p.item,
        p.currency,
        p.amount,
        sum(p.amount) OVER (
            PARTITION BY p.account ORDER BY p.effective_date, p.entry_number, p.line
        ) AS balance
    FROM postings AS p
    JOIN entries AS e ON e.book = p.book AND e.number = p.entry_number
    WHERE p.book = :'book'
        AND (:'account' = '' OR p.account = :'account')
        AND (:'item' = '' OR p.item = :'item')
        AND p.entry_number <= CAST(:'as_known_at' AS bigint)
        AND p.effective_date <= CAST(:'as_of' AS date)
)
SELECT
    effective_date,
    entry_number,
    line,
    recorded_at,
    kind,
    description,
    account,
    item,
    currency,
    greatest(amount, 0) AS debits,
    greatest(-amount, 0) AS credits,
    balance
FROM lines
WHERE effective_date >= CAST(:'effective_from' AS date)
ORDER BY effective_date, entry_number, line;
