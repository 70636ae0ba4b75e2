package sds

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// pipes is a listener whose connections are in memory, so that their deadlines
// go by the bubble's clock.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p.conns); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// upTo serves one upload and returns what its handler saw, while send plays the
// caller.
func upTo(t *testing.T, send func(net.Conn)) (took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		start := time.Now()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := newUpload(w, r)
			_, err := io.Copy(io.Discard, u)
			if err != nil {
				err = u.explain(err)
			}
			took = time.Since(start)
			done <- err
		})}
		l := pipes{make(chan net.Conn)}
		go func() { _ = srv.Serve(l) }() // ends with Close
		client, server := net.Pipe()
		l.conns <- server
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"); err != nil {
			t.Error(err)
		}
		var sender sync.WaitGroup
		sender.Go(func() { send(client) })
		err = <-done
		_ = client.Close()
		sender.Wait()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return took, err
}

func TestASenderThatStopsIsLetGo(t *testing.T) {
	took, err := upTo(t, func(c net.Conn) { _, _ = c.Write(make([]byte, 1000)) })
	if fault.Of(err).Code != "sds.too_slow" || !errors.Is(err, fault.Invalid) || took < stall || took > stall+time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestASenderThatDribblesIsLetGo(t *testing.T) {
	took, err := upTo(t, func(c net.Conn) {
		for {
			if _, err := c.Write([]byte{1}); err != nil {
				return
			}
			time.Sleep(10 * time.Second) // of the bubble's time
		}
	})
	if fault.Of(err).Code != "sds.too_slow" || took < grace || took > grace+time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestASlowButSteadySenderGetsThrough(t *testing.T) {
	took, err := upTo(t, func(c net.Conn) {
		for range 1000 {
			if _, err := c.Write(make([]byte, 100_000)); err != nil {
				return
			}
			time.Sleep(10 * time.Second) // of the bubble's time: 10 kB/s
		}
	})
	if err != nil || took < 2*time.Hour {
		t.Errorf("%v after %s", err, took)
	}
}
