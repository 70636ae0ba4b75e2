// Package external keeps certificates that other authorities issued and watches over
// them: it reminds people before they end, and looks at the servers that use them
// (requirements A63 to A69, above all A67).
//
// [Registry.Import] takes files, [Registry.ImportFrom] what a TLS server shows.
// [Registry.Remind] sends the reminders that are due, and [Registry.Watch] looks at
// the servers whose address is known; both are for a schedule, may run on several
// nodes at once, and take up where they were interrupted.
//
// A certificate belongs to one client and stands in its list once. To see
// certificates needs certificate.search, to fetch them certificate.download, to
// import, delete and look at servers certificate.order, and to change owner, comment
// and recipients certificate.annotate. Nothing here says that a certificate is to be
// trusted.
package external

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// An Auditor records acts.
type Auditor interface {
	Append(tx *store.Tx, e audit.Entry) error
}

// An Outbox takes messages.
type Outbox interface {
	Send(tx *store.Tx, m outbox.Message) (string, error)
}

// Options are what a registry stands on. DB, Clock, Audit and Outbox are needed.
type Options struct {
	DB     *store.DB
	Clock  clock.Clock
	Audit  Auditor
	Outbox Outbox
	Egress egress.Policy // where servers may be looked at; its Timeout is for one look

	// Reminders are the days before the end at which people are reminded; nil is
	// 60, 30, 14, 7 and 1.
	Reminders []int
	// Notify, if set, names those who are reminded besides a certificate's own
	// recipients: the client's operators.
	Notify func(ctx context.Context, realm access.Realm, client string) ([]string, error)
	// Replaced, if set, tells whether a certificate of our own for exactly these
	// names is in use that ends later; then nobody is reminded.
	Replaced func(ctx context.Context, realm access.Realm, client string, names []string, notAfter time.Time) (bool, error)
}

// A Registry keeps the certificates. Its methods may be called from any goroutine.
type Registry struct {
	Options
}

// New opens the registry.
func New(o Options) *Registry {
	if o.Reminders == nil {
		o.Reminders = []int{60, 30, 14, 7, 1}
	}
	o.Reminders = slices.Clone(o.Reminders)
	slices.Sort(o.Reminders)
	o.Reminders = slices.Compact(o.Reminders)
	slices.Reverse(o.Reminders)
	return &Registry{o}
}

// update runs a change on behalf of s, whom the audit entries name unless the
// endpoint has said something more exact.
func (r *Registry) update(ctx context.Context, s access.Scope, fn func(tx *store.Tx) error) error {
	o, p := audit.OriginOf(ctx), s.Principal()
	unsaid := o.Kind == audit.System || o.Kind == audit.Anonymous
	if unsaid && p.Kind != "" && p.Kind != access.SystemKind {
		o.Kind, o.ID, o.Name = string(p.Kind), p.ID, p.Name
		ctx = audit.WithOrigin(ctx, o)
	}
	return r.DB.Update(ctx, fn)
}

// record writes the audit entry of an act on a certificate; detail lists pairs of key
// and value.
func (r *Registry) record(tx *store.Tx, action string, c *Certificate, detail ...string) error {
	e := audit.Entry{
		Action: action, ObjectKind: "external", ObjectID: c.ID, Realm: string(c.Realm), Client: c.Client,
		Detail: map[string]string{"certificate": c.Title(), "sha256": c.SHA256},
	}
	for i := 0; i+1 < len(detail); i += 2 {
		if detail[i+1] != "" {
			e.Detail[detail[i]] = detail[i+1]
		}
	}
	return r.Audit.Append(tx, e)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
