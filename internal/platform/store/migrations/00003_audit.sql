-- +goose Up
-- What was done, by whom, on what, from where: see package audit. A row is
-- written once; afterwards only leaf changes, once, from NULL to its place in
-- the Merkle tree.
CREATE TABLE audit_entries (
    id          TEXT PRIMARY KEY,
    at          BIGINT NOT NULL,
    action      TEXT NOT NULL,
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    actor_name  TEXT NOT NULL,
    source      TEXT NOT NULL,
    correlation TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    realm       TEXT NOT NULL,
    client      TEXT NOT NULL,
    service     TEXT NOT NULL,
    result      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    leaf        BIGINT
);
CREATE UNIQUE INDEX audit_leaf ON audit_entries (leaf) WHERE leaf IS NOT NULL;
CREATE INDEX audit_pending ON audit_entries (id) WHERE leaf IS NULL;
-- The indexes below are for reading. An entry enters them when it is sequenced,
-- a batch at a time, so that writing it costs three pages and not ten.
CREATE INDEX audit_by_time ON audit_entries (at, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_by_client ON audit_entries (client, at, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_by_object ON audit_entries (object_id, object_kind, at, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_by_actor ON audit_entries (actor_id, at, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_by_action ON audit_entries (action, at, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_by_correlation ON audit_entries (correlation, at, id) WHERE leaf IS NOT NULL;
CREATE INDEX audit_by_trouble ON audit_entries (result, at, id) WHERE result <> 'ok' AND leaf IS NOT NULL;

-- Tiles of 256 hashes of 32 bytes; the last one of each level is shorter and grows.
CREATE TABLE audit_tiles (
    level BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    data  BYTEA NOT NULL,
    PRIMARY KEY (level, n)
);

-- The one tree: its size and the signed checkpoint of that size. Whoever moves
-- the size from the value it read has sequenced that batch.
CREATE TABLE audit_tree (
    id         BIGINT PRIMARY KEY,
    size       BIGINT NOT NULL,
    checkpoint TEXT NOT NULL,
    at         BIGINT NOT NULL
);
INSERT INTO audit_tree (id, size, checkpoint, at) VALUES (1, 0, '', 0);

-- +goose Down
DROP TABLE audit_tree;
DROP TABLE audit_tiles;
DROP TABLE audit_entries;
