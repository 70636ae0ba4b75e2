package caller

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// The whole of authentication is tested through TLS with the real domains in
// package api; here is what needs thousands of callers, or a domain that fails.

const goodToken = "swt_good"

// world is a directory with one owner, who has one token and one certificate.
type world struct {
	clock  *clock.Fake
	asked  int
	down   error
	record authority.Record
	auth   *Authenticator
}

func newWorld() *world {
	w := &world{
		clock:  clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)),
		record: authority.Record{Kind: apicert.Kind, Realm: apicert.Realm, Authority: "platform-clients-1", Serial: []byte{1}},
	}
	w.auth = New(Options{Directory: w, Certificates: w, Clock: w.clock, Identify: func(context.Context, *tls.ConnectionState) (authority.Record, error) {
		return w.record, w.down
	}})
	return w
}

func (w *world) AuthenticateToken(_ context.Context, t secret.Text) (access.Scope, access.TokenInfo, error) {
	w.asked++
	if w.down != nil {
		return access.Scope{}, access.TokenInfo{}, w.down
	}
	if t.Reveal() != goodToken {
		return access.Scope{}, access.TokenInfo{}, fault.Unauthenticatedf("token.unknown", "The API token is not known.")
	}
	return access.System("owner"), access.TokenInfo{Name: "nightly"}, nil
}

func (w *world) ScopeOf(context.Context, string) (access.Scope, error) {
	return access.System("owner"), nil
}

func (w *world) Owner(context.Context, string, string) (string, apicert.Certificate, error) {
	return "owner", apicert.Certificate{Nickname: "front"}, nil
}

func (w *world) call(token, address string, headers ...string) (Caller, context.Context, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = address
	if token != "" {
		r.Header.Set("x-api-key", token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.auth.Authenticate(r)
}

func want(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if !errors.Is(err, kind) || fault.Of(err).Code != code {
		t.Fatalf("got %v, want %v %s", err, kind, code)
	}
}

func TestActsAreDoneInTheOwnersNameWithTheCredentialNamed(t *testing.T) {
	w := newWorld()
	_, ctx, err := w.call(goodToken, "192.0.2.7:1234")
	if o := audit.OriginOf(ctx); err != nil || o.Kind != audit.Token || o.ID != "owner" || o.Name != "owner (token nightly)" || o.From != "192.0.2.7" {
		t.Errorf("%+v %v", o, err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "[fe80::1%eth0]:1"
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("der")}}}
	c, ctx, err := w.auth.Authenticate(r)
	if o := audit.OriginOf(ctx); err != nil || c.Method != Certificate || o.Kind != audit.Certificate || o.Name != "owner (certificate front)" || o.From != "fe80::1" {
		t.Errorf("%+v %+v %v", c, o, err)
	}
	w.record.Kind = "ws-ssl"
	_, _, err = w.auth.Authenticate(r)
	want(t, err, fault.Unauthenticated, "apicert.unknown")
	w.down = fault.Forbiddenf("clientcert.expired", "It expired.")
	_, _, err = w.auth.Authenticate(r)
	want(t, err, fault.Unauthenticated, "clientcert.expired")
}

func TestADeadTokenInALoopIsStoppedWithoutShuttingOutItsNeighbours(t *testing.T) {
	w := newWorld()
	for range credentialBurst {
		_, _, err := w.call("swt_dead", "192.0.2.7:1")
		want(t, err, fault.Unauthenticated, "token.unknown")
	}
	asked := w.asked
	for range 1000 {
		_, _, err := w.call("swt_dead", "192.0.2.7:1")
		want(t, err, fault.TooMany, "caller.wait")
		if after := fault.Of(err).RetryAfter; after <= 0 || after > credentialEvery {
			t.Fatalf("retry after %v", after)
		}
	}
	if w.asked != asked {
		t.Error("the directory was asked although the caller had to wait")
	}
	if _, _, err := w.call(goodToken, "192.0.2.7:2"); err != nil {
		t.Errorf("a neighbour: %v", err)
	}
	w.clock.Advance(credentialEvery)
	_, _, err := w.call("swt_dead", "192.0.2.7:1")
	want(t, err, fault.Unauthenticated, "token.unknown")
}

func TestGuessingFromOneAddressIsStopped(t *testing.T) {
	for _, network := range []func(i int) string{
		func(int) string { return "192.0.2.7:1" },
		func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i+1) }, // one subscriber has a whole /64
	} {
		w := newWorld()
		for i := range addressBurst {
			_, _, err := w.call(fmt.Sprint("swt_guess", i), network(i))
			want(t, err, fault.Unauthenticated, "token.unknown")
		}
		_, _, err := w.call("swt_another", network(addressBurst))
		want(t, err, fault.TooMany, "caller.wait")
		_, _, err = w.call("swt_another", "198.51.100.1:1")
		want(t, err, fault.Unauthenticated, "token.unknown")
	}
}

func TestWhatIsWrongHereIsNotCountedAgainstTheCaller(t *testing.T) {
	w := newWorld()
	w.down = fault.Unavailablef(nil, "store.down", "The database does not answer.")
	for range 2 * credentialBurst {
		_, _, err := w.call(goodToken, "192.0.2.7:1")
		want(t, err, fault.Unavailable, "store.down")
	}
	w.down = nil
	if _, _, err := w.call(goodToken, "192.0.2.7:1"); err != nil {
		t.Errorf("after it is back: %v", err)
	}
}

// "No secret in logs, URLs, errors": not even a wrong one, which may be a right
// one elsewhere.
func TestARefusalDoesNotRepeatTheCredential(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	w := newWorld()
	_, _, err := w.call("swt_topsecret", "192.0.2.7:1")
	_, _, other := w.call("", "192.0.2.7:1", "Authorization", "Basic topsecret")
	if text := log.String() + fmt.Sprintf("%+v %+v", err, other); strings.Contains(text, "topsecret") || !strings.Contains(text, "token.unknown") {
		t.Errorf("%s", text)
	}
}

func TestChallengesFollowTheBearerScheme(t *testing.T) {
	if got := Challenge(missing()); got != `Bearer realm="sealwright"` {
		t.Error(got)
	}
	if got := Challenge(fault.Unauthenticatedf("token.ended", "x")); got != `Bearer realm="sealwright", error="invalid_token"` {
		t.Error(got)
	}
}

func FuzzNoHeaderMakesACallerOfNobody(f *testing.F) {
	for _, s := range []string{"Bearer swt_x", "bearer", "Basic YTpi", "", "Bearer ", "BEARER\tx"} {
		f.Add(s, "")
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, authorization, key string) {
		if strings.Contains(authorization+key, goodToken) {
			return
		}
		w := newWorld()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{"Authorization": {authorization}, "X-Api-Key": {key}}
		if _, _, err := w.auth.Authenticate(r); !errors.Is(err, fault.Unauthenticated) {
			t.Fatalf("%q %q: %v", authorization, key, err)
		}
	})
}
