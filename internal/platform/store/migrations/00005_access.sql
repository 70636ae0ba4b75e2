-- +goose Up
-- Clients, services, people and systems that may act, and what they may do: see package access.
-- In every table an empty text or a zero stands for "none"; names ending in _key are folded for search and order.
CREATE TABLE access_clients (
    id         TEXT PRIMARY KEY,
    realm      TEXT NOT NULL,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    country    TEXT NOT NULL,
    org_number TEXT NOT NULL,
    status     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX access_clients_name ON access_clients (name_key, id);
CREATE UNIQUE INDEX access_clients_org ON access_clients (realm, country, org_number) WHERE org_number <> '';

CREATE TABLE access_services (
    id            TEXT PRIMARY KEY,
    realm         TEXT NOT NULL,
    client_id     TEXT NOT NULL REFERENCES access_clients (id),
    name          TEXT NOT NULL,
    profile       TEXT NOT NULL,
    password_hash TEXT NOT NULL DEFAULT '',
    status        TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    closed_at     BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX access_services_name ON access_services (realm, name);
CREATE INDEX access_services_list ON access_services (name, id);
CREATE INDEX access_services_client ON access_services (client_id, name, id);

CREATE TABLE access_orderers (
    id             TEXT PRIMARY KEY,
    realm          TEXT NOT NULL,
    client_id      TEXT NOT NULL REFERENCES access_clients (id),
    name           TEXT NOT NULL,
    name_key       TEXT NOT NULL,
    email          TEXT NOT NULL,
    mobile         TEXT NOT NULL,
    language       TEXT NOT NULL,
    active         BOOLEAN NOT NULL,
    added_by       TEXT NOT NULL,
    added_at       BIGINT NOT NULL,
    deactivated_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX access_orderers_name ON access_orderers (name_key, id);
CREATE INDEX access_orderers_client ON access_orderers (client_id, name_key, id);
CREATE UNIQUE INDEX access_orderers_email ON access_orderers (client_id, email) WHERE active;

-- Operators and service accounts: whatever can hold a grant or a token.
CREATE TABLE access_principals (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    realm      TEXT NOT NULL DEFAULT '',
    client_id  TEXT NOT NULL DEFAULT '',
    status     TEXT NOT NULL,
    ends_at    BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX access_principals_name ON access_principals (kind, name_key, id);

CREATE TABLE access_operators (
    id            TEXT PRIMARY KEY REFERENCES access_principals (id),
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL UNIQUE,
    title         TEXT NOT NULL,
    language      TEXT NOT NULL,
    theme         TEXT NOT NULL DEFAULT '',
    muted         BOOLEAN NOT NULL DEFAULT FALSE,
    password_hash TEXT NOT NULL DEFAULT '',
    last_login_at BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE access_invitations (
    hash        TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES access_operators (id),
    expires_at  BIGINT NOT NULL
);
CREATE INDEX access_invitations_operator ON access_invitations (operator_id);

CREATE TABLE access_totp (
    operator_id  TEXT PRIMARY KEY REFERENCES access_operators (id),
    sealed       BYTEA NOT NULL,
    confirmed_at BIGINT NOT NULL DEFAULT 0,
    last_step    BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE access_recovery_codes (
    hash        TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES access_operators (id)
);
CREATE INDEX access_recovery_codes_operator ON access_recovery_codes (operator_id);

CREATE TABLE access_passkeys (
    id            TEXT PRIMARY KEY,
    operator_id   TEXT NOT NULL REFERENCES access_operators (id),
    credential_id TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    data          TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX access_passkeys_operator ON access_passkeys (operator_id, id);

CREATE TABLE access_ceremonies (
    hash       TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    data       TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX access_ceremonies_expiry ON access_ceremonies (expires_at);

CREATE TABLE access_sessions (
    id                 TEXT PRIMARY KEY,
    hash               TEXT NOT NULL UNIQUE,
    operator_id        TEXT NOT NULL REFERENCES access_operators (id),
    stage              TEXT NOT NULL,
    created_at         BIGINT NOT NULL,
    last_seen_at       BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL,
    reauthenticated_at BIGINT NOT NULL,
    address            TEXT NOT NULL,
    user_agent         TEXT NOT NULL
);
CREATE INDEX access_sessions_operator ON access_sessions (operator_id, created_at);
CREATE INDEX access_sessions_expiry ON access_sessions (expires_at);

-- Wrong tries at a login, by account, by address or by second factor.
CREATE TABLE access_throttles (
    id           TEXT PRIMARY KEY,
    failures     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    locked_until BIGINT NOT NULL
);
CREATE INDEX access_throttles_last ON access_throttles (last_at);

CREATE TABLE access_tokens (
    id           TEXT PRIMARY KEY,
    hash         TEXT NOT NULL UNIQUE,
    hint         TEXT NOT NULL,
    owner_id     TEXT NOT NULL REFERENCES access_principals (id),
    name         TEXT NOT NULL,
    enabled      BOOLEAN NOT NULL,
    ends_at      BIGINT NOT NULL DEFAULT 0,
    last_used_at BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL
);
CREATE INDEX access_tokens_owner ON access_tokens (owner_id, created_at, id);

-- Roles of the installation's own; the built-in ones live in the program.
CREATE TABLE access_roles (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL
);

CREATE TABLE access_grants (
    id           TEXT PRIMARY KEY,
    principal_id TEXT NOT NULL REFERENCES access_principals (id),
    role_id      TEXT NOT NULL,
    realm        TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    granted_by   TEXT NOT NULL,
    granted_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_grants_once ON access_grants (principal_id, role_id, realm, client_id);
CREATE INDEX access_grants_role ON access_grants (role_id);
CREATE INDEX access_grants_client ON access_grants (client_id);

-- One row: grows with every change to roles or grants, so that every node
-- notices within the query that authenticates a call.
CREATE TABLE access_version (
    id BIGINT PRIMARY KEY,
    n  BIGINT NOT NULL
);
INSERT INTO access_version (id, n) VALUES (1, 1);

-- +goose Down
DROP TABLE access_version;
DROP TABLE access_grants;
DROP TABLE access_roles;
DROP TABLE access_tokens;
DROP TABLE access_throttles;
DROP TABLE access_sessions;
DROP TABLE access_ceremonies;
DROP TABLE access_passkeys;
DROP TABLE access_recovery_codes;
DROP TABLE access_totp;
DROP TABLE access_invitations;
DROP TABLE access_operators;
DROP TABLE access_principals;
DROP TABLE access_orderers;
DROP TABLE access_services;
DROP TABLE access_clients;
