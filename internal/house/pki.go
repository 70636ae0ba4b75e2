package house

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/timestamp"
)

// openPKI makes what stands behind orders for products.
func (h *House) openPKI(ctx context.Context, guard *clock.Guard, lease time.Duration) error {
	c := h.Config
	h.Products = product.New(h.DB, h.Audit, h.Clock)
	weak, err := keycheck.LoadWeakKeys(c.PKI.WeakKeys)
	if err != nil {
		return err
	}
	h.Keys = keycheck.New(h.DB, h.Audit, h.Clock, weak, keyOwners{h})
	if err := h.openDomains(); err != nil {
		return err
	}
	h.Notices = notice.New(h.DB, h.Outbox, h.Audit, h.Clock)
	h.Publish = publish.New(publish.Options{
		DB: h.DB, Clock: h.Clock, Log: h.Logger, Queue: h.Queue, Sealer: h.Vault, Audit: h.Audit, Egress: h.egress(),
		Directories: c.Publish.Directories, PlainLDAP: c.Publish.PlainLDAP,
	})
	h.Timestamps = timestamp.New(timestamp.Options{DB: h.DB, Vault: h.Vault, Audit: h.Audit, Clock: h.Clock, Guard: guard, Issuer: unitIssuer{h}, Offset: offset(c.PKI.RequireSync)})
	logs, err := h.openLogs(ctx)
	if err != nil {
		return err
	}
	sources, err := h.openSources()
	if err != nil {
		return err
	}
	h.Orders = order.NewEngine(order.Options{
		DB: h.DB, CA: h.Authority, Products: h.Products, Keys: h.Keys, Domains: h.Domains, Logs: logs, Publisher: publishing{h}, Notices: notices{h},
		Vault: h.Vault, Pool: h.Pool, Blobs: h.Blobs, Audit: h.Audit, Clock: h.Clock, Queue: h.Queue,
		Settings: order.Settings{
			Lease: lease, Retry: 10 * time.Second, Attempts: 12, ApprovalLife: c.PKI.ApprovalLife, Reminders: c.Certificate.Reminders, Base: c.Server.PublicURL,
			Roles: h.Access.RolesOf, Sources: sources,
		},
	})
	h.Authority.OnChange = h.changed
	h.External = external.New(external.Options{
		DB: h.DB, Clock: h.Clock, Audit: h.Audit, Outbox: h.Outbox, Egress: h.egress(), Reminders: c.Certificate.Reminders, Notify: h.Access.Notified, Replaced: h.Orders.Replaces,
	})
	h.Publish.OnDone = func(tx *store.Tx, id, _ string, ok bool, detail string) error {
		return h.Orders.Published(tx, id, ok, detail)
	}
	h.Queue.Attach(h.Orders, order.Lane, 16)
	h.Queue.Handle(order.CTJob, h.Orders.PublishFinal, jobs.KindOptions{})
	h.Queue.Handle(order.RevokeOldJob, h.Orders.RevokeRenewed, jobs.KindOptions{})
	return nil
}

// changed follows a certificate that was revoked, held or released: its order
// does, and a compromised key is certified no more (TLS BR 6.1.1.3).
func (h *House) changed(tx *store.Tx, c authority.Record) error {
	if err := errors.Join(h.WSCerts.Follow(tx, c), h.Orders.Follow(tx, c)); err != nil {
		return err
	}
	if c.Status != authority.CertRevoked || c.Reason != authority.KeyCompromise {
		return nil
	}
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil // revoked before it was signed: nobody has a certificate with the key
	}
	_, err = h.Keys.Block(tx, keycheck.Blocked{
		SPKI: keycheck.HashOf(cert.RawSubjectPublicKeyInfo), Reason: keycheck.Compromised, Source: "revocation", Note: "certificate " + authority.SerialText(c.Serial) + " of " + c.Authority,
	})
	return err
}

func (h *House) schedulePKI(every func(name string, d time.Duration, run func(context.Context) error)) {
	every("order.sweep", time.Minute, h.Orders.Sweep)
	every("order.renew", time.Hour, h.Orders.RenewDue)
	every("order.remind", time.Hour, h.Orders.Remind)
	every("domain.check", time.Minute, h.Domains.Sweep)
	every("keycheck.sweep", time.Hour, h.Keys.Sweep)
	every("publish.sweep", 24*time.Hour, h.Publish.Sweep)
	every("timestamp.sweep", 10*time.Second, h.Timestamps.Sweep)
	every("external.remind", time.Hour, h.External.Remind)
	every("external.watch", time.Minute, h.External.Watch)
	every("ctlog.sequence", time.Second, func(ctx context.Context) error {
		if h.CTLog == nil {
			return nil
		}
		_, err := h.CTLog.Sequence(ctx)
		return err
	})
}

// openDomains makes the desk that has control over names shown.
func (h *House) openDomains() error {
	v := h.Config.Validation
	anchors, err := readAnchors(v.DNSAnchors)
	if err != nil {
		return err
	}
	r := resolver.New(resolver.Options{Hints: v.DNSHints, Anchors: anchors, Port: uint16(v.DNSPort), Clock: h.Clock, Allow: h.nameServer})
	here, remotes, err := h.perspectives(v.Perspectives)
	if err != nil {
		return err
	}
	h.Domains, err = domainval.New(domainval.Options{
		DB: h.DB, Clock: h.Clock, Audit: h.Audit, Outbox: h.Outbox, Log: h.Logger,
		Primary: &perspective.Local{At: here, Resolver: r, Egress: h.egress()}, Remotes: remotes,
		Link: func(_ access.Realm, token string) string {
			return h.Config.Server.PublicURL + "/self-service/confirm/" + token
		},
		OnDone: func(tx *store.Tx, id string) error { return h.Orders.Wake(tx, id) },
		Settings: domainval.Settings{
			TokenPrefix: v.TokenPrefix, Issuers: v.CAAIssuers, RequireMPIC: v.RequireMPIC,
			AccountURI: func(realm access.Realm, client string) string {
				return h.Config.Server.PublicURL + "/accounts/" + string(realm) + "/" + client
			},
		},
	})
	return err
}

// nameServer tells which name servers may be asked: public ones, and what the
// configuration allows.
func (h *House) nameServer(a netip.Addr) bool {
	policy := h.egress()
	policy.Ports = nil // egress.ports is about what we fetch
	return policy.Check(netip.AddrPortFrom(a, uint16(h.Config.Validation.DNSPort))) == nil
}

// readAnchors reads DS records in the form of a zone file.
func readAnchors(path string) ([]*dns.DS, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, "open the trust anchors of the DNS")
	}
	defer f.Close()
	var out []*dns.DS
	records := dns.NewZoneParser(f, ".", path)
	for rr, ok := records.Next(); ok; rr, ok = records.Next() {
		ds, isDS := rr.(*dns.DS)
		if !isDS {
			return nil, fault.Invalidf("validation.anchors", "%s holds a record that is no DS: %s.", path, rr)
		}
		out = append(out, ds)
	}
	if err := records.Err(); err != nil || len(out) == 0 {
		return nil, fault.Invalidf("validation.anchors", "%s holds no DS records that can be read.", path).WithCause(err)
	}
	return out, nil
}

// A place is one entry of the file that lists perspectives. The one without a URL
// is this installation itself.
type place struct {
	perspective.Place
	URL       string `json:"url"`
	TokenFile string `json:"tokenFile"`
}

// perspectiveTime is what a perspective needs when the servers that it asks are slow.
const perspectiveTime = 50 * time.Second

func (h *House) perspectives(path string) (here perspective.Place, remotes []domainval.Perspective, err error) {
	here = perspective.Place{Name: "primary"}
	if path == "" {
		return here, nil, nil
	}
	text, err := os.ReadFile(path)
	var list []place
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return here, nil, fault.Wrap(err, "read the list of perspectives")
	}
	policy := h.egress()
	policy.Timeout = max(policy.Timeout, perspectiveTime)
	for _, p := range list {
		if p.URL == "" {
			here = p.Place
			continue
		}
		token, err := readSecret(p.TokenFile)
		if err != nil {
			return here, nil, fault.Wrap(err, "read the token of the perspective "+p.Name)
		}
		remotes = append(remotes, &perspective.Remote{At: p.Place, URL: p.URL, Token: token, Client: policy.Client(egress.Options{})})
	}
	return here, remotes, nil
}

// keyOwners breaks the circle between the registry of keys and the engine.
type keyOwners struct{ h *House }

func (o keyOwners) Owner(q store.Queryer, hash string) ([]string, error) {
	return o.h.Orders.Owner(q, hash)
}

// publishing finds publishers by the names that products use.
type publishing struct{ h *House }

func (p publishing) Queue(tx *store.Tx, it publish.Item) error {
	ids, err := p.h.Publish.ByName(tx, it.Realm, it.Client, it.Publishers)
	if err != nil {
		return err
	}
	it.Publishers = ids
	return p.h.Publish.Queue(tx, it)
}

func (p publishing) QueueRemoval(tx *store.Tx, id, why string) error {
	return p.h.Publish.QueueRemoval(tx, id, why)
}

func offset(required bool) func() (time.Duration, bool) {
	if required {
		return timestamp.KernelOffset
	}
	return nil
}
