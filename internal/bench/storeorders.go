package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/bench/reference"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// storeOrders is row store-orders: the rows of one order, which are certificate,
// order and audit entry, in one transaction through the product's store. The
// reference writes the same rows with the same statements through a bare group
// commit over the same engine. Both run in this process: there is no TLS and no
// cryptography in it.
func storeOrders(ctx context.Context, s *session) error {
	sizes := s.Rows
	if len(sizes) == 0 {
		sizes = []int64{1_000, 1_000_000}
		if s.Quick {
			sizes = []int64{1_000}
		}
	}
	for _, n := range sizes {
		if err := s.storeOrders(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) storeOrders(ctx context.Context, n int64) error {
	dir, err := s.place("store")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // large; what is left goes with the session
	address := ""
	if s.engine() == "postgres" {
		if address, err = s.newDatabase(ctx); err != nil {
			return err
		}
	}
	m, address, err := s.filled(ctx, plan{dir: dir, database: address}, n)
	if err != nil {
		return err
	}
	var bare *reference.Group
	if s.engine() == "sqlite" {
		copied := filepath.Join(dir, "reference.db")
		if err := copyFile(filepath.Join(dir, "sealwright.db"), copied); err != nil {
			return err
		}
		if bare, err = reference.OpenGroup(copied); err != nil {
			return err
		}
		defer bare.Close()
	}
	db, err := store.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return s.storeWith(ctx, db, bare, m, n)
}

// filled makes an installation with n orders and returns the mould that they
// were made with and the address of the database.
func (s *session) filled(ctx context.Context, p plan, n int64) (*mould, string, error) {
	site, log, err := openSite(ctx, p)
	if err != nil {
		return nil, "", err
	}
	defer log.Close()
	m, err := newMould(ctx, site.House)
	if err == nil {
		begin := time.Now()
		err = (&stock{}).fill(ctx, site.House.DB, m, n)
		s.say("%d orders made in %.1f s", n, time.Since(begin).Seconds())
	}
	return m, site.House.Config.Database.URL.Reveal(), errors.Join(err, site.House.Close())
}

func (s *session) storeWith(ctx context.Context, db *store.DB, bare *reference.Group, m *mould, n int64) error {
	var count atomic.Int64
	var acknowledged atomic.Int64
	before, err := orders(ctx, db)
	if err != nil {
		return err
	}
	ours := func(ctx context.Context, _ int) error {
		rows, _ := m.next(n+count.Add(1), time.Now(), true)
		err := db.Update(ctx, func(tx *store.Tx) error {
			for _, r := range rows {
				if _, err := tx.Exec(r.SQL, r.Args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			acknowledged.Add(1)
		}
		return err
	}
	theirs := func(context.Context, int) error {
		rows, _ := m.next(n+count.Add(1), time.Now(), true)
		return bare.Do(rows...)
	}
	for _, callers := range s.numbers() {
		targets := []target{{name: product, server: self{}, op: ours}}
		if bare != nil {
			targets = append([]target{{name: bareName, server: self{}, op: theirs}}, targets...)
		}
		if err := s.compare(ctx, fmt.Sprintf("rows=%d", n), callers, targets...); err != nil {
			return err
		}
	}
	after, err := orders(ctx, db)
	s.check(after-before == acknowledged.Load(), "%d orders acknowledged, %d stored", acknowledged.Load(), after-before)
	return err
}

func orders(ctx context.Context, db *store.DB) (n int64, err error) {
	err = db.View(ctx).QueryRow(`SELECT COUNT(*) FROM wscert_orders`).Scan(&n)
	return n, err
}

// self is the gauge of this process.
type self struct{}

func (self) usage() (usage, error) { return usageOf(os.Getpid()) }
