-- +goose Up
-- The one data key that seals every secret, wrapped under the master key: see package keys.
CREATE TABLE master_keys (
    id          TEXT PRIMARY KEY,
    kdf         TEXT NOT NULL,
    wrapped     BYTEA NOT NULL,
    check_value BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    rotated_at  BIGINT NOT NULL DEFAULT 0
);

-- Software keys: PKCS#8, sealed.
CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    label      TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    public     BYTEA NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE keys;
DROP TABLE master_keys;
