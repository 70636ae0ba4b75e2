package house_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

var errCut = errors.New("cut off")

// A clock that is set back by an hour: nothing is signed, what was ordered
// before is kept and finishes when the clock has caught up. A node that starts
// with such a clock notices as well.
func TestTheClockIsSetBackByAnHour(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		now := clock.NewFake(noon)
		cfg := housetest.Config(t, t.TempDir(), url)
		cfg.Certificate.Approval = true
		site, err := housetest.Found(t.Context(), cfg, house.Options{Clock: now})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = site.House.Close() }() // the second time it does nothing
		waiting, cut := place(t, site), cutOff(t, site)

		now.Advance(-time.Hour)
		refusesToSign(t, site, waiting)
		if err := site.House.Close(); err != nil {
			t.Fatal(err)
		}
		restarted, err := housetest.Open(t.Context(), cfg, house.Options{Clock: now}, site.Facts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := restarted.House.Close(); err != nil {
				t.Error(err)
			}
		}()
		refusesToSign(t, restarted, waiting)

		now.Advance(time.Hour + 10*time.Minute)
		approve(t, restarted, waiting.ID)
		settle(t, restarted.House)
		for _, id := range []string{waiting.ID, cut} {
			o, err := restarted.House.WSCerts.Get(t.Context(), access.System("test"), id)
			if err != nil || o.State != wscert.Issued {
				t.Errorf("after the clock has caught up: %v %v", o, err)
			}
		}
		housetest.Invariants(t, restarted.House.DB)
		checkAudit(t, restarted.House)
	})
}

// place leaves an order waiting for its approval.
func place(t *testing.T, s *housetest.Site) *wscert.Order {
	t.Helper()
	o, err := s.House.WSCerts.Create(t.Context(), access.System("test"), wscert.Request{
		Realm: access.Production, Service: housetest.ServiceName, ShortName: "clock", Orderer: s.Person, Mode: wscert.Generate,
	})
	if err != nil || o.State != wscert.PendingAuth {
		t.Fatalf("%v %v", o, err)
	}
	return o
}

func approve(t *testing.T, s *housetest.Site, id string) {
	t.Helper()
	if o, err := s.House.WSCerts.Approve(t.Context(), access.System("second"), id); err != nil || o.State != wscert.Issued {
		t.Fatalf("%v %v", o, err)
	}
}

// cutOff leaves an order in the state in which a crash between intent and
// record leaves it, and returns its id.
func cutOff(t *testing.T, s *housetest.Site) string {
	t.Helper()
	o := place(t, s)
	var updates atomic.Int64
	s.House.DB.Interpose(func(update func() error) error {
		if updates.Add(1) > 1 {
			return errCut
		}
		return update()
	})
	defer s.House.DB.Interpose(nil)
	if _, err := s.House.WSCerts.Approve(t.Context(), access.System("second"), o.ID); !errors.Is(err, errCut) {
		t.Fatalf("the order was not cut off: %v", err)
	}
	return o.ID
}

// refusesToSign tries everything that signs.
func refusesToSign(t *testing.T, s *housetest.Site, waiting *wscert.Order) {
	t.Helper()
	ctx, h := t.Context(), s.House
	certificates := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM certificates`)
	_, approval := h.WSCerts.Approve(ctx, access.System("second"), waiting.ID)
	_, _, api := h.APICerts.Create(ctx, access.System("test"), s.Account, apicert.Fields{Nickname: "clock", Ends: noon.AddDate(1, 0, 0)})
	_, list := h.Authority.ProduceCRL(ctx, "production-clients-1")
	_, root := h.Authority.CreateRoot(ctx, rootSpec)
	for what, err := range map[string]error{"an approval": approval, "an API client certificate": api, "a revocation list": list, "an authority": root} {
		if f := fault.Of(err); !errors.Is(err, fault.Unavailable) || f.Code != "clock.backwards" {
			t.Errorf("%s with the clock set back: %v", what, err)
		}
	}
	if err := h.WSCerts.Sweep(ctx); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if n := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM certificates`); n != certificates {
		t.Errorf("%d certificates came about with the clock set back", n-certificates)
	}
	if n := housetest.Count(t, h.DB, `SELECT COUNT(*) FROM certificates WHERE kind = 'ws-ssl' AND status = 'valid'`); n != 0 {
		t.Errorf("%d certificates were signed with the clock set back", n)
	}
	o, err := h.WSCerts.Get(ctx, access.System("test"), waiting.ID)
	if err != nil || o.State != wscert.PendingAuth {
		t.Errorf("the order that waits for approval is %v %v", o, err)
	}
}

var rootSpec = authority.Spec{ID: "late-root", Realm: "production", Name: "Late Root", Org: "Test", Key: "p256", Years: 20}
