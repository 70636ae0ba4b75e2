package remote

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

var quiet = slog.New(slog.DiscardHandler)

// software is a backend of keys in memory. A sign request for the label "slow"
// waits until the gate opens.
type software struct {
	keys map[string]crypto.Signer
	gate chan struct{}
	down error
}

func (b *software) Keys(context.Context) ([]KeyInfo, error) {
	var list []KeyInfo
	for label, k := range b.keys {
		list = append(list, KeyInfo{label, k.Public()})
	}
	return list, nil
}

func (b *software) Key(_ context.Context, label string) (KeyInfo, error) {
	k, ok := b.keys[label]
	if !ok {
		return KeyInfo{}, fault.NotFoundf("keys.unknown", "No key %q.", label).WithNext("List them.")
	}
	return KeyInfo{label, k.Public()}, nil
}

func (b *software) Sign(ctx context.Context, r Request) ([]byte, error) {
	if r.Label == "slow" {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	k := b.keys[r.Label]
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil || sha256.Sum256(spki) != r.Fingerprint {
		return nil, fault.Conflictf("keys.replaced", "Another key.")
	}
	opts := crypto.SignerOpts(r.Hash)
	if r.Scheme == PSS {
		opts = &rsa.PSSOptions{Hash: r.Hash, SaltLength: r.SaltLength}
	}
	return k.Sign(rand.Reader, r.Input, opts)
}

func (b *software) Health(context.Context) error { return b.down }

func newSoftware(t testing.TB) *software {
	t.Helper()
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, d, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return &software{keys: map[string]crypto.Signer{"rsa": r, "ecdsa": e, "ed25519": d, "slow": e}, gate: make(chan struct{})}
}

// serve starts a server and returns a function that stops it and waits.
func serve(t testing.TB, path string, b Backend) (stop func()) {
	t.Helper()
	l, err := Listen(path, os.Getuid(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, b, quiet) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func start(t testing.TB, b Backend, opts ...Option) (*Client, string, func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sock")
	stop := serve(t, path, b)
	c := NewClient(path, opts...)
	t.Cleanup(func() { _ = c.Close() })
	return c, path, stop
}

func TestEverySchemeVerifies(t *testing.T) {
	c, _, _ := start(t, newSoftware(t))
	message := []byte("message")
	digests := map[crypto.Hash][]byte{}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		d := h.New()
		d.Write(message)
		digests[h] = d.Sum(nil)
	}
	r, err1 := c.Signer(t.Context(), "rsa")
	e, err2 := c.Signer(t.Context(), "ecdsa")
	d, err3 := c.Signer(t.Context(), "ed25519")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for h, digest := range digests {
		if sig, err := r.Sign(rand.Reader, digest, h); err != nil || rsa.VerifyPKCS1v15(r.Public().(*rsa.PublicKey), h, digest, sig) != nil {
			t.Errorf("PKCS #1 v1.5, %v: %v", h, err)
		}
		for _, salt := range []int{rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, 20} {
			sig, err := r.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: salt, Hash: h})
			if err != nil || rsa.VerifyPSS(r.Public().(*rsa.PublicKey), h, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) != nil {
				t.Errorf("PSS, %v, salt %d: %v", h, salt, err)
			}
		}
		if sig, err := e.Sign(rand.Reader, digest, h); err != nil || !ecdsa.VerifyASN1(e.Public().(*ecdsa.PublicKey), digest, sig) {
			t.Errorf("ECDSA, %v: %v", h, err)
		}
	}
	if sig, err := d.Sign(rand.Reader, message, crypto.Hash(0)); err != nil || !ed25519.Verify(d.Public().(ed25519.PublicKey), message, sig) {
		t.Errorf("Ed25519: %v", err)
	}
	list, err := c.List(t.Context())
	if err != nil || len(list) != 4 {
		t.Errorf("list: %v, %v", list, err)
	}
}

func TestWhatAKeyCannotSignIsRefusedBeforeItTravels(t *testing.T) {
	c, _, _ := start(t, newSoftware(t))
	for _, x := range []struct {
		name, label string
		input       []byte
		opts        crypto.SignerOpts
		code        string
	}{
		{"SHA-1", "rsa", make([]byte, 20), crypto.SHA1, "keys.hash"},
		{"a digest of another length", "ecdsa", make([]byte, 20), crypto.SHA256, "keys.sign_options"},
		{"no hash with RSA", "rsa", make([]byte, 20), crypto.Hash(0), "keys.sign_options"},
		{"a salt that is too long", "rsa", make([]byte, 32), &rsa.PSSOptions{SaltLength: 33, Hash: crypto.SHA256}, "keys.sign_options"},
		{"Ed25519ph", "ed25519", make([]byte, 64), crypto.SHA512, "keys.sign_options"},
		{"Ed25519ctx", "ed25519", make([]byte, 64), &ed25519.Options{Context: "x"}, "keys.sign_options"},
		{"a message above the frame", "ed25519", make([]byte, MaxFrame), crypto.Hash(0), "keys.message_too_large"},
	} {
		s, err := c.Signer(t.Context(), x.label)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(rand.Reader, x.input, x.opts); fault.Of(err).Code != x.code {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("the connection afterwards: %v", err)
	}
}

func TestFaultsKeepKindCodeAndWordsAcrossTheSocket(t *testing.T) {
	b := newSoftware(t)
	c, _, _ := start(t, b)
	_, err := c.Signer(t.Context(), "none")
	if f := fault.Of(err); f.Kind != fault.NotFound || f.Code != "keys.unknown" || f.Message != `No key "none".` || f.Next != "List them." {
		t.Errorf("%+v", f)
	}
	b.down = errors.New("CKR with a secret inside")
	err = c.Health(t.Context())
	if f := fault.Of(err); f.Kind != fault.Internal || f.Error() != "internal: Something went wrong on our side." {
		t.Errorf("%v", err)
	}
}

func TestAKeyReplacedUnderItsLabelDoesNotSign(t *testing.T) {
	b := newSoftware(t)
	c, path, stop := start(t, b)
	s, err := c.Signer(t.Context(), "ecdsa")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	serve(t, path, newSoftware(t)) // other keys, same labels
	digest := sha256.Sum256(nil)
	for {
		_, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
		if errors.Is(err, fault.Unavailable) {
			continue // the old connection ended in this call; the next one dials
		}
		if fault.Of(err).Code != "keys.replaced" {
			t.Errorf("%v", err)
		}
		return
	}
}

func TestASlowSignatureDoesNotHoldUpOthers(t *testing.T) {
	b := newSoftware(t)
	c, _, _ := start(t, b, WithTimeout(5*time.Minute)) // order is at stake here, not speed
	slow, err := c.Signer(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	fast, err := c.Signer(t.Context(), "ecdsa")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	done := make(chan error, 1)
	go func() {
		_, err := slow.Sign(rand.Reader, digest[:], crypto.SHA256)
		done <- err
	}()
	var wg sync.WaitGroup
	for i := range 2 * maxInFlight { // twice what is let in at once
		wg.Go(func() {
			d := sha256.Sum256(fmt.Append(nil, i))
			sig, err := fast.Sign(rand.Reader, d[:], crypto.SHA256)
			if err != nil || !ecdsa.VerifyASN1(fast.Public().(*ecdsa.PublicKey), d[:], sig) {
				t.Errorf("signature %d is not for its own digest: %v", i, err)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-done:
		t.Fatalf("the slow one ended first: %v", err)
	default:
	}
	close(b.gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAHungTokenIsUnavailableInTimeAndOthersGoOn(t *testing.T) {
	b := newSoftware(t)
	c, _, _ := start(t, b, WithTimeout(100*time.Millisecond))
	s, err := c.Signer(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	_, err = s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if f := fault.Of(err); f.Code != "keys.hsm_unavailable" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAClientMayStartBeforeItsServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	c := NewClient(path)
	for range 3 {
		if err := c.Health(t.Context()); fault.Of(err).Code != "keys.hsm_unavailable" {
			t.Errorf("%v", err)
		}
	}
	serve(t, path, newSoftware(t))
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("the next call: %v", err)
	}
	_ = c.Close()
	if err := c.Health(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
