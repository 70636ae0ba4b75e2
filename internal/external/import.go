package external

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A File is what somebody imports.
type File struct {
	Client      string
	Data        []byte // see [bundle.Read]
	Authorities bool   // certificates of authorities are imported too, not only kept as chain
	Fields             // for all certificates of the file; an address only where there is one
}

// An Outcome says what became of one certificate of a file.
type Outcome string

// The outcomes.
const (
	Imported  Outcome = "imported"
	Duplicate Outcome = "duplicate" // the client has it, or it stands in the file before
	Chain     Outcome = "chain"     // kept with the certificates that it stands above
	Refused   Outcome = "refused"
)

// A Result tells what became of one certificate of a file, by its place there.
type Result struct {
	Outcome     Outcome
	Text        string       // why, or what else there is to say, for people; may be empty
	Certificate *Certificate // nil where none could be read; its ID is set where it is in the list
}

// importBatch bounds how many certificates one transaction writes.
const importBatch = 50

// entry is a certificate on its way into the list.
type entry struct {
	facts *bundle.Certificate
	chain []*bundle.Certificate
	at    int  // place in the results
	shown bool // by the server at the address
}

// Import takes the certificates of a file, and tells of each in the order of the file
// what became of it. It needs certificate.order for the client. The certificates are
// written some at a time; an import that was interrupted can be repeated. Faults are
// those of [bundle.Read] and of the fields.
func (r *Registry) Import(ctx context.Context, s access.Scope, f File) ([]Result, error) {
	client, err := r.clientFor(ctx, s, f.Client)
	if err != nil {
		return nil, err
	}
	if err := f.Fields.check(); err != nil {
		return nil, err
	}
	items, err := bundle.Read(f.Data)
	if err != nil {
		return nil, err
	}
	results, entries := r.sort(items, f.Authorities)
	if len(entries) > 1 && f.Address != "" {
		return nil, fault.Invalidf("external.address", "The file holds %d certificates; an address belongs to one.", len(entries)).
			WithNext("Import them without an address, and give each its own afterwards.").WithField("address")
	}
	for batch := range slices.Chunk(entries, importBatch) {
		if err := r.importBatch(ctx, s, client, f.Fields, batch, results); err != nil {
			return results, err
		}
	}
	return results, nil
}

// clientFor finds a client that s may import for.
func (r *Registry) clientFor(ctx context.Context, s access.Scope, id string) (access.Client, error) {
	client, err := access.FindClient(r.DB.View(ctx), access.System("external"), id)
	if err != nil {
		return client, err
	}
	if err := s.Require(access.CertificateOrder, client.Realm, client.ID); err != nil {
		return access.Client{}, err
	}
	if client.Status != access.Active {
		return client, fault.Conflictf("client.closed", "The client %s is closed.", client.Name)
	}
	return client, nil
}

// sort decides what is imported, what is chain, and what is neither.
func (r *Registry) sort(items []bundle.Item, authorities bool) ([]Result, []entry) {
	results := make([]Result, len(items))
	var all, above []*bundle.Certificate
	var entries []entry
	seen := map[string]bool{}
	for i, item := range items {
		switch c := item.Certificate; {
		case c == nil:
			results[i] = Result{Outcome: Refused, Text: item.Problem}
		case seen[c.SHA256]:
			results[i] = Result{Outcome: Duplicate, Text: "It stands in the file twice.", Certificate: of(c)}
		default:
			seen[c.SHA256] = true
			all = append(all, c)
			if results[i].Certificate = of(c); authorities || !c.Authority {
				entries = append(entries, entry{facts: c, at: i})
			}
		}
	}
	pool := bundle.NewPool(all)
	for i := range entries {
		entries[i].chain = pool.Chain(entries[i].facts)
		above = append(above, entries[i].chain...)
	}
	for i, item := range items {
		if results[i].Outcome != "" || authorities || !item.Certificate.Authority {
			continue
		}
		results[i].Outcome = Chain
		if !slices.Contains(above, item.Certificate) {
			results[i].Outcome = Refused
			results[i].Text = "It is the certificate of an authority that issued none of the others. Import it together with authorities if it is to be watched."
		}
	}
	return results, entries
}

func (r *Registry) importBatch(ctx context.Context, s access.Scope, client access.Client, f Fields, batch []entry, results []Result) error {
	return r.update(ctx, s, func(tx *store.Tx) error {
		for _, e := range batch {
			c, fresh, err := r.add(tx, s, client, f, e)
			if err != nil {
				return err
			}
			results[e.at] = Result{Outcome: Imported, Text: r.remark(c), Certificate: c}
			if !fresh {
				results[e.at].Outcome, results[e.at].Text = Duplicate, "It was imported before."
			}
		}
		return nil
	})
}

// add writes one certificate with its audit entry, or finds the id of the one that is
// there.
func (r *Registry) add(tx *store.Tx, s access.Scope, client access.Client, f Fields, e entry) (c *Certificate, fresh bool, err error) {
	now, p := r.Clock.Now(), s.Principal()
	c = of(e.facts)
	c.ID, c.Realm, c.Client, c.Fields = ident.New("ext"), client.Realm, client.ID, f
	c.Creator, c.CreatorName, c.Version, c.Created, c.Updated = p.ID, p.Name, 1, now, now
	switch {
	case e.shown:
		c.Check = r.judge(c, e.facts, nil)
	case c.Address != "":
		c.Check.Due = now
	}
	fresh, err = insert(tx, c, e.facts, e.chain)
	if err != nil {
		return nil, false, err
	}
	if !fresh {
		err := tx.QueryRow(`SELECT id FROM external_certificates WHERE sha256 = $1 AND client = $2`, c.SHA256, c.Client).Scan(&c.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = errChanged(c) // deleted in this moment
		}
		return c, false, err
	}
	return c, true, r.record(tx, "external.import", c, "issuer", c.Issuer, "serial", c.Serial, "end", c.NotAfter.Format(time.DateTime),
		"owner", c.Owner, "address", c.Address, "chain", strconv.Itoa(len(e.chain)))
}

// remark says what an importer should know at once.
func (r *Registry) remark(c *Certificate) string {
	left := c.NotAfter.Sub(r.Clock.Now())
	switch {
	case left < 0:
		return "It expired on " + c.NotAfter.Format("2 January 2006") + "."
	case len(r.Reminders) > 0 && left < day(r.Reminders[len(r.Reminders)-1]):
		return "It expires in " + plural(int(left.Hours()), "hour") + ", too soon for a reminder."
	case len(r.Reminders) > 0 && left < day(r.Reminders[0]):
		return "It expires in " + plural(int(left.Hours())/24, "day") + "."
	}
	return ""
}

func day(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func errChanged(c *Certificate) error {
	return fault.Conflictf("external.changed", "The certificate %s was changed by somebody else at the same moment.", c.Title()).WithNext("Look at it again.")
}
