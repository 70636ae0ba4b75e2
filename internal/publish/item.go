package publish

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// A State says how far a publication has come.
type State string

// The states.
const (
	Waiting   State = "waiting"   // to be published
	Published State = "published" // it was seen there
	Failed    State = "failed"    // given up; it can be sent again
	Removing  State = "removing"  // to be taken away
	Removed   State = "removed"   // it is gone, or never was there
	Stuck     State = "stuck"     // taking it away was given up; it can be tried again
	Replaced  State = "replaced"  // a newer object took its place
)

// An EventKind says what happened to a publication.
type EventKind string

// The events of a publication's history.
const (
	Queued        EventKind = "queued"         // somebody wants it published
	Done          EventKind = "published"      // it is there
	Attempt       EventKind = "failed"         // an attempt failed; another will follow
	GaveUp        EventKind = "given-up"       // the last attempt failed
	RemovalQueued EventKind = "removal-queued" // somebody wants it gone
	Gone          EventKind = "removed"        // it is gone
	Superseded    EventKind = "replaced"       // a newer object took its place
)

// An Item is a certificate to be published.
type Item struct {
	OrderID     string
	Realm       access.Realm
	Client      string
	Certificate []byte            // DER
	Publishers  []string          // ids; see [Publishing.Check]
	Facts       map[string]string // fields of the order that templates may use as {field.NAME}; names match [a-z][a-z0-9_]*
}

// An AuthorityItem is the certificate of an authority, or a CRL of it.
type AuthorityItem struct {
	Authority   string // the authority's id; with a suffix of its own for each partition or sort of CRL
	Realm       access.Realm
	Certificate []byte   // of the authority, in DER
	CRL         []byte   // in DER; empty: the certificate itself is published
	Publishers  []string // ids; none: every enabled publisher of the realm as a whole that takes such objects
}

// Limits of objects, in octets.
const (
	maxCertificate = 64 << 10
	maxCRL         = 64 << 20
	maxFacts       = 16 << 10 // of an order, as JSON
)

// Queue has a certificate published, in the caller's transaction. What is
// published or waits already is left as it is, so Queue may be called again.
// A publisher that does not exist, or serves another client, is Invalid; one
// that is disabled keeps the certificate until it is enabled.
func (p *Publishing) Queue(tx *store.Tx, it Item) error {
	if len(it.Certificate) == 0 || len(it.Certificate) > maxCertificate {
		return fault.Invalidf("publish.certificate", "A certificate to be published has between 1 and %d octets.", maxCertificate)
	}
	extra, err := json.Marshal(it.Facts)
	if err != nil {
		return err
	}
	if len(extra) > maxFacts {
		return fault.Invalidf("publish.facts", "The fields of order %s are too large to publish by.", it.OrderID)
	}
	servants, err := p.servants(tx, it.Realm, it.Client, it.Publishers)
	if err != nil {
		return err
	}
	for _, id := range unique(it.Publishers) {
		row, ok := servants[id]
		if !ok {
			return unknown(id)
		}
		w := wish{kind: place.Certificate, object: it.OrderID, realm: it.Realm, client: it.Client, der: it.Certificate, extra: string(extra)}
		if err := p.want(tx, row, w); err != nil {
			return err
		}
	}
	return nil
}

// QueueAuthority has a CA certificate or a CRL published, in the caller's
// transaction. A CRL replaces the one of the same authority that was published
// before, or still waits.
func (p *Publishing) QueueAuthority(tx *store.Tx, it AuthorityItem) error {
	w := wish{kind: place.Authority, object: it.Authority, realm: it.Realm, der: it.Certificate}
	if len(it.CRL) > 0 {
		w.kind, w.der, w.issuer = place.CRL, it.CRL, it.Certificate
	}
	if len(it.Certificate) == 0 || len(it.Certificate) > maxCertificate || len(it.CRL) > maxCRL {
		return fault.Invalidf("publish.authority", "A CA certificate has between 1 and %d octets, a CRL at most %d.", maxCertificate, maxCRL)
	}
	rows, err := p.takers(tx, it, w.kind)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := p.want(tx, row, w); err != nil {
			return err
		}
	}
	return nil
}

// takers are the publishers that an authority's object goes to.
func (p *Publishing) takers(tx *store.Tx, it AuthorityItem, k place.Kind) ([]Publisher, error) {
	if len(it.Publishers) > 0 {
		servants, err := p.servants(tx, it.Realm, "", it.Publishers)
		if err != nil {
			return nil, err
		}
		var out []Publisher
		for _, id := range unique(it.Publishers) {
			row, ok := servants[id]
			if !ok {
				return nil, unknown(id)
			}
			out = append(out, row)
		}
		return out, nil
	}
	rows, err := tx.Query(`SELECT `+publisherColumns+` FROM publish_publishers WHERE realm = $1 AND client = '' AND deleted_at = 0 AND enabled ORDER BY id LIMIT 500`, string(it.Realm))
	list, err := store.Collect(rows, err, func(r *store.Rows) (Publisher, error) {
		row, _, err := scanPublisher(r)
		return row, err
	})
	return slices.DeleteFunc(list, func(row Publisher) bool {
		d, err := p.destination(row.Settings)
		return err != nil || !d.Takes(k)
	}), err
}

// A wish is an object that is wanted at a publisher.
type wish struct {
	kind           place.Kind
	object, client string
	realm          access.Realm
	der, issuer    []byte
	extra          string
}

const upsertItem = `INSERT INTO publish_items (id, publisher, kind, object, realm, client, der, issuer, extra, state, due_at, give_up_at, queued_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', $10, $11, $10)
	ON CONFLICT (object, kind, publisher) DO UPDATE SET der = excluded.der, issuer = excluded.issuer, extra = excluded.extra, state = 'waiting',
		version = publish_items.version + 1, due_at = excluded.due_at, give_up_at = excluded.give_up_at, attempts = 0, last_error = '', queued_at = excluded.queued_at, done_at = 0
	WHERE publish_items.state NOT IN ('waiting', 'published') OR publish_items.der <> excluded.der`

func (p *Publishing) want(tx *store.Tx, row Publisher, w wish) error {
	now := p.now()
	if w.issuer == nil {
		w.issuer = []byte{}
	}
	n, err := tx.Exec(upsertItem, ident.New("pbl"), row.ID, string(w.kind), w.object, string(w.realm), w.client, w.der, w.issuer, w.extra,
		store.Micros(now), store.Micros(now.Add(row.GiveUp)))
	if err != nil || n == 0 {
		return err
	}
	p.wake(tx)
	return p.event(tx, w.object, string(w.kind), row.ID, Queued, "")
}

// QueueRemoval has the certificate of an order taken away from wherever it was
// published, in the caller's transaction; why says so in the history. An order
// that was never published is left alone. It may be called again.
func (p *Publishing) QueueRemoval(tx *store.Tx, order, why string) error {
	rows, err := p.publications(tx, order)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := p.unwant(tx, row, why); err != nil {
			return err
		}
	}
	return nil
}

// unwant has one publication taken away, if there is anything to take.
func (p *Publishing) unwant(tx *store.Tx, row Publication, why string) error {
	if !row.removable() {
		return nil
	}
	now := p.now()
	if row.place == "" {
		// No attempt was made: a worker writes the place down before it begins.
		n, err := tx.Exec(`UPDATE publish_items SET state = 'removed', version = version + 1, done_at = $2, last_error = '' WHERE id = $1 AND state IN ('waiting', 'failed') AND place = ''`, row.id, store.Micros(now))
		if err != nil {
			return err
		}
		if n == 1 {
			if err := p.event(tx, row.Object, string(row.Kind), row.Publisher, RemovalQueued, why); err != nil {
				return err
			}
			return p.event(tx, row.Object, string(row.Kind), row.Publisher, Gone, "it had not been published yet")
		}
	}
	n, err := tx.Exec(`UPDATE publish_items SET state = 'removing', version = version + 1, due_at = $2, give_up_at = $3, attempts = 0, last_error = '', done_at = 0
		WHERE id = $1 AND state NOT IN ('removing', 'removed', 'replaced')`, row.id, store.Micros(now), store.Micros(now.Add(row.giveUp)))
	if err != nil || n == 0 {
		return err
	}
	p.wake(tx)
	return p.event(tx, row.Object, string(row.Kind), row.Publisher, RemovalQueued, why)
}

// A Publication is one object at one publisher.
type Publication struct {
	Kind          place.Kind
	Object        string // the order, or the authority
	Realm         access.Realm
	Client        string
	Publisher     string
	PublisherName string
	PublisherKind Kind
	State         State
	Place         string    // where it is or was: the attribute and the DN, or the path; empty before the first attempt
	Attempts      int       // since it was queued last
	LastError     string    // why the latest attempt failed; empty after a success
	Queued        time.Time // last
	Next          time.Time // of the next attempt; zero when nothing is to be done
	Done          time.Time // when the state was reached that will not change by itself; zero before

	id, place string
	giveUp    time.Duration
}

// removable tells whether there is, or may be, something to take away.
func (p Publication) removable() bool {
	switch p.State {
	case Published, Waiting, Stuck, Failed: // a failed attempt may have had its effect and lost the answer
		return true
	}
	return false
}

const publicationColumns = `i.id, i.kind, i.object, i.realm, i.client, i.publisher, p.name, p.kind, i.state, i.place, i.attempts, i.last_error, i.queued_at, i.due_at, i.done_at, p.give_up`

func (p *Publishing) publications(q store.Queryer, order string) ([]Publication, error) {
	rows, err := q.Query(`SELECT `+publicationColumns+` FROM publish_items i JOIN publish_publishers p ON p.id = i.publisher
		WHERE i.object = $1 AND i.kind = 'certificate' ORDER BY p.name_key, i.id`, order)
	return store.Collect(rows, err, scanPublication)
}

func scanPublication(r *store.Rows) (Publication, error) {
	var out Publication
	var queued, due, done, giveUp int64
	err := r.Scan(&out.id, &out.Kind, &out.Object, &out.Realm, &out.Client, &out.Publisher, &out.PublisherName, &out.PublisherKind, &out.State, &out.place,
		&out.Attempts, &out.LastError, &queued, &due, &done, &giveUp)
	out.Place, out.Queued, out.Done, out.giveUp = out.place, store.Time(queued), store.Time(done), time.Duration(giveUp)*time.Microsecond
	if out.State == Waiting || out.State == Removing {
		out.Next = store.Time(due)
	}
	return out, err
}

// audited writes the audit entry of an act on the certificate of an order.
func (p *Publishing) audited(tx *store.Tx, action, order string, realm access.Realm, client string, result audit.Result, detail map[string]string) error {
	return p.o.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "order", ObjectID: order, Realm: string(realm), Client: client, Result: result, Detail: detail})
}

func unique(ids []string) []string {
	var out []string
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// errLate reports that another node has taken the publisher over.
var errLate = errors.New("the lease of the publisher was lost")
