-- +goose Up
-- Products (policy instances). A row says which version is current; versions are written once.
CREATE TABLE products (
    id         TEXT PRIMARY KEY,
    realm      TEXT NOT NULL,
    client     TEXT NOT NULL, -- empty: shared by all clients of the realm
    authority  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    sort       TEXT NOT NULL, -- the name, folded
    search     TEXT NOT NULL, -- what a search looks in, folded
    current    BIGINT NOT NULL,
    retired    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX products_sort ON products (sort, id);
CREATE INDEX products_client ON products (realm, client, sort, id);
CREATE INDEX products_authority ON products (authority, id);

CREATE TABLE product_versions (
    product_id TEXT NOT NULL REFERENCES products (id),
    version    BIGINT NOT NULL,
    body       TEXT NOT NULL, -- JSON
    author     TEXT NOT NULL,
    note       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (product_id, version)
);

-- Templates beside those that come with the program.
CREATE TABLE product_templates (
    name       TEXT NOT NULL,
    version    BIGINT NOT NULL,
    body       TEXT NOT NULL, -- JSON
    author     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

-- +goose Down
DROP TABLE product_templates;
DROP TABLE product_versions;
DROP TABLE products;
