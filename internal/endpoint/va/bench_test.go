package va_test

import (
	"bufio"
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/endpoint/va"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/ocsp"
	"github.com/sealwright/sealwright/pki/tbs"
)

// asClient makes the test program the client of a benchmark, a process of its
// own so that the server's processor time can be told from the client's.
const asClient = "SEALWRIGHT_BENCH_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		if err := client(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A load is what a client does.
type load struct {
	Address  string
	Callers  int
	Duration time.Duration
	Requests [][]byte // whole HTTP requests, one of which is drawn at random each time
}

type outcome struct {
	Done, Failed int64
	Elapsed      time.Duration
}

func client(in io.Reader, out io.Writer) error {
	var l load
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return err
	}
	var o outcome
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range l.Callers {
		wg.Go(func() {
			conn, err := net.Dial("tcp", l.Address)
			if err != nil {
				failed.Add(1)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for time.Since(begin) < l.Duration {
				_, err := conn.Write(l.Requests[rand.IntN(len(l.Requests))])
				if err == nil {
					err = readAnswer(r)
				}
				if err != nil {
					failed.Add(1)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	o.Done, o.Failed, o.Elapsed = done.Load(), failed.Load(), time.Since(begin)
	return json.NewEncoder(out).Encode(o)
}

func readAnswer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.Contains(line, []byte(" 200 ")) {
			return fmt.Errorf("%s", line)
		}
		if len(line) == 2 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
	}
	if length < 300 { // an OCSP error has 5 octets
		return fmt.Errorf("an answer of %d octets", length)
	}
	_, err := r.Discard(length)
	return err
}

func (l load) run(b *testing.B) (rate, cpu float64) {
	b.Helper()
	input, err := json.Marshal(l)
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), os.Args[0])
	c.Env = append(os.Environ(), asClient+"=1")
	c.Stdin, c.Stderr = bytes.NewReader(input), os.Stderr
	before := processor()
	text, err := c.Output()
	used := processor() - before
	if err != nil {
		b.Fatal(err)
	}
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil || o.Failed > 0 || o.Done == 0 {
		b.Fatalf("%+v: %v", o, err)
	}
	return float64(o.Done) / o.Elapsed.Seconds(), float64(used.Microseconds()) / float64(o.Done)
}

func processor() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // it does not fail for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// preload enters n certificates, of which every tenth is revoked, and returns
// some of their serial numbers.
func (s *site) preload(b *testing.B, id string, n int) (serials [][]byte) {
	b.Helper()
	der := bytes.Repeat([]byte{0x30}, 700)
	every := max(1, n/20_000)
	source := rand.NewChaCha8([32]byte{})
	for from := 0; from < n; from += 10_000 {
		err := s.DB.Update(b.Context(), func(tx *store.Tx) error {
			for i := from; i < min(n, from+10_000); i++ {
				serial := tbs.NewSerial(s.Clock.Now().Add(time.Duration(i-n)*time.Millisecond), source)
				if i%every == i/every%every { // revoked ones as often as among all
					serials = append(serials, serial)
				}
				if err := enter(tx, id, serial, der, i%10 == 0, int64(i+1), s.Clock.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, shard := range []int64{-1, 0} {
		if err := s.DB.Update(b.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO revocation_counters (authority, shard, seq) VALUES ($1, $2, $3)`, id, shard, int64(n))
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	return serials
}

func enter(tx *store.Tx, id string, serial, der []byte, revoked bool, seq int64, now time.Time) error {
	status, at, until := "valid", int64(0), store.Micros(now.AddDate(1, 0, 0))
	if revoked {
		status, at = "revoked", store.Micros(now)
		entry, err := crl.AppendEntry(nil, serial, now, crl.KeyCompromise, time.Time{})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO revocations (authority, shard, serial, seq, not_after, entry) VALUES ($1, 0, $2, $3, $4, $5)`, id, serial, seq, until, entry); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`INSERT INTO certificates (authority, serial, realm, client, service, kind, order_id, cn, status, der, not_before, not_after, revoked_at, reason)
		VALUES ($1, $2, 'production', '', '', 'bench', '', 'bench', $3, $4, $5, $6, $7, $8)`, id, serial, status, der, store.Micros(now), until, at, int64(crl.KeyCompromise))
	return err
}

// ask is one whole HTTP request about a certificate.
func ask(b *testing.B, issuer *ocsp.Issuer, serial []byte, path string, get bool) []byte {
	b.Helper()
	id, err := issuer.CertID(crypto.SHA1, serial)
	if err != nil {
		b.Fatal(err)
	}
	der, err := ocsp.BuildRequest([]ocsp.CertID{id}, nil)
	if err != nil {
		b.Fatal(err)
	}
	const host = "Host: ocsp.example.com\r\nUser-Agent: bench\r\n"
	if get {
		return []byte("GET " + path + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(der)) + " HTTP/1.1\r\n" + host + "\r\n")
	}
	return append([]byte(fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n", path, host, len(der))), der...)
}

// static gives everybody what we gave one, octets and header: the least that a
// server can do for such requests.
func static(b *testing.B, ours http.Handler, request []byte) *httptest.Server {
	b.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		b.Fatal(err)
	}
	w := httptest.NewRecorder()
	ours.ServeHTTP(w, r)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		for name, value := range w.Header() {
			out.Header()[name] = value
		}
		_, _ = out.Write(w.Body.Bytes())
	}))
	b.Cleanup(server.Close)
	return server
}

// churn suspends and releases certificates, one after the other, until it is
// told to stop, and returns how many changes it made.
func (s *site) churn(b *testing.B, id string, serials [][]byte, stop <-chan struct{}) (changes int) {
	b.Helper()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return changes
		default:
		}
		serial := serials[i/2%len(serials)]
		err := s.DB.Update(b.Context(), func(tx *store.Tx) error {
			if i%2 == 1 {
				return s.Authorities.Release(tx, id, serial, "")
			}
			return s.Authorities.Withdraw(tx, id, serial, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.CertificateHold})
		})
		if err == nil {
			changes++
		} else if !errors.Is(err, fault.Conflict) { // one of those that are revoked
			b.Error(err)
			return changes
		}
	}
}

// The headline benchmark "ocsp" without TLS, as relying parties ask: 16 callers,
// uniformly over all certificates, one in ten revoked, in rounds with a server
// that gives the same octets to everybody. Ten million with
// SEALWRIGHT_BENCH_CERTIFICATES=10000000.
func BenchmarkOCSP(b *testing.B) {
	sizes := []int{10_000, 1_000_000}
	if n, err := strconv.Atoi(os.Getenv("SEALWRIGHT_BENCH_CERTIFICATES")); err == nil {
		sizes = []int{n}
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("certificates=%d", n), func(b *testing.B) { benchmarkOCSP(b, n) })
	}
}

func benchmarkOCSP(b *testing.B, n int) {
	s := &site{World: certtest.New(b, storetest.Open(b, storetest.SQLite(b))), dir: b.TempDir()}
	if err := s.Authorities.RotateResponders(b.Context()); err != nil {
		b.Fatal(err)
	}
	s.Authorities.LimitOCSPAnswers(int64(n)*140 + 1<<20)
	id := certtest.Issuer(access.Production)
	policy := authority.DefaultPolicy()
	policy.AllowHold = true
	if err := s.Authorities.SetPolicy(b.Context(), id, policy); err != nil {
		b.Fatal(err)
	}
	serials := s.preload(b, id, n)
	for range 2 + n/20_000 {
		if err := s.Authorities.PresignOCSP(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	x, err := s.Authorities.Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := ocsp.IssuerOf(x.Certificate)
	if err != nil {
		b.Fatal(err)
	}
	handler := va.New(s.Authorities, s.Clock)
	ours := httptest.NewServer(handler)
	b.Cleanup(ours.Close)
	var post, get [][]byte
	for _, serial := range serials {
		post = append(post, ask(b, issuer, serial, "/ocsp/"+id, false))
		get = append(get, ask(b, issuer, serial, "/ocsp/"+id, true))
	}
	cases := []struct {
		name     string
		server   *httptest.Server
		requests [][]byte
	}{{"static-post", static(b, handler, post[0]), post}, {"post", ours, post}, {"static-get", static(b, handler, get[0]), get}, {"get", ours, get}, {"churn", ours, post}}
	rates, costs, changes := make([][]float64, len(cases)), make([][]float64, len(cases)), 0
	for b.Loop() { // short rounds, one after the other, so that all meet the same machine
		for i, c := range cases {
			stop, stopped := make(chan struct{}), make(chan int, 1)
			if c.name == "churn" {
				go func() { stopped <- s.churn(b, id, serials, stop) }()
			} else {
				stopped <- 0
			}
			rate, cost := load{Callers: 16, Duration: round, Address: strings.TrimPrefix(c.server.URL, "http://"), Requests: c.requests}.run(b)
			close(stop)
			changes += <-stopped
			rates[i], costs[i] = append(rates[i], rate), append(costs[i], cost)
		}
	}
	for i, c := range cases {
		b.ReportMetric(median(rates[i]), c.name+"/s")
		b.ReportMetric(median(costs[i]), c.name+"-cpu-µs")
	}
	b.ReportMetric(median(ratios(rates[1], rates[0])), "post/static")
	b.ReportMetric(median(ratios(rates[3], rates[2])), "get/static")
	b.ReportMetric(float64(changes)/float64(len(rates[0]))/round.Seconds(), "changes/s")
	b.ReportMetric(0, "ns/op")
}

const round = time.Second

func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// What the handler itself costs, without connection and server.
func BenchmarkHandler(b *testing.B) {
	s := &site{World: certtest.New(b, storetest.Open(b, storetest.SQLite(b))), dir: b.TempDir()}
	if err := s.Authorities.RotateResponders(b.Context()); err != nil {
		b.Fatal(err)
	}
	id := certtest.Issuer(access.Production)
	serials := s.preload(b, id, 1000)
	x, err := s.Authorities.Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := ocsp.IssuerOf(x.Certificate)
	if err != nil {
		b.Fatal(err)
	}
	handler := va.New(s.Authorities, s.Clock)
	for _, get := range []bool{false, true} {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(ask(b, issuer, serials[1], "/ocsp/"+id, get))))
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(r.Method, func(b *testing.B) {
			b.ReportAllocs()
			in, w := bytes.NewReader(body), &nowhere{header: http.Header{}}
			r.Body = io.NopCloser(in)
			for b.Loop() {
				in.Reset(body)
				handler.ServeHTTP(w, r)
			}
			if w.octets < 300 {
				b.Fatalf("an answer of %d octets", w.octets)
			}
		})
	}
}

type nowhere struct {
	header http.Header
	octets int
}

func (w *nowhere) Header() http.Header { return w.header }

func (w *nowhere) Write(p []byte) (int, error) {
	w.octets = len(p)
	return len(p), nil
}

func (w *nowhere) WriteHeader(int) {}
