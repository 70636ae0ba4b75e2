-- +goose Up
-- Orders for products of the managed PKI: see package order. This table is what
-- lists read; order_work holds the rest. Both change together, by
-- compare-and-set on the version. Ids begin with the time.
CREATE TABLE orders (
    id              TEXT PRIMARY KEY,
    realm           TEXT NOT NULL,
    client          TEXT NOT NULL,
    product         TEXT NOT NULL,
    product_version BIGINT NOT NULL,
    product_name    TEXT NOT NULL,
    state           TEXT NOT NULL,
    origin          TEXT NOT NULL,
    cn              TEXT NOT NULL,
    subject         TEXT NOT NULL,
    authority       TEXT NOT NULL,
    serial          TEXT NOT NULL DEFAULT '',
    not_before      BIGINT NOT NULL DEFAULT 0,
    not_after       BIGINT NOT NULL DEFAULT 0,
    revoked_at      BIGINT NOT NULL DEFAULT 0,
    reason          BIGINT NOT NULL DEFAULT 0,
    owner           TEXT NOT NULL DEFAULT '',
    creator         TEXT NOT NULL,
    creator_name    TEXT NOT NULL,
    predecessor     TEXT NOT NULL DEFAULT '',
    successor       TEXT NOT NULL DEFAULT '',
    problem         TEXT NOT NULL DEFAULT '',
    version         BIGINT NOT NULL,
    due             BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE INDEX orders_client ON orders (client, id);
CREATE INDEX orders_realm ON orders (realm, id);
CREATE INDEX orders_product ON orders (product, id);
CREATE INDEX orders_owner ON orders (owner, id) WHERE owner <> '';
CREATE INDEX orders_begin ON orders (not_before, id);
CREATE INDEX orders_end ON orders (not_after, id) WHERE state = 'ISSUED';
CREATE INDEX orders_other ON orders (state, id) WHERE state <> 'ISSUED';
-- When somebody should take an order up: a retry, a wait that ends, or the
-- lease of the node that works on it.
CREATE INDEX orders_due ON orders (due, id) WHERE due > 0;
-- A certificate has one renewal under way, or one successor.
CREATE UNIQUE INDEX orders_renewal ON orders (predecessor) WHERE predecessor <> '' AND state NOT IN ('FAILED', 'REJECTED', 'UNKNOWN');

CREATE TABLE order_work (
    id         TEXT PRIMARY KEY,
    request    TEXT NOT NULL,
    csr        BYTEA,
    spki       BYTEA,
    sealed_key BYTEA,
    jobs       TEXT NOT NULL,
    evidence   TEXT NOT NULL
);

-- Every part of a name that an order is found by, in lower case: attributes of
-- the subject, alternative names and the domains above them; bytes, which
-- compare alike whatever the collation.
CREATE TABLE order_names (
    name     BYTEA NOT NULL,
    order_id TEXT NOT NULL,
    client   TEXT NOT NULL,
    PRIMARY KEY (name, order_id)
);
CREATE INDEX order_names_client ON order_names (client, name, order_id);

-- Which orders hold a key, by the first 16 bytes of the SHA-256 of its SPKI.
CREATE TABLE order_keys (
    spki     BYTEA NOT NULL,
    order_id TEXT NOT NULL,
    client   TEXT NOT NULL,
    PRIMARY KEY (spki, order_id)
);

CREATE TABLE order_tags (
    tag      TEXT NOT NULL,
    order_id TEXT NOT NULL,
    PRIMARY KEY (tag, order_id)
);
CREATE INDEX order_tags_order ON order_tags (order_id, tag);

CREATE TABLE order_comments (
    id       TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    author   TEXT NOT NULL,
    name     TEXT NOT NULL,
    text     TEXT NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX order_comments_order ON order_comments (order_id, id);

-- People to be told beside those whom the product names.
CREATE TABLE order_recipients (
    order_id TEXT NOT NULL,
    kind     TEXT NOT NULL,
    email    TEXT NOT NULL,
    language TEXT NOT NULL,
    PRIMARY KEY (order_id, kind, email)
);

-- Questions to people: may this be issued, may this be revoked.
CREATE TABLE order_approvals (
    id         TEXT PRIMARY KEY,
    order_id   TEXT NOT NULL,
    realm      TEXT NOT NULL,
    client     TEXT NOT NULL,
    act        TEXT NOT NULL,
    state      TEXT NOT NULL,
    rule       TEXT NOT NULL,
    asked_by   TEXT NOT NULL,
    asked_name TEXT NOT NULL,
    detail     TEXT NOT NULL,
    decisions  TEXT NOT NULL,
    version    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX order_approvals_order ON order_approvals (order_id, id);
CREATE INDEX order_approvals_open ON order_approvals (client, id) WHERE state = 'open';
CREATE INDEX order_approvals_due ON order_approvals (expires_at) WHERE state = 'open';

-- What links in messages are good for: setting a PIN, fetching a file,
-- bringing a request, revoking. Tokens are stored as their hash.
CREATE TABLE order_links (
    hash       TEXT PRIMARY KEY,
    order_id   TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX order_links_order ON order_links (order_id, purpose);
CREATE INDEX order_links_end ON order_links (expires_at);

-- Key files until they are fetched or three months old, and escrowed keys.
CREATE TABLE order_files (
    order_id   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    data       BYTEA NOT NULL,
    fetched_at BIGINT NOT NULL DEFAULT 0,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (order_id, kind)
);
CREATE INDEX order_files_end ON order_files (expires_at) WHERE expires_at > 0;

-- How far the reminders and renewals of each kind have come.
CREATE TABLE order_marks (
    name TEXT PRIMARY KEY,
    upto BIGINT NOT NULL,
    id   TEXT NOT NULL
);

-- What was used, by day: counted when it happens, never by reading orders.
CREATE TABLE order_usage (
    day     BIGINT NOT NULL,
    client  TEXT NOT NULL,
    product TEXT NOT NULL,
    event   TEXT NOT NULL,
    realm   TEXT NOT NULL,
    shard   BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    PRIMARY KEY (day, client, product, event, shard)
);

-- +goose Down
DROP TABLE order_usage;
DROP TABLE order_marks;
DROP TABLE order_files;
DROP TABLE order_links;
DROP TABLE order_approvals;
DROP TABLE order_recipients;
DROP TABLE order_comments;
DROP TABLE order_tags;
DROP TABLE order_keys;
DROP TABLE order_names;
DROP TABLE order_work;
DROP TABLE orders;
