-- +goose Up
-- Certificate transparency logs of our own: see package ctlog. One row is one
-- log and its signed tree head (RFC 6962, section 3.5). Whoever moves the size
-- and time from the values it read has sequenced that batch. Times in these
-- tables are milliseconds, as they are signed.
CREATE TABLE ctlog_logs (
    name      TEXT PRIMARY KEY,
    key_id    BYTEA NOT NULL,
    size      BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    root      BYTEA NOT NULL,
    signature BYTEA NOT NULL
);

-- What was submitted. A row is written once; afterwards only leaf_index changes,
-- once, from NULL to the entry's place in the Merkle tree.
CREATE TABLE ctlog_entries (
    id          TEXT PRIMARY KEY,
    log         TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    at          BIGINT NOT NULL,
    leaf        BYTEA NOT NULL,
    leaf_hash   BYTEA NOT NULL,
    precert     BYTEA NOT NULL,
    chain       BYTEA NOT NULL,
    sct         BYTEA NOT NULL,
    leaf_index  BIGINT
);
CREATE UNIQUE INDEX ctlog_entries_once ON ctlog_entries (log, fingerprint);
CREATE INDEX ctlog_entries_pending ON ctlog_entries (log, id) WHERE leaf_index IS NULL;
-- An entry enters these two when it is sequenced, a batch at a time.
CREATE UNIQUE INDEX ctlog_entries_index ON ctlog_entries (log, leaf_index) WHERE leaf_index IS NOT NULL;
CREATE INDEX ctlog_entries_hash ON ctlog_entries (log, leaf_hash) WHERE leaf_index IS NOT NULL;

-- The certificates above a submitted one, once for all that share them.
CREATE TABLE ctlog_chains (
    hash BYTEA PRIMARY KEY,
    data BYTEA NOT NULL
);

-- Tiles of 256 hashes of 32 bytes; the last one of each level is shorter and grows.
CREATE TABLE ctlog_tiles (
    log   TEXT NOT NULL,
    level BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    data  BYTEA NOT NULL,
    PRIMARY KEY (log, level, n)
);

-- +goose Down
DROP TABLE ctlog_tiles;
DROP TABLE ctlog_chains;
DROP TABLE ctlog_entries;
DROP TABLE ctlog_logs;
