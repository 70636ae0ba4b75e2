-- +goose Up
-- Texts of notifications that replace the built-in ones: see package notice. An empty
-- realm, client or product stands for all of them.
CREATE TABLE notice_texts (
    id         TEXT PRIMARY KEY,
    realm      TEXT NOT NULL,
    client     TEXT NOT NULL,
    product    TEXT NOT NULL,
    event      TEXT NOT NULL,
    language   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    body       TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX notice_texts_place ON notice_texts (event, language, realm, client, product);
CREATE INDEX notice_texts_client ON notice_texts (realm, client, id);

-- What was sent about an order, and what was not and why. dkey names an occasion and
-- an address; each outcome is written once for it.
CREATE TABLE notice_log (
    id          TEXT PRIMARY KEY,
    realm       TEXT NOT NULL,
    client      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    event       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    language    TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    note        TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    resend_of   TEXT NOT NULL,
    dkey        TEXT NOT NULL,
    made_by     TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX notice_log_key ON notice_log (dkey, outcome);
CREATE INDEX notice_log_object ON notice_log (object_id, id);

-- +goose Down
DROP TABLE notice_log;
DROP TABLE notice_texts;
