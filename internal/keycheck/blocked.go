package keycheck

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Reason says why a key is blocked. The text is stored.
type Reason string

// The reasons.
const (
	Compromised Reason = "compromised" // somebody else has, or may have, the private key
	Weak        Reason = "weak"        // the private key can be computed
	Published   Reason = "published"   // it comes with software, hardware or documentation
	Refused     Reason = "refused"     // we do not want to certify it
)

func (r Reason) words() string {
	switch r {
	case Compromised:
		return "somebody else has its private part"
	case Weak:
		return "its private part can be computed"
	case Published:
		return "its private part was published"
	}
	return "it is not certified here"
}

func (r Reason) check() error {
	switch r {
	case Compromised, Weak, Published, Refused:
		return nil
	}
	return fault.Invalidf("key.reason", "There is no reason %q to block a key.", clip(string(r), 40)).
		WithNext("Use %s, %s, %s or %s.", Compromised, Weak, Published, Refused).WithField("reason")
}

// A Blocked key is a row of the list.
type Blocked struct {
	SPKI   string // see [HashOf]
	Number string // hash of the modulus or x-coordinate; empty where the key itself was not given
	Reason Reason
	Source string // where the knowledge comes from: "operator", "import", "report", "acme" …
	Proof  string // "private-key", "signature", or empty where somebody was believed
	Note   string
	By     string // name of who blocked it
	At     time.Time
}

const (
	maxNote   = 500 // characters
	maxSource = 40
)

// Block adds a key in the caller's transaction, for the platform's own causes, such as
// a revocation for key compromise. Only SPKI (or a key's Number as well), Reason,
// Source, Proof and Note are read. It tells whether the key was not blocked before; an
// entry that stands is left as it is.
func (r *Registry) Block(tx *store.Tx, b Blocked) (bool, error) {
	hash, err := parseHash(b.SPKI)
	if err != nil {
		return false, err
	}
	if err := b.Reason.check(); err != nil {
		return false, err
	}
	b.SPKI, b.Source, b.Note = hash, line(b.Source, maxSource), line(b.Note, maxNote)
	n, err := r.insert(tx, b)
	if err != nil || n == 0 {
		return false, err
	}
	return true, r.note(tx, "key.block", b.SPKI, "reason", string(b.Reason), "source", b.Source, "proof", b.Proof, "note", b.Note)
}

func (r *Registry) insert(tx *store.Tx, b Blocked) (int64, error) {
	by := audit.OriginOf(tx.Context())
	tx.AfterCommit(func() { r.empty.Store(0) })
	n, err := tx.Exec(`INSERT INTO keycheck_blocked (spki, number, reason, source, proof, note, blocked_by, blocked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (spki) DO NOTHING`,
		b.SPKI, b.Number, string(b.Reason), b.Source, b.Proof, b.Note, nameOf(by), store.Micros(r.clock.Now()))
	return n, fault.Wrap(err, "block a key")
}

func nameOf(o audit.Origin) string {
	if o.Name != "" {
		return line(o.Name, 200)
	}
	return o.Kind
}

// Add blocks a key by its hash. It needs authority.write for the installation.
func (r *Registry) Add(ctx context.Context, s access.Scope, hash string, reason Reason, note string) (added bool, err error) {
	if err := s.Require(access.AuthorityWrite, "", ""); err != nil {
		return false, err
	}
	err = r.update(ctx, s, func(tx *store.Tx) (err error) {
		added, err = r.Block(tx, Blocked{SPKI: hash, Reason: reason, Source: "operator", Note: note})
		return err
	})
	return added, err
}

// Remove takes a key off the list, for a reason that goes into the audit log. What was
// proved to be compromised stays: no reason can make a secret of it again. It needs
// authority.write for the installation.
func (r *Registry) Remove(ctx context.Context, s access.Scope, hash, why string) error {
	if err := s.Require(access.AuthorityWrite, "", ""); err != nil {
		return err
	}
	hash, err := parseHash(hash)
	if err != nil {
		return err
	}
	if why = line(why, maxNote); why == "" {
		return fault.Invalidf("key.why", "Say why the key may be certified again.").WithField("why")
	}
	return r.update(ctx, s, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM keycheck_blocked WHERE spki = $1 AND proof = ''`, hash)
		if err != nil {
			return err
		}
		if n == 1 {
			return r.note(tx, "key.unblock", hash, "why", why)
		}
		if _, err := r.Get(tx, hash); err != nil {
			return err
		}
		return fault.Conflictf("key.proved", "The key %s was proved to be compromised and stays blocked.", hash)
	})
}

const columns = `spki, number, reason, source, proof, note, blocked_by, blocked_at`

func scan(row interface{ Scan(...any) error }) (b Blocked, err error) {
	var at int64
	err = row.Scan(&b.SPKI, &b.Number, &b.Reason, &b.Source, &b.Proof, &b.Note, &b.By, &at)
	b.At = store.Time(at)
	return b, err
}

// Get gives one blocked key, or a fault of kind NotFound.
func (r *Registry) Get(q store.Queryer, hash string) (Blocked, error) {
	hash, err := parseHash(hash)
	if err != nil {
		return Blocked{}, err
	}
	b, err := scan(q.QueryRow(`SELECT `+columns+` FROM keycheck_blocked WHERE spki = $1`, hash))
	if errors.Is(err, store.ErrNotFound) {
		err = fault.NotFoundf("key.not_blocked", "The key %s is not blocked.", hash)
	}
	return b, err
}

// A Filter narrows a list; the zero Filter lists all.
type Filter struct {
	Reason Reason
	Source string
	Page   store.Page
}

// List gives blocked keys, the latest first, and the cursor of the next page, empty at
// the end. It needs authority.read for the installation.
func (r *Registry) List(ctx context.Context, s access.Scope, f Filter) ([]Blocked, string, error) {
	if err := s.Require(access.AuthorityRead, "", ""); err != nil {
		return nil, "", err
	}
	after, resume, err := f.Page.Key()
	if err != nil {
		return nil, "", err
	}
	where, args := "1 = 1", []any{}
	param := func(v any) string { args = append(args, v); return "$" + strconv.Itoa(len(args)) }
	if f.Reason != "" {
		where += " AND reason = " + param(string(f.Reason))
	}
	if f.Source != "" {
		where += " AND source = " + param(f.Source)
	}
	if resume {
		where += " AND (blocked_at, spki) < (" + param(after.Sort) + ", " + param(after.ID) + ")"
	}
	size := f.Page.Size()
	rows, err := r.db.View(ctx).Query(`SELECT `+columns+` FROM keycheck_blocked WHERE `+where+` ORDER BY blocked_at DESC, spki DESC LIMIT `+param(size+1)+` + 0`, args...)
	list, err := store.Collect(rows, err, func(row *store.Rows) (Blocked, error) { return scan(row) })
	if err != nil || len(list) <= size {
		return list, "", err
	}
	last := list[size-1]
	return list[:size], store.Key{Sort: store.Micros(last.At), ID: last.SPKI}.Cursor(), nil
}

// update runs a change on behalf of s, whom the audit entries name unless the endpoint
// has said something more exact.
func (r *Registry) update(ctx context.Context, s access.Scope, fn func(tx *store.Tx) error) error {
	p, o := s.Principal(), audit.OriginOf(ctx)
	if (o.Kind == audit.System || o.Kind == audit.Anonymous) && p.Kind != "" && p.Kind != access.SystemKind {
		o.Kind, o.ID, o.Name = string(p.Kind), p.ID, p.Name
		ctx = audit.WithOrigin(ctx, o)
	}
	return r.db.Update(ctx, fn)
}

// note writes an audit entry; detail lists pairs of key and value.
func (r *Registry) note(tx *store.Tx, action, hash string, detail ...string) error {
	e := audit.Entry{Action: action, ObjectKind: "key", ObjectID: hash, Detail: map[string]string{}}
	for i := 0; i+1 < len(detail); i += 2 {
		if detail[i+1] != "" {
			e.Detail[detail[i]] = detail[i+1]
		}
	}
	return r.audit.Append(tx, e)
}

// line makes one line of at most n characters of what somebody wrote.
func line(s string, n int) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "�"))
	return clip(strings.TrimSpace(s), n)
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}
