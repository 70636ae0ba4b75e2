-- +goose Up
-- Which order a request with an Idempotency-Key made: see package idempotency.
-- The key is kept as a hash, because callers put all sorts of things into it.
CREATE TABLE idempotency_keys (
    principal  TEXT NOT NULL,
    key_hash   TEXT NOT NULL,
    body_hash  TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal, key_hash)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
