package reference

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite" // the engine
)

// A Statement is an SQL text with its parameters.
type Statement struct {
	SQL  string
	Args []any
}

// A Group is SQLite with one writer that commits everything that waits
// together: the least that durable concurrent writes cost.
type Group struct {
	db    *sql.DB
	conn  *sql.Conn
	cache map[string]*sql.Stmt
	queue chan *unit
	done  chan struct{}
}

type unit struct {
	work   []Statement
	answer chan error
}

// OpenGroup makes a database file with a schema.
func OpenGroup(file string, schema ...string) (*Group, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-32768)")
	if err != nil {
		return nil, err
	}
	for _, text := range schema {
		if _, err := db.Exec(text); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	g := &Group{db: db, conn: conn, cache: map[string]*sql.Stmt{}, queue: make(chan *unit, 1024), done: make(chan struct{})}
	go g.loop()
	return g, nil
}

// Do runs statements in a transaction and returns when they are on disk.
func (g *Group) Do(work ...Statement) error {
	u := &unit{work, make(chan error, 1)}
	g.queue <- u
	return <-u.answer
}

// groupSize bounds how many callers share a commit.
const groupSize = 256

func (g *Group) loop() {
	defer close(g.done)
	for u := range g.queue {
		group := []*unit{u}
		err := g.exec(Statement{SQL: "BEGIN IMMEDIATE"})
		for i := 0; i < len(group) && err == nil; i++ {
			for _, s := range group[i].work {
				err = errors.Join(err, g.exec(s))
			}
			if len(group) < groupSize && len(g.queue) > 0 {
				group = append(group, <-g.queue)
			}
		}
		if err == nil {
			err = g.exec(Statement{SQL: "COMMIT"})
		}
		for _, u := range group {
			u.answer <- err
		}
	}
}

func (g *Group) exec(s Statement) error {
	st := g.cache[s.SQL]
	if st == nil {
		var err error
		if st, err = g.conn.PrepareContext(context.Background(), s.SQL); err != nil {
			return err
		}
		g.cache[s.SQL] = st
	}
	_, err := st.Exec(s.Args...)
	return err
}

// Close ends the writer and closes the database. Nobody may be in Do.
func (g *Group) Close() error {
	close(g.queue)
	<-g.done
	return errors.Join(g.conn.Close(), g.db.Close())
}
