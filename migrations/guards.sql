-- Guards: what keeps the books as they are, in PostgreSQL itself. Returns no row while everything stands as the
-- migrations made it. Paste it into psql as it is.
--
-- The list of what they made is written by `make guards`; a test compares it with a fresh database.
WITH place (schema) AS (
    SELECT relnamespace FROM pg_class WHERE oid = CAST('entries' AS regclass)
), migrated (kind, subject, said) AS (
    VALUES
        -- migrated: begin
        ('constraint', 'accounts_balance_limit_check on accounts', 'CHECK (balance_limit = ANY (ARRAY[''must_not_go_debit''::text, ''must_not_go_credit''::text]))'),
        ('constraint', 'accounts_book_code_currency_key on accounts', 'UNIQUE (book, code, currency)'),
        ('constraint', 'accounts_book_fkey on accounts', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'accounts_check on accounts', 'CHECK (split_part(code, '':''::text, 1) = ''Assets''::text AND type = ''asset''::text OR split_part(code, '':''::text, 1) = ''Liabilities''::text AND type = ''liability''::text OR split_part(code, '':''::text, 1) = ''Equity''::text AND type = ''equity''::text OR split_part(code, '':''::text, 1) = ''Revenue''::text AND type = ''revenue''::text OR split_part(code, '':''::text, 1) = ''Expenses''::text AND type = ''expense''::text)'),
        ('constraint', 'accounts_check1 on accounts', 'CHECK ((closed_at IS NULL) = (closed_by IS NULL))'),
        ('constraint', 'accounts_close_reason on accounts', 'CHECK ((closed_at IS NULL) = (close_reason IS NULL)) NOT VALID'),
        ('constraint', 'accounts_close_reason_check on accounts', 'CHECK (close_reason <> ''''::text)'),
        ('constraint', 'accounts_code_check on accounts', 'CHECK (code ~ ''^(Assets|Liabilities|Equity|Revenue|Expenses)(:[A-Za-z0-9][A-Za-z0-9-]*)+$''::text AND length(code) <= 200)'),
        ('constraint', 'accounts_currency_check on accounts', 'CHECK (currency ~ ''^[A-Z]{3}$''::text)'),
        ('constraint', 'accounts_normal_side_check on accounts', 'CHECK (normal_side = ANY (ARRAY[''debit''::text, ''credit''::text]))'),
        ('constraint', 'accounts_pkey on accounts', 'PRIMARY KEY (book, code)'),
        ('constraint', 'alembic_version_pkc on alembic_version', 'PRIMARY KEY (version_num)'),
        ('constraint', 'allowance_policies_book_fkey on allowance_policies', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'allowance_policies_pkey on allowance_policies', 'PRIMARY KEY (book, version)'),
        ('constraint', 'allowance_policies_reason_check on allowance_policies', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'allowance_policies_set_by_check on allowance_policies', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'allowance_policies_version_check on allowance_policies', 'CHECK (version > 0)'),
        ('constraint', 'allowances_book_entry_number_fkey on allowances', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'allowances_book_policy_fkey on allowances', 'FOREIGN KEY (book, policy) REFERENCES allowance_policies(book, version)'),
        ('constraint', 'allowances_book_reversal_number_fkey on allowances', 'FOREIGN KEY (book, reversal_number) REFERENCES entries(book, number)'),
        ('constraint', 'allowances_month_check on allowances', 'CHECK (EXTRACT(day FROM month + 1) = 1::numeric)'),
        ('constraint', 'allowances_pkey on allowances', 'PRIMARY KEY (book, month)'),
        ('constraint', 'allowances_posted_by_check on allowances', 'CHECK (posted_by <> ''''::text)'),
        ('constraint', 'approval_limits_after_entry_check on approval_limits', 'CHECK (after_entry >= 0)'),
        ('constraint', 'approval_limits_amount_check on approval_limits', 'CHECK (amount >= 0)'),
        ('constraint', 'approval_limits_book_fkey on approval_limits', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'approval_limits_book_proposal_fkey on approval_limits', 'FOREIGN KEY (book, proposal) REFERENCES proposal_decisions(book, proposal) DEFERRABLE INITIALLY DEFERRED'),
        ('constraint', 'approval_limits_currency_check on approval_limits', 'CHECK (currency ~ ''^[A-Z]{3}$''::text)'),
        ('constraint', 'approval_limits_kind_check on approval_limits', 'CHECK (kind = ANY (ARRAY[''manual''::text, ''reversal''::text, ''provider_paid''::text, ''denial_absorbed''::text, ''denial_recovered''::text, ''remainder_written_off''::text]))'),
        ('constraint', 'approval_limits_pkey on approval_limits', 'PRIMARY KEY (book, kind, currency, version)'),
        ('constraint', 'approval_limits_reason_check on approval_limits', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'approval_limits_set_by_check on approval_limits', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'approval_limits_version_check on approval_limits', 'CHECK (version > 0)'),
        ('constraint', 'balances_book_account_fkey on balances', 'FOREIGN KEY (book, account) REFERENCES accounts(book, code)'),
        ('constraint', 'balances_credits_check on balances', 'CHECK (credits >= 0)'),
        ('constraint', 'balances_debits_check on balances', 'CHECK (debits >= 0)'),
        ('constraint', 'balances_pkey on balances', 'PRIMARY KEY (book, account)'),
        ('constraint', 'bank_statements_book_sha256_fkey on bank_statements', 'FOREIGN KEY (book, sha256) REFERENCES deliveries(book, sha256)'),
        ('constraint', 'bank_statements_book_sha256_position_key on bank_statements', 'UNIQUE (book, sha256, "position")'),
        ('constraint', 'bank_statements_credits_check on bank_statements', 'CHECK (credits >= 0)'),
        ('constraint', 'bank_statements_debits_check on bank_statements', 'CHECK (debits >= 0)'),
        ('constraint', 'bank_statements_line_count_check on bank_statements', 'CHECK (line_count >= 0)'),
        ('constraint', 'bank_statements_pkey on bank_statements', 'PRIMARY KEY (book, id)'),
        ('constraint', 'bank_statements_position_check on bank_statements', 'CHECK ("position" > 0)'),
        ('constraint', 'bank_statements_state_check on bank_statements', 'CHECK (state = ANY (ARRAY[''recorded''::text, ''recording''::text, ''quarantined''::text]))'),
        ('constraint', 'books_book_check on books', 'CHECK (book ~ ''^[A-Za-z0-9][A-Za-z0-9-]{0,39}$''::text)'),
        ('constraint', 'books_pkey on books', 'PRIMARY KEY (book)'),
        ('constraint', 'checkpoints_book_fkey on checkpoints', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'checkpoints_note_check on checkpoints', 'CHECK (note <> ''''::text)'),
        ('constraint', 'checkpoints_number_check on checkpoints', 'CHECK (number > 0)'),
        ('constraint', 'checkpoints_pkey on checkpoints', 'PRIMARY KEY (book, number)'),
        ('constraint', 'checkpoints_reason_check on checkpoints', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'checkpoints_root_check on checkpoints', 'CHECK (octet_length(root) = 32)'),
        ('constraint', 'checkpoints_size_check on checkpoints', 'CHECK (size >= 0)'),
        ('constraint', 'checkpoints_verifier_check on checkpoints', 'CHECK (verifier <> ''''::text)'),
        ('constraint', 'checkpoints_written_by_check on checkpoints', 'CHECK (written_by <> ''''::text)'),
        ('constraint', 'claim_moves_book_entry_number_fkey on claim_moves', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'claim_moves_book_remittance_line_fkey on claim_moves', 'FOREIGN KEY (book, remittance, line) REFERENCES claim_payments(book, remittance, line)'),
        ('constraint', 'claim_moves_check on claim_moves', 'CHECK ((remittance IS NULL) = (line IS NULL))'),
        ('constraint', 'claim_moves_move_check on claim_moves', 'CHECK (move = ANY (ARRAY[''forwarded''::text, ''applied''::text, ''evened''::text, ''taken_back''::text]))'),
        ('constraint', 'claim_moves_payer_check on claim_moves', 'CHECK (payer <> ''''::text)'),
        ('constraint', 'claim_moves_pkey on claim_moves', 'PRIMARY KEY (book, entry_number)'),
        ('constraint', 'claim_payers_book_fkey on claim_payers', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'claim_payers_claim_check on claim_payers', 'CHECK (claim <> ''''::text)'),
        ('constraint', 'claim_payers_payer_check on claim_payers', 'CHECK (payer <> ''''::text)'),
        ('constraint', 'claim_payers_payer_rank_check on claim_payers', 'CHECK (payer_rank >= 1 AND payer_rank <= 9)'),
        ('constraint', 'claim_payers_pkey on claim_payers', 'PRIMARY KEY (book, claim, payer_rank, version)'),
        ('constraint', 'claim_payers_reason_check on claim_payers', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'claim_payers_said_by_check on claim_payers', 'CHECK (said_by <> ''''::text)'),
        ('constraint', 'claim_payers_version_check on claim_payers', 'CHECK (version > 0)'),
        ('constraint', 'claim_payments_book_entry_number_fkey on claim_payments', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'claim_payments_book_remittance_fkey on claim_payments', 'FOREIGN KEY (book, remittance) REFERENCES remittances(book, id)'),
        ('constraint', 'claim_payments_book_reverses_remittance_reverses_line_fkey on claim_payments', 'FOREIGN KEY (book, reverses_remittance, reverses_line) REFERENCES claim_payments(book, remittance, line)'),
        ('constraint', 'claim_payments_book_reverses_remittance_reverses_line_key on claim_payments', 'UNIQUE (book, reverses_remittance, reverses_line)'),
        ('constraint', 'claim_payments_line_check on claim_payments', 'CHECK (line > 0)'),
        ('constraint', 'claim_payments_pkey on claim_payments', 'PRIMARY KEY (book, remittance, line)'),
        ('constraint', 'codes_book_fkey on codes', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'codes_code_check on codes', 'CHECK (code <> ''''::text)'),
        ('constraint', 'codes_group on codes', 'CHECK ((list = ''adjustment''::text) = (code_group <> ''''::text))'),
        ('constraint', 'codes_list_check on codes', 'CHECK (list = ANY (ARRAY[''adjustment''::text, ''provider_level''::text]))'),
        ('constraint', 'codes_no_write_off on codes', 'CHECK (list <> ''adjustment''::text OR NOT (code_group = ''OA''::text AND code = ''23''::text AND (meaning <> ALL (ARRAY[''''::text, ''other_payer''::text, ''suspense''::text])) OR code_group = ''PR''::text AND (meaning <> ALL (ARRAY[''''::text, ''patient''::text, ''suspense''::text]))))'),
        ('constraint', 'codes_pkey on codes', 'PRIMARY KEY (book, revision)'),
        ('constraint', 'codes_reason_check on codes', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'codes_revision_check on codes', 'CHECK (revision > 0)'),
        ('constraint', 'codes_set_by_check on codes', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'counted_when_settled on pay_cycle_results', 'CHECK ((outcome = ANY (ARRAY[''paid''::text, ''carried''::text])) = (closing IS NOT NULL) AND (closing IS NULL) = (since IS NULL))'),
        ('constraint', 'daily_totals_credits_check on daily_totals', 'CHECK (credits >= 0)'),
        ('constraint', 'daily_totals_debits_check on daily_totals', 'CHECK (debits >= 0)'),
        ('constraint', 'daily_totals_pkey on daily_totals', 'PRIMARY KEY (book, account, effective_date)'),
        ('constraint', 'deliveries_book_fkey on deliveries', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'deliveries_form_check on deliveries', 'CHECK (form = ANY (ARRAY[''remittance''::text, ''statement''::text]))'),
        ('constraint', 'deliveries_pkey on deliveries', 'PRIMARY KEY (book, sha256)'),
        ('constraint', 'deliveries_sha256_check on deliveries', 'CHECK (octet_length(sha256) = 32)'),
        ('constraint', 'deliveries_size_check on deliveries', 'CHECK (size > 0)'),
        ('constraint', 'delivery_parts_book_sha256_fkey on delivery_parts', 'FOREIGN KEY (book, sha256) REFERENCES deliveries(book, sha256)'),
        ('constraint', 'delivery_parts_check on delivery_parts', 'CHECK ((key_name = ''''::text) = (octet_length(nonce) = 0))'),
        ('constraint', 'delivery_parts_part_check on delivery_parts', 'CHECK (part > 0)'),
        ('constraint', 'delivery_parts_pkey on delivery_parts', 'PRIMARY KEY (book, sha256, part)'),
        ('constraint', 'denial_policies_age_days_check on denial_policies', 'CHECK (age_days >= 0)'),
        ('constraint', 'denial_policies_book_fkey on denial_policies', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'denial_policies_codes_check on denial_policies', 'CHECK (cardinality(codes) > 0)'),
        ('constraint', 'denial_policies_currency_check on denial_policies', 'CHECK (currency ~ ''^[A-Z]{3}$''::text)'),
        ('constraint', 'denial_policies_largest_check on denial_policies', 'CHECK (largest > 0)'),
        ('constraint', 'denial_policies_name_check on denial_policies', 'CHECK (name <> ''''::text)'),
        ('constraint', 'denial_policies_pkey on denial_policies', 'PRIMARY KEY (book, name, version)'),
        ('constraint', 'denial_policies_reason_check on denial_policies', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'denial_policies_set_by_check on denial_policies', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'denial_policies_version_check on denial_policies', 'CHECK (version > 0)'),
        ('constraint', 'denials_book_entry_number_fkey on denials', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'denials_book_fkey on denials', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'denials_book_remittance_line_fkey on denials', 'FOREIGN KEY (book, remittance, line) REFERENCES claim_payments(book, remittance, line)'),
        ('constraint', 'denials_check on denials', 'CHECK ((remittance IS NULL) = (line IS NULL))'),
        ('constraint', 'denials_claim_check on denials', 'CHECK (claim <> ''''::text)'),
        ('constraint', 'denials_open_check on denials', 'CHECK (open >= 0)'),
        ('constraint', 'denials_payer_check on denials', 'CHECK (payer <> ''''::text)'),
        ('constraint', 'denials_pkey on denials', 'PRIMARY KEY (book, claim, payer, version)'),
        ('constraint', 'denials_said_by_check on denials', 'CHECK (said_by <> ''''::text)'),
        ('constraint', 'denials_state_check on denials', 'CHECK (state = ANY (ARRAY[''denied''::text, ''appealed''::text, ''resubmitted''::text, ''overturned''::text, ''absorbed''::text, ''recovered''::text, ''taken_back''::text]))'),
        ('constraint', 'denials_version_check on denials', 'CHECK (version > 0)'),
        ('constraint', 'deposit_applications_amount_check on deposit_applications', 'CHECK (amount <> 0)'),
        ('constraint', 'deposit_applications_applied_by_check on deposit_applications', 'CHECK (applied_by <> ''''::text)'),
        ('constraint', 'deposit_applications_book_deposit_fkey on deposit_applications', 'FOREIGN KEY (book, deposit) REFERENCES deposits(book, id)'),
        ('constraint', 'deposit_applications_book_entry_number_fkey on deposit_applications', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'deposit_applications_book_remittance_fkey on deposit_applications', 'FOREIGN KEY (book, remittance) REFERENCES remittances(book, id)'),
        ('constraint', 'deposit_applications_evidence_check on deposit_applications', 'CHECK (evidence <> ''''::text)'),
        ('constraint', 'deposit_applications_pkey on deposit_applications', 'PRIMARY KEY (book, entry_number, deposit, remittance)'),
        ('constraint', 'deposit_applications_rule_check on deposit_applications', 'CHECK (rule <> ''''::text)'),
        ('constraint', 'deposit_of_a_line on deposits', 'CHECK ((statement IS NULL) = (line IS NULL))'),
        ('constraint', 'deposit_policies_book_fkey on deposit_policies', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'deposit_policies_missing_after_days_check on deposit_policies', 'CHECK (missing_after_days > 0)'),
        ('constraint', 'deposit_policies_pkey on deposit_policies', 'PRIMARY KEY (book, payer, version)'),
        ('constraint', 'deposit_policies_policy_check on deposit_policies', 'CHECK (policy = ANY (ARRAY[''on_remittance''::text, ''on_deposit''::text]))'),
        ('constraint', 'deposit_policies_reason_check on deposit_policies', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'deposit_policies_set_by_check on deposit_policies', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'deposit_policies_version_check on deposit_policies', 'CHECK (version > 0)'),
        ('constraint', 'deposit_traces_book_deposit_fkey on deposit_traces', 'FOREIGN KEY (book, deposit) REFERENCES deposits(book, id)'),
        ('constraint', 'deposit_traces_pkey on deposit_traces', 'PRIMARY KEY (book, deposit, trace)'),
        ('constraint', 'deposit_traces_trace_check on deposit_traces', 'CHECK (trace <> ''''::text)'),
        ('constraint', 'deposits_account_check on deposits', 'CHECK (account <> ''''::text)'),
        ('constraint', 'deposits_amount_check on deposits', 'CHECK (amount <> 0)'),
        ('constraint', 'deposits_book_entry_number_fkey on deposits', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'deposits_book_entry_number_key on deposits', 'UNIQUE (book, entry_number)'),
        ('constraint', 'deposits_book_returns_fkey on deposits', 'FOREIGN KEY (book, returns) REFERENCES deposits(book, id)'),
        ('constraint', 'deposits_book_returns_key on deposits', 'UNIQUE (book, returns)'),
        ('constraint', 'deposits_book_statement_fkey on deposits', 'FOREIGN KEY (book, statement) REFERENCES bank_statements(book, id)'),
        ('constraint', 'deposits_pkey on deposits', 'PRIMARY KEY (book, id)'),
        ('constraint', 'deposits_recorded_by_check on deposits', 'CHECK (recorded_by <> ''''::text)'),
        ('constraint', 'entries_actor_check on entries', 'CHECK (actor <> ''''::text)'),
        ('constraint', 'entries_check on entries', 'CHECK (reverses < number)'),
        ('constraint', 'entries_check1 on entries', 'CHECK ((charge IS NULL) = (charge_currency IS NULL))'),
        ('constraint', 'entries_hash_check on entries', 'CHECK (octet_length(hash) = 32)'),
        ('constraint', 'entries_idempotency_key_check on entries', 'CHECK (idempotency_key <> ''''::text)'),
        ('constraint', 'entries_number_check on entries', 'CHECK (number > 0)'),
        ('constraint', 'entries_pkey on entries', 'PRIMARY KEY (book, number)'),
        ('constraint', 'entries_posting_count_check on entries', 'CHECK (posting_count >= 2)'),
        ('constraint', 'entries_request_hash_check on entries', 'CHECK (octet_length(request_hash) = 32)'),
        ('constraint', 'entry_keys_pkey on entry_keys', 'PRIMARY KEY (book, actor, idempotency_key)'),
        ('constraint', 'entry_reversals_book_reverses_fkey on entry_reversals', 'FOREIGN KEY (book, reverses) REFERENCES entries(book, number)'),
        ('constraint', 'entry_reversals_pkey on entry_reversals', 'PRIMARY KEY (book, reverses)'),
        ('constraint', 'event_asked_for_by_key on exception_events', 'CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))'),
        ('constraint', 'exception_events_book_entry_number_fkey on exception_events', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'exception_events_book_exception_fkey on exception_events', 'FOREIGN KEY (book, exception) REFERENCES exceptions(book, id)'),
        ('constraint', 'exception_events_book_said_by_idempotency_key_key on exception_events', 'UNIQUE (book, said_by, idempotency_key)'),
        ('constraint', 'exception_events_change_check on exception_events', 'CHECK (change = ANY (ARRAY[''assigned''::text, ''settled''::text, ''opened_again''::text, ''closed''::text, ''sent_back''::text, ''absorbed''::text, ''written_off''::text]))'),
        ('constraint', 'exception_events_idempotency_key_check on exception_events', 'CHECK (idempotency_key <> ''''::text)'),
        ('constraint', 'exception_events_owner_check on exception_events', 'CHECK (owner <> ''''::text)'),
        ('constraint', 'exception_events_pkey on exception_events', 'PRIMARY KEY (book, exception, version)'),
        ('constraint', 'exception_events_said_by_check on exception_events', 'CHECK (said_by <> ''''::text)'),
        ('constraint', 'exception_events_version_check on exception_events', 'CHECK (version > 1)'),
        ('constraint', 'exception_is_about on exceptions', 'CHECK (remittance IS NOT NULL OR deposit IS NOT NULL)'),
        ('constraint', 'exceptions_book_deposit_fkey on exceptions', 'FOREIGN KEY (book, deposit) REFERENCES deposits(book, id)'),
        ('constraint', 'exceptions_book_remittance_fkey on exceptions', 'FOREIGN KEY (book, remittance) REFERENCES remittances(book, id)'),
        ('constraint', 'exceptions_line_check on exceptions', 'CHECK (line >= 0)'),
        ('constraint', 'exceptions_pkey on exceptions', 'PRIMARY KEY (book, id)'),
        ('constraint', 'file_reads_actor_check on file_reads', 'CHECK (actor <> ''''::text)'),
        ('constraint', 'file_reads_book_sha256_fkey on file_reads', 'FOREIGN KEY (book, sha256) REFERENCES deliveries(book, sha256)'),
        ('constraint', 'file_reads_pkey on file_reads', 'PRIMARY KEY (book, id)'),
        ('constraint', 'file_reads_reason_check on file_reads', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'heads_book_fkey on heads', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'heads_changes_check on heads', 'CHECK (changes >= 0)'),
        ('constraint', 'heads_hash_check on heads', 'CHECK (octet_length(hash) = 32)'),
        ('constraint', 'heads_number_check on heads', 'CHECK (number >= 0)'),
        ('constraint', 'heads_pkey on heads', 'PRIMARY KEY (book)'),
        ('constraint', 'limit_raised_by_two on approval_limits', 'CHECK (proposal IS NOT NULL OR before IS NULL OR amount IS NOT NULL AND amount <= before)'),
        ('constraint', 'maker_is_not_checker on proposal_decisions', 'CHECK ((verdict = ''withdrawn''::text) = (decided_by = proposed_by))'),
        ('constraint', 'paid_by_an_entry on pay_cycle_results', 'CHECK ((outcome = ''paid''::text) = (entry_number IS NOT NULL AND amount > 0))'),
        ('constraint', 'paid_or_nothing on pay_cycle_results', 'CHECK (outcome = ''paid''::text OR amount = 0)'),
        ('constraint', 'pay_calendars_book_fkey on pay_calendars', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'pay_calendars_days_check on pay_calendars', 'CHECK (days ~ ''^[0-9]+( [0-9]+)*$''::text)'),
        ('constraint', 'pay_calendars_days_to_payment_check on pay_calendars', 'CHECK (days_to_payment >= 0)'),
        ('constraint', 'pay_calendars_pkey on pay_calendars', 'PRIMARY KEY (book, version)'),
        ('constraint', 'pay_calendars_reason_check on pay_calendars', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'pay_calendars_rhythm_check on pay_calendars', 'CHECK (rhythm = ANY (ARRAY[''days_of_month''::text, ''every_days''::text]))'),
        ('constraint', 'pay_calendars_set_by_check on pay_calendars', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'pay_calendars_version_check on pay_calendars', 'CHECK (version > 0)'),
        ('constraint', 'pay_cycle_items_amount_check on pay_cycle_items', 'CHECK (amount <> 0)'),
        ('constraint', 'pay_cycle_items_book_account_cycle_fkey on pay_cycle_items', 'FOREIGN KEY (book, account, cycle) REFERENCES pay_cycle_results(book, account, cycle)'),
        ('constraint', 'pay_cycle_items_kind_check on pay_cycle_items', 'CHECK (kind = ANY (ARRAY[''session''::text, ''session_reversed''::text, ''payment_returned''::text, ''adjustment''::text]))'),
        ('constraint', 'pay_cycle_items_pkey on pay_cycle_items', 'PRIMARY KEY (book, entry_number, account)'),
        ('constraint', 'pay_cycle_lines_adjustment_count_check on pay_cycle_lines', 'CHECK (adjustment_count >= 0)'),
        ('constraint', 'pay_cycle_lines_book_account_fkey on pay_cycle_lines', 'FOREIGN KEY (book, account) REFERENCES accounts(book, code)'),
        ('constraint', 'pay_cycle_lines_book_proposal_fkey on pay_cycle_lines', 'FOREIGN KEY (book, proposal) REFERENCES proposals(book, number)'),
        ('constraint', 'pay_cycle_lines_carried_check on pay_cycle_lines', 'CHECK (carried <= 0)'),
        ('constraint', 'pay_cycle_lines_check on pay_cycle_lines', 'CHECK (amount = 0 OR amount = (carried + sessions + adjustments))'),
        ('constraint', 'pay_cycle_lines_check1 on pay_cycle_lines', 'CHECK ((outcome = ''to_pay''::text) = (amount > 0 AND payee_version IS NOT NULL))'),
        ('constraint', 'pay_cycle_lines_outcome_check on pay_cycle_lines', 'CHECK (outcome = ANY (ARRAY[''to_pay''::text, ''carried''::text, ''held''::text, ''no_payee''::text]))'),
        ('constraint', 'pay_cycle_lines_pkey on pay_cycle_lines', 'PRIMARY KEY (book, proposal, account)'),
        ('constraint', 'pay_cycle_lines_provider_check on pay_cycle_lines', 'CHECK (provider <> ''''::text)'),
        ('constraint', 'pay_cycle_lines_session_count_check on pay_cycle_lines', 'CHECK (session_count >= 0)'),
        ('constraint', 'pay_cycle_lines_since_check on pay_cycle_lines', 'CHECK (since > 0)'),
        ('constraint', 'pay_cycle_results_book_account_fkey on pay_cycle_results', 'FOREIGN KEY (book, account) REFERENCES accounts(book, code)'),
        ('constraint', 'pay_cycle_results_book_cycle_fkey on pay_cycle_results', 'FOREIGN KEY (book, cycle) REFERENCES pay_cycles(book, cycle)'),
        ('constraint', 'pay_cycle_results_book_entry_number_fkey on pay_cycle_results', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'pay_cycle_results_book_entry_number_key on pay_cycle_results', 'UNIQUE (book, entry_number)'),
        ('constraint', 'pay_cycle_results_closing_check on pay_cycle_results', 'CHECK (closing <= 0)'),
        ('constraint', 'pay_cycle_results_outcome_check on pay_cycle_results', 'CHECK (outcome = ANY (ARRAY[''paid''::text, ''carried''::text, ''held''::text, ''no_payee''::text, ''changed''::text]))'),
        ('constraint', 'pay_cycle_results_pkey on pay_cycle_results', 'PRIMARY KEY (book, account, cycle)'),
        ('constraint', 'pay_cycles_book_fkey on pay_cycles', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'pay_cycles_book_proposal_fkey on pay_cycles', 'FOREIGN KEY (book, proposal) REFERENCES proposal_decisions(book, proposal) DEFERRABLE INITIALLY DEFERRED'),
        ('constraint', 'pay_cycles_book_proposal_key on pay_cycles', 'UNIQUE (book, proposal)'),
        ('constraint', 'pay_cycles_check on pay_cycles', 'CHECK (pay_date >= cycle)'),
        ('constraint', 'pay_cycles_known_check on pay_cycles', 'CHECK (known >= 0)'),
        ('constraint', 'pay_cycles_line_count_check on pay_cycles', 'CHECK (line_count > 0)'),
        ('constraint', 'pay_cycles_pkey on pay_cycles', 'PRIMARY KEY (book, cycle)'),
        ('constraint', 'payee_acceptances_book_proposal_fkey on payee_acceptances', 'FOREIGN KEY (book, proposal) REFERENCES proposal_decisions(book, proposal) DEFERRABLE INITIALLY DEFERRED'),
        ('constraint', 'payee_acceptances_book_provider_version_set_by_fkey on payee_acceptances', 'FOREIGN KEY (book, provider, version, set_by) REFERENCES payees(book, provider, version, set_by)'),
        ('constraint', 'payee_acceptances_pkey on payee_acceptances', 'PRIMARY KEY (book, provider, version)'),
        ('constraint', 'payee_acceptances_version_check on payee_acceptances', 'CHECK (version > 1)'),
        ('constraint', 'payee_identifiers_book_fkey on payee_identifiers', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'payee_identifiers_identifier_check on payee_identifiers', 'CHECK (identifier <> ''''::text)'),
        ('constraint', 'payee_identifiers_pkey on payee_identifiers', 'PRIMARY KEY (book, identifier, version)'),
        ('constraint', 'payee_identifiers_reason_check on payee_identifiers', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'payee_identifiers_said_by_check on payee_identifiers', 'CHECK (said_by <> ''''::text)'),
        ('constraint', 'payee_identifiers_version_check on payee_identifiers', 'CHECK (version > 0)'),
        ('constraint', 'payees_account_type_check on payees', 'CHECK (account_type = ANY (ARRAY[''checking''::text, ''savings''::text]))'),
        ('constraint', 'payees_book_fkey on payees', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'payees_book_provider_version_set_by_key on payees', 'UNIQUE (book, provider, version, set_by)'),
        ('constraint', 'payees_check on payees', 'CHECK ((key_name = ''''::text) = (octet_length(nonce) = 0))'),
        ('constraint', 'payees_currency_check on payees', 'CHECK (currency ~ ''^[A-Z]{3}$''::text)'),
        ('constraint', 'payees_holder_check on payees', 'CHECK (holder = ANY (ARRAY[''person''::text, ''company''::text]))'),
        ('constraint', 'payees_last_four_check on payees', 'CHECK (length(last_four) <= 4)'),
        ('constraint', 'payees_name_check on payees', 'CHECK (name <> ''''::text)'),
        ('constraint', 'payees_pkey on payees', 'PRIMARY KEY (book, provider, version)'),
        ('constraint', 'payees_reason_check on payees', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'payees_set_by_check on payees', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'payees_version_check on payees', 'CHECK (version > 0)'),
        ('constraint', 'payer_identifiers_book_fkey on payer_identifiers', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'payer_identifiers_identifier_check on payer_identifiers', 'CHECK (identifier <> ''''::text)'),
        ('constraint', 'payer_identifiers_payer_check on payer_identifiers', 'CHECK (payer <> ''''::text)'),
        ('constraint', 'payer_identifiers_pkey on payer_identifiers', 'PRIMARY KEY (book, identifier, version)'),
        ('constraint', 'payer_identifiers_reason_check on payer_identifiers', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'payer_identifiers_version_check on payer_identifiers', 'CHECK (version > 0)'),
        ('constraint', 'payment_file_reads_actor_check on payment_file_reads', 'CHECK (actor <> ''''::text)'),
        ('constraint', 'payment_file_reads_book_cycle_fkey on payment_file_reads', 'FOREIGN KEY (book, cycle) REFERENCES pay_cycles(book, cycle)'),
        ('constraint', 'payment_file_reads_currency_check on payment_file_reads', 'CHECK (currency ~ ''^[A-Z]{3}$''::text)'),
        ('constraint', 'payment_file_reads_format_check on payment_file_reads', 'CHECK (format = ANY (ARRAY[''nacha''::text, ''csv''::text]))'),
        ('constraint', 'payment_file_reads_number_check on payment_file_reads', 'CHECK (number > 0)'),
        ('constraint', 'payment_file_reads_pkey on payment_file_reads', 'PRIMARY KEY (book, cycle, format, currency, number)'),
        ('constraint', 'payment_file_reads_reason_check on payment_file_reads', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'payment_file_reads_sha256_check on payment_file_reads', 'CHECK (octet_length(sha256) = 32)'),
        ('constraint', 'payment_states_book_account_cycle_fkey on payment_states', 'FOREIGN KEY (book, account, cycle) REFERENCES pay_cycle_results(book, account, cycle)'),
        ('constraint', 'payment_states_book_entry_number_fkey on payment_states', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'payment_states_marked_by_check on payment_states', 'CHECK (marked_by <> ''''::text)'),
        ('constraint', 'payment_states_pkey on payment_states', 'PRIMARY KEY (book, account, cycle, state)'),
        ('constraint', 'payment_states_reason_check on payment_states', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'payment_states_state_check on payment_states', 'CHECK (state = ANY (ARRAY[''sent''::text, ''settled''::text, ''returned''::text]))'),
        ('constraint', 'period_balances_book_month_version_fkey on period_balances', 'FOREIGN KEY (book, month, version) REFERENCES periods(book, month, version)'),
        ('constraint', 'period_balances_credits_check on period_balances', 'CHECK (credits >= 0)'),
        ('constraint', 'period_balances_debits_check on period_balances', 'CHECK (debits >= 0)'),
        ('constraint', 'period_balances_pkey on period_balances', 'PRIMARY KEY (book, month, version, account)'),
        ('constraint', 'period_changes on periods', 'CHECK (before <> state AND (before <> ''closed''::text OR state = ''open''::text))'),
        ('constraint', 'period_closed_with_proof on periods', 'CHECK (
CASE state
    WHEN ''closed''::text THEN COALESCE(octet_length(hash) = 32 AND octet_length(last_entry_hash) = 32 AND limit_days >= 0, false)
    ELSE num_nonnulls(hash, last_entry_hash, limit_days, override_by) = 0
END)'),
        ('constraint', 'period_findings_book_month_version_fkey on period_findings', 'FOREIGN KEY (book, month, version) REFERENCES periods(book, month, version)'),
        ('constraint', 'period_findings_kind_check on period_findings', 'CHECK (kind = ANY (ARRAY[''clearing''::text, ''suspense''::text, ''unapplied_cash''::text, ''exception''::text]))'),
        ('constraint', 'period_findings_line_check on period_findings', 'CHECK (line > 0)'),
        ('constraint', 'period_findings_pkey on period_findings', 'PRIMARY KEY (book, month, version, line)'),
        ('constraint', 'period_override_named on periods', 'CHECK ((override_by IS NULL) = (override_reason IS NULL) AND override_by <> ''''::text AND override_reason <> ''''::text)'),
        ('constraint', 'period_reopened_by_two on periods', 'CHECK ((state = ''open''::text) = (proposal IS NOT NULL))'),
        ('constraint', 'periods_after_entry_check on periods', 'CHECK (after_entry >= 0)'),
        ('constraint', 'periods_before_check on periods', 'CHECK (before = ANY (ARRAY[''open''::text, ''soft_closed''::text, ''closed''::text]))'),
        ('constraint', 'periods_book_fkey on periods', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'periods_book_proposal_fkey on periods', 'FOREIGN KEY (book, proposal) REFERENCES proposal_decisions(book, proposal) DEFERRABLE INITIALLY DEFERRED'),
        ('constraint', 'periods_month_check on periods', 'CHECK (EXTRACT(day FROM month) = 1::numeric)'),
        ('constraint', 'periods_pkey on periods', 'PRIMARY KEY (book, month, version)'),
        ('constraint', 'periods_reason_check on periods', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'periods_set_by_check on periods', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'periods_state_check on periods', 'CHECK (state = ANY (ARRAY[''open''::text, ''soft_closed''::text, ''closed''::text]))'),
        ('constraint', 'periods_version_check on periods', 'CHECK (version > 0)'),
        ('constraint', 'posted_unless_sent on payment_states', 'CHECK ((state = ''sent''::text) = (entry_number IS NULL))'),
        ('constraint', 'postings_amount_check on postings', 'CHECK (amount <> 0)'),
        ('constraint', 'postings_line_check on postings', 'CHECK (line > 0)'),
        ('constraint', 'postings_pkey on postings', 'PRIMARY KEY (book, entry_number, line)'),
        ('constraint', 'proposal_decisions_book_entry_number_fkey on proposal_decisions', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'proposal_decisions_book_entry_number_key on proposal_decisions', 'UNIQUE (book, entry_number)'),
        ('constraint', 'proposal_decisions_book_proposal_proposed_by_content_hash_fkey on proposal_decisions', 'FOREIGN KEY (book, proposal, proposed_by, content_hash) REFERENCES proposals(book, number, proposed_by, content_hash)'),
        ('constraint', 'proposal_decisions_check on proposal_decisions', 'CHECK (verdict = ''approved''::text OR entry_number IS NULL)'),
        ('constraint', 'proposal_decisions_decided_by_check on proposal_decisions', 'CHECK (decided_by <> ''''::text)'),
        ('constraint', 'proposal_decisions_pkey on proposal_decisions', 'PRIMARY KEY (book, proposal)'),
        ('constraint', 'proposal_decisions_reason_check on proposal_decisions', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'proposal_decisions_verdict_check on proposal_decisions', 'CHECK (verdict = ANY (ARRAY[''approved''::text, ''declined''::text, ''withdrawn''::text]))'),
        ('constraint', 'proposals_act_check on proposals', 'CHECK (act = ANY (ARRAY[''post_entry''::text, ''reverse_entry''::text, ''pay_provider''::text, ''absorb_denial''::text, ''recover_denial''::text, ''set_approval_limit''::text, ''reopen_period''::text, ''run_pay_cycle''::text, ''accept_payee''::text, ''charge_provider''::text, ''write_off''::text]))'),
        ('constraint', 'proposals_book_fkey on proposals', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'proposals_book_number_proposed_by_content_hash_key on proposals', 'UNIQUE (book, number, proposed_by, content_hash)'),
        ('constraint', 'proposals_book_proposed_by_idempotency_key_key on proposals', 'UNIQUE (book, proposed_by, idempotency_key)'),
        ('constraint', 'proposals_content_hash_check on proposals', 'CHECK (octet_length(content_hash) = 32)'),
        ('constraint', 'proposals_idempotency_key_check on proposals', 'CHECK (idempotency_key <> ''''::text)'),
        ('constraint', 'proposals_number_check on proposals', 'CHECK (number > 0)'),
        ('constraint', 'proposals_pkey on proposals', 'PRIMARY KEY (book, number)'),
        ('constraint', 'proposals_proposed_by_check on proposals', 'CHECK (proposed_by <> ''''::text)'),
        ('constraint', 'proposals_reason_check on proposals', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'proposals_request_hash_check on proposals', 'CHECK (octet_length(request_hash) = 32)'),
        ('constraint', 'provider_charging_book_fkey on provider_charging', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'provider_charging_pkey on provider_charging', 'PRIMARY KEY (book, version)'),
        ('constraint', 'provider_charging_reason_check on provider_charging', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'provider_charging_set_by_check on provider_charging', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'provider_charging_version_check on provider_charging', 'CHECK (version > 0)'),
        ('constraint', 'provider_holds_book_fkey on provider_holds', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'provider_holds_pkey on provider_holds', 'PRIMARY KEY (book, provider, version)'),
        ('constraint', 'provider_holds_provider_check on provider_holds', 'CHECK (provider <> ''''::text)'),
        ('constraint', 'provider_holds_reason_check on provider_holds', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'provider_holds_set_by_check on provider_holds', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'provider_holds_version_check on provider_holds', 'CHECK (version > 0)'),
        ('constraint', 'provider_level_adjustments_book_entry_number_fkey on provider_level_adjustments', 'FOREIGN KEY (book, entry_number) REFERENCES entries(book, number)'),
        ('constraint', 'provider_level_adjustments_book_remittance_fkey on provider_level_adjustments', 'FOREIGN KEY (book, remittance) REFERENCES remittances(book, id)'),
        ('constraint', 'provider_level_adjustments_line_check on provider_level_adjustments', 'CHECK (line > 0)'),
        ('constraint', 'provider_level_adjustments_pkey on provider_level_adjustments', 'PRIMARY KEY (book, remittance, line)'),
        ('constraint', 'quarantined_statement_posts_nothing on bank_statements', 'CHECK (state <> ''quarantined''::text OR posted = 0 AND repeated = 0 AND noted = 0)'),
        ('constraint', 'reader_books_book_fkey on reader_books', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'reader_books_login_check on reader_books', 'CHECK (login <> ''''::text)'),
        ('constraint', 'reader_books_pkey on reader_books', 'PRIMARY KEY (book, login)'),
        ('constraint', 'recorded_levels_book_fkey on recorded_levels', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'recorded_levels_check on recorded_levels', 'CHECK (number >= 0 AND (number % size) = 0)'),
        ('constraint', 'recorded_levels_fewest_check on recorded_levels', 'CHECK (fewest > 0)'),
        ('constraint', 'recorded_levels_pkey on recorded_levels', 'PRIMARY KEY (book, size)'),
        ('constraint', 'recorded_levels_size_check on recorded_levels', 'CHECK (size > 0)'),
        ('constraint', 'recorded_totals_credits_check on recorded_totals', 'CHECK (credits >= 0)'),
        ('constraint', 'recorded_totals_debits_check on recorded_totals', 'CHECK (debits >= 0)'),
        ('constraint', 'recorded_totals_pkey on recorded_totals', 'PRIMARY KEY (book, account, size, number, effective_date)'),
        ('constraint', 'remittances_book_sha256_fkey on remittances', 'FOREIGN KEY (book, sha256) REFERENCES deliveries(book, sha256)'),
        ('constraint', 'remittances_book_sha256_position_key on remittances', 'UNIQUE (book, sha256, "position")'),
        ('constraint', 'remittances_check on remittances', 'CHECK (state <> ''settled''::text OR paid = (posted + suspended))'),
        ('constraint', 'remittances_check1 on remittances', 'CHECK ((state = ANY (ARRAY[''settled''::text, ''settling''::text])) OR posted = 0 AND suspended = 0)'),
        ('constraint', 'remittances_check2 on remittances', 'CHECK (settled_claim_count <= claim_count)'),
        ('constraint', 'remittances_code_revision_check on remittances', 'CHECK (code_revision >= 0)'),
        ('constraint', 'remittances_pkey on remittances', 'PRIMARY KEY (book, id)'),
        ('constraint', 'remittances_state_check on remittances', 'CHECK (state = ANY (ARRAY[''settled''::text, ''settling''::text, ''quarantined''::text, ''duplicate''::text, ''waiting''::text]))'),
        ('constraint', 'return_takes on deposits', 'CHECK (returns IS NULL OR amount < 0)'),
        ('constraint', 'reversed_after_it_was_posted on allowances', 'CHECK (reversal_number > entry_number)'),
        ('constraint', 'statement_ties on bank_statements', 'CHECK (state <> ''recorded''::text OR (credits - debits) = (posted + repeated + noted))'),
        ('constraint', 'tree_nodes_book_fkey on tree_nodes', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'tree_nodes_hash_check on tree_nodes', 'CHECK (octet_length(hash) = 32)'),
        ('constraint', 'tree_nodes_level_check on tree_nodes', 'CHECK (level >= 1 AND level <= 62)'),
        ('constraint', 'tree_nodes_nth_check on tree_nodes', 'CHECK (nth >= 0)'),
        ('constraint', 'tree_nodes_pkey on tree_nodes', 'PRIMARY KEY (book, level, nth)'),
        ('constraint', 'write_off_caps_amount_check on write_off_caps', 'CHECK (amount >= 0)'),
        ('constraint', 'write_off_caps_book_fkey on write_off_caps', 'FOREIGN KEY (book) REFERENCES books(book)'),
        ('constraint', 'write_off_caps_currency_check on write_off_caps', 'CHECK (currency ~ ''^[A-Z]{3}$''::text)'),
        ('constraint', 'write_off_caps_pkey on write_off_caps', 'PRIMARY KEY (book, currency, version)'),
        ('constraint', 'write_off_caps_reason_check on write_off_caps', 'CHECK (reason <> ''''::text)'),
        ('constraint', 'write_off_caps_set_by_check on write_off_caps', 'CHECK (set_by <> ''''::text)'),
        ('constraint', 'write_off_caps_version_check on write_off_caps', 'CHECK (version > 0)'),
        ('function', 'accounts_close_once', 'body d154cb13899eb0746dddee2bbd56b0c67199e4af4540120ce95d8927ee1f057d, search_path=pg_catalog, HERE, pg_temp'),
        ('function', 'entries_are_in_open_months', 'body 70c82351980d0e9d718bf91c31eb08e74ab6fec5c5e5c71b87cfb96c830f7055, search_path=pg_catalog, HERE, pg_temp enable_seqscan=off'),
        ('function', 'entries_are_whole', 'body 03c6e8c90802d41b71cc1a491ba20305752bccb75591a9ef140f0ed14fd913ff, as its owner, search_path=pg_catalog, HERE, pg_temp enable_seqscan=off enable_nestloop=off'),
        ('function', 'heads_stand_at_the_last_entry', 'body e4272a59cc6df76f707fd8c276f127c9fc2b00a4da7ddef970412684fd38bdea, search_path=pg_catalog, HERE, pg_temp'),
        ('function', 'make_partitions(ahead bigint)', 'body b32101bef716d75dbfbc2ce8c1812805c56e100d92d8381b4480751083b16983, as its owner, search_path=pg_catalog, HERE, pg_temp'),
        ('function', 'postings_are_whole', 'body a5ac7b7032d3017560b39c1173130dc1533de6ca7486d95e8d3e0728b7db5d89, search_path=pg_catalog, HERE, pg_temp enable_seqscan=off'),
        ('function', 'refuse_change', 'body 3ac0b6ca28ae61e5632d93f50c3f69b09612975b339fb6a3f11aa204e08ae50d, search_path=pg_catalog'),
        ('right', 'EXECUTE on function make_partitions for ledger_program', 'granted'),
        ('right', 'INSERT on accounts for ledger_program', 'granted'),
        ('right', 'INSERT on allowance_policies for ledger_program', 'granted'),
        ('right', 'INSERT on allowances for ledger_program', 'granted'),
        ('right', 'INSERT on approval_limits for ledger_program', 'granted'),
        ('right', 'INSERT on balances for ledger_program', 'granted'),
        ('right', 'INSERT on bank_statements for ledger_program', 'granted'),
        ('right', 'INSERT on books for ledger_program', 'granted'),
        ('right', 'INSERT on checkpoints for ledger_program', 'granted'),
        ('right', 'INSERT on claim_moves for ledger_program', 'granted'),
        ('right', 'INSERT on claim_payers for ledger_program', 'granted'),
        ('right', 'INSERT on claim_payments for ledger_program', 'granted'),
        ('right', 'INSERT on codes for ledger_program', 'granted'),
        ('right', 'INSERT on daily_totals for ledger_program', 'granted'),
        ('right', 'INSERT on deliveries for ledger_program', 'granted'),
        ('right', 'INSERT on delivery_parts for ledger_program', 'granted'),
        ('right', 'INSERT on denial_policies for ledger_program', 'granted'),
        ('right', 'INSERT on denials for ledger_program', 'granted'),
        ('right', 'INSERT on deposit_applications for ledger_program', 'granted'),
        ('right', 'INSERT on deposit_policies for ledger_program', 'granted'),
        ('right', 'INSERT on deposit_traces for ledger_program', 'granted'),
        ('right', 'INSERT on deposits for ledger_program', 'granted'),
        ('right', 'INSERT on entries for ledger_program', 'granted'),
        ('right', 'INSERT on exception_events for ledger_program', 'granted'),
        ('right', 'INSERT on exceptions for ledger_program', 'granted'),
        ('right', 'INSERT on file_reads for ledger_program', 'granted'),
        ('right', 'INSERT on heads for ledger_program', 'granted'),
        ('right', 'INSERT on pay_calendars for ledger_program', 'granted'),
        ('right', 'INSERT on pay_cycle_items for ledger_program', 'granted'),
        ('right', 'INSERT on pay_cycle_lines for ledger_program', 'granted'),
        ('right', 'INSERT on pay_cycle_results for ledger_program', 'granted'),
        ('right', 'INSERT on pay_cycles for ledger_program', 'granted'),
        ('right', 'INSERT on payee_acceptances for ledger_program', 'granted'),
        ('right', 'INSERT on payee_identifiers for ledger_program', 'granted'),
        ('right', 'INSERT on payees for ledger_program', 'granted'),
        ('right', 'INSERT on payer_identifiers for ledger_program', 'granted'),
        ('right', 'INSERT on payment_file_reads for ledger_program', 'granted'),
        ('right', 'INSERT on payment_states for ledger_program', 'granted'),
        ('right', 'INSERT on period_balances for ledger_program', 'granted'),
        ('right', 'INSERT on period_findings for ledger_program', 'granted'),
        ('right', 'INSERT on periods for ledger_program', 'granted'),
        ('right', 'INSERT on postings for ledger_program', 'granted'),
        ('right', 'INSERT on proposal_decisions for ledger_program', 'granted'),
        ('right', 'INSERT on proposals for ledger_program', 'granted'),
        ('right', 'INSERT on provider_charging for ledger_program', 'granted'),
        ('right', 'INSERT on provider_holds for ledger_program', 'granted'),
        ('right', 'INSERT on provider_level_adjustments for ledger_program', 'granted'),
        ('right', 'INSERT on recorded_levels for ledger_program', 'granted'),
        ('right', 'INSERT on recorded_totals for ledger_program', 'granted'),
        ('right', 'INSERT on remittances for ledger_program', 'granted'),
        ('right', 'INSERT on tree_nodes for ledger_program', 'granted'),
        ('right', 'INSERT on write_off_caps for ledger_program', 'granted'),
        ('right', 'SELECT on accounts for ledger_program', 'granted'),
        ('right', 'SELECT on alembic_version for ledger_program', 'granted'),
        ('right', 'SELECT on allowance_policies for ledger_program', 'granted'),
        ('right', 'SELECT on allowances for ledger_program', 'granted'),
        ('right', 'SELECT on approval_limits for ledger_program', 'granted'),
        ('right', 'SELECT on balances for ledger_program', 'granted'),
        ('right', 'SELECT on bank_statements for ledger_program', 'granted'),
        ('right', 'SELECT on books for ledger_program', 'granted'),
        ('right', 'SELECT on checkpoints for ledger_program', 'granted'),
        ('right', 'SELECT on claim_moves for ledger_program', 'granted'),
        ('right', 'SELECT on claim_payers for ledger_program', 'granted'),
        ('right', 'SELECT on claim_payments for ledger_program', 'granted'),
        ('right', 'SELECT on codes for ledger_program', 'granted'),
        ('right', 'SELECT on daily_totals for ledger_program', 'granted'),
        ('right', 'SELECT on deliveries for ledger_program', 'granted'),
        ('right', 'SELECT on delivery_parts for ledger_program', 'granted'),
        ('right', 'SELECT on denial_policies for ledger_program', 'granted'),
        ('right', 'SELECT on denials for ledger_program', 'granted'),
        ('right', 'SELECT on deposit_applications for ledger_program', 'granted'),
        ('right', 'SELECT on deposit_policies for ledger_program', 'granted'),
        ('right', 'SELECT on deposit_traces for ledger_program', 'granted'),
        ('right', 'SELECT on deposits for ledger_program', 'granted'),
        ('right', 'SELECT on entries for ledger_program', 'granted'),
        ('right', 'SELECT on entry_keys for ledger_program', 'granted'),
        ('right', 'SELECT on entry_reversals for ledger_program', 'granted'),
        ('right', 'SELECT on exception_events for ledger_program', 'granted'),
        ('right', 'SELECT on exceptions for ledger_program', 'granted'),
        ('right', 'SELECT on file_reads for ledger_program', 'granted'),
        ('right', 'SELECT on heads for ledger_program', 'granted'),
        ('right', 'SELECT on ledger_reading.accounts for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.allowance_policies for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.allowances for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.approval_limits for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.balances for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.bank_statements for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.books for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.checkpoints for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.claim_moves for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.claim_payers for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.claim_payments for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.codes for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.daily_totals for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.deliveries for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.denial_policies for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.denials for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.deposit_applications for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.deposit_policies for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.deposit_traces for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.deposits for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.entries for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.entry_keys for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.entry_reversals for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.exception_events for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.exceptions for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.file_reads for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.heads for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.pay_calendars for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.pay_cycle_items for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.pay_cycle_lines for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.pay_cycle_results for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.pay_cycles for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.payee_acceptances for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.payee_identifiers for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.payees for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.payer_identifiers for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.payment_file_reads for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.payment_states for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.period_balances for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.period_findings for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.periods for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.postings for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.proposal_decisions for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.proposals for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.provider_charging for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.provider_holds for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.provider_level_adjustments for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.recorded_levels for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.recorded_totals for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.remittances for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.tree_nodes for ledger_reader', 'granted'),
        ('right', 'SELECT on ledger_reading.write_off_caps for ledger_reader', 'granted'),
        ('right', 'SELECT on pay_calendars for ledger_program', 'granted'),
        ('right', 'SELECT on pay_cycle_items for ledger_program', 'granted'),
        ('right', 'SELECT on pay_cycle_lines for ledger_program', 'granted'),
        ('right', 'SELECT on pay_cycle_results for ledger_program', 'granted'),
        ('right', 'SELECT on pay_cycles for ledger_program', 'granted'),
        ('right', 'SELECT on payee_acceptances for ledger_program', 'granted'),
        ('right', 'SELECT on payee_identifiers for ledger_program', 'granted'),
        ('right', 'SELECT on payees for ledger_program', 'granted'),
        ('right', 'SELECT on payer_identifiers for ledger_program', 'granted'),
        ('right', 'SELECT on payment_file_reads for ledger_program', 'granted'),
        ('right', 'SELECT on payment_states for ledger_program', 'granted'),
        ('right', 'SELECT on period_balances for ledger_program', 'granted'),
        ('right', 'SELECT on period_findings for ledger_program', 'granted'),
        ('right', 'SELECT on periods for ledger_program', 'granted'),
        ('right', 'SELECT on postings for ledger_program', 'granted'),
        ('right', 'SELECT on proposal_decisions for ledger_program', 'granted'),
        ('right', 'SELECT on proposals for ledger_program', 'granted'),
        ('right', 'SELECT on provider_charging for ledger_program', 'granted'),
        ('right', 'SELECT on provider_holds for ledger_program', 'granted'),
        ('right', 'SELECT on provider_level_adjustments for ledger_program', 'granted'),
        ('right', 'SELECT on recorded_levels for ledger_program', 'granted'),
        ('right', 'SELECT on recorded_totals for ledger_program', 'granted'),
        ('right', 'SELECT on remittances for ledger_program', 'granted'),
        ('right', 'SELECT on tree_nodes for ledger_program', 'granted'),
        ('right', 'SELECT on write_off_caps for ledger_program', 'granted'),
        ('right', 'UPDATE on accounts (close_reason) for ledger_program', 'granted'),
        ('right', 'UPDATE on accounts (closed_at) for ledger_program', 'granted'),
        ('right', 'UPDATE on accounts (closed_by) for ledger_program', 'granted'),
        ('right', 'UPDATE on balances (credits) for ledger_program', 'granted'),
        ('right', 'UPDATE on balances (debits) for ledger_program', 'granted'),
        ('right', 'UPDATE on bank_statements (noted) for ledger_program', 'granted'),
        ('right', 'UPDATE on bank_statements (posted) for ledger_program', 'granted'),
        ('right', 'UPDATE on bank_statements (reason) for ledger_program', 'granted'),
        ('right', 'UPDATE on bank_statements (recorded_line) for ledger_program', 'granted'),
        ('right', 'UPDATE on bank_statements (repeated) for ledger_program', 'granted'),
        ('right', 'UPDATE on bank_statements (state) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (claim) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (decision) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (entry_number) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (evidence) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (reverses_line) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (reverses_remittance) for ledger_program', 'granted'),
        ('right', 'UPDATE on claim_payments (rule) for ledger_program', 'granted'),
        ('right', 'UPDATE on daily_totals (credits) for ledger_program', 'granted'),
        ('right', 'UPDATE on daily_totals (debits) for ledger_program', 'granted'),
        ('right', 'UPDATE on deliveries (finished_at) for ledger_program', 'granted'),
        ('right', 'UPDATE on exceptions (closed_at) for ledger_program', 'granted'),
        ('right', 'UPDATE on heads (changes) for ledger_program', 'granted'),
        ('right', 'UPDATE on heads (hash) for ledger_program', 'granted'),
        ('right', 'UPDATE on heads (number) for ledger_program', 'granted'),
        ('right', 'UPDATE on heads (recorded_at) for ledger_program', 'granted'),
        ('right', 'UPDATE on recorded_levels (number) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (applied) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (clearing) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (code_revision) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (payer) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (posted) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (reason) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (settled_claim_count) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (state) for ledger_program', 'granted'),
        ('right', 'UPDATE on remittances (suspended) for ledger_program', 'granted'),
        ('right', 'USAGE on the schema HERE for everybody', 'granted'),
        ('right', 'USAGE on the schema HERE for ledger_program', 'granted'),
        ('right', 'USAGE on the schema ledger_reading for ledger_reader', 'granted'),
        ('table', 'accounts', 'logged, filled: book code type currency normal_side item_required opened_at opened_by'),
        ('table', 'alembic_version', 'logged, filled: version_num'),
        ('table', 'allowance_policies', 'logged, filled: book version is_on terms reason set_by set_at'),
        ('table', 'allowances', 'logged, filled: book month policy entry_number reversal_number evidence posted_by posted_at'),
        ('table', 'approval_limits', 'logged, filled: book kind currency version after_entry reason set_by set_at'),
        ('table', 'balances', 'logged, filled: book account debits credits'),
        ('table', 'bank_statements', 'logged, filled: book id sha256 position state account credits debits posted repeated noted line_count recorded_line reason received_at'),
        ('table', 'books', 'logged, filled: book name opened_at opened_by'),
        ('table', 'checkpoints', 'logged, filled: book number size root note verifier written_at written_by reason'),
        ('table', 'claim_moves', 'logged, filled: book entry_number claim move payer'),
        ('table', 'claim_payers', 'logged, filled: book claim payer_rank version payer reason said_by said_at'),
        ('table', 'claim_payments', 'logged, filled: book remittance line claim_as_sent payer_control_number status decision rule evidence'),
        ('table', 'codes', 'logged, filled: book revision list code_group code payer effective_from meaning label reason set_by set_at'),
        ('table', 'daily_totals', 'logged, filled: book account effective_date debits credits'),
        ('table', 'deliveries', 'logged, filled: book sha256 file_name size received_at received_by form'),
        ('table', 'delivery_parts', 'logged, filled: book sha256 part content key_name nonce'),
        ('table', 'denial_policies', 'logged, filled: book name version enabled codes payer currency largest age_days reason set_by set_at'),
        ('table', 'denials', 'logged, filled: book claim payer version state effective_date open currency codes reason policy said_by said_at'),
        ('table', 'deposit_applications', 'logged, filled: book entry_number deposit remittance amount rule evidence applied_at applied_by'),
        ('table', 'deposit_policies', 'logged, filled: book payer version policy missing_after_days reason set_by set_at'),
        ('table', 'deposit_traces', 'logged, filled: book deposit trace payer_identifier'),
        ('table', 'deposits', 'logged, filled: book id account effective_date amount currency reference payer_identifier entry_number recorded_at recorded_by'),
        ('table', 'entries', 'logged, filled: book number id kind effective_date recorded_at description actor idempotency_key request_hash posting_count hash'),
        ('table', 'entry_keys', 'logged, filled: book actor idempotency_key number'),
        ('table', 'entry_reversals', 'logged, filled: book reverses number'),
        ('table', 'exception_events', 'logged, filled: book exception version change note said_by said_at'),
        ('table', 'exceptions', 'logged, filled: book id line reason claim_as_sent detail opened_at'),
        ('table', 'file_reads', 'logged, filled: book id sha256 actor reason read_at'),
        ('table', 'heads', 'logged, filled: book number hash recorded_at changes'),
        ('table', 'pay_calendars', 'logged, filled: book version rhythm days first_cut_off days_to_payment reason set_by set_at'),
        ('table', 'pay_cycle_items', 'logged, filled: book entry_number account cycle kind amount'),
        ('table', 'pay_cycle_lines', 'logged, filled: book proposal account provider currency carried session_count sessions adjustment_count adjustments amount outcome reason since'),
        ('table', 'pay_cycle_results', 'logged, filled: book account cycle currency outcome amount reason'),
        ('table', 'pay_cycles', 'logged, filled: book cycle pay_date known line_count proposal'),
        ('table', 'payee_acceptances', 'logged, filled: book provider version set_by proposal'),
        ('table', 'payee_identifiers', 'logged, filled: book identifier version ours reason said_by said_at'),
        ('table', 'payees', 'logged, filled: book provider version name holder account_type currency last_four company_id bank_name reason set_by set_at content key_name nonce'),
        ('table', 'payer_identifiers', 'logged, filled: book identifier payer identified_at identified_by version reason'),
        ('table', 'payment_file_reads', 'logged, filled: book cycle format currency number known company_version sha256 payment_count total actor reason read_at'),
        ('table', 'payment_states', 'logged, filled: book account cycle state day reason marked_by marked_at'),
        ('table', 'period_balances', 'logged, filled: book month version account currency debits credits'),
        ('table', 'period_findings', 'logged, filled: book month version line kind subject since days'),
        ('table', 'periods', 'logged, filled: book month version before state after_entry reason set_by set_at'),
        ('table', 'postings', 'logged, filled: book entry_number line effective_date account currency amount'),
        ('table', 'proposal_decisions', 'logged, filled: book proposal verdict proposed_by content_hash decided_by decided_at reason'),
        ('table', 'proposals', 'logged, filled: book number act asked shown request_hash content_hash proposed_by proposed_at idempotency_key reason'),
        ('table', 'provider_charging', 'logged, filled: book version allowed reason set_by set_at'),
        ('table', 'provider_holds', 'logged, filled: book provider version held reason set_by set_at'),
        ('table', 'provider_level_adjustments', 'logged, filled: book remittance line code reference amount account'),
        ('table', 'reader_books', 'logged, filled: book login given_at given_by'),
        ('table', 'recorded_levels', 'logged, filled: book size fewest number'),
        ('table', 'recorded_totals', 'logged, filled: book account size number effective_date debits credits'),
        ('table', 'remittances', 'logged, filled: book id sha256 position state content_hash payer_name signed_by trace posted suspended claim_count settled_claim_count reason received_at code_revision applied'),
        ('table', 'tree_nodes', 'logged, filled: book level nth hash'),
        ('table', 'write_off_caps', 'logged, filled: book currency version amount reason set_by set_at'),
        ('trigger', 'accounts_close_once', 'enabled always, BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION accounts_close_once()'),
        ('trigger', 'accounts_stay', 'enabled always, BEFORE DELETE OR TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'allowance_policies_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON allowance_policies FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'allowances_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON allowances FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'approval_limits_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON approval_limits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'checkpoints_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'claim_moves_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON claim_moves FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'claim_payers_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON claim_payers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'codes_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON codes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'denial_policies_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON denial_policies FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'denials_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON denials FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'deposit_applications_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON deposit_applications FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'deposit_policies_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON deposit_policies FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'deposit_traces_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON deposit_traces FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'deposits_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON deposits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'entries_are_in_open_months', 'enabled always, AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION entries_are_in_open_months()'),
        ('trigger', 'entries_are_whole', 'enabled always, AFTER INSERT ON entries REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION entries_are_whole()'),
        ('trigger', 'entries_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'entry_keys_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON entry_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'entry_reversals_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON entry_reversals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'exception_events_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON exception_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'heads_stand_at_the_last_entry', 'enabled always, AFTER INSERT OR UPDATE ON heads DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION heads_stand_at_the_last_entry()'),
        ('trigger', 'heads_stay', 'enabled always, BEFORE DELETE OR TRUNCATE ON heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'pay_calendars_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON pay_calendars FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'pay_cycle_items_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON pay_cycle_items FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'pay_cycle_lines_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON pay_cycle_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'pay_cycle_results_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON pay_cycle_results FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'pay_cycles_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON pay_cycles FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'payee_acceptances_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON payee_acceptances FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'payee_identifiers_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON payee_identifiers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'payees_never_change', 'enabled always, BEFORE DELETE OR UPDATE OF book, provider, version, name, holder, account_type, currency, last_four, company_id, bank_name, reason, set_by, set_at OR TRUNCATE ON payees FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'payer_identifiers_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON payer_identifiers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'payment_file_reads_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON payment_file_reads FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'payment_states_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON payment_states FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'period_balances_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON period_balances FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'period_findings_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON period_findings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'periods_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON periods FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'postings_are_whole', 'enabled always, AFTER INSERT ON postings REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION postings_are_whole()'),
        ('trigger', 'postings_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON postings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'proposal_decisions_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON proposal_decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'proposals_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON proposals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'provider_charging_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON provider_charging FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'provider_holds_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON provider_holds FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('trigger', 'write_off_caps_never_change', 'enabled always, BEFORE DELETE OR UPDATE OR TRUNCATE ON write_off_caps FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'),
        ('unique index', 'accounts_case', 'CREATE UNIQUE INDEX accounts_case ON accounts USING btree (book, lower(code))'),
        ('unique index', 'pay_cycle_items_session', 'CREATE UNIQUE INDEX pay_cycle_items_session ON pay_cycle_items USING btree (book, entry_number) WHERE kind = ''session''::text'),
        ('unique index', 'remittances_content', 'CREATE UNIQUE INDEX remittances_content ON remittances USING btree (book, content_hash) WHERE state = ANY (ARRAY[''settled''::text, ''settling''::text, ''waiting''::text])'),
        ('unique index', 'remittances_trace', 'CREATE UNIQUE INDEX remittances_trace ON remittances USING btree (book, signed_by, trace) WHERE state = ANY (ARRAY[''settled''::text, ''settling''::text, ''waiting''::text])'),
        ('version', 'of the database', '0012'),
        ('view', 'ledger_reading.accounts', 'security_barrier=true, of accounts reader_books, fe80e5cd59f5a54e2ee06929b03c7d10d78ccd4520a0d723b734d8c6b62a9236'),
        ('view', 'ledger_reading.allowance_policies', 'security_barrier=true, of allowance_policies reader_books, 404bdb2159a9c175f3e0398307ba50f84877293e7d21123452fe7f80181080dd'),
        ('view', 'ledger_reading.allowances', 'security_barrier=true, of allowances reader_books, 997d9ea14c507d0527cf7e6541a7eebaffc8c202a8276b132a8cd481dfb87516'),
        ('view', 'ledger_reading.approval_limits', 'security_barrier=true, of approval_limits reader_books, fabe7c998a1b1a1b1df7ca1aa374a21d7a8cb8ceec66b61619447b9475324d43'),
        ('view', 'ledger_reading.balances', 'security_barrier=true, of balances reader_books, bc41e1a66ca2c351db0d2c6c7bbcbcd811215b9b487f09a081f0efb9ec6b1386'),
        ('view', 'ledger_reading.bank_statements', 'security_barrier=true, of bank_statements reader_books, 21dd336bd747b9a0e5020bbdaea35769cafaa55964a4a449629eb11fdd914a77'),
        ('view', 'ledger_reading.books', 'security_barrier=true, of books reader_books, 2873f81da7b55cc7228c29675d6d6f7767dcfeb5faa7780f3fb40d07caf7a444'),
        ('view', 'ledger_reading.checkpoints', 'security_barrier=true, of checkpoints reader_books, 70109c1b93c70373bb15e5c5ede63fa6057c3b565acd684a69fb038e9fa69b25'),
        ('view', 'ledger_reading.claim_moves', 'security_barrier=true, of claim_moves reader_books, 75faa3cb107394c25e53bc507b21ebef955935e035daf48f8e37077fd29650ec'),
        ('view', 'ledger_reading.claim_payers', 'security_barrier=true, of claim_payers reader_books, e5c009150991d96644db228db4ece95187683a34060a030b0005835526dfd273'),
        ('view', 'ledger_reading.claim_payments', 'security_barrier=true, of claim_payments reader_books, d28bd17081f1f81a8782cfdb7cc980656012b77b6e647fab94d026b29fcfabec'),
        ('view', 'ledger_reading.codes', 'security_barrier=true, of codes reader_books, 698cbeed78756bc4e6552d4876301d0b428e621a7b96e3a3da717bf66bcaa56f'),
        ('view', 'ledger_reading.daily_totals', 'security_barrier=true, of daily_totals reader_books, c7eeb508b28a5ef83df12e7a030ac2e1576b039f60cc59b61af81ca759ca001c'),
        ('view', 'ledger_reading.deliveries', 'security_barrier=true, of deliveries reader_books, da71784f5e8ba144d342b1a56a6da6826c3e8b6642117f58bb79e0adf1421417'),
        ('view', 'ledger_reading.denial_policies', 'security_barrier=true, of denial_policies reader_books, 3ce5e964f20ab16227b5d1ce22492d63b93e2d102c7aa350a854e07c9793c791'),
        ('view', 'ledger_reading.denials', 'security_barrier=true, of denials reader_books, e8f0ede2fcee443e07408d3a40f407247eeb52865fd97c4923eb4d3658d441c5'),
        ('view', 'ledger_reading.deposit_applications', 'security_barrier=true, of deposit_applications reader_books, 87ef1c197c7f54e6dc8f9a4ff7b9ee0bafc95646e3f2ad3cec68284e8b7385c4'),
        ('view', 'ledger_reading.deposit_policies', 'security_barrier=true, of deposit_policies reader_books, 23b0e581cd8d5baa0968848b9599b4defadb792d11993cf0be19d2a6fb202cd6'),
        ('view', 'ledger_reading.deposit_traces', 'security_barrier=true, of deposit_traces reader_books, af380fe5275ddcc87a8487ae3aca27d3f3ebc8b8f2160d6b0375dfa0601e9051'),
        ('view', 'ledger_reading.deposits', 'security_barrier=true, of deposits reader_books, 13993e054c68d000a2bde5df7734c4c68a6411fe62300ee4ad8bbda0004b1588'),
        ('view', 'ledger_reading.entries', 'security_barrier=true, of entries reader_books, a1e3dedd281f553362666e799de9ad7bd5bab31604b2d5b493b467e12cac1f7f'),
        ('view', 'ledger_reading.entry_keys', 'security_barrier=true, of entry_keys reader_books, 82cc4a7c57e8ae5a493f37f0d863a3c214eae73201e0f1dda7b27dd58727cb81'),
        ('view', 'ledger_reading.entry_reversals', 'security_barrier=true, of entry_reversals reader_books, 72d06f9d64f81261581d1579dc88c15b4caa6688815edb64841b028af2aaf5b1'),
        ('view', 'ledger_reading.exception_events', 'security_barrier=true, of exception_events reader_books, 14a062456d175b6a449dc5192897532cbb4bf896964e4e27094132b904d5c6a8'),
        ('view', 'ledger_reading.exceptions', 'security_barrier=true, of exceptions reader_books, 7c572c53f3d1313e69d52e42189a24d6524c80c6e867ea2fd4f382f3ed756ca0'),
        ('view', 'ledger_reading.file_reads', 'security_barrier=true, of file_reads reader_books, bcafa8104e6e010733450f94e8b031e52e96668ea134db8224b9f956abf1ed40'),
        ('view', 'ledger_reading.heads', 'security_barrier=true, of heads reader_books, 6434897aa94f5dd663aaa22ae91cd3996a3c0dd813d5bf997aff5240cea07183'),
        ('view', 'ledger_reading.pay_calendars', 'security_barrier=true, of pay_calendars reader_books, 3cf3204128386364a22a517f82d672cb549efd11fe5390b39c6156b802d3500c'),
        ('view', 'ledger_reading.pay_cycle_items', 'security_barrier=true, of pay_cycle_items reader_books, c8ed0dda03f9f9c94f45802ca17242824f8fff4f37f40cad1dfa2c9018837516'),
        ('view', 'ledger_reading.pay_cycle_lines', 'security_barrier=true, of pay_cycle_lines reader_books, 196bcddc1928e36baa42dfa833a16579c37ea2a65a19bdfcccb127f470e16a07'),
        ('view', 'ledger_reading.pay_cycle_results', 'security_barrier=true, of pay_cycle_results reader_books, 48211f93267f15a5e4e6b9fc175c2343665b0d4332eac85f741900575599d9cc'),
        ('view', 'ledger_reading.pay_cycles', 'security_barrier=true, of pay_cycles reader_books, 543cd8236f2074a954b36ec7f9676021a540eb49717435e2f582adfd5616e59c'),
        ('view', 'ledger_reading.payee_acceptances', 'security_barrier=true, of payee_acceptances reader_books, eccf6e54bc918a1cbb081b47bdd5bc24041adf0945f3f2e133c67cb21a650f34'),
        ('view', 'ledger_reading.payee_identifiers', 'security_barrier=true, of payee_identifiers reader_books, 1a4be0c5bd4c4f760bfc7732da4957849df98fbafdcbad38662052c54c6a5c55'),
        ('view', 'ledger_reading.payees', 'security_barrier=true, of payees reader_books, d0c81a85ed715cf8c453cf877ce5b60abf851fcfb1820108829ec39d41d9dbea'),
        ('view', 'ledger_reading.payer_identifiers', 'security_barrier=true, of payer_identifiers reader_books, 0cc11de7c128b304228fb1ceb0551091be0b531c0b5fb3176ced0af6bc4ff7a2'),
        ('view', 'ledger_reading.payment_file_reads', 'security_barrier=true, of payment_file_reads reader_books, d097fa869a2c6b9ec77951d738a72cb638845100d4b3540369b37f09e8705667'),
        ('view', 'ledger_reading.payment_states', 'security_barrier=true, of payment_states reader_books, f384c0a1933f6f3a3b984b35c74de343ec6c819a3292039b5a2b39c09ec3e75f'),
        ('view', 'ledger_reading.period_balances', 'security_barrier=true, of period_balances reader_books, 223695152524d2b841afaa8fa91d769b7b3e72a31f73c3fc9e8af5c11136dba9'),
        ('view', 'ledger_reading.period_findings', 'security_barrier=true, of period_findings reader_books, 660f4fb30038cac4e1d7ead5124ff75b7fa4a4ec29f9c2b143cd7e4fa2d831a5'),
        ('view', 'ledger_reading.periods', 'security_barrier=true, of periods reader_books, 8ab87178d09b530516786ff3d99b15b1cb4366cddf8a9a567733c1bfb68a0d08'),
        ('view', 'ledger_reading.postings', 'security_barrier=true, of postings reader_books, c67e8210028e8e472522ec330219f7d8f7de6fdcae97429017ca244f7f0c9841'),
        ('view', 'ledger_reading.proposal_decisions', 'security_barrier=true, of proposal_decisions reader_books, 21fae81b6217bd0e476825375fd3353e5a17c112703093a27472fba3fd8d51e4'),
        ('view', 'ledger_reading.proposals', 'security_barrier=true, of proposals reader_books, bb63001af6d8e5c72f66b95861a0c5d563d766abb58f0f3cfe2a094d84f712d5'),
        ('view', 'ledger_reading.provider_charging', 'security_barrier=true, of provider_charging reader_books, 3f8d270328e34ac13431149a0f40287c29786a5a232cea3046a1fda20c509d2e'),
        ('view', 'ledger_reading.provider_holds', 'security_barrier=true, of provider_holds reader_books, a086d998de50600f9bd32fbc9b0e3442fe5f4fa735f783c138f3a81ad2f2f7a7'),
        ('view', 'ledger_reading.provider_level_adjustments', 'security_barrier=true, of provider_level_adjustments reader_books, e39cffe850d10c48853ae2772ae791436bba32e042a786e326bfa5c27c552763'),
        ('view', 'ledger_reading.recorded_levels', 'security_barrier=true, of reader_books recorded_levels, 8366f07bfac164541462cc0401f9ef3f74f8add3f2628d521812461a762072a3'),
        ('view', 'ledger_reading.recorded_totals', 'security_barrier=true, of reader_books recorded_totals, 135316db5ed27234d0869bf94ae04ec9862ce3b44a1f9762e0a32880dde72972'),
        ('view', 'ledger_reading.remittances', 'security_barrier=true, of reader_books remittances, e25a6d298bd473896f64bbb363533402ebf3d01445e7b85c1cc2c67fe21fd23c'),
        ('view', 'ledger_reading.tree_nodes', 'security_barrier=true, of reader_books tree_nodes, d6a803d1d8d094ffa28211b05fb67ddbb3e410b7f646ad51817edb90d4910aa3'),
        ('view', 'ledger_reading.write_off_caps', 'security_barrier=true, of reader_books write_off_caps, 94b9a252427b824fa29a94ce1ae8599a47d2e3f34dcdb1f55797f581f6ebe548')
        -- migrated: end
), relations AS (
    SELECT c.*, CAST(CAST(c.oid AS regclass) AS text) AS name
    FROM pg_class AS c
    WHERE c.relnamespace IN (SELECT schema FROM place) OR c.relnamespace = to_regnamespace('ledger_reading')
), found (kind, subject, said) AS (
    SELECT 'table', name,
        CASE relpersistence WHEN 'p' THEN 'logged' ELSE 'lost in a crash' END
        || CASE WHEN relrowsecurity THEN ', with row security' ELSE '' END
        || coalesce((SELECT ', with rule ' || min(rulename) FROM pg_rewrite WHERE ev_class = relations.oid), '')
        || coalesce((
            SELECT ', filled: ' || string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = relations.oid AND attnum > 0 AND attnotnull
        ), '')
    FROM relations
    WHERE relkind IN ('r', 'p') AND NOT relispartition

    UNION ALL
    SELECT 'constraint', conname || ' on ' || name, pg_get_constraintdef(c.oid, true)
    FROM pg_constraint AS c
    JOIN relations ON relations.oid = conrelid
    WHERE contype IN ('c', 'p', 'u', 'f', 'x') AND NOT relispartition AND conparentid = 0

    UNION ALL
    SELECT 'unique index', CAST(CAST(indexrelid AS regclass) AS text),
        pg_get_indexdef(indexrelid, 0, true) || CASE WHEN indisvalid AND indisready THEN '' ELSE ', not valid' END
    FROM pg_index
    JOIN relations ON relations.oid = indrelid
    WHERE indisunique AND NOT relispartition
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))

    UNION ALL
    SELECT 'trigger', tgname,
        CASE tgenabled WHEN 'A' THEN 'enabled always' WHEN 'D' THEN 'disabled' ELSE 'enabled at times only' END
        || ', ' || regexp_replace(pg_get_triggerdef(t.oid, true), '^CREATE (CONSTRAINT )?TRIGGER \S+ ', '')
    FROM pg_trigger AS t
    JOIN relations ON relations.oid = tgrelid
    WHERE NOT tgisinternal AND NOT relispartition

    UNION ALL
    SELECT 'function', proname || replace('(' || pg_get_function_identity_arguments(pg_proc.oid) || ')', '()', ''),
        'body ' || encode(sha256(convert_to(prosrc, 'UTF8')), 'hex')
        || CASE
            WHEN NOT prosecdef THEN ''
            WHEN proowner = (SELECT relowner FROM pg_class WHERE oid = CAST('entries' AS regclass)) THEN ', as its owner'
            ELSE ', as ' || CAST(CAST(proowner AS regrole) AS text)
        END
        || coalesce(', ' || replace(array_to_string(proconfig, ' '), CAST(CAST(schema AS regnamespace) AS text), 'HERE'), '')
    FROM pg_proc
    JOIN place ON schema = pronamespace
    WHERE prokind IN ('f', 'p')

    UNION ALL
    -- Versions of PostgreSQL write the names of tables before columns or not: left out, a view reads the same in all.
    SELECT 'view', name, concat_ws(', ',
        coalesce(array_to_string(reloptions, ' '), 'no barrier'),
        (
            SELECT 'of ' || string_agg(DISTINCT CAST(CAST(refobjid AS regclass) AS text) COLLATE "C", ' ')
            FROM pg_depend JOIN pg_rewrite AS r ON r.oid = objid AND ev_class = relations.oid
            WHERE refclassid = CAST('pg_class' AS regclass) AND refobjid <> relations.oid
        ),
        encode(sha256(convert_to(regexp_replace(pg_get_viewdef(oid), '\y\w+\.|\s+', '', 'g'), 'UTF8')), 'hex')
    )
    FROM relations
    WHERE relkind = 'v'

    UNION ALL
    SELECT 'right', privilege_type || ' on ' || name || ' for ' || role
        || CASE WHEN is_grantable THEN ', to pass on' ELSE '' END, 'granted'
    FROM (
        SELECT name, relowner, (aclexplode(relacl)).* FROM relations
        UNION ALL
        SELECT name || ' (' || attname || ')', relowner, (aclexplode(attacl)).*
        FROM relations JOIN pg_attribute ON attrelid = oid
        UNION ALL
        -- Whoever may call a function that works as its owner may do what it does.
        SELECT 'function ' || proname, proowner, (aclexplode(coalesce(proacl, acldefault('f', proowner)))).*
        FROM pg_proc JOIN place ON schema = pronamespace
        WHERE prosecdef AND prorettype <> CAST('trigger' AS regtype)
        UNION ALL
        SELECT 'the schema ' || CASE WHEN oid = schema THEN 'HERE' ELSE nspname END, nspowner, (aclexplode(nspacl)).*
        FROM pg_namespace JOIN place ON oid = schema OR nspname = 'ledger_reading'
    ) AS held
    CROSS JOIN LATERAL (
        SELECT CASE WHEN grantee = 0 THEN 'everybody' ELSE CAST(CAST(grantee AS regrole) AS text) END
    ) AS to_whom (role)
    WHERE grantee <> relowner

    UNION ALL
    SELECT 'version', 'of the database', version_num FROM alembic_version
), roles (role, said) AS (
    SELECT r.rolname, coalesce(nullif(concat_ws(', ',
        CASE WHEN r.rolsuper THEN 'a superuser' END,
        CASE WHEN r.rolbypassrls THEN 'sees every row' END,
        CASE WHEN r.rolcreaterole THEN 'makes roles' END,
        CASE WHEN r.rolcanlogin THEN 'logs in' END,
        (SELECT 'is ' || min(CAST(CAST(roleid AS regrole) AS text)) FROM pg_auth_members WHERE member = r.oid),
        (
            SELECT 'owns ' || count(*) || ' objects' FROM pg_shdepend
            WHERE refclassid = CAST('pg_authid' AS regclass) AND refobjid = r.oid AND deptype = 'o' HAVING count(*) > 0
        )
    ), ''), 'no more than its rights')
    FROM pg_roles AS r
    WHERE r.rolname IN ('ledger_program', 'ledger_reader')
), later (is_newer) AS (
    -- A newer version adds to what is listed here, and an older program lives with that: columns that must be filled,
    -- views, triggers, and rights on what is not listed. All that is listed must stand as it is.
    SELECT f.said > m.said
    FROM migrated AS m
    JOIN found AS f ON f.kind = m.kind
    WHERE m.kind = 'version'
), faults AS (
    SELECT 'guard_in_place' AS check_name, m.kind || ' ' || m.subject AS subject, m.said AS expected,
        coalesce(f.said, 'no such ' || m.kind) AS found
    FROM migrated AS m
    CROSS JOIN later
    LEFT JOIN found AS f ON f.kind = m.kind AND f.subject = m.subject
    WHERE m.kind NOT IN ('right', 'version')
        AND NOT (is_newer AND m.kind = 'table' AND f.said IS NOT NULL AND starts_with(f.said, m.said || ' '))
        AND NOT (is_newer AND m.kind = 'view' AND f.said IS NOT NULL AND starts_with(f.said, 'security_barrier=true'))

    UNION ALL
    SELECT 'guard_in_place', f.kind || ' ' || f.subject, 'no such ' || f.kind, f.said
    FROM found AS f
    WHERE f.kind = 'trigger' AND NOT (SELECT is_newer FROM later) AND NOT EXISTS (
        SELECT FROM migrated AS m WHERE m.kind = f.kind AND m.subject = f.subject
    )

    UNION ALL
    -- A foreign key is kept by triggers of PostgreSQL's own; a partition has its own of each.
    SELECT 'guard_in_place', 'trigger ' || tgname || ' of ' || name, 'enabled', 'disabled'
    FROM pg_trigger
    JOIN relations ON relations.oid = tgrelid
    WHERE tgenabled IN ('D', 'R') AND (tgisinternal OR tgparentid <> 0)

    UNION ALL
    -- What a table refuses for a whole statement, each of its partitions must refuse for itself, and do no more.
    SELECT 'guard_in_place', 'trigger ' || p.tgname || ' on ' || name, 'enabled always',
        CASE
            WHEN t.oid IS NULL THEN 'no such trigger'
            WHEN t.tgenabled = 'A' THEN 'enabled always'
            ELSE 'not enabled always'
        END
    FROM pg_inherits
    JOIN relations ON relations.oid = inhrelid
    JOIN pg_trigger AS p ON p.tgrelid = inhparent AND p.tgtype & 1 = 0 AND p.tgtype & 2 <> 0
    LEFT JOIN pg_trigger AS t ON t.tgrelid = inhrelid AND t.tgfoid = p.tgfoid
        AND t.tgtype & p.tgtype = p.tgtype AND t.tgtype & 1 = 0
    WHERE relkind IN ('r', 'p')

    UNION ALL
    SELECT 'guard_in_place', 'trigger ' || t.tgname || ' on ' || name, 'no such trigger', 'there'
    FROM pg_trigger AS t
    JOIN relations ON relations.oid = tgrelid AND relispartition
    WHERE NOT tgisinternal AND tgparentid = 0 AND NOT EXISTS (
        SELECT FROM migrated AS m
        WHERE m.kind = 'trigger' AND m.subject = t.tgname AND m.said LIKE '% ' || CAST(t.tgfoid AS regproc) || '()'
    )

    UNION ALL
    SELECT 'guard_in_place', 'table ' || name, 'logged', 'lost in a crash'
    FROM relations
    WHERE relispartition AND relkind = 'r' AND relpersistence <> 'p'

    UNION ALL
    SELECT 'right_withheld', f.subject, 'withheld', f.said
    FROM found AS f
    WHERE f.kind = 'right' AND NOT EXISTS (
        SELECT FROM migrated AS m WHERE m.kind = f.kind AND m.subject = f.subject
    )
    -- Others may be let look.
    AND (f.subject !~ '^(SELECT|USAGE) ' OR f.subject ~ ' for (ledger_program|ledger_reader|everybody)')
    AND NOT ((SELECT is_newer FROM later) AND NOT EXISTS (
        SELECT FROM migrated AS m
        WHERE m.kind IN ('table', 'view') AND f.subject ~ (' on ' || m.subject || ' (for |\()')
    ))

    UNION ALL
    SELECT 'right_withheld', 'role ' || role, 'no more than its rights', said
    FROM roles

    UNION ALL
    -- What is told as posted must be on the disk.
    SELECT 'guard_in_place', 'setting ' || name, 'on', setting
    FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
)
SELECT check_name, '' AS book, subject, expected, found
FROM faults
WHERE found <> expected
ORDER BY check_name, subject;
