-- +goose Up
-- One-time deliveries: see package handover. Secrets are hashes or sealed, and
-- file and password are emptied once the file has been delivered.
CREATE TABLE handovers (
    id            TEXT PRIMARY KEY,
    realm         TEXT NOT NULL,
    client        TEXT NOT NULL,
    service       TEXT NOT NULL,
    order_id      TEXT NOT NULL,
    kind          TEXT NOT NULL,
    title         TEXT NOT NULL,
    state         TEXT NOT NULL,
    name          TEXT NOT NULL,
    email         TEXT NOT NULL,
    mobile        TEXT NOT NULL,
    language      TEXT NOT NULL,
    link_hash     TEXT NOT NULL,
    code_hash     TEXT NOT NULL,
    code_until    BIGINT NOT NULL,
    code_sent_at  BIGINT NOT NULL,
    codes_sent    BIGINT NOT NULL,
    tries         BIGINT NOT NULL,
    session_hash  TEXT NOT NULL DEFAULT '',
    session_until BIGINT NOT NULL DEFAULT 0,
    file_name     TEXT NOT NULL,
    file_size     BIGINT NOT NULL,
    file          BYTEA,
    password      BYTEA,
    sent          BIGINT NOT NULL DEFAULT 0,
    expires_at    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    done_at       BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX handovers_link ON handovers (link_hash);
CREATE INDEX handovers_order ON handovers (order_id);

-- +goose Down
DROP TABLE handovers;
