package house_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealwright/sealwright/internal/house/housetest"
)

// A gateway is an SMS provider that both nodes use.
type gateway struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string][]string // by Idempotency-Key: the nodes that delivered
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{seen: map[string][]string{}}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		g.seen[key] = append(g.seen[key], r.Header.Get("X-Node"))
	}))
	t.Cleanup(g.Close)
	return g
}

// trusted writes the gateway's certificate to a file that children take for the
// system's roots.
func (g *gateway) trusted(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "gateway.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A user loads one node through HTTPS and notes what it was told.
type user struct {
	*housetest.Caller
	other  *housetest.Caller // of the other node
	ledger ledger
	killed *atomic.Bool // the node: from then on errors are expected
	failed func(error)
}

// round orders a certificate and a key file, and stores a document.
func (u *user) round(ctx context.Context) {
	c, _, a, err := u.Certificate(ctx, "load")
	if u.ok(a, err, http.StatusCreated) {
		u.told("issued", c.Order, "production-clients-1", c.Serial)
	}
	name := "load-" + hex.EncodeToString(noise(6))
	o, a, err := u.Order(ctx, name)
	if u.ok(a, err, http.StatusCreated) {
		u.told("issued", o.ID, "production-clients-1", o.Serial)
	} else {
		u.again(ctx, name)
	}
	content := noise(100 << 10)
	a, err = u.Document(ctx, http.MethodPost, "", bytes.NewReader(content))
	if u.ok(a, err, http.StatusCreated) {
		sum := sha256.Sum256(content)
		u.told("stored", string(a.Body), hex.EncodeToString(sum[:]))
	}
}

// again repeats an order, whose answer was lost with its node, on the other one:
// it gives the certificate, or the order that a later sweep will finish.
func (u *user) again(ctx context.Context, name string) {
	o, a, err := u.other.Order(ctx, name)
	switch {
	case err != nil:
		u.failed(err)
	case a.Status == http.StatusCreated:
		u.told("issued", o.ID, "production-clients-1", o.Serial)
	case a.Status == http.StatusServiceUnavailable && bytes.Contains(a.Body, []byte(`"order":"ord-`)):
	default:
		u.failed(fmt.Errorf("repeated with its Idempotency-Key: %d %s", a.Status, a.Body))
	}
	u.told("repeated", name)
}

func (u *user) ok(a housetest.Answer, err error, want int) bool {
	if err == nil && a.Status == want {
		return true
	}
	if !u.killed.Load() {
		u.failed(fmt.Errorf("%v: %d %s", err, a.Status, a.Body))
	}
	return false
}

func (u *user) told(verb, id string, more ...string) {
	if err := u.ledger.note(verb, id, more...); err != nil {
		u.failed(err)
	}
}
