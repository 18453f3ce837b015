-- Proof that the entries of a book are those that they were: a Merkle tree (RFC 6962) over the entries' hashes, and
-- signed checkpoints of it. Leaf n is entry n + 1; ledger/audit/merkle.py says how it is hashed.

-- Complete subtrees, derived from the entries and filled behind the head: `hash` covers the `nth`-th 2 ^ `level`
-- entries. The smallest cover 256 entries; what lies below is read from the entries themselves. To fill them anew, as
-- the owner: TRUNCATE tree_nodes; then run ledger maintain.
CREATE TABLE tree_nodes (
    book text COLLATE "C" NOT NULL REFERENCES books,
    level integer NOT NULL CHECK (level BETWEEN 1 AND 62),
    nth bigint NOT NULL CHECK (nth >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (book, level, nth)
);

-- What was signed: so many entries, the root over them, and the accounts. `note` is the signed text as auditors keep
-- it, `verifier` the public key that checks it. The private key is never here.
CREATE TABLE checkpoints (
    book text COLLATE "C" NOT NULL REFERENCES books,
    number bigint NOT NULL CHECK (number > 0),
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL CHECK (note <> ''),
    verifier text COLLATE "C" NOT NULL CHECK (verifier <> ''),
    written_at timestamptz NOT NULL,
    written_by text NOT NULL CHECK (written_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (book, number)
);

CREATE TRIGGER checkpoints_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- ALWAYS: session_replication_role = replica does not switch it off.
ALTER TABLE checkpoints ENABLE ALWAYS TRIGGER checkpoints_never_change;

GRANT SELECT, INSERT ON tree_nodes, checkpoints TO ledger_program;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['tree_nodes', 'checkpoints'] LOOP
        EXECUTE format(
            'CREATE VIEW ledger_reading.%1$I WITH (security_barrier) AS SELECT * FROM %2$I.%1$I '
            'WHERE book IN (SELECT book FROM %2$I.reader_books WHERE login = session_user)',
            relation, current_schema()
        );
        EXECUTE format('GRANT SELECT ON ledger_reading.%I TO ledger_reader', relation);
    END LOOP;
END $$;
