package house_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// tickEvery is the interval of a schedule that only writes down that it ran.
const tickEvery = 500 * time.Millisecond

// nodeConfig is that of a node: SMS go to the test's gateway, and there is no
// mail server.
func (t task) nodeConfig() *config.Config {
	c := t.config()
	c.Dev.Enabled = false
	c.SMS.Kind = config.SMSHTTP
	c.SMS.HTTP.URL = secret.New(t.Gateway)
	c.SMS.HTTP.Headers = map[string]secret.Text{"X-Node": secret.New(t.Node)}
	c.Egress.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return c
}

// serveNode serves until it is killed.
func serveNode(ctx context.Context, t task) error {
	site, err := housetest.Open(ctx, t.nodeConfig(), house.Options{Clock: housetest.Ahead(t.Ahead)}, t.Facts)
	if err != nil {
		return err
	}
	ticks, err := openLedger(t.Ticks)
	if err != nil {
		return err
	}
	site.House.Queue.Every("test.tick", tickEvery, func(context.Context, jobs.Job) error {
		return ticks.note(strconv.FormatInt(time.Now().UnixMilli()/tickEvery.Milliseconds(), 10), t.Node)
	})
	return site.House.Serve(ctx, func([]*house.Listener) { fmt.Println("ready") })
}

// N29 and the bad days: two nodes on one PostgreSQL, one killed under
// load. Nothing acknowledged is lost, the other goes on, a withdrawal on one is
// refused by the other within a second, schedules and messages go out once.
func TestTwoNodesOneKilledUnderLoad(t *testing.T) {
	gate := newGateway(t)
	k := task{
		Name: "node", Dir: t.TempDir(), Database: storetest.Postgres(t), Blobs: config.BlobTable, Gateway: gate.URL, Roots: gate.trusted(t),
		Ledger: filepath.Join(t.TempDir(), "ledger"), Ticks: filepath.Join(t.TempDir(), "ticks"),
	}
	found(t, &k)
	anchor := trustAnchor(t, k)
	nodes := [2]task{k, k}
	children, callers := [2]*child{}, [2]*housetest.Caller{}
	for i := range nodes {
		var err error
		nodes[i].Node = []string{"a", "b"}[i]
		if nodes[i].Ports, err = housetest.FreePorts(); err != nil {
			t.Fatal(err)
		}
		children[i] = start(t, nodes[i])
		if callers[i], err = housetest.NewCaller(nodes[i].config(), k.Facts, anchor, nil); err != nil {
			t.Fatal(err)
		}
	}
	_, pair, a, err := callers[0].Certificate(t.Context(), "load")
	if err != nil || a.Status != http.StatusCreated {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	book, err := openLedger(k.Ledger)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	var killed [2]atomic.Bool
	var rounds [2]atomic.Int64
	for i := range nodes {
		for range 3 {
			caller, err := housetest.NewCaller(nodes[i].config(), k.Facts, anchor, pair)
			if err != nil {
				t.Fatal(err)
			}
			u := &user{Caller: caller, other: callers[1-i], ledger: book, killed: &killed[i], failed: func(err error) {
				if ctx.Err() == nil {
					t.Errorf("node %s: %v", nodes[i].Node, err)
				}
			}}
			load.Go(func() {
				for ctx.Err() == nil && !killed[i].Load() {
					u.round(context.WithoutCancel(ctx)) // each round is heard out
					rounds[i].Add(1)
				}
			})
		}
	}
	waitFor(t, "both nodes to be loaded", func() bool { return rounds[0].Load() > 5 && rounds[1].Load() > 5 })
	withdrawnWithinASecond(t, nodes, callers, k.Facts, anchor, book)

	killed[1].Store(true)
	if err := children[1].kill(); err != nil {
		t.Error(err)
	}
	before := rounds[0].Load()
	waitFor(t, "the other node to go on", func() bool { return rounds[0].Load() > before+10 })
	stop()
	load.Wait()
	if err := children[0].kill(); err != nil {
		t.Error(err)
	}
	checkTicks(t, k.Ticks)
	checkNodes(t, nodes[0], gate)
}

func trustAnchor(t *testing.T, k task) []byte {
	t.Helper()
	site, err := housetest.Open(t.Context(), k.config(), house.Options{}, k.Facts)
	if err != nil {
		t.Fatal(err)
	}
	defer site.House.Close()
	anchor, err := site.House.TrustAnchor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return anchor
}

// waitFor gives something under load up to a minute to come about.
func waitFor(t *testing.T, what string, come func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(time.Minute); !come(); <-look.C {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// withdrawnWithinASecond uses a certificate on node b, withdraws it on node a,
// and asks b until it refuses.
func withdrawnWithinASecond(t *testing.T, nodes [2]task, callers [2]*housetest.Caller, f housetest.Facts, anchor []byte, book ledger) {
	t.Helper()
	made, pair, a, err := callers[0].Certificate(t.Context(), "withdraw")
	if err != nil || a.Status != http.StatusCreated {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	holder, err := housetest.NewCaller(nodes[1].config(), f, anchor, pair)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := holder.Document(t.Context(), http.MethodPost, "", strings.NewReader("hello")); err != nil || a.Status != http.StatusCreated {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	var o housetest.Issued
	if a, err := callers[0].API(t.Context(), http.MethodPost, "/orders/"+made.Order+"/withdraw", map[string]any{"reason": "keyCompromise"}, &o); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	since := time.Now()
	for _, verb := range []string{"withdrawing", "withdrawn"} {
		if err := book.note(verb, made.Order); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.note("issued", made.Order, "production-clients-1", made.Serial); err != nil {
		t.Fatal(err)
	}
	for {
		asked := time.Now()
		a, err := holder.Document(t.Context(), http.MethodPost, "", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == http.StatusForbidden {
			t.Logf("N29: refused %v after the withdrawal: %s", asked.Sub(since).Round(time.Millisecond), bytes.TrimSpace(a.Body))
			return
		}
		if asked.Sub(since) > time.Second {
			t.Fatalf("N29: a second after the withdrawal on the other node the call still gives %d", a.Status)
		}
	}
}

// checkTicks looks for an interval in which the schedule ran twice.
func checkTicks(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		interval, _, _ := strings.Cut(line, "\t")
		if seen[interval] {
			t.Errorf("the schedule ran twice in interval %s", interval)
		}
		seen[interval] = true
	}
	if len(seen) < 2 {
		t.Errorf("the schedule ran %d times only", len(seen))
	}
}

// checkNodes starts a node later than every lease, lets it do what is left, and
// holds everything against what was acknowledged and what the gateway got.
func checkNodes(t *testing.T, k task, gate *gateway) {
	t.Helper()
	k.Ahead, k.Node, k.Ticks = 15*time.Minute, "c", k.Ticks+"-later"
	last := start(t, k)
	site, err := housetest.Open(t.Context(), k.config(), house.Options{Clock: housetest.Ahead(k.Ahead)}, k.Facts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := site.House.Close(); err != nil {
			t.Error(err)
		}
	}()
	h := site.House
	waitFor(t, "the last node to finish what was left", func() bool {
		return housetest.Count(t, h.DB, `SELECT (SELECT COUNT(*) FROM outbox WHERE channel = 'sms' AND state IN ('waiting', 'sending'))
			+ (SELECT COUNT(*) FROM wscert_orders WHERE lease > 0) + (SELECT COUNT(*) FROM certificates WHERE status = 'intent')`) == 0
	})
	if err := last.kill(); err != nil {
		t.Error(err)
	}
	housetest.Invariants(t, h.DB)
	r := readLedger(t, k.Ledger)
	t.Logf("%d orders issued, %d documents stored, %d orders repeated on the other node", len(r["issued"]), len(r["stored"]), len(r["repeated"]))
	checkOrders(t, h, r, false)
	checkDocuments(t, h, r)
	checkAudit(t, h)
	for name := range r["repeated"] {
		if n := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM wscert_orders WHERE slug = $1`, name); n != 1 {
			t.Errorf("%s was sent again with its Idempotency-Key and gave %d orders", name, n)
		}
	}

	sent := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM outbox WHERE channel = 'sms' AND state = 'delivered'`)
	all := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM outbox WHERE channel = 'sms'`)
	gate.mu.Lock()
	defer gate.mu.Unlock()
	t.Logf("%d SMS, %d at the gateway", all, len(gate.seen))
	if sent != all || int64(len(gate.seen)) != all {
		var why string
		if err := h.DB.View(t.Context()).QueryRow(`SELECT COALESCE(MAX(state || ': ' || last_error), '') FROM outbox WHERE channel = 'sms' AND state <> 'delivered'`).Scan(&why); err != nil {
			t.Error(err)
		}
		t.Errorf("of %d SMS %d count as delivered and %d came to the gateway (%s)", all, sent, len(gate.seen), why)
	}
	for id, by := range gate.seen {
		// Only what the killed nodes had in their hands may come again, under
		// the same Idempotency-Key; the last node takes it over.
		if len(by) > 2 {
			t.Errorf("SMS %s came from the nodes %v", id, by)
		}
	}
	twice := 0
	for _, by := range gate.seen {
		if len(by) > 1 {
			twice++
		}
	}
	if twice > 16 { // eight at once on each of the two nodes
		t.Errorf("%d SMS were sent twice; the two nodes had at most 16 in their hands", twice)
	}
}
