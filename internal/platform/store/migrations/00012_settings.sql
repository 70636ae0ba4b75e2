-- +goose Up
-- What an installation remembers of itself, such as the name of its audit key.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- +goose Down
DROP TABLE settings;
