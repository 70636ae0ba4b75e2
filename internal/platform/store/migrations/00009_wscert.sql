-- +goose Up
-- Certificate orders. The row is the truth of an order: state, lease and
-- history change together, by compare-and-set on the version. Ids begin with
-- the time, so that their order is that of the orders.
CREATE TABLE wscert_orders (
    id           TEXT PRIMARY KEY,
    realm        TEXT NOT NULL,
    client       TEXT NOT NULL,
    service      TEXT NOT NULL,
    service_name TEXT NOT NULL,
    slug         TEXT NOT NULL,
    cn           TEXT NOT NULL,
    search       BYTEA NOT NULL,
    state        TEXT NOT NULL,
    mode         TEXT NOT NULL,
    spec         TEXT NOT NULL,
    recipient    TEXT NOT NULL,
    sealed_key   BYTEA,
    spki         BYTEA,
    authority    TEXT NOT NULL DEFAULT '',
    serial       TEXT NOT NULL DEFAULT '',
    not_before   BIGINT NOT NULL DEFAULT 0,
    not_after    BIGINT NOT NULL DEFAULT 0,
    handover     TEXT NOT NULL DEFAULT '',
    delivered_at BIGINT NOT NULL DEFAULT 0,
    predecessor  TEXT NOT NULL DEFAULT '',
    created_by   TEXT NOT NULL,
    creator      TEXT NOT NULL,
    approved_by  TEXT NOT NULL DEFAULT '',
    comment      TEXT NOT NULL DEFAULT '',
    problem      TEXT NOT NULL DEFAULT '',
    history      TEXT NOT NULL,
    version      BIGINT NOT NULL,
    lease        BIGINT NOT NULL DEFAULT 0,
    claim_by     BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX wscert_orders_client ON wscert_orders (client, id);
CREATE INDEX wscert_orders_search ON wscert_orders (search, id);
CREATE INDEX wscert_orders_end ON wscert_orders (not_after, id) WHERE state = 'ISSUED';
CREATE INDEX wscert_orders_other ON wscert_orders (state, id) WHERE state <> 'ISSUED';
CREATE INDEX wscert_orders_lease ON wscert_orders (lease) WHERE lease > 0;
CREATE INDEX wscert_orders_claim ON wscert_orders (claim_by, id) WHERE claim_by > 0;

-- How far the reminders of each kind have come: the end and id of the latest certificate.
CREATE TABLE wscert_reminders (
    days BIGINT PRIMARY KEY,
    upto BIGINT NOT NULL,
    id   TEXT NOT NULL
);

-- +goose Down
DROP TABLE wscert_reminders;
DROP TABLE wscert_orders;
