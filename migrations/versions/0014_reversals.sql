-- A person says which payment a reversal takes back: original_remittance and original_line; null and 0 where a word is on
-- no reversal. The one claim and amount of such a word are those of that payment, the amount as it is taken back.
ALTER TABLE claim_matches
    ADD COLUMN original_remittance uuid,
    ADD COLUMN original_line integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT match_decides_on_proposal,
    DROP CONSTRAINT claim_matches_proposal,
    DROP CONSTRAINT matched_within_limit;
ALTER TABLE claim_matches
    ADD CONSTRAINT match_original_whole CHECK ((original_remittance IS NULL) = (original_line = 0)),
    ADD CONSTRAINT match_original_is_there FOREIGN KEY (book, original_remittance, original_line)
        REFERENCES claim_payments (book, remittance, line),
    ADD CONSTRAINT claim_matches_proposal UNIQUE (book, number, said_by, remittance, line, claims, amounts, original_line),
    ADD CONSTRAINT claim_matches_proposed_original UNIQUE (book, number, original_remittance),
    -- Who decides on a proposal decides on that maker's, on that claim payment, and on just these parts; of a reversal, on
    -- just that payment. Of a word on no reversal PostgreSQL compares no original_remittance, but original_line, 0.
    ADD CONSTRAINT match_decides_on_proposal
        FOREIGN KEY (book, decides, proposed_by, remittance, line, claims, amounts, original_line)
        REFERENCES claim_matches (book, number, said_by, remittance, line, claims, amounts, original_line),
    ADD CONSTRAINT match_decides_on_original FOREIGN KEY (book, decides, original_remittance)
        REFERENCES claim_matches (book, number, original_remittance),
    ADD CONSTRAINT matched_within_limit CHECK (
        state <> 'matched' OR limit_amount IS NULL OR abs(amount) <= limit_amount OR proposed_by IS NOT NULL
    );

-- What a reversal had moved back, and moves again once a person has said that it was another's.
ALTER TABLE claim_moves DROP CONSTRAINT claim_moves_move_check, ADD CONSTRAINT claim_moves_move_check CHECK (
    move IN ('forwarded', 'applied', 'evened', 'taken_back', 'given_back')
);

-- Which exceptions an entry has closed: they are open again once it is undone.
CREATE INDEX exception_events_entry ON exception_events (book, entry_number) WHERE entry_number IS NOT NULL;

DO $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE VIEW ledger_reading.claim_matches WITH (security_barrier) AS SELECT * FROM %1$I.claim_matches '
        'WHERE book IN (SELECT book FROM %1$I.reader_books WHERE login = session_user)',
        current_schema()
    );
END $$;
