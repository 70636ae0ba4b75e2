-- +goose Up
-- Certificates that other authorities issued: see package external. identity is
-- the SHA-256 of the set of names that a certificate is for: those with the same
-- one follow each other. Ids begin with the time.
CREATE TABLE external_certificates (
    id            TEXT PRIMARY KEY,
    realm         TEXT NOT NULL,
    client        TEXT NOT NULL,
    sha256        TEXT NOT NULL,
    sha1          TEXT NOT NULL,
    serial        TEXT NOT NULL,
    cn            TEXT NOT NULL,
    subject       TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    names         TEXT NOT NULL,
    identity      TEXT NOT NULL,
    authority     BOOLEAN NOT NULL,
    key_algorithm TEXT NOT NULL,
    key_bits      BIGINT NOT NULL,
    signature     TEXT NOT NULL,
    not_before    BIGINT NOT NULL,
    not_after     BIGINT NOT NULL,
    notes         TEXT NOT NULL,
    owner         TEXT NOT NULL,
    comment       TEXT NOT NULL,
    recipients    TEXT NOT NULL,
    address       TEXT NOT NULL DEFAULT '',
    check_due     BIGINT NOT NULL DEFAULT 0,
    check_state   TEXT NOT NULL DEFAULT '',
    checked_at    BIGINT NOT NULL DEFAULT 0,
    seen_at       BIGINT NOT NULL DEFAULT 0,
    shown         TEXT NOT NULL DEFAULT '',
    shown_end     BIGINT NOT NULL DEFAULT 0,
    problem       TEXT NOT NULL DEFAULT '',
    creator       TEXT NOT NULL,
    creator_name  TEXT NOT NULL,
    version       BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX external_certificates_sha256 ON external_certificates (sha256, client);
CREATE INDEX external_certificates_sha1 ON external_certificates (sha1);
CREATE INDEX external_certificates_serial ON external_certificates (serial);
CREATE INDEX external_certificates_client ON external_certificates (client, id);
CREATE INDEX external_certificates_client_end ON external_certificates (client, not_after, id);
CREATE INDEX external_certificates_end ON external_certificates (not_after, id);
CREATE INDEX external_certificates_identity ON external_certificates (client, identity, not_after);
-- When the server is looked at next, or the lease of the node that does so.
CREATE INDEX external_certificates_check ON external_certificates (check_due, id) WHERE check_due > 0;

-- The certificate itself at place 0, and those above it as they came with it.
CREATE TABLE external_ders (
    certificate TEXT NOT NULL,
    place       BIGINT NOT NULL,
    der         BYTEA NOT NULL,
    PRIMARY KEY (certificate, place)
);

-- Every part of a name that a certificate is found by, in lower case.
CREATE TABLE external_names (
    name        TEXT NOT NULL,
    certificate TEXT NOT NULL,
    PRIMARY KEY (name, certificate)
);
CREATE INDEX external_names_certificate ON external_names (certificate);

-- How far the reminders of each kind have come: the end and id of the latest certificate.
CREATE TABLE external_reminders (
    days BIGINT PRIMARY KEY,
    upto BIGINT NOT NULL,
    id   TEXT NOT NULL
);

-- +goose Down
DROP TABLE external_reminders;
DROP TABLE external_names;
DROP TABLE external_ders;
DROP TABLE external_certificates;
