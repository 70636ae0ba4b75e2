// Package audit keeps the log of every act: by whom, on what, from where, with
// what result. Nobody can change it unseen.
//
// A domain calls [Log.Append] in the transaction of the act itself, so that the
// two are durable together or not at all; a refusal, which has no transaction,
// is written with [Log.Record]. Who acts travels in the context: the endpoint
// that authenticated the caller puts an [Origin] there with [WithOrigin].
//
// [Log.Sequence], run every second or so, gives each entry a place in a Merkle
// tree (RFC 6962 hashes) and signs the new tree head with Ed25519, as a
// checkpoint in the c2sp.org/tlog-checkpoint format. From then on a changed,
// deleted, inserted or re-ordered entry is found by [Log.Verify], which
// recomputes everything. [Log.Prove] gives a file that shows to outsiders, with
// nothing but the public key, that one entry stands in the log ([CheckProof]).
//
// # Limits
//
// An entry is protected from the moment it is sequenced, not from the moment it
// is written. Somebody who can write to the database and holds older copies of
// all tables and of the checkpoint can put back the whole older log; only a
// checkpoint kept elsewhere shows that, so keep some elsewhere and give them to
// Verify.
//
// # Leaf
//
// The leaf of an entry is the SHA-256 of a zero byte and the entry's canonical
// form (RFC 6962, section 2.1). The canonical form, version 1, is one JSON
// object in UTF-8, without white space, with exactly these members in this order:
//
//	action actor_id actor_kind actor_name at client correlation detail from id
//	object_id object_kind realm result service v
//
// at is a number, microseconds since 1970-01-01 UTC; v is the number 1; detail
// is an object of strings ordered by code point; all others are strings. Strings
// are written as they are but for \" \\ \b \t \n \f \r and \u00xx (lower case)
// for the other characters below U+0020. For ASCII keys this is RFC 8785, and
// Python writes the same with
// json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False).
package audit

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The kinds of actors.
const (
	Operator       = "operator"        // an employee at the user interface
	ServiceAccount = "service-account" // a program with its own account
	Token          = "token"           // a program with an API token
	Certificate    = "certificate"     // a caller known by a client certificate
	Person         = "person"          // a citizen or recipient
	System         = "system"          // the product itself: schedules, recovery
	Anonymous      = "anonymous"       // nobody in particular
)

// An Origin says who acts and from where.
type Origin struct {
	Kind, ID, Name string // Kind is one of the constants above; Name is for people
	From           string // IP address; empty for the system
	Correlation    string // ties the entry to log lines and error messages
}

type originKey struct{}

// WithOrigin returns a context in which everything is done by o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf tells who acts in ctx: the system, unless [WithOrigin] said otherwise.
func OriginOf(ctx context.Context) Origin {
	if o, ok := ctx.Value(originKey{}).(Origin); ok {
		return o
	}
	return Origin{Kind: System, ID: System}
}

// A Result says how an act ended.
type Result string

// The results.
const (
	OK      Result = "ok"
	Refused Result = "refused" // the caller may not, or the rules forbid it
	Failed  Result = "failed"  // it was allowed and did not work
)

// An Entry is what a domain says about an act. It holds no secrets: whoever may
// read the log sees all of it, for years. A text of more than 4,096 bytes is cut;
// NUL and malformed UTF-8 become U+FFFD.
type Entry struct {
	Action                 string            // "order.create": area, dot, verb
	ObjectKind, ObjectID   string            // "order", "ord-…"
	Realm, Client, Service string            // whose it is; empty where it is nobody's
	Result                 Result            // empty is OK in Append and Refused in Record
	Detail                 map[string]string // what else matters; ASCII keys
}

// A Log is the audit log in one database. Its methods may be called from any
// goroutine and by several nodes at once.
type Log struct {
	db     *store.DB
	clock  clock.Clock
	signer crypto.Signer
	origin string
	own    note.Verifier
	older  []note.Verifier
	keyErr error
}

// New opens the log. The signer holds an Ed25519 key and origin names the log
// in its checkpoints: a host and path such as "ca.example.com/audit", without
// spaces and plus signs. A signer or origin that will not do is told by the
// methods that need them; with a nil signer the log can be written and listed.
func New(db *store.DB, c clock.Clock, signer crypto.Signer, origin string) *Log {
	l := &Log{db: db, clock: c, signer: signer, origin: origin}
	if signer == nil {
		l.keyErr = errors.New("the audit log has no signing key")
		return l
	}
	key, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		l.keyErr = errors.New("the audit log's signing key is not an Ed25519 key")
		return l
	}
	l.own, l.keyErr = newVerifier(origin, key)
	return l
}

// Trust accepts checkpoints signed with earlier keys too, which lets the log go
// on under a new one. Call it before the log is used.
func (l *Log) Trust(earlier ...ed25519.PublicKey) error {
	for _, key := range earlier {
		v, err := newVerifier(l.origin, key)
		if err != nil {
			return err
		}
		l.older = append(l.older, v)
	}
	return nil
}

const insert = `INSERT INTO audit_entries
	(id, at, action, actor_kind, actor_id, actor_name, source, correlation, object_kind, object_id, realm, client, service, result, detail)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

// Append writes an entry in the transaction of the act it tells of: one INSERT.
// Who acted is taken from the context of the transaction.
func (l *Log) Append(tx *store.Tx, e Entry) error {
	if e.Action == "" {
		return errors.New("an audit entry without an action")
	}
	if e.Result == "" {
		e.Result = OK
	}
	_, err := tx.Exec(insert, l.row(OriginOf(tx.Context()), e)...)
	return err
}

// row gives the parameters of the insert; everything that Append costs beside
// the database is here.
func (l *Log) row(o Origin, e Entry) []any {
	s := clean(Stored{ID: ident.New("aud"), At: l.clock.Now(), Origin: o, Entry: e})
	o, e = s.Origin, s.Entry
	return []any{
		s.ID, store.Micros(s.At), e.Action, o.Kind, o.ID, o.Name, o.From, o.Correlation,
		e.ObjectKind, e.ObjectID, e.Realm, e.Client, e.Service, string(e.Result), string(appendDetail(nil, e.Detail)),
	}
}

// Record writes an entry in a transaction of its own, for acts that have none:
// refusals, mostly, and that is what an entry without a result is taken for.
func (l *Log) Record(ctx context.Context, e Entry) error {
	if e.Result == "" {
		e.Result = Refused
	}
	return l.db.Update(ctx, func(tx *store.Tx) error { return l.Append(tx, e) })
}
