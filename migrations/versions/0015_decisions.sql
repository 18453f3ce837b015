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

DROP VIEW ledger_reading.claim_payments;
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['claim_payments'] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
