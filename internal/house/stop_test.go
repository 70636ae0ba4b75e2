package house_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A node that is told to stop while a document comes in and an order runs lets
// both finish, takes no new ones, ends within its time and leaves nothing behind.
func TestStoppingLetsWhatRunsFinish(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			storetest.EachURL(t, func(t *testing.T, url string) { stopWhileRunning(t, url, protocol) })
		})
	}
}

func stopWhileRunning(t *testing.T, url, protocol string) {
	before := goleak.IgnoreCurrent()
	site, err := housetest.Found(t.Context(), housetest.Config(t, t.TempDir(), url), house.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := site.Serve(t)
	caller, err := site.Caller(nil)
	if err != nil {
		t.Fatal(err)
	}
	caller.HTTP.Transport.(*http.Transport).ForceAttemptHTTP2 = protocol == "HTTP/2.0"
	_, pair, a, err := caller.Certificate(t.Context(), "stop")
	if err != nil || a.Status != http.StatusCreated {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	holder, err := site.Caller(pair)
	if err != nil {
		t.Fatal(err)
	}
	holder.HTTP.Transport.(*http.Transport).ForceAttemptHTTP2 = protocol == "HTTP/2.0"

	content := noise(2 << 20)
	upload, body := startUpload(holder, content)
	order, gate := startOrder(site, caller)
	select {
	case <-gate.entered:
	case got := <-order:
		t.Fatalf("the order was not held: %v %d %s", got.err, got.Status, got.Body)
	}

	since, ended := time.Now(), make(chan error, 1)
	go func() { ended <- stop() }()
	c := site.House.Config
	listening := []string{c.Server.Listen, c.Server.HTTPListen, c.Environment.Preprod.Listen, c.Environment.Production.Listen, c.ClientAuth.Listen, c.Metrics.Listen}
	waitFor(t, "the listeners to close", func() bool {
		// Refused once is closed for good: another process may take the port afterwards.
		listening = slices.DeleteFunc(listening, func(address string) bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
		return len(listening) == 0
	})
	select {
	case err := <-ended:
		t.Fatalf("the node stopped while requests were running: %v", err)
	default:
	}
	if _, err := body.Write(content[len(content)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	close(gate.release)
	if got := <-upload; got.err != nil || got.Status != http.StatusCreated || len(got.Body) != 58 {
		t.Errorf("the upload ended with %v %d %s", got.err, got.Status, got.Body)
	} else if got.Proto != protocol {
		t.Errorf("the upload went over %s", got.Proto)
	}
	if got := <-order; got.err != nil || got.Status != http.StatusCreated || !bytes.Contains(got.Body, []byte(`"ISSUED"`)) {
		t.Errorf("the order ended with %v %d %s", got.err, got.Status, got.Body)
	}
	if err := <-ended; err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(since); took > c.Limits.ShutdownTimeout {
		t.Errorf("stopping took %v", took)
	}
	housetest.Invariants(t, site.House.DB)
	if err := site.House.Close(); err != nil {
		t.Error(err)
	}
	caller.HTTP.CloseIdleConnections()
	holder.HTTP.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// An outcome is an answer that comes later.
type outcome struct {
	housetest.Answer
	err error
}

// startUpload sends the first half of a document.
func startUpload(c *housetest.Caller, content []byte) (<-chan outcome, io.WriteCloser) {
	done := make(chan outcome, 1)
	r, w := io.Pipe()
	go func() {
		a, err := c.Document(context.Background(), http.MethodPost, "", r)
		_ = r.Close() // unblocks the writer if the request ended early
		done <- outcome{a, err}
	}()
	_, _ = w.Write(content[:len(content)/2]) // returns once the transport has taken it; an error shows in the outcome
	return done, w
}

// A gate holds an order between two of its commits.
type gate struct{ entered, release chan struct{} }

func startOrder(s *housetest.Site, c *housetest.Caller) (<-chan outcome, gate) {
	g := gate{make(chan struct{}, 16), make(chan struct{})}
	s.House.DB.Interpose(func(update func() error) error {
		if err := update(); err != nil || !strings.Contains(string(debug.Stack()), "/wscert.(*Engine).Create") {
			return err
		}
		g.entered <- struct{}{}
		<-g.release
		return nil
	})
	done := make(chan outcome, 1)
	go func() {
		_, a, err := c.Order(context.Background(), "stop")
		done <- outcome{a, err}
	}()
	return done, g
}

// A mail server that takes the connection and says nothing does not keep a node
// from stopping in its time; the message waits for the next start.
func TestStoppingDoesNotWaitForAServerThatHangs(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	connected := make(chan struct{}, 16)
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return // the test is over
			}
			defer conn.Close()
			connected <- struct{}{}
		}
	}()
	site := housetest.New(t, storetest.SQLite(t), housetest.Options{Configure: func(c *config.Config) {
		c.Dev.Enabled = false
		c.Limits.ShutdownTimeout = 6 * time.Second
		c.Mail = config.Mail{Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, StartTLS: config.StartTLSNever, From: "Test <test@example.org>"}
	}})
	stop := site.Serve(t)
	caller, err := site.Caller(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, a, err := caller.Order(t.Context(), "hang"); err != nil || a.Status != http.StatusCreated {
		t.Fatalf("%v %d %s", err, a.Status, a.Body)
	}
	waitFor(t, "the message to be tried", func() bool { return len(connected) > 0 })
	since := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(since); took > site.House.Config.Limits.ShutdownTimeout+time.Second {
		t.Errorf("stopping took %v", took)
	}
	outboxHolds(t, site, `channel = 'email' AND state = 'waiting'`, 1)
}
