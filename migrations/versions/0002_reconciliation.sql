-- The mail room. Amounts are minor units of the remittance's currency.

-- Which payer of the books an identifier in a remittance stands for: TRN03, N104, REF*2U or the name in N102.
CREATE TABLE payer_identifiers (
    book text COLLATE "C" NOT NULL REFERENCES books,
    identifier text COLLATE "C" NOT NULL CHECK (identifier <> ''),
    payer text NOT NULL CHECK (payer <> ''),
    identified_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    identified_by text NOT NULL,
    PRIMARY KEY (book, identifier)
);

-- A file as it came, kept with its bytes. finished_at is set once every remittance in it is settled or kept.
CREATE TABLE deliveries (
    book text COLLATE "C" NOT NULL REFERENCES books,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    file_name text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_by text NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (book, sha256)
);
CREATE INDEX deliveries_unfinished ON deliveries (book, received_at) WHERE finished_at IS NULL;

-- The bytes as they came, sealed under the key of this name; in the open where it has none.
CREATE TABLE delivery_parts (
    book text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL,
    part integer NOT NULL CHECK (part > 0),
    content bytea NOT NULL,
    key_name text COLLATE "C" NOT NULL,
    nonce bytea NOT NULL CHECK ((key_name = '') = (octet_length(nonce) = 0)),
    PRIMARY KEY (book, sha256, part),
    FOREIGN KEY (book, sha256) REFERENCES deliveries
);

-- Who has read a file, and why: files name patients.
CREATE TABLE file_reads (
    book text COLLATE "C" NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    sha256 bytea NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, id),
    FOREIGN KEY (book, sha256) REFERENCES deliveries
);

-- One ST..SE. payer is the code in the books, signed_by the name under which the payer signs (TRN03, else N104,
-- else N102): a trace is unique within that. paid is BPR02, or null where it cannot be read.
CREATE TABLE remittances (
    book text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    sha256 bytea NOT NULL,
    position integer NOT NULL,
    state text NOT NULL CHECK (state IN ('settled', 'settling', 'quarantined', 'duplicate')),
    content_hash text NOT NULL,
    payer text,
    payer_name text NOT NULL,
    signed_by text NOT NULL,
    trace text NOT NULL,
    payment_date date,
    currency text,
    paid bigint,
    posted bigint NOT NULL DEFAULT 0,
    suspended bigint NOT NULL DEFAULT 0,
    claim_count integer NOT NULL,
    settled_claim_count integer NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (book, id),
    UNIQUE (book, sha256, position),
    FOREIGN KEY (book, sha256) REFERENCES deliveries,
    -- Money received is posted or in suspense, to the cent, or none of it is in the books.
    CHECK (state <> 'settled' OR paid = posted + suspended),
    CHECK (state IN ('settled', 'settling') OR (posted = 0 AND suspended = 0)),
    CHECK (settled_claim_count <= claim_count)
);

-- No remittance posts twice, however often and in whatever envelope it comes.
CREATE UNIQUE INDEX remittances_content ON remittances (book, content_hash) WHERE state IN ('settled', 'settling');
CREATE UNIQUE INDEX remittances_trace ON remittances (book, signed_by, trace) WHERE state IN ('settled', 'settling');
CREATE INDEX remittances_received ON remittances (book, received_at DESC, id);

-- One CLP, and what was decided on it. A payment is taken back once.
CREATE TABLE claim_payments (
    book text COLLATE "C" NOT NULL,
    remittance uuid NOT NULL,
    line integer NOT NULL CHECK (line > 0),
    claim_as_sent text NOT NULL,
    payer_control_number text NOT NULL,
    status text NOT NULL,
    charge bigint,
    paid bigint,
    claim text,
    decision text NOT NULL,
    rule text NOT NULL,
    evidence text NOT NULL,
    entry_number bigint,
    reverses_remittance uuid,
    reverses_line integer,
    PRIMARY KEY (book, remittance, line),
    UNIQUE (book, reverses_remittance, reverses_line),
    FOREIGN KEY (book, remittance) REFERENCES remittances (book, id),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number),
    FOREIGN KEY (book, reverses_remittance, reverses_line) REFERENCES claim_payments (book, remittance, line)
);
CREATE INDEX claim_payments_control_number ON claim_payments (book, payer_control_number);

-- One pair of a PLB; a positive amount reduces the payment.
CREATE TABLE provider_level_adjustments (
    book text COLLATE "C" NOT NULL,
    remittance uuid NOT NULL,
    line integer NOT NULL CHECK (line > 0),
    code text NOT NULL,
    reference text NOT NULL,
    amount bigint NOT NULL,
    account text NOT NULL,
    entry_number bigint,
    PRIMARY KEY (book, remittance, line),
    FOREIGN KEY (book, remittance) REFERENCES remittances (book, id),
    FOREIGN KEY (book, entry_number) REFERENCES entries (book, number)
);

-- What a person must look at. line 0 is the remittance itself; closed_at is set when the reason is gone.
CREATE TABLE exceptions (
    book text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    remittance uuid NOT NULL,
    line integer NOT NULL CHECK (line >= 0),
    reason text NOT NULL,
    claim_as_sent text NOT NULL,
    claim text,
    amount bigint,
    currency text,
    detail text NOT NULL,
    owner text,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    PRIMARY KEY (book, id),
    FOREIGN KEY (book, remittance) REFERENCES remittances (book, id)
);
CREATE INDEX exceptions_open ON exceptions (book, opened_at, id) WHERE closed_at IS NULL;

GRANT SELECT, INSERT ON payer_identifiers, deliveries, delivery_parts, file_reads, remittances, claim_payments,
    provider_level_adjustments, exceptions TO ledger_program;
GRANT UPDATE (payer) ON payer_identifiers TO ledger_program;
GRANT UPDATE (finished_at) ON deliveries TO ledger_program;
GRANT UPDATE (state, payer, posted, suspended, settled_claim_count, reason) ON remittances TO ledger_program;
GRANT UPDATE (claim, decision, rule, evidence, entry_number) ON claim_payments TO ledger_program;
GRANT UPDATE (closed_at) ON exceptions TO ledger_program;
