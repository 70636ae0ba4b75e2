package timestamp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/pki/tsp"
)

// A34: a client of RFC 3161 gets a stamp, and openssl verifies it up to the root.
func TestOpenSSLVerifiesTheStampsOfAUnit(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.P256, keys.RSA2048} {
		each(t, func(s *timestamp.Spec) { s.Key, s.Qualified = alg, true }, func(t *testing.T, n *node) {
			s := n.site
			s.write("data", []byte("A document."))
			s.write("root.pem", pemFile(s.ca.root))
			s.openssl("ts", "-query", "-data", "data", "-sha512", "-cert", "-out", "query", "-tspolicy", "1.2.3.4.92")
			answer, err := n.Stamp(t.Context(), "unit", s.read("query"))
			if err != nil {
				t.Fatal(err)
			}
			s.write("reply", answer)
			if out := s.openssl("ts", "-verify", "-in", "reply", "-queryfile", "query", "-CAfile", "root.pem"); !strings.Contains(out, "Verification: OK") {
				t.Error(out)
			}
			text := s.openssl("ts", "-reply", "-in", "reply", "-text")
			for _, want := range []string{"Status: Granted.", "Policy OID: 1.2.3.4.92", "0x01 seconds", "Ordering: no", "Unit 1", "qcStatements"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
		})
	}
}

func TestAStampCarriesTheTimeOfTheClock(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		n.site.clock.Advance(1234567 * time.Microsecond)
		v := n.stamp(t)
		if want := n.site.clock.Now().Truncate(time.Millisecond); !v.Time.Equal(want) || v.Accuracy != time.Second || v.Ordering {
			t.Errorf("%s with %s, not %s", v.Time, v.Accuracy, want)
		}
		if len(v.Chain) != 3 {
			t.Errorf("the chain has %d certificates", len(v.Chain))
		}
	})
}

func TestWrongRequestsAreRejectedAndNoErrorOfOurs(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		good, err := tsp.ParseRequest(query(t))
		if err != nil {
			t.Fatal(err)
		}
		good.Policy = []int{1, 2, 3}
		other, err := good.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		good.Policy, good.Extensions = nil, []tsp.Extension{{ID: []int{1, 2, 3}, Value: []byte{5, 0}}}
		extended, err := good.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for want, request := range map[tsp.Failure][]byte{tsp.BadDataFormat: []byte("?"), tsp.UnacceptedPolicy: other, tsp.UnacceptedExtension: extended} {
			if err := n.refused(t, request, want); err != nil {
				t.Errorf("%s: %v", want, err)
			}
		}
		answer, err := n.Stamp(t.Context(), "other", query(t))
		var why *tsp.Rejection
		if _, parsed := tsp.ParseResponse(answer); !errors.Is(err, fault.NotFound) || !errors.As(parsed, &why) || why.Failure != tsp.BadRequest {
			t.Errorf("a unit that is not there: %v, %v", err, parsed)
		}
	})
}

// Row 30 of the rules of the trade: synchronisation with UTC.
func TestNothingIsStampedWhileTheTimeIsInDoubt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var offset time.Duration
		known := true
		n := newSite(t).node(db, func() (time.Duration, bool) { return offset, known })
		n.create(t, nil) // accurate to a second, in milliseconds: 999 ms for the clock
		first := n.stamp(t)

		for _, c := range []struct {
			name         string
			offset, step time.Duration
			known, ok    bool
		}{
			{"the clock may be off by what is left of the accuracy", -999 * time.Millisecond, 0, true, true},
			{"by more", 999*time.Millisecond + 1, 0, true, false},
			{"by more, the other way", -time.Second, 0, true, false},
			{"nobody knows", 0, 0, false, false},
			{"the clock steps back within the accuracy", 0, -900 * time.Millisecond, true, true},
			{"more than that, which the guard alone would forgive", 0, -1500 * time.Millisecond, true, false},
			{"by an hour", 0, -time.Hour, true, false},
			{"all is well again", 0, 0, true, true},
		} {
			offset, known = c.offset, c.known
			n.site.clock.Advance(c.step)
			if c.ok {
				n.stamp(t)
			} else if err := n.refused(t, query(t), tsp.TimeNotAvailable); !errors.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", c.name, err)
			}
			n.site.clock.Advance(-c.step)
		}
		if again := n.stamp(t); again.Time.Before(first.Time) {
			t.Errorf("%s after %s", again.Time, first.Time)
		}
	})
}

func TestAUnitStopsWithItsCertificate(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		n.site.clock.Advance(2 * 366 * 24 * time.Hour)
		if err := n.refused(t, query(t), tsp.SystemFailure); !errors.Is(err, fault.Unavailable) {
			t.Error(err)
		}
	})
}

func TestUsageIsCountedPerRealmAndDay(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		n.site.clock.Set(n.site.clock.Now().Truncate(24 * time.Hour).Add(48*time.Hour - time.Second)) // before midnight
		day := n.site.clock.Now()
		sweep := func() {
			t.Helper()
			if err := n.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n.stamp(t)
		n.stamp(t)
		n.refused(t, []byte("?"), tsp.BadDataFormat)
		sweep()
		n.stamp(t)
		lost := errors.New("lost")
		n.db.Interpose(func(func() error) error { return lost })
		if err := n.Sweep(t.Context()); !errors.Is(err, lost) {
			t.Fatalf("a sweep that cannot write: %v", err)
		}
		n.db.Interpose(nil)
		n.site.clock.Advance(2 * time.Second) // after midnight
		n.stamp(t)
		sweep()
		sweep() // nothing is counted twice
		got, err := n.Usage(t.Context(), system, "production", day, day.AddDate(0, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		want := []timestamp.Usage{
			{Realm: "production", Day: day.Format(time.DateOnly), Granted: 3, Rejected: 1},
			{Realm: "production", Day: day.AddDate(0, 0, 1).Format(time.DateOnly), Granted: 1},
		}
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%+v, not %+v", got, want)
		}
		if other, err := n.Usage(t.Context(), system, "preprod", day, day.AddDate(0, 0, 1)); err != nil || len(other) != 0 {
			t.Errorf("another realm: %v, %v", other, err)
		}
	})
}

func TestTheKernelKnowsHowFarTheClockMayBeOff(t *testing.T) {
	offset, known := timestamp.KernelOffset()
	if known && (offset < 0 || offset > 16*time.Second) || !known && offset != 0 { // the kernel stops counting at 16 s
		t.Errorf("off by %s, known: %v", offset, known)
	}
}
