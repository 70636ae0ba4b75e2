package house_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	mrand "math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// found makes an installation and closes it again, for children to open.
func found(t *testing.T, k *task) {
	t.Helper()
	var err error
	if k.Ports, err = housetest.FreePorts(); err != nil {
		t.Fatal(err)
	}
	site, err := housetest.Found(t.Context(), k.config(), house.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k.Facts = site.Facts
	if err := site.House.Close(); err != nil {
		t.Fatal(err)
	}
}

// N19, N21, N23, N29, N32, and the bad days: kill -9 at random points
// of orders, hand-overs, withdrawals and uploads, a few hundred times on both
// engines. What somebody was told holds; what nobody was told ends as one
// certificate or none.
func TestKilledAtRandomPointsNothingAcknowledgedIsLost(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		k := task{Name: "worker", Dir: t.TempDir(), Database: url, Ledger: filepath.Join(t.TempDir(), "ledger"), Blobs: config.BlobFiles}
		if strings.HasPrefix(url, "postgres:") {
			k.Blobs = config.BlobTable
		}
		found(t, &k)
		for i := range times(t, "SEALWRIGHT_KILLS", 150) {
			c := start(t, k)
			time.Sleep(lifetime(i)) // the point of the kill is meant to be random
			if err := c.kill(); err != nil {
				t.Fatal(err)
			}
		}
		check(t, k)
	})
}

// lifetime is how long a child works before it is killed: mostly so short that
// the kill meets the first acts after a start, at times long enough for a
// delivery from order to password.
func lifetime(i int) time.Duration {
	longest := 150
	if i%8 == 7 {
		longest = 900
	}
	return time.Duration(5+mrand.IntN(longest-5)) * time.Millisecond
}

// check opens the installation once more, later than every lease, and holds it
// against the ledger.
func check(t *testing.T, k task) {
	t.Helper()
	now := clock.NewFake(time.Now().Add(15 * time.Minute))
	site, err := housetest.Open(t.Context(), k.config(), house.Options{Clock: now}, k.Facts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := site.House.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := readLedger(t, k.Ledger)
	t.Logf("%d orders issued, %d delivered, %d withdrawn; %d API certificates, %d documents", len(r["issued"]), len(r["delivered"]), len(r["withdrawn"]), len(r["created"]), len(r["stored"]))
	for _, verb := range []string{"issued", "withdrawn", "stored"} {
		if len(r[verb]) == 0 {
			t.Errorf("nothing was %s: the kills come too early to prove anything", verb)
		}
	}
	settle(t, site.House)
	housetest.Invariants(t, site.House.DB)
	checkOrders(t, site.House, r, false)
	checkAPICertificates(t, site.House, r)
	checkDocuments(t, site.House, r)
	checkAudit(t, site.House)

	// The recipients of the orders that were not fetched never come.
	now.Advance(15 * 24 * time.Hour)
	settle(t, site.House)
	housetest.Invariants(t, site.House.DB)
	checkOrders(t, site.House, r, true)
	checkDocuments(t, site.House, r)
	checkBlobs(t, site.House)
	checkAudit(t, site.House)
}

// settle runs everything that comes round, as a node does that lives on.
func settle(t *testing.T, h *house.House) {
	t.Helper()
	ctx := t.Context()
	for name, run := range map[string]func(context.Context) error{
		"orders": h.WSCerts.Sweep, "API certificates": h.APICerts.Sweep, "server certificates": h.SweepOwnCertificates,
	} {
		for range 50 { // a sweep takes a hundred at a time
			if err := run(ctx); err != nil {
				t.Fatalf("sweep of %s: %v", name, err)
			}
		}
	}
	for {
		before := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM wscert_orders WHERE claim_by > 0`)
		if err := h.WSCerts.ExpireUnclaimed(ctx); err != nil {
			t.Fatal(err)
		}
		if housetest.Count(t, h.DB, `SELECT COUNT(*) FROM wscert_orders WHERE claim_by > 0`) == before {
			break
		}
	}
	if err := h.Queue.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.SweepBlobs(ctx); err != nil {
		t.Fatal(err)
	}
	if n := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM outbox WHERE state IN ('waiting', 'sending')`); n != 0 {
		t.Errorf("%d messages still wait", n)
	}
}

// checkOrders holds each order that was acknowledged against its rows. unclaimed
// says that those which nobody fetched have ended.
func checkOrders(t *testing.T, h *house.House, r record, unclaimed bool) {
	t.Helper()
	for id := range r["placed"] {
		if _, err := h.WSCerts.Get(t.Context(), access.System("test"), id); err != nil {
			t.Errorf("an order that was acknowledged is gone: %v", err)
		}
	}
	for id, certificate := range r["issued"] {
		o, err := h.WSCerts.Get(t.Context(), access.System("test"), id)
		if err != nil {
			t.Errorf("an order that was acknowledged is gone: %v", err)
			continue
		}
		if o.Authority != certificate[0] || o.Serial != certificate[1] {
			t.Errorf("order %s has the certificate %s, acknowledged was %s", id, o.Serial, certificate[1])
		}
		c, err := h.WSCerts.Certificate(t.Context(), o)
		if err != nil {
			t.Errorf("order %s: %v", id, err)
			continue
		}
		leaf, err := x509.ParseCertificate(c.DER)
		if err != nil || hex.EncodeToString(leaf.SerialNumber.Bytes()) != o.Serial {
			t.Errorf("order %s: the stored certificate is another one (%v)", id, err)
		}
		delivered := !o.Delivered.IsZero()
		want := "valid"
		switch {
		case r.has("withdrawn", id):
			want = "revoked"
		case r.has("withdrawing", id) && c.Status == "revoked":
			want = "revoked" // it was on its way
		case unclaimed && o.Mode != "direct" && !delivered:
			want = "revoked"
		}
		if c.Status != want {
			t.Errorf("the certificate of order %s (%s, %s) is %s, not %s", id, o.Mode, o.State, c.Status, want)
		}
		if r.has("delivered", id) && (!delivered || o.Handover != r["delivered"][id][0]) {
			t.Errorf("the delivery of order %s was acknowledged and is lost", id)
		}
	}
}

func checkAPICertificates(t *testing.T, h *house.House, r record) {
	t.Helper()
	for id, certificate := range r["created"] {
		serial, err := hex.DecodeString(certificate[1])
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.Authority.Lookup(h.DB.View(t.Context()), certificate[0], serial)
		switch {
		case err != nil:
			t.Errorf("API client certificate %s: %v", id, err)
		case c.Status == "valid" && !r.has("ended", id):
		case c.Status == "revoked" && r.has("ending", id):
		default:
			t.Errorf("the API client certificate %s is %s", id, c.Status)
		}
	}
}

func checkDocuments(t *testing.T, h *house.House, r record) {
	t.Helper()
	scope := access.System("test")
	service, err := access.FindServiceByName(h.DB.View(t.Context()), scope, access.Production, housetest.ServiceName)
	if err != nil {
		t.Fatal(err)
	}
	for id, sum := range r["stored"] {
		_, content, err := h.Documents.Open(t.Context(), scope, service, id)
		if errors.Is(err, fault.NotFound) && r.has("deleting", id) {
			continue
		}
		if err != nil {
			t.Errorf("the document %s was acknowledged: %v", id, err)
			continue
		}
		if r.has("deleted", id) {
			t.Errorf("the document %s came back", id)
		}
		digest := sha256.New()
		if _, err := io.Copy(digest, content); err != nil || hex.EncodeToString(digest.Sum(nil)) != sum[0] {
			t.Errorf("the document %s has changed: %v", id, err)
		}
		if err := content.Close(); err != nil {
			t.Error(err)
		}
	}
}

// checkAudit sequences the log to its end and verifies it.
func checkAudit(t *testing.T, h *house.House) {
	t.Helper()
	if _, err := h.Audit.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := h.Audit.Verify(t.Context(), audit.Options{Findings: 5})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Pending != 0 {
		t.Errorf("the audit log does not verify: %+v", report)
	}
}

// checkBlobs looks for bytes that nobody's row names, and for rows without bytes.
func checkBlobs(t *testing.T, h *house.House) {
	t.Helper()
	named := housetest.Count(t, h.DB, `SELECT (SELECT COUNT(*) FROM documents) + (SELECT COUNT(*) FROM crls)`)
	kept := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM blobs`)
	if h.Config.Blob.Kind == config.BlobFiles {
		if err := filepath.WalkDir(h.Config.Blob.Dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				kept++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if kept != named {
		t.Errorf("%d blobs are kept, %d are named by rows", kept, named)
	}
	if n := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM blob_rows r WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = r.id AND b.complete)`); n != 0 {
		t.Errorf("%d rows of bytes belong to no blob", n)
	}
}
