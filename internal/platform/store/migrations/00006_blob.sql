-- +goose Up
-- Encrypted bytes kept in the database: see package blob.
CREATE TABLE blobs (
    id         TEXT PRIMARY KEY,
    header     BYTEA NOT NULL,
    size       BIGINT NOT NULL DEFAULT 0,
    complete   BOOLEAN NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX blobs_incomplete ON blobs (changed_at) WHERE NOT complete;

CREATE TABLE blob_rows (
    id   TEXT NOT NULL,
    seq  BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (id, seq)
);

-- +goose Down
DROP TABLE blob_rows;
DROP TABLE blobs;
