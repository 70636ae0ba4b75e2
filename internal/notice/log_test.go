package notice_test

import (
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A147: the button that sends a notification again.
func TestANotificationIsSentAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		o := issued("kari@example.org", "")
		o.Client = w.client("One")
		w.send(o)
		first := w.delivered()[0]
		list := w.of(admin, "ord-1")
		sameOutcomes(t, list, notice.NoAddress, notice.Queued)
		again, err := w.desk.Resend(t.Context(), w.officer(o.Client, access.OutboxResend), list[1].ID)
		w.check(err)
		got := w.delivered()
		if len(got) != 2 || got[0].Body.Reveal() != first.Body.Reveal() || got[0].ID == first.ID || again.ResendOf != list[1].ID || again.By != "officer" {
			t.Errorf("%+v %+v", got, again)
		}
		if list := w.of(admin, "ord-1"); len(list) != 3 || list[0].ID != again.ID || list[0].State != outbox.Delivered {
			t.Errorf("%+v", list)
		}
		if acts := w.acts(); len(acts) != 1 || acts[0] != "notice.resend" {
			t.Errorf("audited: %v", acts)
		}
		_, err = w.desk.Resend(t.Context(), admin, list[0].ID)
		refused(t, err, "notice.not_sent")
		_, err = w.desk.Resend(t.Context(), admin, "ntc-0")
		refused(t, err, "notice.unknown")
		_, err = w.desk.Resend(t.Context(), w.officer(w.client("Two"), access.OutboxResend), list[1].ID)
		refused(t, err, "notice.unknown") // somebody else's is not known to exist
		_, err = w.desk.Resend(t.Context(), w.officer(o.Client, access.CertificateSearch), list[1].ID)
		refused(t, err, "access.forbidden")
		_, err = w.desk.Resend(t.Context(), access.Scope{}, list[1].ID)
		if err == nil {
			t.Error("nobody may send again")
		}
	})
}

func TestTheListShowsWhatTheCallerMaySeeAPageAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var to []string
		for i := range 7 {
			to = append(to, string(rune('a'+i))+"@example.org")
		}
		o := issued(to...)
		o.Client = w.client("One")
		w.send(o)
		for name, test := range map[string]struct {
			scope access.Scope
			sees  int
		}{
			"the client":              {w.officer(o.Client, access.CertificateSearch), 7},
			"the realm":               {w.officer("", access.CertificateSearch), 7},
			"another client":          {w.officer(w.client("Two"), access.CertificateSearch), 0},
			"somebody for other work": {w.officer(o.Client, access.DomainRead), 0},
		} {
			if list := w.of(test.scope, "ord-1"); len(list) != test.sees {
				t.Errorf("%s sees %d", name, len(list))
			}
		}
		var seen []string
		page := store.Page{Limit: 3}
		for {
			list, next, err := w.desk.Of(t.Context(), admin, "order", "ord-1", page)
			w.check(err)
			for _, e := range list {
				seen = append(seen, e.To[:1])
				if e.State != outbox.Waiting {
					t.Errorf("%+v", e)
				}
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		if strings.Join(seen, "") != "gfedcba" {
			t.Errorf("the list is %v", seen)
		}
	})
}
