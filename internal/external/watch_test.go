package external_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/external/opensslca"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// server is a TLS server on loopback whose certificate can be changed.
type server struct {
	t        *testing.T
	lab      *opensslca.Lab
	listener net.Listener
	mu       sync.Mutex
	shown    tls.Certificate
	looks    int
	names    []string // that clients asked for
	hold     chan struct{}
}

func serve(t *testing.T, l *opensslca.Lab, config *tls.Config, files ...string) *server {
	t.Helper()
	s := &server{t: t, lab: l}
	s.show(files...)
	config = config.Clone()
	config.GetCertificate = s.certificate
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = tls.NewListener(inner, config)
	t.Cleanup(func() { s.listener.Close() })
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Read(make([]byte, 1)) // the handshake, and then the client's goodbye
			}()
		}
	}()
	return s
}

func (s *server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	s.looks++
	s.names = append(s.names, hello.ServerName)
	shown, hold := s.shown, s.hold
	s.mu.Unlock()
	if hold != nil {
		hold <- struct{}{} // the look is under way
		<-hold
	}
	return &shown, nil
}

// show makes the server show a certificate, with others above it.
func (s *server) show(files ...string) {
	s.t.Helper()
	var chain []byte
	for _, f := range files {
		chain = append(chain, s.lab.Read(f+".pem")...)
	}
	pair, err := tls.X509KeyPair(chain, s.lab.Read(files[0]+".key"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = pair
}

func (s *server) address() string { return s.listener.Addr().String() }

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// What a server shows is imported with its chain, and the server is watched.
func TestACertificateIsImportedFromItsServer(t *testing.T) {
	l := servers(t)
	leaf(l, "www", "DNS:www.example.com", 90)
	l.Issue(opensslca.Request{File: "self", CA: true, Names: "DNS:self.example.com"})
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		s := serve(t, l, &tls.Config{}, "www", "root", "sub") // in a wrong order, as servers do
		operator := f.scope(access.RoleRAOperator, realm, f.north.ID)
		fields := external.Fields{Owner: "Web", Address: s.address()}
		got, err := f.ImportFrom(t.Context(), operator, f.north.ID, fields)
		f.must(err)
		c := f.reload(got.Certificate)
		if got.Outcome != external.Imported || c.Title() != "www.example.com" || c.Owner != "Web" || c.Address != s.address() ||
			c.Check.State != external.Same || !c.Check.Seen.Equal(noon) || c.Check.Shown != c.SHA256 || !c.Check.Due.Equal(noon.Add(days(1))) {
			t.Errorf("%+v", c)
		}
		chain, err := f.Download(t.Context(), operator, c.ID)
		f.must(err)
		if len(chain) != 3 || !bytes.Equal(chain[1], l.DER("sub")) || !bytes.Equal(chain[2], l.DER("root")) {
			t.Errorf("a chain of %d", len(chain))
		}
		again, err := f.ImportFrom(t.Context(), operator, f.north.ID, fields)
		f.must(err)
		if again.Outcome != external.Duplicate || again.Certificate.ID != c.ID {
			t.Errorf("%+v", again)
		}
		// A server with a certificate that it signed itself, by "localhost".
		s.show("self")
		_, port, _ := net.SplitHostPort(s.address())
		self, err := f.ImportFrom(t.Context(), operator, f.north.ID, external.Fields{Address: "localhost:" + port})
		f.must(err)
		if self.Outcome != external.Imported || !self.Certificate.Authority || s.names[0] != "" || s.names[2] != "localhost" {
			t.Errorf("%+v, asked for %q", self, s.names)
		}
		_, err = f.ImportFrom(t.Context(), operator, f.north.ID, external.Fields{})
		f.want(err, fault.Invalid, "external.address")
		f.equal("acts", f.acts("address"), []string{"import address=" + s.address(), "import address=localhost:" + port})
	})
}

// Each look tells what the server shows now, against the certificate that was imported.
func TestALookSaysWhatTheServerShows(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 90)
	leaf(l, "next", "DNS:www.example.com", 400)
	leaf(l, "earlier", "DNS:www.example.com", 30)
	leaf(l, "api", "DNS:api.example.com", 400)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		s := serve(t, l, &tls.Config{}, "www")
		c := f.take(www, external.Fields{Address: s.address()})
		if c.Check.State != external.Unchecked {
			t.Errorf("%+v", c.Check)
		}
		at := noon
		for _, step := range []struct {
			shown, problem string
			state          external.State
			due            time.Duration
		}{
			{"www", "", external.Same, days(1)},
			{"next", "newer certificate for the same names: next.example.com", external.Newer, days(1)},
			{"earlier", "another certificate: earlier.example.com", external.Other, days(1)},
			{"api", "another certificate: api.example.com", external.Other, days(1)},
			{"www", "", external.Same, days(1)},
		} {
			f.clock.Advance(time.Hour)
			at = at.Add(time.Hour)
			s.show(step.shown)
			got, err := f.Probe(t.Context(), system, c.ID)
			f.must(err)
			k := got.Check
			if k.State != step.state || !k.At.Equal(at) || !k.Due.Equal(at.Add(step.due)) || !strings.Contains(k.Problem, step.problem) || (k.Problem == "") != (step.problem == "") {
				t.Errorf("%s: %+v", step.shown, k)
			}
			if seen := k.Seen.Equal(at); seen != (step.shown == "www") || len(k.Shown) != 64 || k.ShownEnd.Hour() != 12 {
				t.Errorf("%s: %+v", step.shown, k)
			}
		}
		s.listener.Close()
		got, err := f.Probe(t.Context(), system, c.ID)
		f.must(err)
		if k := got.Check; k.State != external.Failed || !k.Due.Equal(at.Add(time.Hour)) || !k.Seen.Equal(at) || k.Shown != c.SHA256 || !strings.Contains(k.Problem, "refuses the connection") {
			t.Errorf("%+v", k)
		}
		f.equal("found by state", f.titles(system, external.Filter{State: external.Failed}, 5), []string{"www.example.com"})
		f.clock.Set(c.NotAfter.Add(time.Hour))
		s2 := serve(t, l, &tls.Config{}, "www")
		_, err = f.Change(t.Context(), system, c.ID, 1, external.Fields{Address: s2.address()})
		f.must(err)
		got, err = f.Probe(t.Context(), system, c.ID)
		f.must(err)
		if k := got.Check; k.State != external.Same || !strings.Contains(k.Problem, "expired on 19 February 2027") {
			t.Errorf("%+v", k)
		}
		f.equal("acts", f.acts("state"), []string{"import", "check state=same", "check state=newer", "check state=other", "check state=other", "check state=same", "check state=failed", "change", "check state=same"})
	})
}

// Rule 5 of the house: no look goes where the configuration does not allow it.
func TestServersOffThePublicInternetAreNotLookedAtUnlessAllowed(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 90)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), func(o *external.Options) { o.Egress = egress.Policy{} })
	s := serve(t, l, &tls.Config{}, "www")
	_, port, _ := net.SplitHostPort(s.address())
	for _, address := range []string{s.address(), "localhost:" + port, "[::ffff:127.0.0.1]:" + port} {
		_, err := f.ImportFrom(t.Context(), system, f.north.ID, external.Fields{Address: address})
		f.want(err, fault.Forbidden, "egress.refused")
	}
	c := f.take(www, external.Fields{Address: s.address()})
	f.must(f.Watch(t.Context()))
	if k := f.reload(c).Check; k.State != external.Failed || !strings.Contains(k.Problem, "loopback") || s.count() != 0 {
		t.Errorf("%+v after %d looks", k, s.count())
	}
}

func TestServersThatShowNothingAreSaidWhy(t *testing.T) {
	l := servers(t)
	leaf(l, "www", "DNS:www.example.com", 90)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), func(o *external.Options) { o.Egress.Timeout = 300 * time.Millisecond })
	listen := func(answer string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		f.must(err)
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				if answer != "" {
					conn.Write([]byte(answer))
					conn.Close()
				} else {
					t.Cleanup(func() { conn.Close() })
				}
			}
		}()
		return listener.Addr().String()
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	closed.Close()
	for code, address := range map[string]string{
		"external.refused": closed.Addr().String(), "external.no_tls": listen("HTTP/1.0 400 Bad Request\r\n\r\n"), "external.timeout": listen(""),
		"external.unreachable": listen("\x15\x03\x01\x00\x02\x02\x28"),
		"external.no_host":     "a.-name:443", // which no resolver is asked for
	} {
		_, err := f.ImportFrom(t.Context(), system, f.north.ID, external.Fields{Address: address})
		if !errors.Is(err, fault.Unavailable) || fault.Of(err).Code != code || !strings.Contains(fault.Of(err).Message, strings.Split(address, ":")[0]) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// Old servers and those that want a certificate of the client show theirs all the same.
func TestServersOfEveryKindShowTheirCertificate(t *testing.T) {
	l := servers(t)
	l.Issue(opensslca.Request{File: "rsa", Issuer: "sub", Key: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"})
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for name, config := range map[string]*tls.Config{
		"TLS 1.3":                              {MinVersion: tls.VersionTLS13},
		"TLS 1.2 without forward secrecy":      {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
		"TLS 1.0":                              {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"TLS 1.2 that wants a certificate":     {MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert},
		"TLS 1.3 that wants a certificate":     {ClientAuth: tls.RequireAnyClientCert},
		"TLS 1.2 of another protocol than web": {MaxVersion: tls.VersionTLS12, NextProtos: []string{"xmpp-server"}},
	} {
		s := serve(t, l, config, "rsa")
		got, err := f.ImportFrom(t.Context(), system, f.north.ID, external.Fields{Address: s.address()})
		if err != nil || got.Certificate.Title() != "rsa" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The servers are looked at once a day, and once an hour near the end and after a
// failure, by one node at a time.
func TestServersAreLookedAtInTheirTurn(t *testing.T) {
	l := servers(t)
	www, soon, dead := leaf(l, "www", "DNS:www.example.com", 90), leaf(l, "soon", "DNS:soon.example.com", 6), leaf(l, "dead", "DNS:dead.example.com", 90)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		s, s2, gone := serve(t, l, &tls.Config{}, "www"), serve(t, l, &tls.Config{}, "soon"), serve(t, l, &tls.Config{}, "dead")
		gone.listener.Close()
		f.take(www, external.Fields{Address: s.address()})
		f.take(soon, external.Fields{Address: s2.address()})
		d := f.take(dead, external.Fields{Address: gone.address()})
		both := func() {
			t.Helper()
			done := make(chan error)
			for _, node := range []*external.Registry{f.node(), f.node()} {
				go func() { done <- node.Watch(t.Context()) }()
			}
			f.must(errors.Join(<-done, <-done))
		}
		both()
		if s.count() != 1 || s2.count() != 1 {
			t.Errorf("at first: %d and %d looks", s.count(), s2.count())
		}
		for range 23 {
			f.clock.Advance(time.Hour)
			both()
		}
		if s.count() != 1 || s2.count() != 24 || !f.reload(d).Check.At.Equal(noon.Add(23*time.Hour)) {
			t.Errorf("within a day: %d and %d looks, %+v", s.count(), s2.count(), f.reload(d).Check)
		}
		f.clock.Advance(time.Hour)
		both()
		if s.count() != 2 || s2.count() != 25 {
			t.Errorf("after a day: %d and %d looks", s.count(), s2.count())
		}
		acts := f.acts("state", "certificate")[3:] // each look that found a change, in any order
		slices.Sort(acts)
		f.equal("acts", acts, []string{
			"check state=failed certificate=dead.example.com", "check state=same certificate=soon.example.com", "check state=same certificate=www.example.com",
		})
	})
}

func TestALookThatWasOvertakenOrStoppedChangesNothing(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 90)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		s := serve(t, l, &tls.Config{}, "www")
		s.hold = make(chan struct{})
		c := f.take(www, external.Fields{Address: s.address()})
		done := make(chan error)
		go func() { done <- f.Watch(t.Context()) }()
		<-s.hold
		c, err := f.Change(t.Context(), system, c.ID, 1, external.Fields{Address: "127.0.0.1:1"})
		f.must(err)
		s.hold <- struct{}{}
		f.must(<-done)
		if k := f.reload(c).Check; k.State != external.Unchecked || !k.Due.Equal(noon) {
			t.Errorf("the look at the old address counts: %+v", k)
		}
		c, err = f.Change(t.Context(), system, c.ID, 2, external.Fields{Address: s.address()})
		f.must(err)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- f.Watch(ctx) }()
		<-s.hold
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
		s.hold <- struct{}{}
		if k := f.reload(c).Check; k.State != external.Unchecked || !k.Due.Equal(noon.Add(15*time.Minute)) {
			t.Errorf("the node that stopped left %+v", k)
		}
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		f.clock.Advance(15 * time.Minute)
		f.must(f.Watch(t.Context()))
		if k := f.reload(c).Check; k.State != external.Same {
			t.Errorf("another node does not take it up: %+v", k)
		}
	})
}

func TestTheCertificateThatAServerShowsNowIsAdopted(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 20)
	leaf(l, "next", "DNS:www.example.com", 400)
	other := leaf(l, "other", "DNS:other.example.com", 300)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		s := serve(t, l, &tls.Config{}, "www")
		operator := f.scope(access.RoleRAOperator, realm, f.north.ID)
		old := f.take(www, external.Fields{Owner: "Web", Comment: "note", Recipients: []string{"a@example.org"}, Address: s.address()})
		known := f.take(other, external.Fields{Owner: "Else"})
		_, err := f.Adopt(t.Context(), operator, old.ID)
		f.want(err, fault.Conflict, "external.unchanged")
		_, err = f.Adopt(t.Context(), operator, known.ID)
		f.want(err, fault.Conflict, "external.no_address")
		s.show("next", "sub")
		next, err := f.Adopt(t.Context(), operator, old.ID)
		f.must(err)
		if next.Title() != "next.example.com" || next.Owner != "Web" || next.Comment != "note" || !slices.Equal(next.Recipients, []string{"a@example.org"}) || next.Address != s.address() || next.Check.State != external.Same {
			t.Errorf("%+v", next)
		}
		if old = f.reload(old); old.Address != "" || !old.Check.Due.IsZero() || old.Successor != next.ID || old.Owner != "Web" {
			t.Errorf("%+v", old)
		}
		s.show("other") // which is in the list, without an address
		got, err := f.Adopt(t.Context(), operator, next.ID)
		f.must(err)
		if got.ID != known.ID || got.Owner != "Else" || got.Address != s.address() || f.reload(next).Address != "" {
			t.Errorf("%+v", got)
		}
		f.equal("acts", f.acts("successor"), []string{"import", "import", "import", "adopt successor=" + next.ID, "adopt successor=" + known.ID})
	})
}
