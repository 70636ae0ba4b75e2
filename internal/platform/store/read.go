package store

import (
	"context"
	"database/sql"
	"sync"
)

// cachedStatements bounds each cache of prepared statements; texts beyond it
// are run without being kept.
const cachedStatements = 512

// statements caches prepared statements of the read pool. PostgreSQL's driver
// has a cache of its own.
type statements struct {
	mu sync.RWMutex
	m  map[string]*sql.Stmt
}

func (s *statements) query(ctx context.Context, db *DB, query string, args []any) (*sql.Rows, error) {
	if db.engine == Postgres {
		return db.read.QueryContext(ctx, query, args...)
	}
	st, err := s.get(ctx, db.read, query)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return db.read.QueryContext(ctx, query, args...)
	}
	return st.QueryContext(ctx, args...)
}

func (s *statements) get(ctx context.Context, pool *sql.DB, query string) (*sql.Stmt, error) {
	s.mu.RLock()
	st := s.m[query]
	full := len(s.m) >= cachedStatements
	s.mu.RUnlock()
	if st != nil || full {
		return st, nil
	}
	st, err := pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.m[query]; have != nil {
		_ = st.Close() // somebody else was quicker
		return have, nil
	}
	if s.m == nil {
		s.m = map[string]*sql.Stmt{}
	}
	s.m[query] = st
	return st, nil
}

func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.m {
		_ = st.Close() // the pool is about to close
	}
	s.m = nil
}
