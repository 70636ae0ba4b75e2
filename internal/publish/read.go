package publish

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish/place"
)

const publisherColumns = `id, realm, client, name, kind, settings, secret, internal, give_up, enabled, created_at, changed_at, failures, last_error, paused_until`

type scanner interface{ Scan(dest ...any) error }

// scanPublisher reads a row of publisherColumns, and further columns into more.
func scanPublisher(r scanner, more ...any) (p Publisher, sealed []byte, err error) {
	var settings, ranges string
	var giveUp, created, changed, paused int64
	if err := r.Scan(append([]any{
		&p.ID, &p.Realm, &p.Client, &p.Name, &p.Kind, &settings, &sealed, &ranges, &giveUp, &p.Enabled, &created, &changed,
		&p.Failures, &p.LastError, &paused,
	}, more...)...); err != nil {
		return p, nil, err
	}
	p.GiveUp, p.Created, p.Changed, p.PausedUntil = time.Duration(giveUp)*time.Microsecond, store.Time(created), store.Time(changed), store.Time(paused)
	p.HasSecret = len(sealed) > 0
	return p, sealed, errors.Join(json.Unmarshal([]byte(settings), &p.Settings), json.Unmarshal([]byte(ranges), &p.Internal))
}

func (p *Publishing) find(q store.Queryer, id string) (Publisher, []byte, error) {
	row, sealed, err := scanPublisher(q.QueryRow(`SELECT `+publisherColumns+` FROM publish_publishers WHERE id = $1 AND deleted_at = 0`, id))
	if errors.Is(err, store.ErrNotFound) {
		err = access.NotFound()
	}
	return row, sealed, err
}

// Get reads one publisher; it needs settings.read.
func (p *Publishing) Get(ctx context.Context, s access.Scope, id string) (Publisher, error) {
	row, _, err := p.find(p.o.DB.View(ctx), id)
	if err != nil {
		return Publisher{}, err
	}
	if err := s.Require(access.SettingsRead, row.Realm, row.Client); err != nil {
		return Publisher{}, err
	}
	return row, nil
}

// A Query selects publishers; the zero Query selects all that the caller may read.
type Query struct {
	Realm  access.Realm
	Search string // in the name
	Page   store.Page
}

// List lists publishers by name; it needs settings.read. next is the cursor of
// the next page, empty on the last.
func (p *Publishing) List(ctx context.Context, s access.Scope, q Query) (list []Publisher, next string, err error) {
	cond, args := s.Filter(access.SettingsRead, "realm", "client", nil)
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	text := `SELECT ` + publisherColumns + ` FROM publish_publishers WHERE deleted_at = 0 AND ` + cond
	if q.Realm != "" {
		text += ` AND realm = ` + arg(string(q.Realm))
	}
	if search := fold(strings.TrimSpace(clean(q.Search, maxName))); search != "" {
		text += ` AND name_key LIKE ` + arg("%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(search)+"%") + ` ESCAPE '\'`
	}
	after, ok, err := q.Page.Key()
	if err != nil {
		return nil, "", err
	}
	if ok {
		name, id, _ := strings.Cut(after.ID, "\x00")
		text += ` AND (name_key, id) > (` + arg(clean(name, 1024)) + `, ` + arg(clean(id, 64)) + `)`
	}
	text += ` ORDER BY name_key, id LIMIT ` + arg(q.Page.Size()+1) + ` + 0`
	rows, err := p.o.DB.View(ctx).Query(text, args...)
	list, err = store.Collect(rows, err, func(r *store.Rows) (Publisher, error) {
		row, _, err := scanPublisher(r)
		return row, err
	})
	if err == nil && len(list) > q.Page.Size() {
		list = list[:q.Page.Size()]
		last := list[len(list)-1]
		next = store.Key{ID: fold(last.Name) + "\x00" + last.ID}.Cursor()
	}
	return list, next, err
}

// Check tells whether a product of the client may name those publishers: each
// exists, serves the client, and takes certificates. The fault names none that
// belongs to somebody else.
func (p *Publishing) Check(q store.Queryer, realm access.Realm, client string, ids []string) error {
	rows, err := p.servants(q, realm, client, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		row, ok := rows[id]
		if !ok {
			return unknown(id)
		}
		d, err := p.destination(row.Settings)
		if err != nil {
			return err
		}
		if !d.Takes(place.Certificate) {
			return fault.Invalidf("publisher.kind", "The publisher %s takes no certificates, only those of authorities.", row.Name).WithField("publishers")
		}
	}
	return nil
}

func unknown(id string) error {
	return fault.Invalidf("publisher.unknown", "There is no publisher %s for this client.", id).WithField("publishers")
}

// maxPublishers bounds the publishers of one object.
const maxPublishers = 16

// servants reads those of the publishers that serve the client.
func (p *Publishing) servants(q store.Queryer, realm access.Realm, client string, ids []string) (map[string]Publisher, error) {
	if len(ids) > maxPublishers {
		return nil, fault.Invalidf("publisher.too_many", "An object has at most %d publishers.", maxPublishers).WithField("publishers")
	}
	args := []any{string(realm), client}
	marks := make([]string, maxPublishers) // always as many, so that there is one statement
	for i := range marks {
		id := ""
		if i < len(ids) {
			id = clean(ids[i], 64)
		}
		args = append(args, id)
		marks[i] = "$" + strconv.Itoa(len(args))
	}
	rows, err := q.Query(`SELECT `+publisherColumns+` FROM publish_publishers WHERE realm = $1 AND client IN ('', $2) AND deleted_at = 0 AND id IN (`+strings.Join(marks, ", ")+`)`, args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Publisher, error) {
		row, _, err := scanPublisher(r)
		return row, err
	})
	out := map[string]Publisher{}
	for _, row := range list {
		out[row.ID] = row
	}
	return out, err
}

// Test connects as publishing would, and tries what it needs without leaving
// anything behind. It needs settings.write. What goes wrong is a fault of kind
// Unavailable with the reason in its message.
func (p *Publishing) Test(ctx context.Context, s access.Scope, id string) error {
	row, sealed, err := p.find(p.o.DB.View(ctx), id)
	if err != nil {
		return err
	}
	if err := allowed(s, row.Realm, row.Client, row.Settings, row.Internal); err != nil {
		return err
	}
	err = p.probe(ctx, row, sealed)
	result := audit.OK
	if err != nil {
		result = audit.Failed
	}
	if err := p.update(ctx, s, func(tx *store.Tx) error {
		return p.o.Audit.Append(tx, audit.Entry{Action: "publisher.test", ObjectKind: "publisher", ObjectID: id, Realm: string(row.Realm), Client: row.Client, Result: result})
	}); err != nil {
		return err
	}
	return err
}

func (p *Publishing) probe(ctx context.Context, row Publisher, sealed []byte) error {
	d, err := p.destination(row.Settings)
	if err != nil {
		return err
	}
	link, err := p.link(row, sealed)
	if err != nil {
		return err
	}
	session, err := d.Open(ctx, link)
	if err == nil {
		defer session.Close()
		err = session.Probe(ctx)
	}
	if err != nil {
		return fault.Unavailablef(err, "publisher.test", "The publisher %s does not work: %s.", row.Name, strings.TrimSuffix(reason(err, link), ".")).WithNext("Mend what the message names, then test again.")
	}
	return nil
}

// link is the way to the publisher's server. The address policy is the
// installation's, with the internal addresses of this publisher and no others.
func (p *Publishing) link(row Publisher, sealed []byte) (place.Link, error) {
	policy := p.o.Egress
	policy.Allow, policy.Ports = nil, nil
	for _, text := range row.Internal {
		r, err := netip.ParsePrefix(text)
		if err != nil {
			return place.Link{}, fault.Wrap(err, "read the internal ranges of a publisher")
		}
		policy.Allow = append(policy.Allow, r)
	}
	password, key, err := p.unseal(row.ID, sealed)
	return place.Link{Dialer: policy.Dialer(), Password: password, Key: key, Ledger: ledger{p, row.ID}}, err
}

// maxReason bounds a reason in the history, in octets.
const maxReason = 600

// reason words an error for people, without secrets that the other side may
// have repeated.
func reason(err error, l place.Link) string {
	text := err.Error()
	var f *fault.Fault
	if errors.As(err, &f) {
		text = f.Message
		if f.Code == refusedCode {
			text += " An administrator can allow it in the publisher's internal addresses."
		}
	}
	for _, s := range []secret.Text{l.Password, l.Key} {
		if !s.Empty() {
			text = strings.ReplaceAll(text, s.Reveal(), "[redacted]")
		}
	}
	return clean(text, maxReason)
}

// refusedCode is that of a connection which the address policy refuses.
const refusedCode = "egress.refused"
