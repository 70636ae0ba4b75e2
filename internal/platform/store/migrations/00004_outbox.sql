-- +goose Up
-- Messages to people and programs: see package outbox.
--
-- due_at is when the row next wants attention: a waiting message is due then,
-- and the lease of one being sent ends then. lease counts the claims.
-- secret is sealed, and empty once the message is delivered or given up.
CREATE TABLE outbox (
    id          TEXT PRIMARY KEY,
    channel     TEXT NOT NULL,
    state       TEXT NOT NULL,
    dkey        TEXT NOT NULL,
    realm       TEXT NOT NULL,
    client      TEXT NOT NULL,
    service     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    subject     TEXT NOT NULL,
    body        TEXT NOT NULL,
    html        TEXT NOT NULL,
    headers     TEXT NOT NULL,
    secret      BYTEA NOT NULL,
    has_secret  BOOLEAN NOT NULL,
    not_after   BIGINT NOT NULL,
    give_up     BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    lease       BIGINT NOT NULL DEFAULT 0,
    attempts    BIGINT NOT NULL DEFAULT 0,
    last_error  TEXT NOT NULL DEFAULT '',
    resend_of   TEXT NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    done_at     BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX outbox_key ON outbox (dkey) WHERE dkey <> '';
CREATE INDEX outbox_due ON outbox (channel, due_at, id) WHERE state IN ('waiting', 'sending');
CREATE INDEX outbox_failed ON outbox (id) WHERE state = 'failed';
CREATE INDEX outbox_client ON outbox (client, id);
CREATE INDEX outbox_object ON outbox (object_id, id);
CREATE INDEX outbox_recipient ON outbox (recipient, id);

-- +goose Down
DROP TABLE outbox;
