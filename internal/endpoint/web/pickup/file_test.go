package pickup_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// ready is a bench with one browser that may download.
func ready(t testing.TB, db *store.DB, h2 bool, key ...keys.Algorithm) (*bench, *wscert.Order, *browser) {
	t.Helper()
	b := newBench(t, db, noon)
	if len(key) > 0 {
		b.key = key[0]
	}
	o, token := b.order(wscert.Generate)
	c := b.browser(token, h2)
	c.enter(b.code())
	return b, o, c
}

// open is a delivery that must not be complete, nor its password sent (N21).
func (b *bench) open(o *wscert.Order, what string) handover.Delivery {
	b.t.Helper()
	d := b.delivery(o)
	if d.State != handover.Open {
		b.t.Errorf("%s: the delivery is %s, want open.", what, d.State)
	}
	if n := len(b.passwords()); n != 0 {
		b.t.Errorf("%s: %d passwords were sent (N21).", what, n)
	}
	return d
}

// halfOf reads the beginning of a download through a connection whose receive
// window is tiny, and cuts it: what was not read has not arrived.
func (b *bench) halfOf(c *browser) []byte {
	b.t.Helper()
	raw := must(net.Dial("tcp", b.server.Listener.Addr().String()))(b.t)
	if err := raw.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		b.t.Fatal(err)
	}
	config := b.trust()
	config.ServerName, config.NextProtos = "example.com", nil
	conn := tls.Client(raw, config)
	fmt.Fprintf(conn, "GET /pickup/%s/file HTTP/1.1\r\nHost: example.com\r\nCookie: __Host-pickup=%s\r\n\r\n", c.token, c.session())
	resp := must(http.ReadResponse(bufio.NewReaderSize(conn, 16), nil))(b.t)
	half := make([]byte, resp.ContentLength/2)
	must(io.ReadFull(resp.Body, half))(b.t)
	if err := raw.(*net.TCPConn).SetLinger(0); err != nil {
		b.t.Fatal(err)
	}
	raw.Close()
	return half
}

// settled waits until the server has finished n requests for the file.
func (b *bench) settled(n int) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if strings.Count(b.log.String(), `route="GET /pickup/{token}/file"`) >= n {
			return
		}
	}
	b.t.Fatalf("The server has not finished %d downloads:\n%s", n, b.log.String())
}

// N21: a download that is cut off half-way is not complete, sends no password,
// and is resumed where it stopped.
func TestADownloadThatIsCutOffIsNotCompleteAndCanBeResumed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, o, c := ready(t, db, false, keys.RSA2048) // a file of which the connection cannot hold half
		half := b.halfOf(c)
		b.settled(1)
		d := b.open(o, "after the cut")
		if d.Sent < int64(len(half)) || d.Sent >= d.FileSize {
			t.Errorf("%d bytes are noted as sent; %d of %d were read.", d.Sent, len(half), d.FileSize)
		}
		want(t, "I have downloaded it", c.get("/done"), 409, "Not complete yet", "Back to the download")
		want(t, "page", c.get(""), 200, "Download foo-ws-ssl-e-banking.p12")
		head := c.send("HEAD", "/file", "")
		r := c.get("/file", "Range", fmt.Sprintf("bytes=%d-", len(half)), "If-Range", head.Header.Get("ETag"))
		want(t, "resumed", r, 206)
		if got, want := r.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", len(half), d.FileSize-1, d.FileSize); got != want {
			t.Errorf("Content-Range is %q, want %q.", got, want)
		}
		c.await()
		passwords := b.passwords()
		if len(passwords) != 1 {
			t.Fatalf("%d passwords were sent, want one.", len(passwords))
		}
		if _, _, _, err := pkcs12.Decode(append(half, r.body...), passwords[0]); err != nil {
			t.Errorf("The two halves are not the file: %v.", err)
		}
	})
}

// Over HTTP/2 a browser ends the stream, not the connection.
func TestAStreamThatIsResetIsNotComplete(t *testing.T) {
	b, o, c := ready(t, storetest.Open(t, storetest.SQLite(t)), true)
	r := must(http.NewRequest(http.MethodGet, c.base+"/pickup/"+c.token+"/file", nil))(t)
	resp := must(c.Do(r))(t)
	must(io.ReadFull(resp.Body, make([]byte, 100)))(t)
	resp.Body.Close() // resets the stream, most of which the server still holds
	b.settled(1)
	b.open(o, "after the reset")
	want(t, "again", c.get("/file"), 200)
	c.await()
}

func TestOnlyWhoHadTheStartCompletesWithTheEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, o, c := ready(t, db, false)
		size := b.delivery(o).FileSize
		from := func(format string, args ...any) reply { return c.get("/file", "Range", fmt.Sprintf(format, args...)) }
		want(t, "the end alone", from("bytes=%d-", size-10), 206)
		want(t, "the last bytes", from("bytes=-10"), 206)
		b.settled(2)
		b.open(o, "after the end without the start")
		r := from("bytes=0-99")
		want(t, "the start alone", r, 206)
		if len(r.body) != 100 || r.Header.Get("Content-Range") != fmt.Sprintf("bytes 0-99/%d", size) {
			t.Errorf("%d bytes, Content-Range %q.", len(r.body), r.Header.Get("Content-Range"))
		}
		b.settled(3)
		if d := b.open(o, "after the start"); d.Sent != 100 {
			t.Errorf("%d bytes are noted as sent, want 100.", d.Sent)
		}
		want(t, "with a gap", from("bytes=101-"), 206)
		b.settled(4)
		b.open(o, "after a gap")
		want(t, "the rest", from("bytes=100-"), 206)
		c.await()
		if n := len(b.passwords()); n != 1 {
			t.Errorf("%d passwords were sent, want one.", n)
		}
	})
}

func TestRangesThatCannotBeServed(t *testing.T) {
	b, o, c := ready(t, storetest.Open(t, storetest.SQLite(t)), false)
	size := b.delivery(o).FileSize
	r := c.get("/file", "Range", fmt.Sprintf("bytes=%d-", size))
	want(t, "behind the end", r, 416)
	if got := r.Header.Get("Content-Range"); got != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("Content-Range is %q.", got)
	}
	r = c.send("HEAD", "/file", "", "Range", "bytes=0-9")
	want(t, "HEAD", r, 206)
	r = c.send("HEAD", "/file", "")
	if r.StatusCode != 200 || r.Header.Get("Content-Length") != fmt.Sprint(size) || r.body != "" {
		t.Errorf("HEAD: %d, %v.", r.StatusCode, r.Header)
	}
	b.open(o, "after HEAD")
	other := b.browser(c.token, false)
	want(t, "wrong session", other.get("/file", "Cookie", "__Host-pickup=guess"), 401, "handover.session")
	b.open(o, "after a wrong session")
	want(t, "another version", c.get("/file", "Range", "bytes=5-", "If-Range", `"other"`), 200)
	c.await()
}

func TestParallelDownloadsCompleteOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, o, c := ready(t, db, false)
		var wait sync.WaitGroup
		statuses := make(chan int, 8)
		for range 8 {
			wait.Go(func() {
				r := must(http.NewRequest(http.MethodGet, c.base+"/pickup/"+c.token+"/file", nil))(t)
				if got, err := c.do(r); err == nil {
					statuses <- got.StatusCode
				} else {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		close(statuses)
		whole := 0
		for s := range statuses {
			switch s {
			case 200:
				whole++
			case 410: // came when another was done
			default:
				t.Errorf("A download was answered with %d.", s)
			}
		}
		c.await()
		b.settled(8)
		if whole == 0 || b.delivery(o).State != handover.Delivered || len(b.passwords()) != 1 {
			t.Errorf("%d downloads, delivery %s, %d passwords.", whole, b.delivery(o).State, len(b.passwords()))
		}
	})
}

// A database that is away when the last byte has left does not cost the
// recipient the password.
func TestCompletionWaitsForADatabaseThatIsAway(t *testing.T) {
	b, _, c := ready(t, storetest.Open(t, storetest.SQLite(t)), true)
	b.orders.mu.Lock()
	b.orders.fails, b.orders.err = 3, fault.Unavailablef(nil, "store.away", "The database does not answer.")
	b.orders.mu.Unlock()
	want(t, "file", c.get("/file"), 200)
	c.await()
	if n := len(b.passwords()); n != 1 {
		t.Errorf("%d passwords were sent, want one.", n)
	}
}

var commandIn = regexp.MustCompile(`(?s)<code id="direct"[^>]*>(.*?)</code>`)

// N25: the command on the page fetches straight to the server, goes on where an
// earlier one broke off, and fails loudly once the file has left.
func TestTheCommandOnThePageDownloadsAndResumes(t *testing.T) {
	b, o, c := ready(t, storetest.Open(t, storetest.SQLite(t)), false)
	found := commandIn.FindStringSubmatch(c.get("").body)
	if found == nil {
		t.Fatal("There is no command on the page.")
	}
	command := strings.NewReplacer("&#39;", "'", "&amp;", "&", "curl ", "curl --silent --show-error --insecure ").Replace(found[1])
	dir := t.TempDir()
	run := func(want int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput() // the exit status tells
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Fatalf("curl ended with %d, want %d:\n%s", got, want, out)
		}
	}
	head := c.get("/file", "Range", "bytes=0-499")
	b.settled(1)
	b.open(o, "after a part")
	name := filepath.Join(dir, "foo-ws-ssl-e-banking.p12")
	if err := os.WriteFile(name, []byte(head.body), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0)
	c.await()
	if _, _, _, err := pkcs12.Decode(must(os.ReadFile(name))(t), b.passwords()[0]); err != nil {
		t.Errorf("The file does not open: %v.", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	run(22) // --fail
}
