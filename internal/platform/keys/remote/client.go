package remote

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Limits of a client. The back-off is how long a call may wait before it tries
// to connect again: short, because connecting to a Unix socket costs nothing
// and a waiting call heals by itself.
const (
	defaultTimeout = 10 * time.Second
	writePatience  = 10 * time.Second
	maxInFlight    = 128
	firstBackOff   = 5 * time.Millisecond
	maxBackOff     = 250 * time.Millisecond
)

// A Client talks to one signer process over one connection, which it opens with
// the first call and again whenever it was lost. Its methods may be called from
// any goroutine.
type Client struct {
	socket  string
	timeout time.Duration
	flight  chan struct{}

	dial sync.Mutex // one goroutine connects; guards the next two
	wait time.Duration
	last time.Time

	mu     sync.Mutex // guards the rest
	conn   *clientConn
	closed bool
}

// An Option changes a client.
type Option func(*Client)

// WithTimeout bounds each call, 10 s unless set. It covers connecting as well.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// NewClient returns a client for the socket of a signer process, which need not
// run yet.
func NewClient(socket string, opts ...Option) *Client {
	c := &Client{socket: socket, timeout: defaultTimeout, flight: make(chan struct{}, maxInFlight)}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Health asks whether the token answers.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.call(ctx, opHealth, nil)
	return err
}

// List gives the keys in the token that can sign.
func (c *Client) List(ctx context.Context) ([]KeyInfo, error) {
	b, err := c.call(ctx, opList, nil)
	if err != nil {
		return nil, err
	}
	list, err := decodeKeys(b)
	if err != nil {
		return nil, c.unavailable(err)
	}
	return list, nil
}

// Close ends the connection; calls under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	conn := c.conn
	c.conn, c.closed = nil, true
	c.mu.Unlock()
	if conn != nil {
		conn.fail(net.ErrClosed)
	}
	return nil
}

func (c *Client) unavailable(cause error) error {
	return fault.Unavailablef(cause, "keys.hsm_unavailable", "The signer process at %s does not answer.", c.socket).
		WithNext("Check that sealwright-signer runs and that its token is there; the same request works again then.")
}

// call sends one request and waits for its answer.
func (c *Client) call(ctx context.Context, op byte, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.flight <- struct{}{}:
		defer func() { <-c.flight }()
	case <-ctx.Done():
		return nil, c.unavailable(ctx.Err())
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, c.unavailable(err)
	}
	answer, err := conn.exchange(ctx, op, payload)
	var f *fault.Fault
	if errors.As(err, &f) {
		return nil, err
	}
	if err != nil {
		return nil, c.unavailable(err)
	}
	if answer.code == answerOK {
		return answer.payload, nil
	}
	if err := decodeFault(answer.code, answer.payload); !errors.Is(err, errFrame) {
		return nil, err
	}
	return nil, c.unavailable(errFrame)
}

func (c *Client) current() (*clientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.conn != nil && c.conn.broken() {
		c.conn = nil
	}
	return c.conn, nil
}

// connect returns the connection, making one if there is none. Callers that
// come while it fails wait out the back-off instead of hammering.
func (c *Client) connect(ctx context.Context) (*clientConn, error) {
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err
	}
	c.dial.Lock()
	defer c.dial.Unlock()
	if conn, err := c.current(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case <-time.After(c.wait - time.Since(c.last)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", c.socket)
	c.last = time.Now()
	if err != nil {
		c.wait = min(max(2*c.wait, firstBackOff), maxBackOff)
		return nil, err
	}
	c.wait = 0
	conn := &clientConn{conn: nc, pending: map[uint64]chan frame{}, lost: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(net.ErrClosed, nc.Close())
	}
	c.conn = conn
	go conn.read()
	return conn, nil
}

// A clientConn is one connection and the requests that wait on it.
type clientConn struct {
	conn  net.Conn
	write sync.Mutex

	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan frame
	err     error
	lost    chan struct{}
}

func (c *clientConn) exchange(ctx context.Context, op byte, payload []byte) (frame, error) {
	answer := make(chan frame, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.pending[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id) // an answer that comes too late is dropped
		c.mu.Unlock()
	}()
	b, err := frame{id, op, payload}.append(nil)
	if err != nil {
		return frame{}, err
	}
	if err := c.send(ctx, b); err != nil {
		return frame{}, err
	}
	select {
	case f := <-answer:
		return f, nil
	case <-c.lost:
		select {
		case f := <-answer: // it came just before the end
			return f, nil
		default:
			return frame{}, c.cause()
		}
	case <-ctx.Done():
		return frame{}, ctx.Err()
	}
}

// send writes one frame. A caller whose time is up before its turn costs the
// others nothing; a write that does not get through ends the connection, since
// half a frame may be out.
func (c *clientConn) send(ctx context.Context, b []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.conn.SetWriteDeadline(time.Now().Add(writePatience))
	if err == nil {
		_, err = c.conn.Write(b)
	}
	if err != nil {
		c.fail(err)
	}
	return err
}

func (c *clientConn) read() {
	r := bufio.NewReader(c.conn)
	for {
		f, err := readFrame(r)
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		answer := c.pending[f.id]
		delete(c.pending, f.id)
		c.mu.Unlock()
		if answer != nil {
			answer <- f // has room for the one answer
		}
	}
}

// fail ends the connection for everybody on it; the first cause stays.
func (c *clientConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.lost)
	_ = c.conn.Close() // it is lost already
}

func (c *clientConn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *clientConn) broken() bool { return c.cause() != nil }
