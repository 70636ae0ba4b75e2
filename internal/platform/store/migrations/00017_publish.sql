-- +goose Up
-- Destinations of certificates, CA certificates and CRLs. settings is JSON of the kind's own form; secret is
-- sealed and bound to the id. An empty client serves the whole realm. A deleted row stays for the history.
-- lease counts the claims of the whole destination: one node at a time works on it, until lease_until.
-- paused_until and failures say how long to leave a destination alone that did not answer.
CREATE TABLE publish_publishers (
    id           TEXT PRIMARY KEY,
    realm        TEXT NOT NULL,
    client       TEXT NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL,
    kind         TEXT NOT NULL,
    settings     TEXT NOT NULL,
    secret       BYTEA NOT NULL,
    internal     TEXT NOT NULL,
    give_up      BIGINT NOT NULL,
    enabled      BOOLEAN NOT NULL,
    deleted_at   BIGINT NOT NULL DEFAULT 0,
    lease        BIGINT NOT NULL DEFAULT 0,
    lease_until  BIGINT NOT NULL DEFAULT 0,
    paused_until BIGINT NOT NULL DEFAULT 0,
    failures     BIGINT NOT NULL DEFAULT 0,
    last_error   TEXT NOT NULL DEFAULT '',
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX publish_publishers_name ON publish_publishers (realm, client, name_key) WHERE deleted_at = 0;
CREATE INDEX publish_publishers_list ON publish_publishers (name_key, id) WHERE deleted_at = 0;

-- One row for each object and publisher: what is wanted, and what is known of it. kind is certificate
-- (object is an order), ca or crl (object is an authority). issuer is the CA certificate of a CRL.
-- place is where the object is, or may be after an attempt that ended without an answer; it is written
-- before the first attempt. version counts the wishes, so that a late outcome of an older one changes nothing.
CREATE TABLE publish_items (
    id         TEXT PRIMARY KEY,
    publisher  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    object     TEXT NOT NULL,
    realm      TEXT NOT NULL,
    client     TEXT NOT NULL,
    der        BYTEA NOT NULL,
    issuer     BYTEA NOT NULL,
    extra      TEXT NOT NULL,
    state      TEXT NOT NULL,
    place      TEXT NOT NULL DEFAULT '',
    place_key  TEXT NOT NULL DEFAULT '',
    version    BIGINT NOT NULL DEFAULT 1,
    due_at     BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    queued_at  BIGINT NOT NULL,
    done_at    BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX publish_items_object ON publish_items (object, kind, publisher);
CREATE INDEX publish_items_due ON publish_items (publisher, due_at, id) WHERE state IN ('waiting', 'removing');
CREATE INDEX publish_items_place ON publish_items (publisher, place_key);

-- The history: every event of a publication.
CREATE TABLE publish_events (
    id        TEXT PRIMARY KEY,
    object    TEXT NOT NULL,
    kind      TEXT NOT NULL,
    publisher TEXT NOT NULL,
    at        BIGINT NOT NULL,
    event     TEXT NOT NULL,
    detail    TEXT NOT NULL,
    actor     TEXT NOT NULL
);
CREATE INDEX publish_events_object ON publish_events (object, at, id);
CREATE INDEX publish_events_routine ON publish_events (at) WHERE kind <> 'certificate';

-- Directory entries that were made for a certificate, with the attributes that were given to them: they go
-- when the last certificate goes and nobody has added anything.
CREATE TABLE publish_entries (
    publisher  TEXT NOT NULL,
    entry_key  TEXT NOT NULL,
    attributes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (publisher, entry_key)
);

-- +goose Down
DROP TABLE publish_entries;
DROP TABLE publish_events;
DROP TABLE publish_items;
DROP TABLE publish_publishers;
