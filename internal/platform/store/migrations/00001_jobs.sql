-- +goose Up
-- Work to be done outside a request: see package jobs.
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
    created_at BIGINT NOT NULL,
    done_at    BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX jobs_unique ON jobs (kind, ukey) WHERE state = 'waiting';
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE state = 'waiting';
CREATE INDEX jobs_done ON jobs (done_at, id) WHERE state <> 'waiting';

-- +goose Down
DROP TABLE jobs;
