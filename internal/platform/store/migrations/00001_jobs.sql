-- +goose Up
-- Work to be done outside a request: see package jobs.
--
-- run_at is when the row next wants attention: a waiting job is due then, and
-- the lease of a running one ends then. lease counts the claims; whoever
-- changes a claimed row names the count that it was given.
CREATE TABLE jobs (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    ukey       TEXT NOT NULL,
    args       TEXT NOT NULL,
    state      TEXT NOT NULL,
    run_at     BIGINT NOT NULL,
    lease      BIGINT NOT NULL DEFAULT 0,
    attempts   BIGINT NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    every      BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    done_at    BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX jobs_unique ON jobs (kind, ukey) WHERE state = 'waiting';
CREATE INDEX jobs_due ON jobs (kind, run_at, id) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_done ON jobs (state, done_at, id) WHERE state IN ('done', 'failed');
CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed';
CREATE INDEX jobs_kind ON jobs (kind, id);

-- +goose Down
DROP TABLE jobs;
