-- +goose Up
-- Certification authorities. The certificate is empty while a subordinate waits for its offline root.
CREATE TABLE authorities (
    id           TEXT PRIMARY KEY,
    realm        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    parent       TEXT NOT NULL DEFAULT '',
    purpose      TEXT NOT NULL,
    key_ref      TEXT NOT NULL DEFAULT '',
    der          BYTEA,
    csr          BYTEA,
    status       TEXT NOT NULL,
    ocsp_key_ref TEXT NOT NULL DEFAULT '',
    ocsp_der     BYTEA,
    ocsp_until   BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL
);

-- Every serial number ever taken, with what was or is to be signed under it.
CREATE TABLE certificates (
    authority  TEXT NOT NULL,
    serial     BYTEA NOT NULL,
    realm      TEXT NOT NULL,
    client     TEXT NOT NULL,
    service    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    cn         TEXT NOT NULL,
    status     TEXT NOT NULL,
    der        BYTEA NOT NULL,
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL DEFAULT 0,
    reason     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (authority, serial)
);

CREATE INDEX certificates_open ON certificates (not_before) WHERE status = 'intent';

-- Revoked certificates as ready CRL entries, in the order a CRL lists them.
CREATE TABLE revocations (
    authority  TEXT NOT NULL,
    serial     BYTEA NOT NULL,
    entry      BYTEA NOT NULL,
    revoked_at BIGINT NOT NULL,
    not_after  BIGINT NOT NULL,
    PRIMARY KEY (authority, serial)
);
CREATE INDEX revocations_recent ON revocations (authority, revoked_at);

CREATE TABLE crls (
    authority   TEXT NOT NULL,
    number      BIGINT NOT NULL,
    blob        TEXT NOT NULL,
    size        BIGINT NOT NULL,
    entries     BIGINT NOT NULL,
    cutoff      BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    PRIMARY KEY (authority, number)
);

-- +goose Down
DROP TABLE crls;
DROP TABLE revocations;
DROP TABLE certificates;
DROP TABLE authorities;
