package housetest

import (
	"bufio"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// A Mail is a message as a [MailServer] took it over.
type Mail struct {
	To, Subject, ID, Body string
}

// A MailServer takes every message over. It speaks as much SMTP (RFC 5321) as
// the product needs, without extensions.
type MailServer struct {
	socket net.Listener
	mu     sync.Mutex
	taken  []Mail
}

// ListenMail starts a mail server on an address. It ends with the test.
func ListenMail(tb testing.TB, address string) *MailServer {
	tb.Helper()
	socket, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	s := &MailServer{socket: socket}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() { s.converse(conn) })
		}
	})
	tb.Cleanup(func() { _ = socket.Close() }) // conversations end with their clients
	return s
}

// Taken are the messages to an address, oldest first.
func (s *MailServer) Taken(to string) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Mail
	for _, m := range s.taken {
		if m.To == to {
			out = append(out, m)
		}
	}
	return out
}

func (s *MailServer) converse(conn net.Conn) {
	defer conn.Close()
	c := textproto.NewConn(conn)
	say := func(text string) bool { return c.PrintfLine("%s", text) == nil }
	if !say("220 test") {
		return
	}
	var to string
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		answer := "250 ok"
		switch strings.ToUpper(verb) {
		case "RCPT":
			_, address, _ := strings.Cut(rest, "<")
			to, _, _ = strings.Cut(address, ">")
		case "DATA":
			if !say("354 go on") {
				return
			}
			if err := s.take(to, c.DotReader()); err != nil {
				answer = fmt.Sprintf("451 %v", err)
			}
		case "QUIT":
			say("221 bye")
			return
		}
		if !say(answer) {
			return
		}
	}
}

func (s *MailServer) take(to string, r io.Reader) error {
	m, err := mail.ReadMessage(bufio.NewReader(r))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, Mail{To: to, Subject: m.Header.Get("Subject"), ID: m.Header.Get("Message-ID"), Body: string(body)})
	return nil
}
