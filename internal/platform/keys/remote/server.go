package remote

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Backend answers requests. Faults reach the client without their cause;
// other errors reach it as an internal fault. Methods run concurrently.
type Backend interface {
	// Keys lists the keys that can sign.
	Keys(ctx context.Context) ([]KeyInfo, error)
	// Key finds the key with this label; NotFound "keys.unknown" without one.
	Key(ctx context.Context, label string) (KeyInfo, error)
	// Sign makes one signature. The key must match the fingerprint.
	Sign(ctx context.Context, r Request) ([]byte, error)
	// Health fails when the token does not answer.
	Health(ctx context.Context) error
}

// Limits of a server. A connection has more room than its client uses, so a
// client of ours never waits for it.
const (
	maxConnections   = 64
	maxPerConnection = 2 * maxInFlight
	answerPatience   = 10 * time.Second
)

// Serve answers on l, which [Listen] made, until ctx ends or l fails; then it
// closes l and the connections and waits for what is under way.
func Serve(ctx context.Context, l net.Listener, b Backend, log *slog.Logger) error {
	s := &server{backend: b, log: log, slots: make(chan struct{}, maxConnections)}
	ctx, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept; a second close is harmless
	defer stop()
	for {
		s.slots <- struct{}{}
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // came too late
			}
			return nil
		}
		if err != nil {
			return errors.Join(err, l.Close())
		}
		s.running.Go(func() {
			defer func() { <-s.slots }()
			s.connection(ctx, conn)
		})
	}
}

type server struct {
	backend Backend
	log     *slog.Logger
	slots   chan struct{}
	running sync.WaitGroup
}

func (s *server) connection(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read below
	defer stop()
	var requests sync.WaitGroup
	var write sync.Mutex
	defer conn.Close()
	defer requests.Wait()
	room := make(chan struct{}, maxPerConnection)
	r := bufio.NewReader(conn)
	for {
		f, err := readFrame(r)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.log.Warn("connection ended", "error", err)
			}
			return
		}
		room <- struct{}{}
		requests.Go(func() {
			defer func() { <-room }()
			b := s.answer(ctx, f)
			write.Lock()
			defer write.Unlock()
			_ = conn.SetWriteDeadline(time.Now().Add(answerPatience)) // fails with the connection
			if _, err := conn.Write(b); err != nil {
				cancel() // half a frame may be out: nothing can follow it
			}
		})
	}
}

func (s *server) answer(ctx context.Context, request frame) []byte {
	payload, err := s.handle(ctx, request)
	answer := frame{id: request.id, code: answerOK, payload: payload}
	if err == nil {
		if b, e := answer.append(nil); e == nil {
			return b
		}
		err = fault.New(fault.TooLarge, "keys.answer_too_large", "The token holds more keys than one answer can list.")
	}
	s.log.Error("request failed", "error", err)
	answer.code, answer.payload = encodeFault(err)
	b, _ := answer.append(nil) // three short texts fit
	return b
}

func (s *server) handle(ctx context.Context, f frame) ([]byte, error) {
	switch f.code {
	case opHealth:
		return nil, s.backend.Health(ctx)
	case opList:
		list, err := s.backend.Keys(ctx)
		if err != nil {
			return nil, err
		}
		return encodeKeys(list)
	case opPublic:
		k, err := s.backend.Key(ctx, string(f.payload))
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(k.Public)
	case opSign:
		r, err := decodeRequest(f.payload)
		if err != nil {
			return nil, fault.Invalidf("keys.protocol", "The signer process cannot read the request.").WithNext("Run the same version of sealwright and sealwright-signer.")
		}
		return s.backend.Sign(ctx, r)
	}
	return nil, fault.Invalidf("keys.protocol", "The signer process does not know the request %d.", f.code).WithNext("Run the same version of sealwright and sealwright-signer.")
}
