package order_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/ctlog"
	endpoint "github.com/sealwright/sealwright/internal/endpoint/ctlog"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

// A token is a security module that can be switched off. Like most, it does not
// sign ECDSA deterministically.
type token struct {
	key    *ecdsa.PrivateKey
	down   atomic.Bool
	signed atomic.Int64
}

func (f *token) Signer(context.Context, string) (crypto.Signer, error) {
	if f.down.Load() {
		return nil, fault.Unavailablef(nil, "keys.hsm_unavailable", "The HSM does not answer.")
	}
	return f, nil
}

func (f *token) Public() crypto.PublicKey { return f.key.Public() }

func (f *token) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if f.down.Load() {
		return nil, fault.Unavailablef(nil, "keys.hsm_unavailable", "The HSM does not answer.")
	}
	f.signed.Add(1)
	return f.key.Sign(rand.Reader, digest, opts)
}

// logs are real logs, each behind a server of its own, and the submitter that
// asks them. Without logs there is nothing that could be asked.
type logs struct {
	order.Logs
	list []*ctlog.Log
	down atomic.Int64 // with which status they answer instead; 0: they are up

	mu     sync.Mutex
	pres   map[string]map[string]bool // pre-certificates that came, by serial number
	finals map[string]map[string]bool // certificates that came
}

var _ order.Logs = (*transparency.Submitter)(nil)

func (l *logs) open(b *bench, n int) {
	t := b.t
	l.pres, l.finals = map[string]map[string]bool{}, map[string]map[string]bool{}
	root := must(b.ca.Get(context.Background(), "production-root"))(t)
	db := storetest.Open(t, storetest.SQLite(t))
	o := transparency.Options{
		Clock: b.clock, Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, Roots: x509.NewCertPool(),
		Policy: transparency.Policy{Short: n, Long: n, Operators: n}, Timing: transparency.Timing{Backoff: time.Nanosecond, Tries: 1},
	}
	for i := range n {
		name := fmt.Sprintf("log%d", i)
		log := must(ctlog.Open(context.Background(), db, b.clock, audit.New(db, b.clock, nil, ""), ctlog.Config{
			Name: name, Signer: cttest.Key(t), Roots: [][]byte{root.Certificate.Raw}, Start: noon, Limit: noon.AddDate(5, 0, 0),
		}))(t)
		server := httptest.NewUnstartedServer(l.serve(endpoint.New(log)))
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		o.Roots.AddCert(server.Certificate())
		l.list = append(l.list, log)
		from, to := log.Interval()
		o.Logs = append(o.Logs, transparency.Log{Name: name, Operator: name, URL: server.URL + "/ctlog/" + name, Key: log.SPKI(), Start: from, Limit: to, State: transparency.Usable})
	}
	s := must(transparency.New(o))(t)
	t.Cleanup(s.Close)
	l.Logs = s
}

// sequence has the logs keep their promises; they take nothing while they are behind.
func (l *logs) sequence(t testing.TB) {
	t.Helper()
	for _, log := range l.list {
		must(log.Sequence(context.Background()))(t)
	}
}

// serve notes what comes and passes it on.
func (l *logs) serve(log http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request ct.AddChainRequest
		if err == nil {
			err = json.Unmarshal(body, &request)
		}
		if err != nil || len(request.Chain) == 0 {
			http.Error(w, "not understood", http.StatusBadRequest)
			return
		}
		l.note(strings.HasSuffix(r.URL.Path, "add-pre-chain"), request.Chain[0])
		if status := l.down.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		log.ServeHTTP(w, r)
	})
}

func (l *logs) note(pre bool, der []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	into := l.finals
	if pre {
		into = l.pres
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		l.pres["damaged"] = map[string]bool{err.Error(): true}
		return
	}
	serial := authority.SerialText(c.SerialNumber.Bytes())
	if into[serial] == nil {
		into[serial] = map[string]bool{}
	}
	into[serial][string(der)] = true
}

// seen is how many different pre-certificates the logs were shown for a serial
// number, and how many serial numbers in all.
func (l *logs) seen(serial string) (same, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pres[serial]), len(l.pres)
}
