package bench

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// An installation is the product in a process of its own, which can be killed
// and started again.
type installation struct {
	*process
	Site
	s      *session
	args   []string
	trust  *x509.CertPool
	issuer *x509.Certificate
}

// install makes an installation and starts it.
func (s *session) install(ctx context.Context, p plan) (*installation, error) {
	if s.engine() == "postgres" && p.database == "" {
		var err error
		if p.database, err = s.newDatabase(ctx); err != nil {
			return nil, err
		}
	}
	i := &installation{s: s, args: []string{"product", "--dir", p.dir, "--database", p.database, fmt.Sprintf("--approval=%t", p.approval), fmt.Sprintf("--messages=%t", p.messages)}}
	if err := i.begin(ctx); err != nil {
		return nil, err
	}
	return i, i.settle(ctx)
}

// How long settle looks, and how long it waits at most.
const (
	settleLook = 250 * time.Millisecond
	settleTime = 30 * time.Second
)

// settle waits until the product has done what it does once after a start, such
// as making keys for its pool.
func (i *installation) settle(ctx context.Context) error {
	before, err := i.usage()
	for begin := time.Now(); err == nil && time.Since(begin) < settleTime; {
		if err = pause(ctx, settleLook); err != nil {
			break
		}
		var now usage
		if now, err = i.usage(); now.cpu-before.cpu <= settleLook/20 {
			break
		}
		before = now
	}
	return err
}

func (i *installation) begin(ctx context.Context) (err error) {
	if i.process, err = i.s.begin(ctx, &i.Site, i.args...); err != nil {
		return err
	}
	if i.trust, err = poolOf([]byte(i.Trust)); err != nil {
		return err
	}
	i.issuer, err = parsePEM([]byte(i.Issuer))
	return err
}

// newDatabase makes an empty PostgreSQL database, dropped at the end.
func (s *session) newDatabase(ctx context.Context) (string, error) {
	u, err := url.Parse(s.Database)
	if err != nil {
		return "", errors.New("the database address cannot be read")
	}
	admin, err := store.Connect(ctx, s.Database)
	if err != nil {
		return "", err
	}
	name := "bench_" + strings.ReplaceAll(ident.New("b"), "-", "_")
	if err := admin.Raw(ctx, "CREATE DATABASE "+name); err != nil {
		return "", errors.Join(err, admin.Close())
	}
	s.drop = append(s.drop, func() {
		if err := admin.Raw(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			s.say("the database %s is left behind: %v", name, err)
		}
		_ = admin.Close() // nothing is written through it any more
	})
	u.Path = "/" + name
	return u.String(), nil
}

// How long the product is under load before it is killed.
const untilKilled = 700 * time.Millisecond

// killUnderLoad drives op and kills the product in the middle, as often as it
// takes to be sure, then starts it again. The calls that were under way fail;
// what they had been told before counts.
func (i *installation) killUnderLoad(ctx context.Context, callers int, op operation) error {
	var dead atomic.Bool
	var wg sync.WaitGroup
	early := make(chan error, callers)
	for c := range callers {
		wg.Go(func() {
			for !dead.Load() {
				if err := op(ctx, c); err != nil {
					if !dead.Load() {
						early <- err
					}
					return
				}
			}
		})
	}
	err := pause(ctx, untilKilled)
	dead.Store(true)
	err = errors.Join(err, i.kill())
	wg.Wait()
	select {
	case e := <-early:
		err = errors.Join(err, fmt.Errorf("before it was killed: %w", e))
	default:
	}
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := i.begin(ctx); err != nil {
		return fmt.Errorf("start again after SIGKILL: %w", err)
	}
	i.s.say("killed under load and started again in %.2f s", time.Since(begin).Seconds())
	return nil
}

// A ledger keeps what the product acknowledged, per caller without locks.
type ledger[T any] struct{ entries [][]T }

func newLedger[T any](callers int) *ledger[T] { return &ledger[T]{make([][]T, callers)} }

func (l *ledger[T]) add(caller int, v T) { l.entries[caller] = append(l.entries[caller], v) }

func (l *ledger[T]) count() (n int) {
	for _, e := range l.entries {
		n += len(e)
	}
	return n
}

// reread gives every entry back to fn, the callers in parallel, and returns how
// many were lost, with the first reason.
func (l *ledger[T]) reread(fn func(caller int, v T) error) (lost int, first error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c, entries := range l.entries {
		wg.Go(func() {
			for _, v := range entries {
				if err := fn(c, v); err != nil {
					mu.Lock()
					lost++
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return lost, first
}

// checkLedger notes whether everything acknowledged is still there.
func checkLedger[T any](s *session, what string, l *ledger[T], fn func(caller int, v T) error) {
	lost, first := l.reread(fn)
	if first != nil {
		s.check(false, "%d of %d %s lost after SIGKILL: %v", lost, l.count(), what, first)
		return
	}
	s.check(l.count() > 0, "%d %s read again after SIGKILL, none lost", l.count(), what)
}
