-- +goose Up
-- Keys that are not certified: see package keycheck. spki is the SHA-256 of the
-- SubjectPublicKeyInfo in lower-case hex. number is that of the modulus or
-- x-coordinate, and empty where only the hash of the key is known.
CREATE TABLE keycheck_blocked (
    spki       TEXT PRIMARY KEY,
    number     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    source     TEXT NOT NULL,
    proof      TEXT NOT NULL,
    note       TEXT NOT NULL,
    blocked_by TEXT NOT NULL,
    blocked_at BIGINT NOT NULL
);
CREATE INDEX keycheck_blocked_number ON keycheck_blocked (number) WHERE number <> '';
CREATE INDEX keycheck_blocked_at ON keycheck_blocked (blocked_at, spki);

-- Challenges that wait for a signature by a compromised key. id is a hash.
CREATE TABLE keycheck_challenges (
    id         TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX keycheck_challenges_due ON keycheck_challenges (expires_at);

-- +goose Down
DROP TABLE keycheck_challenges;
DROP TABLE keycheck_blocked;
