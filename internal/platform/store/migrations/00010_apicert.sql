-- +goose Up
-- API client certificates: see package apicert. The key file is kept sealed
-- until it has been downloaded once, its password never.
CREATE TABLE api_certificates (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    nickname   TEXT NOT NULL,
    nick_key   TEXT NOT NULL,
    encryption TEXT NOT NULL,
    hash       TEXT NOT NULL,
    status     TEXT NOT NULL,
    authority  TEXT NOT NULL,
    serial     TEXT NOT NULL,
    ends_at    BIGINT NOT NULL,
    file       BYTEA,
    fetched_at BIGINT NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_certificates_nickname ON api_certificates (owner, nick_key) WHERE status <> 'deleted';
CREATE UNIQUE INDEX api_certificates_serial ON api_certificates (authority, serial);
CREATE INDEX api_certificates_owner ON api_certificates (owner, created_at, id);

-- +goose Down
DROP TABLE api_certificates;
