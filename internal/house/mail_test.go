package house_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// The bad days, N17, N18, N21: the mail server, which carries the SMS as
// well, is down for an hour. Orders go through, messages wait and arrive once;
// one-time passwords that have become too old are not sent.
func TestTheMailServerIsDownForAnHour(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		now := clock.NewFake(noon)
		address := freeAddress(t)
		site := housetest.New(t, url, housetest.Options{Options: house.Options{Clock: now}, Configure: func(c *config.Config) {
			c.Dev.Enabled = false
			c.Mail = config.Mail{Host: "127.0.0.1", Port: address.Port, StartTLS: config.StartTLSNever, From: "Test <test@example.org>"}
			c.SMS = config.SMS{Kind: config.SMSMail, Mail: config.SMSOverMail{Address: "{{.Digits}}@sms.example.org"}}
		}})
		h := site.House
		drain := func() {
			t.Helper()
			if err := h.Queue.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var orders []*wscert.Order
		for range 3 {
			o, err := h.WSCerts.Create(t.Context(), access.System("test"), wscert.Request{
				Realm: access.Production, Service: housetest.ServiceName, ShortName: "down", Orderer: site.Person, Mode: wscert.Generate,
			})
			if err != nil || o.State != wscert.Issued {
				t.Fatalf("an order while the mail server is down: %v %v", o, err)
			}
			orders = append(orders, o)
		}
		for range 12 {
			drain()
			now.Advance(5 * time.Minute)
		}
		drain()
		outboxHolds(t, site, `channel = 'email' AND state = 'waiting'`, 3)
		outboxHolds(t, site, `channel = 'sms' AND state = 'expired'`, 3)

		server := housetest.ListenMail(t, address.String())
		now.Advance(15 * time.Minute) // past the longest pause between two tries
		drain()
		drain()
		outboxHolds(t, site, `channel = 'email' AND state = 'delivered'`, 3)
		links := server.Taken(housetest.Email)
		if len(links) != 3 {
			t.Fatalf("%d e-mails arrived for 3 orders", len(links))
		}
		const mobile = "4790000000@sms.example.org"
		if sms := server.Taken(mobile); len(sms) != 0 {
			t.Errorf("N18: one-time passwords were sent that work no more: %q", sms)
		}
		for i, link := range links {
			fetchByMail(t, site, server, housetest.LinkIn(link.Body), mobile, drain)
			if n := len(server.Taken(mobile)); n != 2*(i+1) {
				t.Errorf("%d SMS after %d deliveries, each with a one-time password and a file password", n, i+1)
			}
		}
		for _, o := range orders {
			got, err := h.WSCerts.Get(t.Context(), access.System("test"), o.ID)
			if err != nil || got.Delivered.IsZero() {
				t.Errorf("order %s was not delivered: %v", o.ID, err)
			}
		}
		housetest.Invariants(t, h.DB)
		checkAudit(t, h)
	})
}

// fetchByMail plays a recipient whose one-time password came too late: a new
// one, the file, and the password of the file.
func fetchByMail(t *testing.T, site *housetest.Site, server *housetest.MailServer, token, mobile string, drain func()) {
	t.Helper()
	ctx, h := context.Background(), site.House
	if _, err := h.Handover.NewCode(ctx, token); err != nil {
		t.Fatal(err)
	}
	drain()
	sms := server.Taken(mobile)
	session, _, err := h.Handover.Enter(ctx, token, housetest.CodeIn(sms[len(sms)-1].Body))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := (housetest.Recipient{Site: site}).Fetch(ctx, token, session.Reveal(), func() {
		drain()
		if n := len(server.Taken(mobile)); n != len(sms) {
			t.Error("N21: an SMS was sent before the file had left")
		}
	}); err != nil {
		t.Fatal(err)
	}
	drain()
	sms = server.Taken(mobile)
	if housetest.PasswordIn(sms[len(sms)-1].Body) == "" {
		t.Errorf("N21: the last SMS holds no password: %q", sms[len(sms)-1].Body)
	}
}

func outboxHolds(t *testing.T, site *housetest.Site, where string, want int64) {
	t.Helper()
	if n := housetest.Count(t, site.House.DB, `SELECT COUNT(*) FROM outbox WHERE `+where); n != want {
		t.Errorf("%d messages are in %s, not %d", n, where, want)
	}
}

// freeAddress is where nobody listens.
func freeAddress(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}
