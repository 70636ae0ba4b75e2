package outbox_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailHost is the name in the mail server's certificate.
const mailHost = "mail.example.org"

// authority makes a CA and a server certificate for mailHost.
func authority(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{mailHost}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A received mail, and how it came.
type received struct {
	header    mail.Header
	raw       string
	from, to  string
	encrypted bool
	user      string
}

// drop as an answer closes the connection instead.
const drop = "drop"

// mailServer is a small SMTP server (RFC 5321, 3207, 4954) whose answers a test
// can replace. It is not meant to be complete, but it refuses nonsense.
type mailServer struct {
	roots    *x509.CertPool
	cert     tls.Certificate
	implicit bool // TLS from the first byte
	noTLS    bool // does not offer STARTTLS
	password string

	mu          sync.Mutex
	address     string
	listener    net.Listener
	answer      func(stage string) string // "" does as usual; stages: CONNECT, AUTH, MAIL, RCPT, DATA, END, AFTER
	mails       []received
	connections int
	open        map[net.Conn]bool
	wg          sync.WaitGroup
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	s := &mailServer{open: map[net.Conn]bool{}}
	s.roots, s.cert = authority(t)
	s.up(t)
	t.Cleanup(func() { s.down(); s.wg.Wait() })
	return s
}

// up opens the server, on a new port each time.
func (s *mailServer) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listener, s.address = l, l.Addr().String()
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.connections++
			s.open[conn] = true
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(conn) })
		}
	})
}

// down closes the port and every connection.
func (s *mailServer) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	s.hangUp()
}

func (s *mailServer) hangUp() {
	for c := range s.open {
		_ = c.Close()
	}
}

// dial reaches the server by whatever name, up or down.
func (s *mailServer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	s.mu.Lock()
	address := s.address
	s.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (s *mailServer) say(stage string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer == nil {
		return ""
	}
	return s.answer(stage)
}

func (s *mailServer) setAnswer(f func(stage string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// take gives the mails that arrived since the last call.
func (s *mailServer) take() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.mails
	s.mails = nil
	return got
}

// talk is one connection's state.
type talk struct {
	s    *mailServer
	conn net.Conn
	in   *bufio.Reader
	got  received
}

func (s *mailServer) serve(conn net.Conn) {
	c := &talk{s: s, conn: conn}
	defer func() {
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
		_ = c.conn.Close()
	}()
	if s.implicit {
		c.conn, c.got.encrypted = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}}), true
	}
	c.in = bufio.NewReader(c.conn)
	if !c.reply("CONNECT", "220 "+mailHost+" ready") {
		return
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || !c.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

// reply sends the usual answer of a stage or what the test wants instead; false ends the connection.
func (c *talk) reply(stage, usual string) bool {
	text := usual
	if other := c.s.say(stage); other == drop {
		return false
	} else if other != "" {
		text = other
	}
	_, err := c.conn.Write([]byte(text + "\r\n"))
	return err == nil && !strings.HasPrefix(text, "421")
}

func (c *talk) command(line string) bool {
	verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
	switch verb {
	case "EHLO":
		offer := "250-" + mailHost + "\r\n250-ENHANCEDSTATUSCODES\r\n"
		if !c.got.encrypted && !c.s.noTLS {
			offer += "250-STARTTLS\r\n"
		}
		if c.s.password != "" {
			offer += "250-AUTH PLAIN LOGIN\r\n"
		}
		return c.reply("EHLO", offer+"250 8BITMIME")
	case "STARTTLS":
		if !c.reply("STARTTLS", "220 go ahead") {
			return false
		}
		c.conn = tls.Server(c.conn, &tls.Config{Certificates: []tls.Certificate{c.s.cert}})
		c.in, c.got.encrypted = bufio.NewReader(c.conn), true
		return true
	case "AUTH":
		return c.auth(line)
	case "MAIL":
		c.got.from = line
		return c.reply("MAIL", "250 2.1.0 ok")
	case "RCPT":
		c.got.to = line
		return c.reply("RCPT", "250 2.1.5 ok")
	case "DATA":
		return c.data()
	case "NOOP", "RSET":
		return c.reply(verb, "250 ok")
	case "QUIT":
		c.reply(verb, "221 bye")
		return false
	}
	return c.reply(verb, "502 what?")
}

func (c *talk) auth(line string) bool {
	parts := strings.Fields(line)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	fields := strings.Split(string(raw), "\x00")
	if err != nil || len(fields) != 3 || fields[2] != c.s.password {
		return c.reply("AUTH", "535 5.7.8 wrong password")
	}
	c.got.user = fields[1]
	return c.reply("AUTH", "235 welcome")
}

func (c *talk) data() bool {
	if other := c.s.say("DATA"); other != "" {
		return other != drop && c.reply("-", other)
	}
	if !c.reply("-", "354 send it") {
		return false
	}
	var text strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		if c.s.say("LINE") == drop {
			return false
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
	if other := c.s.say("END"); other != "" {
		return other != drop && c.reply("-", other)
	}
	m := c.got
	m.raw = text.String()
	if parsed, err := mail.ReadMessage(strings.NewReader(m.raw)); err == nil {
		m.header = parsed.Header
	}
	c.s.mu.Lock()
	c.s.mails = append(c.s.mails, m)
	c.s.mu.Unlock()
	// From here the mail is the server's, whether the client learns it or not.
	return c.reply("AFTER", "250 2.0.0 queued")
}
