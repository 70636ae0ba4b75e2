-- +goose Up
-- Control of domains and mailboxes: see package domainval. Random values for the
-- DNS and web servers are published by nature and stand in clear; those in links
-- are hashes.

-- Domains that clients have validated ahead of their orders.
CREATE TABLE domainval_domains (
    id            TEXT PRIMARY KEY,
    realm         TEXT NOT NULL,
    client        TEXT NOT NULL,
    domain        TEXT NOT NULL,
    unicode       TEXT NOT NULL,
    private       BOOLEAN NOT NULL,
    trusted       BOOLEAN NOT NULL,
    token         TEXT NOT NULL,
    token_created BIGINT NOT NULL,
    token_expires BIGINT NOT NULL,
    token_used_at BIGINT NOT NULL,
    evidence      TEXT NOT NULL,
    method        TEXT NOT NULL,
    public        BOOLEAN NOT NULL,
    validated_at  BIGINT NOT NULL,
    result        TEXT NOT NULL,
    checked_at    BIGINT NOT NULL,
    next_check_at BIGINT NOT NULL,
    created_by    TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX domainval_domains_domain ON domainval_domains (realm, client, domain);
CREATE INDEX domainval_domains_client ON domainval_domains (client, created_at, id);
CREATE INDEX domainval_domains_created ON domainval_domains (created_at, id);
CREATE INDEX domainval_domains_due ON domainval_domains (next_check_at);

-- What an order needs for each of its names.
CREATE TABLE domainval_validations (
    id            TEXT PRIMARY KEY,
    order_id      TEXT NOT NULL,
    realm         TEXT NOT NULL,
    client        TEXT NOT NULL,
    name          TEXT NOT NULL,
    unicode       TEXT NOT NULL,
    public        BOOLEAN NOT NULL,
    purpose       TEXT NOT NULL,
    methods       TEXT NOT NULL,
    state         TEXT NOT NULL,
    token         TEXT NOT NULL,
    evidence      TEXT NOT NULL,
    result        TEXT NOT NULL,
    attempts      BIGINT NOT NULL,
    checked_at    BIGINT NOT NULL,
    next_check_at BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    done_at       BIGINT NOT NULL
);
CREATE UNIQUE INDEX domainval_validations_order ON domainval_validations (order_id, name);
CREATE INDEX domainval_validations_client ON domainval_validations (client, state, created_at, id);
CREATE INDEX domainval_validations_state ON domainval_validations (state, created_at, id);
CREATE INDEX domainval_validations_due ON domainval_validations (state, next_check_at);
CREATE INDEX domainval_validations_ends ON domainval_validations (state, expires_at);

-- Links sent to domain owners and mailbox holders.
CREATE TABLE domainval_mails (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    order_id      TEXT NOT NULL,
    validation    TEXT NOT NULL,
    realm         TEXT NOT NULL,
    client        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    address       TEXT NOT NULL,
    language      TEXT NOT NULL,
    public        BOOLEAN NOT NULL,
    state         TEXT NOT NULL,
    token_hash    TEXT NOT NULL,
    token_expires BIGINT NOT NULL,
    sends         BIGINT NOT NULL,
    sent_at       BIGINT NOT NULL,
    evidence      TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    done_at       BIGINT NOT NULL
);
CREATE UNIQUE INDEX domainval_mails_order ON domainval_mails (order_id, kind, subject, address);
CREATE INDEX domainval_mails_token ON domainval_mails (token_hash);
CREATE INDEX domainval_mails_ends ON domainval_mails (state, expires_at);

-- What was seen, for and against. Rows are never changed but to withdraw them.
CREATE TABLE domainval_evidence (
    id           TEXT PRIMARY KEY,
    realm        TEXT NOT NULL,
    client       TEXT NOT NULL,
    source       TEXT NOT NULL,
    order_id     TEXT NOT NULL,
    name         TEXT NOT NULL,
    method       TEXT NOT NULL,
    subtree      BOOLEAN NOT NULL,
    section      TEXT NOT NULL,
    rules        TEXT NOT NULL,
    shown        BOOLEAN NOT NULL,
    public       BOOLEAN NOT NULL,
    corroborated BOOLEAN NOT NULL,
    obtained_at  BIGINT NOT NULL,
    withdrawn_at BIGINT NOT NULL,
    detail       TEXT NOT NULL
);
CREATE INDEX domainval_evidence_name ON domainval_evidence (client, name, obtained_at);
CREATE INDEX domainval_evidence_source ON domainval_evidence (source, obtained_at);
CREATE INDEX domainval_evidence_order ON domainval_evidence (order_id);

-- CAA checks, one row for each name of an order and run.
CREATE TABLE domainval_caa (
    id          TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL,
    realm       TEXT NOT NULL,
    client      TEXT NOT NULL,
    name        TEXT NOT NULL,
    question    TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    why         TEXT NOT NULL,
    source      TEXT NOT NULL,
    checked_at  BIGINT NOT NULL,
    until       BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX domainval_caa_order ON domainval_caa (order_id, checked_at);
CREATE INDEX domainval_caa_question ON domainval_caa (question, valid_until);

-- +goose Down
DROP TABLE domainval_caa;
DROP TABLE domainval_evidence;
DROP TABLE domainval_mails;
DROP TABLE domainval_validations;
DROP TABLE domainval_domains;
