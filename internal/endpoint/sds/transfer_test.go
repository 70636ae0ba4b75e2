package sds_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// dial opens a raw TLS connection for requests that no HTTP library sends.
func dial(t *testing.T, s *certtest.Server, c *tls.Certificate) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", u.Host, s.ClientConfig(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most tests close it themselves
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func head(user, extra string) string {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + certtest.Password))
	return "POST /doc/demo/sds HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + auth + "\r\n" + extra + "\r\n"
}

func send(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// N2: a refusal comes before the document is sent.
func TestWhoWaitsForAContinueIsJudgedFirst(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)))
	good := b.Issue(t, b.demo[access.Production], certtest.Order{})
	for _, k := range []struct {
		name, head string
		cert       *tls.Certificate
		line, code string
	}{
		{"a good caller", head("demo", "Expect: 100-continue\r\nContent-Length: 5\r\n"), &good, "HTTP/1.1 100 Continue", ""},
		{"no certificate", head("demo", "Expect: 100-continue\r\nContent-Length: 5\r\n"), nil, "HTTP/1.1 403 Forbidden", "clientcert.missing"},
		{"another user", head("other", "Expect: 100-continue\r\nContent-Length: 5\r\n"), &good, "HTTP/1.1 403 Forbidden", "sds.other_service"},
		{"too large", head("demo", fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n", maxSize+1)), &good, "HTTP/1.1 413 Request Entity Too Large", "sds.too_large"},
		{"encoded", head("demo", "Expect: 100-continue\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n"), &good, "HTTP/1.1 400 Bad Request", "sds.encoding"},
	} {
		conn, in := dial(t, b.server[access.Production], k.cert)
		send(t, conn, k.head)
		line, err := in.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != k.line {
			t.Errorf("%s: %q (%v); want %q", k.name, line, err, k.line)
			continue
		}
		if k.code != "" {
			// The server closes: what the caller may send after all is not read as a request.
			rest, err := io.ReadAll(in)
			if err != nil || !strings.Contains(string(rest), k.code) {
				t.Errorf("%s: %s (%v)", k.name, rest, err)
			}
			continue
		}
		send(t, conn, "hello")
		if _, err := in.ReadString('\n'); err != nil { // the empty line after 100
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %v (%v)", k.name, resp, err)
		}
		resp.Body.Close()
	}
}

// Clients of the kind that sends everything and then looks: the answer reaches
// them, and the connection goes on.
func TestARefusalReachesThoseWhoSendFirst(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)))
	conn, in := dial(t, b.server[access.Preprod], nil)
	body := strings.Repeat("x", 5<<20)
	for _, k := range []struct {
		user   string
		status int
	}{{"other", http.StatusForbidden}, {"demo", http.StatusCreated}} {
		send(t, conn, head(k.user, fmt.Sprintf("Content-Length: %d\r\n", len(body)))+body)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != k.status {
			t.Fatalf("%s: %v (%v)", k.user, resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

func TestAnUploadThatIsCutOffLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		part := strings.Repeat("x", 3<<20)
		for _, k := range []struct{ name, head, body string }{
			{"with a length", head("demo", "Content-Length: 10485760\r\n"), part},
			{"in chunks", head("demo", "Transfer-Encoding: chunked\r\n"), fmt.Sprintf("%x\r\n%s\r\n", len(part), part)},
			{"in the middle of a chunk", head("demo", "Transfer-Encoding: chunked\r\n"), fmt.Sprintf("%x\r\n%s", len(part)*2, part)},
			{"before the first byte", head("demo", "Content-Length: 10485760\r\n"), ""},
		} {
			for _, kill := range []struct {
				name string
				how  func(*tls.Conn) error
			}{
				{"closed", func(c *tls.Conn) error { return c.Close() }},
				{"reset", func(c *tls.Conn) error { // as a process that is killed
					tcp := c.NetConn().(*net.TCPConn)
					if err := tcp.SetLinger(0); err != nil {
						return err
					}
					return tcp.Close()
				}},
			} {
				conn, _ := dial(t, b.server[access.Preprod], nil)
				send(t, conn, k.head+k.body)
				if err := kill.how(conn); err != nil {
					t.Fatal(err)
				}
				<-b.handled
				if rows, files := b.counts(t); rows != 0 || files != 0 {
					t.Errorf("%s, %s: %d rows and %d files remain", k.name, kill.name, rows, files)
				}
			}
		}
	})
}

func TestADocumentOfUnknownLengthThatIsTooLargeIsRefused(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)))
	s := b.server[access.Preprod]
	a := do(t, s.Client(t, nil), request{method: "POST", url: s.URL + "/doc/demo/sds", user: "demo", password: certtest.Password, body: io.LimitReader(zeros{}, maxSize+1)})
	a.is(t, "one byte more", http.StatusRequestEntityTooLarge, "blob.too_large")
	if rows, files := b.counts(t); rows != 0 || files != 0 {
		t.Errorf("%d rows and %d files remain", rows, files)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A watch is a reader that looks at the heap as bytes pass.
type watch struct {
	io.Reader
	passed, next int64
	peak         uint64
}

func (w *watch) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.passed += int64(n); w.passed >= w.next {
		w.next += 8 << 20
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapAlloc)
	}
	return n, err
}

func TestMemoryStaysFlatWithALargeDocument(t *testing.T) {
	const size, bound = 300 << 20, 48 << 20
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)))
	s := b.server[access.Preprod]
	c := s.Client(t, nil)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	up := &watch{Reader: io.LimitReader(zeros{}, size)}
	a := do(t, c, request{method: "POST", url: s.URL + "/doc/demo/sds", user: "demo", password: certtest.Password, body: up})
	a.is(t, "upload", http.StatusCreated, "")

	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/doc/demo/sds/"+a.body, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("demo", certtest.Password)
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	down := &watch{Reader: resp.Body}
	if n, err := io.Copy(io.Discard, down); err != nil || n != size {
		t.Fatalf("%d bytes came back (%v)", n, err)
	}
	t.Logf("heap: %d KiB before, %d KiB at most while sending, %d KiB while receiving", before.HeapAlloc>>10, up.peak>>10, down.peak>>10)
	if peak := max(up.peak, down.peak); peak > before.HeapAlloc+bound {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, peak)
	}
}
