-- +goose Up
-- Papers that came with an order: see package order. The bytes are blobs.
CREATE TABLE order_documents (
    id       TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    name     TEXT NOT NULL,
    type     TEXT NOT NULL,
    blob     TEXT NOT NULL,
    size     BIGINT NOT NULL,
    sha256   TEXT NOT NULL,
    author   TEXT NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX order_documents_order ON order_documents (order_id, id);
CREATE INDEX order_documents_blob ON order_documents (blob);

-- +goose Down
DROP TABLE order_documents;
