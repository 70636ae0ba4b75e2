package sds

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// How slow a peer may be. The deadlines move with the progress that is made, so
// a document of any size gets through at a modest rate, while a peer that sends
// or takes one byte now and then does not hold a connection for ever.
const (
	stall   = 30 * time.Second // without any byte
	grace   = 60 * time.Second // before the average counts
	minRate = 8 << 10          // bytes per second, on average
)

// A pace sets the deadlines of one transfer. They are the network's, so they go
// by the machine's own time. A writer that knows no deadlines has none.
type pace struct {
	set   func(time.Time) error
	start time.Time
	moved int64
}

// next is called before each step.
func (p *pace) next() {
	now := time.Now()
	at := now.Add(stall)
	if average := p.start.Add(grace + time.Duration(p.moved/minRate)*time.Second); average.Before(at) {
		at = average
	}
	_ = p.set(at) // see above
}

// end gives the connection back to the server without a deadline.
func (p *pace) end() { _ = p.set(time.Time{}) }

// An upload is a request's body, read at the pace above.
type upload struct {
	body io.Reader
	pace pace
	err  error // that ended the body early
}

func newUpload(w http.ResponseWriter, r *http.Request) *upload {
	return &upload{body: r.Body, pace: pace{set: http.NewResponseController(w).SetReadDeadline, start: time.Now()}}
}

func (u *upload) Read(p []byte) (int, error) {
	u.pace.next()
	n, err := u.body.Read(p)
	u.pace.moved += int64(n)
	switch err {
	case nil:
	case io.EOF:
		// At once: the server goes on reading the connection to see whether the
		// caller leaves, and an old deadline would look as if he did.
		u.pace.end()
	default:
		u.err = err
	}
	return n, err
}

// explain turns the failure of a body into a fault; err is what storing it gave.
func (u *upload) explain(err error) error {
	switch {
	case slow(u.err):
		return fault.Invalidf("sds.too_slow", "The document arrived too slowly: %d bytes in %s.", u.pace.moved, time.Since(u.pace.start).Round(time.Second)).
			WithNext("Send it again.").WithCause(u.err)
	case u.err != nil || gone(err):
		return fault.Invalidf("sds.cut_off", "The document was cut off after %d bytes; nothing was stored.", u.pace.moved).WithNext("Send it again.").WithCause(u.err)
	}
	return err
}

// What is done with a body that is not wanted.
const (
	drained = 16 << 20        // bytes that are read and thrown away at most
	linger  = 2 * time.Second // for the rest of it
)

// dismiss deals with the body of a refused request. Clients that answer a
// challenge, Apache's among them, send all of it before they look at the answer,
// and take a connection that is cut for a failure. So a body of usual size is
// read and thrown away, unless the caller waits for a 100 (Continue).
func dismiss(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	if r.ContentLength <= drained && r.Header.Get("Expect") == "" {
		_, err := io.CopyN(io.Discard, newUpload(w, r), drained)
		if err == io.EOF {
			return
		}
	}
	// The server reads on for a little, to save the connection. A caller who
	// keeps the body back must not keep the connection.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(linger)) // see pace
}

// A download is the content of an answer. [http.ServeContent] reads the next
// part when the last has gone out, which is when its deadline is set.
type download struct {
	io.ReadSeeker
	control *http.ResponseController
	pace    pace
	err     error // of reading, which ServeContent does not report
}

func newDownload(w http.ResponseWriter, content io.ReadSeeker) *download {
	c := http.NewResponseController(w)
	return &download{ReadSeeker: content, control: c, pace: pace{set: c.SetWriteDeadline, start: time.Now()}}
}

func (d *download) Read(p []byte) (int, error) {
	d.pace.next()
	n, err := d.ReadSeeker.Read(p)
	d.pace.moved += int64(n)
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
}

// finish sends the rest within the deadline and lifts it. An answer that could
// not be read to its end is shorter than its Content-Length, and the server
// cuts the connection, so nobody takes it for whole.
func (d *download) finish(ctx context.Context) {
	if d.err != nil {
		telemetry.Logger(ctx).ErrorContext(ctx, "a document could not be read to its end", "error", d.err)
	}
	_ = d.control.Flush() // a peer that is gone is the server's business
	d.pace.end()
}
