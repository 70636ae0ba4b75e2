package ldapdir

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/publish/place"
)

// session is a connection on which the bind succeeded.
type session struct {
	d      *Directory
	wire   *wire
	conn   *ldap.Conn
	ledger place.Ledger
	stop   func() bool
}

// Open implements [place.Destination]. Certificates are verified for the
// server's name in every case; there is no setting that turns this off.
func (d *Directory) Open(ctx context.Context, l place.Link) (place.Session, error) {
	dialing, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	raw, err := l.Dialer.DialContext(dialing, "tcp", d.address())
	if err != nil {
		return nil, place.Unreachable(err)
	}
	s := &session{d: d, wire: &wire{Conn: raw}, ledger: l.Ledger}
	s.stop = context.AfterFunc(ctx, func() { _ = raw.Close() }) // ends whatever waits for it
	s.begin(0)
	if err := s.start(dialing); err != nil {
		s.Close()
		return nil, place.Unreachable(err)
	}
	if d.set.BindDN != "" {
		s.begin(0)
		if err := s.conn.Bind(d.set.BindDN, l.Password.Reveal()); err != nil {
			s.Close()
			return nil, place.Unreachable(fmt.Errorf("sign in as %s: %w", d.set.BindDN, say(err)))
		}
	}
	return s, nil
}

// start brings the connection to where LDAP requests are safe to send.
func (s *session) start(ctx context.Context) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.d.roots, ServerName: s.d.set.Host}
	if s.d.set.ServerName != "" {
		config.ServerName = s.d.set.ServerName
	}
	if s.d.set.Security == LDAPS {
		secure := tls.Client(s.wire, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = s.wire.Close() // there is no LDAP connection yet to do it
			return fmt.Errorf("TLS: %w", err)
		}
		s.connect(secure, true)
		return nil
	}
	s.connect(s.wire, false)
	if s.d.set.Security == StartTLS {
		if err := s.conn.StartTLS(config); err != nil {
			return fmt.Errorf("StartTLS: %w", say(err))
		}
	}
	return nil
}

func (s *session) connect(c net.Conn, secure bool) {
	s.conn = ldap.NewConn(c, secure)
	s.conn.SetTimeout(s.d.timeout())
	s.conn.Start()
}

// Close implements [place.Session].
func (s *session) Close() {
	s.stop()
	s.begin(0) // a server that reads nothing does not hold up the goodbye
	if s.conn != nil {
		_ = s.conn.Close() // nothing is lost with it
	}
	_ = s.wire.Close()
}

// begin gives the next request its time and its allowance of octets to read:
// what a directory says about one entry, and objects of the size at hand.
func (s *session) begin(size int) {
	s.wire.allowance.Store(int64(maxAnswer + 2*size))
	_ = s.wire.SetDeadline(time.Now().Add(s.d.timeout() + time.Second)) // fails only when closed, which the request will tell
}

// maxAnswer bounds one answer beyond the object itself.
const maxAnswer = 4 << 20

var errAnswer = errors.New("the directory's answer is larger than allowed")

// wire bounds how much is read for one request: a length in an answer is a
// promise of the other side, and memory is ours.
type wire struct {
	net.Conn
	allowance atomic.Int64
}

func (w *wire) Read(b []byte) (int, error) {
	left := w.allowance.Load()
	if left <= 0 {
		return 0, errAnswer
	}
	n, err := w.Conn.Read(b[:min(int64(len(b)), left)])
	w.allowance.Add(-int64(n))
	return n, err
}

// A refusal is an answer of the directory with a result code. The server's own
// words are kept, shortened by whoever stores them.
type refusal struct{ err *ldap.Error }

func (r refusal) Unwrap() error { return r.err }

func (r refusal) Error() string {
	text := fmt.Sprintf("%s (%d)", ldap.LDAPResultCodeMap[r.err.ResultCode], r.err.ResultCode)
	if r.err.Err != nil && r.err.Err.Error() != "" {
		text += ": " + r.err.Err.Error()
	}
	return text
}

// say words an error of the library for people.
func say(err error) error {
	var e *ldap.Error
	if errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork {
		return refusal{e}
	}
	return err
}

// judge sorts an error: what the directory says about one request, or the loss
// of the directory.
func judge(err error) error {
	if err == nil {
		return nil
	}
	var e *ldap.Error
	if !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork {
		return place.Unreachable(err)
	}
	switch e.ResultCode {
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultAdminLimitExceeded,
		ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultProtocolError:
		return place.Unreachable(refusal{e})
	}
	return refusal{e}
}

// Probe implements [place.Session]: the entries under which others are made
// must be there.
func (s *session) Probe(context.Context) error {
	for _, e := range []*entry{s.d.certificates, s.d.authorities} {
		if e == nil || e.name.fixed() == "" || s.d.set.WriteOnly {
			continue
		}
		_, found, err := s.read(e.name.fixed(), []string{"1.1"}, 0) // no attributes: RFC 4511, section 4.5.1.8
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("the entry %s, under which others go, does not exist or may not be read", e.name.fixed())
		}
	}
	return nil
}

// read fetches one entry. size is that of the largest value to expect.
func (s *session) read(name string, attributes []string, size int) (*ldap.Entry, bool, error) {
	s.begin(size)
	res, err := s.conn.Search(ldap.NewSearchRequest(name, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, s.d.set.Timeout, false, "(objectClass=*)", attributes, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, false, nil
	case err != nil:
		return nil, false, judge(err)
	case len(res.Entries) == 0:
		return nil, false, nil
	}
	return res.Entries[0], true, nil
}
