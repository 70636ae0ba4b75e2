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
    shard      BIGINT NOT NULL DEFAULT 0, -- of the revocation list that its distribution point names; 0 is the full one
    spki       BIGINT NOT NULL DEFAULT 0, -- first 8 octets of the SHA-256 of its public key: who looks for one compares the whole
    PRIMARY KEY (authority, serial)
);

CREATE INDEX certificates_open ON certificates (not_before) WHERE status = 'intent';
CREATE INDEX certificates_spki ON certificates (spki);

-- Revoked certificates as ready CRL entries. seq numbers the changes of an authority in the order of their
-- commits; a certificate that was released from hold stays as an entry for delta lists. Some time after its
-- expiry a row is deleted; the certificate itself still says that it was revoked.
CREATE TABLE revocations (
    authority  TEXT NOT NULL,
    shard      BIGINT NOT NULL,
    serial     BYTEA NOT NULL,
    seq        BIGINT NOT NULL,
    released   BOOLEAN NOT NULL DEFAULT FALSE,
    not_after  BIGINT NOT NULL,
    entry      BYTEA NOT NULL
);

-- A list is read from this index alone, which is also the way to one row: certificates guards against two.
CREATE INDEX revocations_list ON revocations (authority, shard, serial, released, not_after, entry);
CREATE INDEX revocations_changes ON revocations (authority, seq);

-- The last change of each shard; shard -1 counts the changes of the whole authority.
CREATE TABLE revocation_counters (
    authority TEXT NOT NULL,
    shard     BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    PRIMARY KEY (authority, shard)
);

-- Published lists. Full and delta lists of one scope share their numbers; seq is the last change they hold.
CREATE TABLE crls (
    authority   TEXT NOT NULL,
    shard       BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    base        BIGINT NOT NULL DEFAULT 0, -- of a delta list; 0 is a full one
    blob        TEXT NOT NULL,
    size        BIGINT NOT NULL,
    entries     BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    PRIMARY KEY (authority, shard, number)
);

-- +goose Down
DROP TABLE crls;
DROP TABLE revocation_counters;
DROP TABLE revocations;
DROP TABLE certificates;
DROP TABLE authorities;
