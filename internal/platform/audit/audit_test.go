package audit_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func everything(t *testing.T, db *store.DB, l *audit.Log) []audit.Stored {
	t.Helper()
	list, next, err := l.List(db.View(t.Context()), audit.Filter{AllClients: true}, store.Page{Limit: store.MaxLimit})
	if err != nil || next != "" {
		t.Fatalf("List: next %q, %v", next, err)
	}
	return list
}

// Pki-rules row 25: an entry says who did what, when, from where, and how it ended.
func TestAnEntryComesBackAsItWent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, c := newLog(db)
		c.Advance(time.Hour)
		e := audit.Entry{
			Action: "order.approve", ObjectKind: "order", ObjectID: "ord-1", Realm: "production", Client: "cli-1", Service: "demo",
			Result: audit.Failed, Detail: map[string]string{"reason": "\"æ\" \\ \u2028 <b>\n\x7f", "a": ""},
		}
		err := db.Update(audit.WithOrigin(t.Context(), alice), func(tx *store.Tx) error { return l.Append(tx, e) })
		if err != nil {
			t.Fatal(err)
		}
		s := everything(t, db, l)[0]
		if s.Origin != alice || !s.At.Equal(start.Add(time.Hour)) || s.Index != audit.Pending || !strings.HasPrefix(s.ID, "aud-") {
			t.Errorf("got %+v", s)
		}
		if !maps.Equal(s.Entry.Detail, e.Detail) {
			t.Errorf("detail %q, want %q", s.Entry.Detail, e.Detail)
		}
		s.Entry.Detail, e.Detail = nil, nil
		if s.Entry.Action != e.Action || s.Entry.ObjectID != e.ObjectID || s.Entry.Result != e.Result || s.Entry.Service != e.Service {
			t.Errorf("got %+v, want %+v", s.Entry, e)
		}
		sequence(t, l, 1)
		if s, err = l.Get(db.View(t.Context()), s.ID); err != nil || s.Index != 0 {
			t.Errorf("after sequencing: leaf %d, %v", s.Index, err)
		}
		if _, err := l.Get(db.View(t.Context()), "aud-none"); !errors.Is(err, fault.NotFound) {
			t.Errorf("Get of nothing: %v", err)
		}
	})
}

func TestAnEntryLivesAndDiesWithItsAct(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		undone := errors.New("undone")
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			return errors.Join(l.Append(tx, audit.Entry{Action: "order.create"}), undone)
		})
		if !errors.Is(err, undone) || len(everything(t, db, l)) != 0 {
			t.Errorf("an act that was undone is in the log: %v", err)
		}
	})
}

func TestWhatIsNotSaidHasADefault(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, c := newLog(db)
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return l.Append(tx, audit.Entry{Action: "crl.sign"}) }); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Second)
		record(t, l, "login.password")
		list := everything(t, db, l)
		if list[0].Entry.Result != audit.Refused || list[1].Entry.Result != audit.OK {
			t.Errorf("results %q and %q", list[0].Entry.Result, list[1].Entry.Result)
		}
		if o := list[0].Origin; o.Kind != audit.System || o.ID != "system" {
			t.Errorf("origin %+v", o)
		}
		if err := l.Record(t.Context(), audit.Entry{}); err == nil {
			t.Error("an entry without an action was taken")
		}
	})
}

// A hostile name must not end the transaction of the act, nor fill the log.
func TestHostileTextsAreTamed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Kind: audit.Anonymous, Name: "a\x00b\xffc", From: "192.0.2.1"})
		detail := map[string]string{"agent": strings.Repeat("æ", 5000), "bad\x00key": "x"}
		if err := l.Record(ctx, audit.Entry{Action: "login.password", Detail: detail}); err != nil {
			t.Fatal(err)
		}
		s := everything(t, db, l)[0]
		if s.Origin.Name != "a\ufffdb\ufffdc" {
			t.Errorf("name %q", s.Origin.Name)
		}
		if v := s.Entry.Detail["agent"]; len(v) > 4096 || len(v) < 4090 || !strings.HasSuffix(v, "æ…") {
			t.Errorf("detail of %d bytes ends %q", len(v), v[len(v)-8:])
		}
		if s.Entry.Detail["bad\ufffdkey"] != "x" || len(detail["agent"]) != 10000 {
			t.Errorf("detail %q", s.Entry.Detail)
		}
		sequence(t, l, 1)
		if r := verify(t, l); !r.OK() {
			t.Errorf("%+v", r.Findings)
		}
	})
}

func TestAnEmptyLogIsInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		sequence(t, l, 0)
		if r := verify(t, l); !r.OK() || r.Size != 0 {
			t.Errorf("%+v", r)
		}
		if _, err := l.Checkpoint(db.View(t.Context())); !errors.Is(err, fault.NotFound) {
			t.Errorf("Checkpoint: %v", err)
		}
		record(t, l, "login.password")
		if r := verify(t, l); !r.OK() || r.Pending != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestOriginTravelsInTheContext(t *testing.T) {
	if o := audit.OriginOf(context.Background()); o.Kind != audit.System {
		t.Errorf("without: %+v", o)
	}
	if o := audit.OriginOf(audit.WithOrigin(t.Context(), alice)); o != alice {
		t.Errorf("with: %+v", o)
	}
}
