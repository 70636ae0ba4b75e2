// Package ctlog is a Certificate Transparency log (RFC 6962) in the database:
// for transparency inside an organisation, for pre-production, and for tests
// against something real.
//
// [Open] makes or opens a log. [Log.AddPreChain] and [Log.AddChain] take
// submissions and hand out signed certificate timestamps; [Log.Sequence], run
// every second or so, gives the submissions their place in the Merkle tree and
// signs the new tree head. The other methods read.
//
// # What can be relied on
//
// An entry is durable before its SCT leaves. Submitting the same thing again
// gives the same SCT, also from another node at the same moment. Any number of
// nodes may serve and sequence one log: the signed tree head in the database,
// compared and set, decides whose batch counts. A tree head that lost is never
// shown to anyone. A log whose tables do not match its own signed tree head is
// not extended.
//
// The log keeps its maximum merge delay or says so: when entries have waited
// for half of it, or the tree head is older than all of it, submissions are
// refused, because the promise in an SCT could not be kept.
//
// # Limits
//
// Putting back an older database forks the log, as it does for every log:
// monitors that saw the newer tree head will notice. Retire the log and open
// one under a new name and key instead. Chains are verified for their
// signatures, their roots and the interval of NotAfter, not for revocation or
// names. Precertificate signing certificates (RFC 6962, section 3.1) are
// refused.
package ctlog

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ct"
)

// Defaults of a [Config] whose fields are zero.
const (
	DefaultMMD        = 24 * time.Hour
	DefaultMaxPending = 100_000
)

// A Config describes one log.
type Config struct {
	Name       string        // in tables and addresses: lower-case letters, digits and hyphens, at most 40
	Signer     crypto.Signer // ECDSA on P-256, or RSA of at least 2,048 bits
	Roots      [][]byte      // accepted roots, DER
	Start      time.Time     // certificates accepted: NotAfter at Start or later …
	Limit      time.Time     // … and before Limit; the zero times are no bounds
	MMD        time.Duration // maximum merge delay that the log promises
	MaxPending int64         // entries that may wait for their place before submissions are refused
}

// A Log is one log in one database. Its methods may be called from any goroutine.
type Log struct {
	db     *store.DB
	clock  clock.Clock
	guard  *clock.Guard
	signer *ct.Signer
	config Config
	roots  atomic.Pointer[rootSet]

	mu      sync.Mutex // guards what follows
	status  Status
	checked time.Time
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Open opens a log, and makes it, with an empty signed tree and an entry in the
// audit log, when there is none of that name. A name that belongs to another
// key gives Conflict ("ctlog.key").
func Open(ctx context.Context, db *store.DB, c clock.Clock, a *audit.Log, config Config) (*Log, error) {
	signer, err := checkConfig(&config)
	if err != nil {
		return nil, err
	}
	l := &Log{db: db, clock: c, signer: signer, config: config}
	if err := l.SetRoots(config.Roots); err != nil {
		return nil, err
	}
	if err := l.create(ctx, a); err != nil {
		return nil, err
	}
	head, err := l.head(db.View(ctx))
	if err != nil {
		return nil, err
	}
	l.guard = clock.NewGuard(c, ct.Time(head.Timestamp))
	return l, nil
}

func checkConfig(c *Config) (*ct.Signer, error) {
	if !nameForm.MatchString(c.Name) {
		return nil, fault.Invalidf("ctlog.name", "The name %q of a transparency log is not of at most 40 lower-case letters, digits and hyphens.", c.Name)
	}
	if !c.Start.IsZero() && !c.Limit.IsZero() && !c.Start.Before(c.Limit) {
		return nil, fault.Invalidf("ctlog.interval", "The interval of transparency log %q ends before it begins.", c.Name)
	}
	if c.MMD < 0 || c.MaxPending < 0 {
		return nil, fault.Invalidf("ctlog.limits", "The merge delay and the limits of transparency log %q must not be negative.", c.Name)
	}
	if c.MMD == 0 {
		c.MMD = DefaultMMD
	}
	if c.MaxPending == 0 {
		c.MaxPending = DefaultMaxPending
	}
	if c.Signer == nil {
		return nil, fault.Invalidf("ctlog.key", "Transparency log %q has no key.", c.Name)
	}
	signer, err := ct.NewSigner(c.Signer)
	if err != nil {
		return nil, fault.Invalidf("ctlog.key", "The key of transparency log %q cannot be used.", c.Name).
			WithNext("Give it a P-256 key, or an RSA key of at least 2048 bits.").WithCause(err)
	}
	return signer, nil
}

// create writes the empty tree of a new log.
func (l *Log) create(ctx context.Context, a *audit.Log) error {
	id := l.signer.Key().ID()
	head, err := l.signer.TreeHead(0, ct.Millis(l.clock.Now()), ct.EmptyRoot())
	if err != nil {
		return fault.Wrap(err, "sign the empty tree")
	}
	signature, err := head.Signature.Marshal()
	if err != nil {
		return err
	}
	return l.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO ctlog_logs (name, key_id, size, at, root, signature) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (name) DO NOTHING`, l.config.Name, id[:], head.Size, head.Timestamp, head.Root[:], signature)
		if err != nil {
			return err
		}
		if n == 1 {
			return a.Append(tx, audit.Entry{Action: "ctlog.create", ObjectKind: "ctlog", ObjectID: l.config.Name, Detail: map[string]string{"log_id": id.String()}})
		}
		var owner []byte
		if err := tx.QueryRow(`SELECT key_id FROM ctlog_logs WHERE name = $1`, l.config.Name).Scan(&owner); err != nil {
			return err
		}
		if !bytes.Equal(owner, id[:]) {
			return fault.Conflictf("ctlog.key", "Transparency log %q exists under another key.", l.config.Name).
				WithNext("Give it back its key, or open a log under a new name: a log never changes its key.")
		}
		return nil
	})
}

// Name is the log's name in tables and addresses.
func (l *Log) Name() string { return l.config.Name }

// Key is the log's public key.
func (l *Log) Key() ct.Key { return l.signer.Key() }

// SPKI is the log's public key as DER SubjectPublicKeyInfo, for log lists.
func (l *Log) SPKI() []byte { return l.signer.SPKI() }

// MMD is the maximum merge delay that the log promises.
func (l *Log) MMD() time.Duration { return l.config.MMD }

// Interval is the interval of NotAfter that the log accepts; see [Config].
func (l *Log) Interval() (start, limit time.Time) { return l.config.Start, l.config.Limit }

// A Status tells how a log is doing.
type Status struct {
	Size    int64     // leaves of the signed tree
	HeadAt  time.Time // when it was signed
	Pending int64     // entries without a place, counted up to [Config.MaxPending]
	Oldest  time.Time // timestamp of the one that has waited longest; zero when none waits
}

// Status reads how the log is doing now, for metrics and health.
func (l *Log) Status(ctx context.Context) (Status, error) {
	view := l.db.View(ctx)
	head, err := l.head(view)
	if err != nil {
		return Status{}, err
	}
	s := Status{Size: head.Size, HeadAt: ct.Time(head.Timestamp)}
	var oldest int64
	err = view.QueryRow(`SELECT at FROM ctlog_entries WHERE log = $1 AND leaf_index IS NULL ORDER BY id LIMIT 1`, l.config.Name).Scan(&oldest)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return Status{}, err
	}
	s.Oldest = ct.Time(oldest)
	err = view.QueryRow(`SELECT COUNT(*) FROM (SELECT id FROM ctlog_entries WHERE log = $1 AND leaf_index IS NULL LIMIT $2 + 0) AS waiting`,
		l.config.Name, l.config.MaxPending).Scan(&s.Pending)
	return s, err
}

// statusAge is for how long submissions go by one look at the log's state.
const statusAge = time.Second

// accepting refuses submissions whose promise could not be kept.
func (l *Log) accepting(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	if now.Sub(l.checked) >= statusAge || now.Before(l.checked) {
		s, err := l.Status(ctx)
		if err != nil {
			return err
		}
		l.status, l.checked = s, now
	}
	s, mmd := l.status, l.config.MMD
	if !s.Oldest.IsZero() && now.Sub(s.Oldest) > mmd/2 || now.Sub(s.HeadAt) > mmd {
		f := fault.Unavailablef(nil, "ctlog.behind", "Transparency log %q is behind and would not keep its promise of %s.", l.config.Name, mmd).
			WithNext("Try another log, or later.")
		f.RetryAfter = time.Minute
		return f
	}
	if s.Pending >= l.config.MaxPending {
		return fault.TooManyf(10*time.Second, "ctlog.full", "Too many entries wait for their place in transparency log %q.", l.config.Name).
			WithNext("Try again in a moment.")
	}
	return nil
}
