-- What people say of claim payments. Amounts are minor units of the remittance's currency. Rows are added, and nothing of
-- them changes.

-- What one person may match alone; null: whatever it is. The highest version is in force.
CREATE TABLE match_limits (
    book text COLLATE "C" NOT NULL REFERENCES books,
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    version integer NOT NULL CHECK (version > 0),
    amount bigint CHECK (amount >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (book, currency, version)
);

-- One word on a claim payment: these claims are to have these amounts of it, or were wrongly given them. decides is the
-- proposal that a word approves or declines, proposed_by whose it was; limit_amount is the limit then in force.
CREATE TABLE claim_matches (
    book text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    remittance uuid NOT NULL,
    line integer NOT NULL,
    state text NOT NULL CHECK (state IN ('proposed', 'matched', 'declined', 'unmatched')),
    claims text[] NOT NULL CHECK (cardinality(claims) BETWEEN 1 AND 100),
    amounts bigint[] NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    limit_amount bigint,
    decides bigint,
    proposed_by text,
    reason text NOT NULL CHECK (reason <> ''),
    said_by text NOT NULL CHECK (said_by <> ''),
    said_at timestamptz NOT NULL,
    idempotency_key text NOT NULL,
    entry_number bigint,
    PRIMARY KEY (book, number),
    UNIQUE (book, decides),
    CONSTRAINT claim_matches_proposal UNIQUE (book, number, said_by, remittance, line, claims, amounts),
    FOREIGN KEY (book, remittance, line) REFERENCES claim_payments (book, remittance, line),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    -- Who decides on a proposal decides on that maker's, on that claim payment, and on just these parts.
    CONSTRAINT match_decides_on_proposal FOREIGN KEY (book, decides, proposed_by, remittance, line, claims, amounts)
        REFERENCES claim_matches (book, number, said_by, remittance, line, claims, amounts),
    CONSTRAINT match_part_each CHECK (cardinality(amounts) = cardinality(claims)),
    CONSTRAINT match_decides CHECK ((decides IS NULL) = (proposed_by IS NULL)),
    CONSTRAINT declined_was_proposed CHECK (state <> 'declined' OR decides IS NOT NULL),
    CONSTRAINT second_person_matches CHECK (state <> 'matched' OR proposed_by IS NULL OR proposed_by <> said_by),
    CONSTRAINT matched_within_limit CHECK (
        state <> 'matched' OR limit_amount IS NULL OR amount <= limit_amount OR proposed_by IS NOT NULL
    )
);
CREATE UNIQUE INDEX claim_matches_key ON claim_matches (book, said_by, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX claim_matches_line ON claim_matches (book, remittance, line, number);

-- A denial of a claim that was the payer's word on another one is withdrawn.
ALTER TABLE denials DROP CONSTRAINT denials_state_check, ADD CONSTRAINT denials_state_check CHECK (
    state IN (
        'denied', 'appealed', 'resubmitted', 'overturned', 'absorbed', 'recovered', 'taken_back', 'withdrawn'
    )
);

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['match_limits', 'claim_matches'] LOOP
        EXECUTE format(
            'CREATE TRIGGER %2$I BEFORE UPDATE OR DELETE OR TRUNCATE ON %1$I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            relation, relation || '_never_change'
        );
        -- ALWAYS: session_replication_role = replica does not switch these off.
        EXECUTE format('ALTER TABLE %1$I ENABLE ALWAYS TRIGGER %2$I', relation, relation || '_never_change');
        EXECUTE format('GRANT SELECT, INSERT ON %I TO ledger_program', relation);
        EXECUTE format(
            'CREATE OR REPLACE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
