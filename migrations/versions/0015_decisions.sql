-- Nobody writes a remittance between what is kept here of those that are there and the end of this version.
LOCK TABLE remittances IN SHARE ROW EXCLUSIVE MODE;

-- What the payer took off the charge (CAS of the claim and its lines), by the bucket in which the codes that count for the
-- remittance put each cent, in minor units. All null where that is not known: some of it could not be read, or the claim
-- payment was decided before this was kept.
ALTER TABLE claim_payments
    ADD COLUMN contractual bigint,
    ADD COLUMN patient bigint,
    ADD COLUMN denial bigint,
    ADD COLUMN other_payer bigint,
    ADD COLUMN suspense bigint,
    -- CLP03 less all of them is CLP04, to the cent.
    ADD CONSTRAINT adjusted_to_what_was_paid CHECK (
        num_nulls(contractual, patient, denial, other_payer, suspense) = 5
        OR coalesce(charge - contractual - patient - denial - other_payer - suspense = paid, false)
    );
GRANT UPDATE (contractual, patient, denial, other_payer, suspense) ON claim_payments TO ledger_program;

-- How a remittance stood, one row behind the other. from_before: so it stood when this began to be kept; since when is not
-- known.
CREATE TABLE remittance_states (
    book text COLLATE "C" NOT NULL,
    remittance uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL,
    payer text,
    posted bigint NOT NULL,
    suspended bigint NOT NULL,
    settled_claim_count integer NOT NULL,
    known_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_before boolean NOT NULL DEFAULT false,
    PRIMARY KEY (book, remittance, version),
    FOREIGN KEY (book, remittance) REFERENCES remittances (book, id)
);
INSERT INTO remittance_states
    (book, remittance, version, state, payer, posted, suspended, settled_claim_count, from_before)
SELECT book, id, 1, state, payer, posted, suspended, settled_claim_count, true FROM remittances;

-- What was decided on a claim payment before it was decided again; version 1 is what was decided first.
CREATE TABLE earlier_decisions (
    book text COLLATE "C" NOT NULL,
    remittance uuid NOT NULL,
    line integer NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    claim text,
    decision text NOT NULL,
    rule text NOT NULL,
    evidence text NOT NULL,
    entry_number bigint,
    contractual bigint,
    patient bigint,
    denial bigint,
    other_payer bigint,
    suspense bigint,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, remittance, line, version),
    FOREIGN KEY (book, remittance, line) REFERENCES claim_payments (book, remittance, line),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number)
);

-- since: the day from which the age of an item counts, where that is not the day on which it was opened.
ALTER TABLE exceptions ADD COLUMN since date;

-- The item of the worklist to which a balance belongs that a payer carries forward (PLB FB), by the account and the reference
-- under which it is open. Carried on under another reference, it belongs to the same one.
CREATE TABLE forward_balances (
    book text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    item text COLLATE "C" NOT NULL,
    exception uuid NOT NULL,
    PRIMARY KEY (book, account, item),
    FOREIGN KEY (book, exception) REFERENCES exceptions (book, id)
);
-- Balances that are open already.
WITH carried AS MATERIALIZED (
    SELECT
        open.book,
        open.account,
        open.item,
        open.currency,
        open.amount,
        opened.remittance,
        opened.effective_date,
        gen_random_uuid() AS id
    FROM (
        SELECT book, account, item, currency, CAST(-sum(amount) AS bigint) AS amount
        FROM postings
        WHERE account LIKE 'Liabilities:ForwardBalances:%'
        GROUP BY book, account, item, currency
        HAVING sum(amount) < 0
    ) AS open
    CROSS JOIN LATERAL (
        SELECT a.remittance, e.effective_date
        FROM provider_level_adjustments AS a
        JOIN entries AS e ON e.book = a.book AND e.number = a.entry_number
        WHERE a.book = open.book AND a.account = open.account AND a.amount < 0
            AND open.item IN (a.reference, a.remittance || ':PLB:' || a.line)
        ORDER BY a.entry_number DESC
        LIMIT 1
    ) AS opened
), raised AS (
    INSERT INTO exceptions (book, id, remittance, line, reason, claim_as_sent, amount, currency, detail, since)
    SELECT book, id, remittance, 0, 'forward_balance_open', '', amount, currency,
        'it was carried forward under reference ' || item || ' before there were items of such', effective_date
    FROM carried
)
INSERT INTO forward_balances (book, account, item, exception) SELECT book, account, item, id FROM carried;

CREATE TRIGGER forward_balances_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON forward_balances
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE forward_balances ENABLE ALWAYS TRIGGER forward_balances_never_change;
CREATE TRIGGER remittance_states_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON remittance_states
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE remittance_states ENABLE ALWAYS TRIGGER remittance_states_never_change;
CREATE TRIGGER earlier_decisions_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON earlier_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE earlier_decisions ENABLE ALWAYS TRIGGER earlier_decisions_never_change;
GRANT SELECT, INSERT ON remittance_states, earlier_decisions, forward_balances TO ledger_program;

DROP VIEW ledger_reading.claim_payments;
DROP VIEW ledger_reading.exceptions;
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'claim_payments', 'exceptions', 'remittance_states', 'earlier_decisions', 'forward_balances'
    ] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
