package clientcert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

var production = clientcert.Want{Realm: string(access.Production), Kind: clientcert.WebService}

func stateOf(c tls.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.Leaf}}
}

// N29: refusals are on record, and a client that goes on asking a thousand
// times a second does not flood the log.
func TestRefusalsAreCountedAndRecordedOnceAMinute(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := certtest.New(t, db)
		service := w.Service(t, access.Production, "demo")
		registry := prometheus.NewRegistry()
		v := clientcert.New(w.Authorities, db, w.Audit, w.Clock, registry)
		cert := w.Issue(t, service, certtest.Order{})
		w.Revoke(t, certtest.Issuer(access.Production), cert)
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Kind: audit.Anonymous, From: "192.0.2.7", Correlation: "c1"})
		ask := func(n int) {
			for range n {
				if _, err := v.Identify(ctx, stateOf(cert), production); fault.Of(err).Code != "clientcert.withdrawn" {
					t.Fatal(err)
				}
			}
		}
		expect := func(what string, counts ...string) {
			t.Helper()
			list := w.Refusals(t)
			if len(list) != len(counts) {
				t.Fatalf("%s: %d entries; want %d", what, len(list), len(counts))
			}
			for i, e := range list {
				want := counts[len(counts)-1-i]
				id := clientcert.Identity{}
				id.Authority, id.Serial = certtest.Issuer(access.Production), cert.Leaf.SerialNumber.Bytes()
				if e.Entry.Detail["count"] != want || e.Entry.ObjectID != id.Reference() || e.Entry.Service != service.ID || e.Entry.Client != service.Client ||
					e.Origin.Kind != audit.Certificate || e.Origin.From != "192.0.2.7" || e.Origin.ID != id.Reference() {
					t.Errorf("%s: entry %d is %+v; want the count %s", what, i, e, want)
				}
			}
		}
		flush := func() {
			if err := v.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ask(200)
		expect("within a minute", "1")
		flush()
		expect("a flush within the minute", "1")
		w.Clock.Advance(time.Minute)
		flush()
		expect("after the minute", "1", "199")
		ask(3)
		expect("the next minute has begun", "1", "199")
		w.Clock.Advance(time.Minute)
		ask(1)
		expect("without a flush", "1", "199", "4")
		w.Clock.Advance(time.Minute)
		flush()
		expect("nothing more", "1", "199", "4")
		ask(6)
		stop, cancel := context.WithCancel(t.Context())
		cancel()
		v.Run(stop)
		expect("the node stops in the middle of a minute", "1", "199", "4", "1", "5")
		if n := counter(t, registry, "withdrawn"); n != 210 {
			t.Errorf("the counter says %v", n)
		}
	})
}

func counter(t *testing.T, g prometheus.Gatherer, reason string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "sealwright_client_certificate_refusals_total" && l.GetValue() == reason {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

// Anybody can make certificates without end, from addresses without end.
func TestStrangersCannotFloodTheLog(t *testing.T) {
	w := certtest.New(t, storetest.Open(t, storetest.SQLite(t)))
	v := verifier(w)
	refuse := func(from string) {
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Kind: audit.Anonymous, From: from})
		template := copyOf(caKey(t, w, certtest.Issuer(access.Production)))
		template.IsCA = false
		if _, err := v.Identify(ctx, stateOf(certtest.SelfMade(t, template, nil)), production); fault.Of(err).Code != "clientcert.foreign" {
			t.Fatal(err)
		}
	}
	for range 20 {
		refuse("192.0.2.1") // a new certificate each time
	}
	if n := len(w.Refusals(t)); n != 1 {
		t.Errorf("%d entries for one address", n)
	}
	const keys = 1000
	for i := range keys + 50 {
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Kind: audit.Anonymous, From: fmt.Sprintf("2001:db8::%x", i)})
		if _, err := v.Identify(ctx, nil, production); fault.Of(err).Code != "clientcert.missing" {
			t.Fatal(err)
		}
	}
	var n int
	if err := w.DB.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM audit_entries WHERE action = 'clientcert.refuse'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != keys+1 { // and one for all the others together
		t.Errorf("%d entries", n)
	}
	w.Clock.Advance(time.Minute)
	refuse("192.0.2.99") // there is room again
	if list := w.Refusals(t); list[0].Origin.From != "192.0.2.99" || list[0].Entry.Detail["sha256"] == "" || list[0].Entry.Detail["issuer"] == "" {
		t.Errorf("the latest entry is %+v", list[0])
	}
}
