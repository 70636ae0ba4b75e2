-- +goose Up
-- Temporary documents of services (SDS). The bytes are a blob; the row is what makes them a document.
CREATE TABLE documents (
    id           TEXT PRIMARY KEY,
    realm        TEXT NOT NULL,
    client       TEXT NOT NULL,
    service      TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size         BIGINT NOT NULL,
    sha256       BYTEA NOT NULL,
    blob         TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX documents_created ON documents (created_at, id);
CREATE INDEX documents_client ON documents (client, created_at, id);
CREATE INDEX documents_service ON documents (service, created_at, id);
CREATE INDEX documents_due ON documents (expires_at, id);
CREATE INDEX documents_blob ON documents (blob);

-- +goose Down
DROP TABLE documents;
