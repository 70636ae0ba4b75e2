-- +goose Up
-- How an authority tells the state of its certificates, as JSON; one without a row follows the defaults.
CREATE TABLE validity_policies (
    authority  TEXT PRIMARY KEY,
    policy     TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- The node that is making a list, until when it is left alone with it.
CREATE TABLE crl_leases (
    authority TEXT NOT NULL,
    shard     BIGINT NOT NULL,
    holder    TEXT NOT NULL,
    until     BIGINT NOT NULL,
    PRIMARY KEY (authority, shard)
);

-- Codes with which a subscriber revokes without signing in; only their hashes.
CREATE TABLE revocation_codes (
    authority  TEXT NOT NULL,
    serial     BYTEA NOT NULL,
    hash       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (authority, serial)
);

CREATE UNIQUE INDEX revocation_codes_hash ON revocation_codes (hash);

-- +goose Down
DROP TABLE revocation_codes;
DROP TABLE crl_leases;
DROP TABLE validity_policies;
