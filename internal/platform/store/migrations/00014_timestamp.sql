-- +goose Up
-- Time-stamping units: see package timestamp. Policies are dotted numbers with
-- spaces between; chain is certificates in DER, one after the other. Of a unit
-- whose stamps are ordered, one node at a time, the holder, makes them, with
-- times before held_until.
CREATE TABLE timestamp_units (
    id            TEXT PRIMARY KEY,
    realm         TEXT NOT NULL,
    name          TEXT NOT NULL,
    policies      TEXT NOT NULL,
    accuracy_us   BIGINT NOT NULL,
    resolution_us BIGINT NOT NULL,
    ordering      BOOLEAN NOT NULL,
    qualified     BOOLEAN NOT NULL,
    algorithm     TEXT NOT NULL,
    key_ref       TEXT NOT NULL,
    der           BYTEA NOT NULL,
    chain         BYTEA NOT NULL,
    status        TEXT NOT NULL,
    holder        TEXT NOT NULL DEFAULT '',
    held_until    BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    retired_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX timestamp_units_realm ON timestamp_units (realm, created_at, id);

-- The first serial number that no node has reserved: one row for all units.
CREATE TABLE timestamp_serials (
    id          BIGINT PRIMARY KEY,
    next_serial BIGINT NOT NULL
);
INSERT INTO timestamp_serials (id, next_serial) VALUES (1, 1);

-- Stamps given and requests refused, by environment and day (YYYY-MM-DD, UTC).
CREATE TABLE timestamp_usage (
    realm    TEXT NOT NULL,
    day      TEXT NOT NULL,
    granted  BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    PRIMARY KEY (realm, day)
);

-- +goose Down
DROP TABLE timestamp_usage;
DROP TABLE timestamp_serials;
DROP TABLE timestamp_units;
