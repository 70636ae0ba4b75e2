-- +goose Up
-- Certificate orders. The row is the truth of an order: state, lease and
-- history change together, by compare-and-set on the version. Ids begin with
-- the time, so that their order is that of the orders.
CREATE TABLE orders (
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
    remind_at    BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX orders_client ON orders (client, id);
CREATE INDEX orders_search ON orders (search, id);
CREATE INDEX orders_end ON orders (not_after, id) WHERE state = 'ISSUED';
CREATE INDEX orders_other ON orders (state, id) WHERE state <> 'ISSUED';
CREATE INDEX orders_lease ON orders (lease) WHERE lease > 0;
CREATE INDEX orders_claim ON orders (claim_by, id) WHERE claim_by > 0;
CREATE INDEX orders_remind ON orders (remind_at) WHERE remind_at > 0;

-- +goose Down
DROP TABLE orders;
