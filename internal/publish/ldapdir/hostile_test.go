package ldapdir_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

// A liar is a directory that answers what it is told to: a result code for each
// sort of request, and no entries.
type liar struct {
	codes  map[ber.Tag]uint16 // of the request; success when absent
	silent map[ber.Tag]bool   // requests that it never answers
}

// serve accepts connections until the test ends and gives the port.
func serve(t *testing.T, handle func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func (l liar) handle(c net.Conn) {
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		request := p.Children[1].Tag
		if l.silent[request] {
			_, _ = io.Copy(io.Discard, c) // until the other side loses patience
			return
		}
		answer := map[ber.Tag]ber.Tag{
			ldap.ApplicationBindRequest: ldap.ApplicationBindResponse, ldap.ApplicationSearchRequest: ldap.ApplicationSearchResultDone,
			ldap.ApplicationModifyRequest: ldap.ApplicationModifyResponse, ldap.ApplicationAddRequest: ldap.ApplicationAddResponse,
			ldap.ApplicationDelRequest: ldap.ApplicationDelResponse,
		}[request]
		if answer == 0 {
			return
		}
		out := ber.NewSequence("")
		out.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, p.Children[0].Value, ""))
		op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, answer, nil, "")
		op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, uint64(l.codes[request]), ""))
		op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "so it says", ""))
		out.AppendChild(op)
		if _, err := c.Write(out.Bytes()); err != nil {
			return
		}
	}
}

func plain(port int) ldapdir.Settings {
	return ldapdir.Settings{Host: "127.0.0.1", Port: port, Security: ldapdir.Plain, BindDN: publishtest.BindDN, Timeout: 1, Certificates: people()}
}

// A directory that says yes to everything has not published anything.
func TestTheDirectoryIsBelievedWhatItShows(t *testing.T) {
	ca := publishtest.NewCA(t, "Issuer")
	o := object(t, ca.Leaf(t, 1, "fifth@example.org", publishtest.Subject("Fifth Person")))
	cases := []struct {
		name        string
		codes       map[ber.Tag]uint16
		fails       string
		unreachable bool
	}{
		{"success that is none", nil, "does not show it", false},
		{"exists already, which is not so", map[ber.Tag]uint16{ldap.ApplicationModifyRequest: ldap.LDAPResultAttributeOrValueExists}, "does not show it", false},
		{"no such entry, then it exists", map[ber.Tag]uint16{ldap.ApplicationModifyRequest: ldap.LDAPResultNoSuchObject, ldap.ApplicationAddRequest: ldap.LDAPResultEntryAlreadyExists}, "(32)", false},
		{"busy", map[ber.Tag]uint16{ldap.ApplicationModifyRequest: ldap.LDAPResultBusy}, "(51)", true},
		{"unavailable at sign-in", map[ber.Tag]uint16{ldap.ApplicationBindRequest: ldap.LDAPResultUnavailable}, "(52)", true},
		{"a referral elsewhere, which is not followed", map[ber.Tag]uint16{ldap.ApplicationModifyRequest: ldap.LDAPResultReferral}, "(10)", false},
		{"a code that nobody has defined", map[ber.Tag]uint16{ldap.ApplicationModifyRequest: 123}, "(123)", false},
		{"no search", map[ber.Tag]uint16{ldap.ApplicationSearchRequest: ldap.LDAPResultInsufficientAccessRights}, "(50)", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, err := plain(serve(t, liar{codes: c.codes}.handle)).Compile()
			if err != nil {
				t.Fatal(err)
			}
			err = attempt(t, d, o)
			if err == nil || !strings.Contains(err.Error(), c.fails) || place.IsUnreachable(err) != c.unreachable {
				t.Fatalf("got %v (unreachable %v)", err, place.IsUnreachable(err))
			}
		})
	}
}

func attempt(t *testing.T, d *ldapdir.Directory, o place.Object) error {
	t.Helper()
	s, err := d.Open(t.Context(), link(publishtest.Password, notes{}))
	if err != nil {
		return err
	}
	defer s.Close()
	at, err := d.Place(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), at, o)
	return err
}

// An account that may not read has to be believed.
func TestWithoutTheRightToReadTheAnswerCounts(t *testing.T) {
	ca := publishtest.NewCA(t, "Issuer")
	set := plain(serve(t, liar{silent: map[ber.Tag]bool{ldap.ApplicationSearchRequest: true}}.handle))
	set.WriteOnly = true
	d, err := set.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if err := attempt(t, d, object(t, ca.Leaf(t, 1, "fifth@example.org", publishtest.Subject("Fifth Person")))); err != nil {
		t.Fatal(err)
	}
}

func TestADirectoryThatHangsIsLeftInTime(t *testing.T) {
	ca := publishtest.NewCA(t, "Issuer")
	o := object(t, ca.Leaf(t, 1, "fifth@example.org", publishtest.Subject("Fifth Person")))
	silent := func(tag ber.Tag) func(net.Conn) { return liar{silent: map[ber.Tag]bool{tag: true}}.handle }
	deaf := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	cases := []struct {
		name     string
		security string
		handle   func(net.Conn)
	}{
		{"in the TLS handshake", ldapdir.LDAPS, deaf},
		{"at StartTLS", ldapdir.StartTLS, deaf},
		{"at sign-in", ldapdir.Plain, silent(ldap.ApplicationBindRequest)},
		{"at the change", ldapdir.Plain, silent(ldap.ApplicationModifyRequest)},
		{"at the look afterwards", ldapdir.Plain, silent(ldap.ApplicationSearchRequest)},
		{"in the middle of an answer", ldapdir.Plain, func(c net.Conn) {
			_, _ = c.Write([]byte{0x30, 0x84, 0x00, 0x00})
			deaf(c)
		}},
		{"by hanging up", ldapdir.Plain, func(net.Conn) {}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set := plain(serve(t, c.handle))
			set.Security = c.security
			d, err := set.Compile()
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if err := attempt(t, d, o); !place.IsUnreachable(err) {
				t.Fatalf("got %v", err)
			}
			if took := time.Since(begun); took > 8*time.Second {
				t.Fatalf("took %v with a time-out of a second", took)
			}
		})
	}
}

// An answer without end costs the time-out or the allowance, not the memory.
func TestAnEndlessAnswerIsCutShort(t *testing.T) {
	ca := publishtest.NewCA(t, "Issuer")
	sent := make(chan int64, 1)
	port := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		header := []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0xf0}
		n, _ := c.Write(header)
		block, total := make([]byte, 64<<10), int64(n)
		for {
			n, err := c.Write(block)
			total += int64(n)
			if err != nil {
				sent <- total
				return
			}
		}
	})
	d, err := plain(port).Compile()
	if err != nil {
		t.Fatal(err)
	}
	if err := attempt(t, d, object(t, ca.Leaf(t, 1, "fifth@example.org", publishtest.Subject("Fifth Person")))); !place.IsUnreachable(err) {
		t.Fatalf("got %v", err)
	}
	if n := <-sent; n > 64<<20 {
		t.Fatalf("%d octets were taken", n)
	}
}

func TestTheEndOfTheContextEndsASession(t *testing.T) {
	reached := make(chan struct{})
	set := plain(serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		close(reached)
		_, _ = io.Copy(io.Discard, c)
	}))
	set.Timeout = 60
	d, err := set.Compile()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	begun := time.Now()
	if s, err := d.Open(ctx, link(publishtest.Password, notes{})); err == nil {
		s.Close()
		t.Fatal("a sign-in without an answer succeeded")
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Fatalf("took %v", took)
	}
}
