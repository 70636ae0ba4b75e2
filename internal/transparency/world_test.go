package transparency_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	domain "github.com/sealwright/sealwright/internal/ctlog"
	endpoint "github.com/sealwright/sealwright/internal/endpoint/ctlog"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

var (
	start = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	until = start.AddDate(0, 3, 0) // short
)

// A fakeTime is a clock and timers that move only when told to.
type fakeTime struct {
	*clock.Fake
	mu     sync.Mutex
	timers map[*timer]bool
	armed  chan struct{} // one for each timer that was started
}

type timer struct {
	at   time.Time
	fire chan time.Time
}

func newFakeTime() *fakeTime {
	return &fakeTime{Fake: clock.NewFake(start), timers: map[*timer]bool{}, armed: make(chan struct{}, 1000)}
}

func (f *fakeTime) After(d time.Duration) (<-chan time.Time, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &timer{f.Now().Add(d), make(chan time.Time, 1)}
	f.timers[t] = true
	f.armed <- struct{}{}
	return t.fire, func() { f.mu.Lock(); delete(f.timers, t); f.mu.Unlock() }
}

// waitArmed returns after n more timers were started. The submitter starts one
// after each thing that happens to it, so this is how tests follow it.
func (f *fakeTime) waitArmed(n int) {
	for range n {
		<-f.armed
	}
}

// pass moves the clock and fires what is due.
func (f *fakeTime) pass(d time.Duration) {
	f.Advance(d)
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := range f.timers {
		if !t.at.After(f.Now()) {
			t.fire <- f.Now()
			delete(f.timers, t)
		}
	}
}

// A spoiler answers in the place of an honest log, or with its help.
type spoiler = func(w http.ResponseWriter, r *http.Request, honest http.Handler)

// A server is a real log whose answers can be spoiled.
type server struct {
	name, operator string
	log            *domain.Log
	http           *httptest.Server
	asked          atomic.Int64
	spoil          atomic.Pointer[spoiler]
}

func (s *server) spoilWith(fn spoiler) {
	if fn == nil {
		s.spoil.Store(nil)
		return
	}
	s.spoil.Store(&fn)
}

// A world is an authority, logs that know its root, and who submits to them.
type world struct {
	*transparency.Submitter
	time    *fakeTime
	db      *store.DB
	ca      *cttest.CA
	servers []*server
	options transparency.Options
}

// newWorld starts a log for each name; the part before the dot is its operator.
func newWorld(tb testing.TB, names ...string) *world {
	tb.Helper()
	w := &world{time: newFakeTime(), db: storetest.Open(tb, storetest.SQLite(tb)), ca: cttest.NewCA(tb)}
	for _, name := range names {
		w.servers = append(w.servers, w.serve(tb, name, cttest.Key(tb)))
	}
	w.options = transparency.Options{
		Logs: w.list(), Clock: w.time, After: w.time.After,
		Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		Roots:  x509.NewCertPool(),
	}
	w.options.Roots.AddCert(w.servers[0].http.Certificate()) // all test servers have the same
	w.renew(tb)
	return w
}

// renew makes a submitter without a memory.
func (w *world) renew(tb testing.TB) {
	tb.Helper()
	s, err := transparency.New(w.options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	w.Submitter = s
}

func (w *world) serve(tb testing.TB, name string, key crypto.Signer) *server {
	tb.Helper()
	s := &server{name: name, operator: name[:1]}
	var err error
	s.log, err = domain.Open(tb.Context(), w.db, w.time, audit.New(w.db, w.time, nil, ""),
		domain.Config{Name: name, Signer: key, Roots: [][]byte{w.ca.Root}, Start: start, Limit: start.AddDate(2, 0, 0)})
	if err != nil {
		tb.Fatal(err)
	}
	honest := endpoint.New(s.log)
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if spoil := s.spoil.Load(); spoil != nil {
			(*spoil)(rw, r, honest)
			return
		}
		honest.ServeHTTP(rw, r)
	}))
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	tb.Cleanup(s.http.Close)
	return s
}

func (w *world) list() []transparency.Log {
	var out []transparency.Log
	for _, s := range w.servers {
		from, to := s.log.Interval()
		out = append(out, transparency.Log{
			Name: s.name, Operator: s.operator, URL: s.http.URL + "/ctlog/" + s.name, Key: s.log.SPKI(),
			Start: from, Limit: to, State: transparency.Usable,
		})
	}
	return out
}

func (w *world) request(tb testing.TB) transparency.Request {
	tb.Helper()
	return transparency.Request{Precert: w.ca.Precert(tb, "www.example.com", start, until), Chain: w.ca.Chain()}
}

// A pending is a call of Submit that has not returned.
type pending struct {
	result transparency.Result
	err    error
	done   chan struct{}
}

func (w *world) begin(tb testing.TB, r transparency.Request) *pending {
	tb.Helper()
	p := &pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.result, p.err = w.Submit(tb.Context(), r)
	}()
	return p
}

func (p *pending) wait() (transparency.Result, error) {
	<-p.done
	return p.result, p.err
}

// outcomes lists the evidence as "log:outcome", sorted.
func outcomes(r transparency.Result) []string {
	var out []string
	for _, e := range r.Evidence {
		out = append(out, fmt.Sprintf("%s:%s", e.Log, e.Outcome))
	}
	slices.Sort(out)
	return out
}

func wantOutcomes(tb testing.TB, r transparency.Result, want ...string) {
	tb.Helper()
	if got := outcomes(r); !slices.Equal(got, want) {
		tb.Errorf("evidence %v, want %v", got, want)
	}
}

func wantFault(tb testing.TB, err error, kind fault.Kind, code string) {
	tb.Helper()
	if !errors.Is(err, kind) || fault.Of(err).Code != code {
		tb.Errorf("got %v, want %s (%s)", err, code, kind)
	}
}

// final makes the certificate with the SCTs of a result and checks it.
func (w *world) final(tb testing.TB, precert []byte, r transparency.Result) []byte {
	tb.Helper()
	der := w.ca.Final(tb, precert, r.SCTs)
	if _, err := w.CheckIssued(der, w.ca.Issuer); err != nil {
		tb.Fatal(err)
	}
	return der
}

// changed answers honestly and then changes the answer.
func changed(change func(*ct.AddChainResponse)) spoiler {
	return func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		recorder := httptest.NewRecorder()
		honest.ServeHTTP(recorder, r)
		var body ct.AddChainResponse
		if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
			panic(err)
		}
		change(&body)
		_ = json.NewEncoder(w).Encode(body)
	}
}

// status answers with a status and a text.
func status(code int, text string, header ...string) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

// silent never answers; it ends when the caller gives up.
func silent(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func wrongID(id ct.LogID) func(*ct.AddChainResponse) {
	return func(r *ct.AddChainResponse) { r.ID = id[:] }
}
