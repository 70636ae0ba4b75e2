package house_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

// The bad days: the database is gone for ten seconds while requests
// run. They wait and succeed, or are told to come again; afterwards everything
// works without a restart, and nothing is half there.
func TestTheDatabaseIsAwayForTenSeconds(t *testing.T) {
	server, err := storetest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Remove() }) // a temporary directory
	k := task{Dir: t.TempDir(), Database: server.URL, Ledger: filepath.Join(t.TempDir(), "ledger"), Blobs: config.BlobTable}
	found(t, &k)
	site, err := housetest.Open(t.Context(), k.config(), house.Options{}, k.Facts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = site.House.Close() }) // closed below, unless the test failed before
	stop := site.Serve(t)

	book, err := openLedger(k.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	outage := &outage{t: t, ledger: book}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	load := outage.load(ctx, site, 3)
	waitFor(t, "requests to succeed", func() bool { return outage.succeeded.Load() > 10 })
	if err := server.Down(); err != nil {
		t.Fatal(err)
	}
	away := time.NewTimer(10 * time.Second)
	waitFor(t, "requests to be refused", func() bool { return outage.refused.Load() > 5 })
	<-away.C
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	before := outage.succeeded.Load()
	waitFor(t, "requests to succeed again", func() bool { return outage.succeeded.Load() > before+20 })
	t.Logf("%d requests succeeded, %d were told to come again, the first 20 after the return took %v", outage.succeeded.Load(), outage.refused.Load(), time.Since(back).Round(time.Millisecond))
	refused := outage.refused.Load()
	before = outage.succeeded.Load()
	waitFor(t, "requests to go on", func() bool { return outage.succeeded.Load() > before+20 })
	if n := outage.refused.Load() - refused; n > 0 {
		t.Errorf("%d requests were refused long after the database came back", n)
	}
	end()
	load.Wait()
	waitFor(t, "messages, schedules and the audit log to go on", func() bool {
		return housetest.Count(t, site.House.DB, `SELECT (SELECT COUNT(*) FROM outbox WHERE state IN ('waiting', 'sending')) + (SELECT COUNT(*) FROM audit_entries WHERE leaf IS NULL)
			+ (SELECT COUNT(*) FROM jobs WHERE state = 'running')`) == 0
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := site.House.Close(); err != nil {
		t.Error(err)
	}
	check(t, k)
}

// An outage judges what users are told while something is away.
type outage struct {
	t                  *testing.T
	ledger             ledger
	succeeded, refused atomic.Int64
	down               atomic.Bool // the latest answer was a refusal
}

func (o *outage) load(ctx context.Context, site *housetest.Site, n int) *sync.WaitGroup {
	caller, err := site.Caller(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	first, pair, a, err := caller.Certificate(ctx, "load")
	if err != nil || a.Status != http.StatusCreated {
		o.t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	o.note("issued", first.Order, "production-clients-1", first.Serial)
	var wg sync.WaitGroup
	again := time.NewTicker(10 * time.Millisecond) // how soon users who were refused come again
	o.t.Cleanup(again.Stop)
	for range n {
		c, err := site.Caller(pair)
		if err != nil {
			o.t.Fatal(err)
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				o.round(context.WithoutCancel(ctx), c)
				if o.down.Load() {
					<-again.C
				}
			}
		})
	}
	return &wg
}

// round orders, withdraws and stores.
func (o *outage) round(ctx context.Context, c *housetest.Caller) {
	made, _, a, err := c.Certificate(ctx, "load")
	if o.judge("certificate", a, err, http.StatusCreated) {
		o.note("issued", made.Order, "production-clients-1", made.Serial)
		o.note("withdrawing", made.Order)
		a, err := c.API(ctx, http.MethodPost, "/orders/"+made.Order+"/withdraw", map[string]any{"reason": "superseded"}, nil)
		if o.judge("withdrawal", a, err, http.StatusOK) {
			o.note("withdrawn", made.Order)
		}
	}
	placed, a, err := c.Order(ctx, "load-"+hex.EncodeToString(noise(6)))
	if o.judge("order", a, err, http.StatusCreated) {
		o.note("issued", placed.ID, "production-clients-1", placed.Serial)
	}
	content := noise(300 << 10)
	a, err = c.Document(ctx, http.MethodPost, "", bytes.NewReader(content))
	if o.judge("document", a, err, http.StatusCreated) {
		sum := sha256.Sum256(content)
		o.note("stored", string(a.Body), hex.EncodeToString(sum[:]))
	}
}

func (o *outage) note(verb, id string, more ...string) {
	if err := o.ledger.note(verb, id, more...); err != nil {
		o.t.Error(err)
	}
}

// judge accepts a success, or a 503 that says when to come again: a problem
// document from the API, text from the document service.
func (o *outage) judge(what string, a housetest.Answer, err error, want int) bool {
	switch {
	case err != nil:
		o.t.Errorf("%s: the connection broke: %v", what, err)
	case a.Status == want:
		o.succeeded.Add(1)
		o.down.Store(false)
		return true
	case a.Status != http.StatusServiceUnavailable:
		o.t.Errorf("%s: %d %s", what, a.Status, a.Body)
	case a.Header.Get("Retry-After") == "":
		o.t.Errorf("%s: no Retry-After in %v %s", what, a.Header, a.Body)
	default:
		o.refused.Add(1)
		o.down.Store(true)
		var p struct{ Code string }
		if what != "document" && (a.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.Body, &p) != nil || p.Code == "") {
			o.t.Errorf("%s: %v %s", what, a.Header, a.Body)
		}
	}
	return false
}

// The bad days: the disk of the database, which holds the documents as
// well, is full while orders and uploads run. Each says so, nothing is half
// there, and it heals when there is room again.
func TestTheDiskIsFull(t *testing.T) {
	k := task{Dir: t.TempDir(), Database: storetest.SQLite(t), Ledger: filepath.Join(t.TempDir(), "ledger"), Blobs: config.BlobTable}
	found(t, &k)
	site, err := housetest.Open(t.Context(), k.config(), house.Options{}, k.Facts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = site.House.Close() }() // closed below, unless the test failed before
	book, err := openLedger(k.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{Site: site, ctx: t.Context(), scope: access.System("worker"), ledger: book}
	if w.service, err = access.FindServiceByName(site.House.DB.View(t.Context()), w.scope, access.Production, housetest.ServiceName); err != nil {
		t.Fatal(err)
	}
	acts := map[string]func() error{
		"direct": w.direct, "API certificate": w.apiCertificate, "document": w.document,
		"generate": func() error {
			o, err := w.House.WSCerts.Create(w.ctx, w.scope, w.request(wscert.Generate))
			if err != nil {
				return err
			}
			return w.issued(o)
		},
	}
	full(t, site.House.DB, true)
	refused := map[string]int{}
	for range 300 { // until each of them has met the end
		for name, act := range acts {
			err := act()
			if err == nil {
				continue
			}
			if f := fault.Of(err); !errors.Is(err, fault.Unavailable) || f.Code != "store.full" || !strings.Contains(f.Message, "full") {
				t.Fatalf("%s on a full disk: %v", name, err)
			}
			refused[name]++
		}
		if len(refused) == len(acts) {
			break
		}
	}
	if len(refused) != len(acts) {
		t.Errorf("not everything met a full disk: %v", refused)
	}
	full(t, site.House.DB, false)
	for name, act := range acts {
		if err := act(); err != nil {
			t.Errorf("%s after there was room again: %v", name, err)
		}
	}
	if err := site.House.Close(); err != nil {
		t.Error(err)
	}
	check(t, k)
}

// full lets the database grow by a few pages only, or gives it all the room
// there is. SQLite then answers as it does when the disk has no more.
func full(t *testing.T, db *store.DB, yes bool) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		var pages, limit int64
		if err := tx.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
			return err
		}
		pages += 64
		if !yes {
			pages = 1 << 30
		}
		return tx.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&limit)
	}); err != nil {
		t.Fatal(err)
	}
}
