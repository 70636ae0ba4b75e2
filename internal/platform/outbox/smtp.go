package outbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// A TLSMode says how a connection to the mail server is protected.
type TLSMode string

// The modes. Opportunistic protects against listeners only: whoever can change
// the traffic can have it sent in clear.
const (
	STARTTLS      TLSMode = "starttls"      // required (RFC 3207); the default
	ImplicitTLS   TLSMode = "tls"           // from the first byte (RFC 8314), usually port 465
	Opportunistic TLSMode = "opportunistic" // STARTTLS if the server offers it
	Plain         TLSMode = "none"          // never; for a server on the same machine only
)

// SMTPConfig describes the mail server that takes the messages over.
type SMTPConfig struct {
	Host     string
	Port     int     // zero: 587, or 465 with ImplicitTLS
	TLS      TLSMode // empty: STARTTLS
	Username string  // empty: no authentication
	Password secret.Text
	From     string         // "Sealwright <noreply@example.org>"
	HELO     string         // name given to the server; empty: the domain of From
	Roots    *x509.CertPool // nil: those of the system
	Timeout  time.Duration  // for connecting and for each message; zero: 30 s
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// SMTP is a [Transport] to one mail server (RFC 5321). Connections are kept for
// a few seconds, so that a burst of messages pays for one handshake only.
//
// What the server refuses with a 5xx answer to the sender, the recipient or the
// text is permanent. Everything else is repeated, a refused log-in included:
// that is for the operator to mend, and the mail goes out when it is.
type SMTP struct {
	config SMTPConfig
	from   *netmail.Address
	domain string
	client *mail.Client

	mu     sync.Mutex
	kept   []*connection
	closed bool
}

// NewSMTP checks the configuration; it does not connect.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	from, err := netmail.ParseAddress(c.From)
	if err != nil || CheckEmail(from.Address) != nil {
		return nil, fault.Invalidf("smtp.from", "The sender %q is not an e-mail address.", c.From).WithField("from")
	}
	s := &SMTP{from: from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:]}
	if s.config, err = c.withDefaults(s.domain); err != nil {
		return nil, err
	}
	options := []mail.Option{
		mail.WithPort(s.config.Port), mail.WithTimeout(s.config.Timeout), mail.WithHELO(s.config.HELO),
		mail.WithDialContextFunc(s.dial), mail.WithTLSConfig(s.tlsConfig()),
	}
	switch s.config.TLS {
	case STARTTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case Plain:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default: // with ImplicitTLS the server offers no STARTTLS, and the library sees that TLS is on
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	}
	if c.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(c.Username), mail.WithPassword(c.Password.Reveal()))
	}
	s.client, err = mail.NewClient(c.Host, options...)
	if err != nil {
		return nil, fault.Invalidf("smtp.config", "The mail server's settings cannot be used: %v.", err)
	}
	return s, nil
}

func (c SMTPConfig) withDefaults(domain string) (SMTPConfig, error) {
	if c.TLS == "" {
		c.TLS = STARTTLS
	}
	if !slices.Contains([]TLSMode{STARTTLS, ImplicitTLS, Opportunistic, Plain}, c.TLS) {
		return c, fault.Invalidf("smtp.tls", "There is no TLS mode %q; use starttls, tls, opportunistic or none.", c.TLS).WithField("tls")
	}
	if c.TLS == Plain && !isLoopback(c.Host) {
		return c, fault.Invalidf("smtp.tls", "Mail to %s would travel in clear; TLS can be off for a server on this machine only.", c.Host).WithField("tls")
	}
	if c.Port == 0 {
		c.Port = 587
		if c.TLS == ImplicitTLS {
			c.Port = 465
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.HELO == "" {
		c.HELO = domain
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: c.Timeout}).DialContext
	}
	return c, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Deliver implements [Transport].
func (s *SMTP) Deliver(ctx context.Context, e Envelope) error {
	msg, err := s.compose(e)
	if err != nil {
		return jobs.Permanent(err)
	}
	for {
		c, err := s.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect to the mail server: %w", err)
		}
		err = s.send(ctx, c, msg)
		// Once the server has answered the end of the text with 250, the message
		// is its own, whatever happens to the connection next.
		if msg.IsDelivered() {
			return nil
		}
		if c.used && lostBefore(err) {
			continue // the server had closed a kept connection; each round takes one away
		}
		return classify(err)
	}
}

// send speaks on the connection and keeps it when all went well.
func (s *SMTP) send(ctx context.Context, c *connection, msg *mail.Msg) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() }) // unblocks the exchange
	err := s.client.SendWithSMTPClient(c.smtp, msg)
	if stop() && err == nil {
		s.keep(c)
	} else {
		_ = c.conn.Close()
	}
	return err
}

// lostBefore tells that a connection turned out to be closed before anything of
// the message was sent.
func lostBefore(err error) bool {
	var e *mail.SendError
	return errors.As(err, &e) && (e.Reason == mail.ErrConnCheck || e.Reason == mail.ErrSMTPMailFrom && e.ErrorCode() == 0)
}

func classify(err error) error {
	var e *mail.SendError
	if errors.As(err, &e) && e.ErrorCode() >= 500 && e.ErrorCode() <= 599 {
		return jobs.Permanent(err)
	}
	return err
}

// compose writes the message. Its Message-ID comes from the outbox id, so that
// a second delivery can be recognised; Auto-Submitted (RFC 3834) keeps
// out-of-office answers away.
func (s *SMTP) compose(e Envelope) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP), mail.WithNoDefaultUserAgent())
	if err := m.From(s.from.String()); err != nil {
		return nil, err
	}
	if err := m.To(e.To); err != nil {
		return nil, err
	}
	m.SetMessageIDWithValue(e.ID + "@" + s.domain)
	m.SetDateWithValue(e.Date)
	m.Subject(e.Subject)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	for name, value := range e.Headers {
		m.SetGenHeader(mail.Header(name), value)
	}
	m.SetBodyString(mail.TypeTextPlain, e.Body.Reveal())
	if !e.HTML.Empty() {
		m.AddAlternativeString(mail.TypeTextHTML, e.HTML.Reveal())
	}
	return m, nil
}

// keptFor is how long an idle connection stays open, and maxKept how many do.
const (
	keptFor = 10 * time.Second
	maxKept = 4
)

type connection struct {
	smtp  *smtp.Client
	conn  net.Conn
	used  bool // has carried a message before
	timer *time.Timer
}

// dialled carries the raw connection from [SMTP.dial] back to [SMTP.connect],
// which the library does not do.
type dialled struct{}

func (s *SMTP) connect(ctx context.Context) (*connection, error) {
	if c := s.take(); c != nil {
		return c, nil
	}
	c := new(connection)
	stop := func() bool { return true }
	opened := func(conn net.Conn) {
		c.conn = conn
		stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // unblocks the wait for greeting and log-in
	}
	var err error
	c.smtp, err = s.client.DialToSMTPClientWithContext(context.WithValue(ctx, dialled{}, opened))
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil && c.conn != nil {
		_ = c.conn.Close() // the library leaves it open when the greeting or log-in fails
	}
	return c, err
}

func (s *SMTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.config.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if opened, ok := ctx.Value(dialled{}).(func(net.Conn)); ok {
		opened(conn)
	}
	if s.config.TLS != ImplicitTLS {
		return conn, nil
	}
	t := tls.Client(conn, s.tlsConfig())
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err // connect closes it
	}
	return t, nil
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.config.Host, RootCAs: s.config.Roots, MinVersion: tls.VersionTLS12}
}

func (s *SMTP) take() *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return nil
	}
	c := s.kept[len(s.kept)-1]
	s.kept = s.kept[:len(s.kept)-1]
	c.timer.Stop()
	return c
}

func (s *SMTP) keep(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.kept) >= maxKept {
		go s.quit(c)
		return
	}
	c.used = true
	c.timer = time.AfterFunc(keptFor, func() { s.expire(c) })
	s.kept = append(s.kept, c)
}

func (s *SMTP) expire(c *connection) {
	s.mu.Lock()
	i := slices.Index(s.kept, c)
	if i >= 0 {
		s.kept = slices.Delete(s.kept, i, i+1)
	}
	s.mu.Unlock()
	if i >= 0 {
		s.quit(c)
	}
}

// quit says goodbye; a server that does not answer is left.
func (s *SMTP) quit(c *connection) {
	_ = c.conn.SetDeadline(time.Now().Add(time.Second))
	_ = s.client.CloseWithSMTPClient(c.smtp)
	_ = c.conn.Close()
}

// Close ends the kept connections. Messages may still be delivered after it,
// each over a connection of its own.
func (s *SMTP) Close() error {
	s.mu.Lock()
	kept := s.kept
	s.kept, s.closed = nil, true
	s.mu.Unlock()
	for _, c := range kept {
		c.timer.Stop()
		s.quit(c)
	}
	return nil
}
