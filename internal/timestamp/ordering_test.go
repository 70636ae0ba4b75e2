package timestamp_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/pki/tsp"
)

func ordered(s *timestamp.Spec) { s.Ordering, s.Resolution = true, time.Microsecond }

func TestStampsOfAnOrderedUnitHaveGrowingTimes(t *testing.T) {
	each(t, ordered, func(t *testing.T, n *node) {
		last := n.stamp(t)
		if !last.Ordering {
			t.Error("the token does not say that it is ordered")
		}
		for i := range 20 {
			switch i {
			case 5:
				n.site.clock.Advance(-100 * time.Millisecond)
			case 10:
				n.site.clock.Advance(time.Minute) // the lease has ended long ago
			}
			v := n.stamp(t)
			if !v.Time.After(last.Time) {
				t.Fatalf("%s follows %s", v.Time, last.Time)
			}
			last = v
		}
	})
}

func TestAnOrderedUnitDoesNotRunAheadOfItsAccuracy(t *testing.T) {
	each(t, func(s *timestamp.Spec) {
		s.Ordering, s.Resolution, s.Accuracy = true, time.Millisecond, 4*time.Millisecond
	}, func(t *testing.T, n *node) {
		for range 4 { // at 0, 1, 2 and 3 milliseconds
			n.stamp(t)
		}
		if err := n.refused(t, query(t), tsp.SystemFailure); !errors.Is(err, fault.Unavailable) {
			t.Error(err)
		}
		n.site.clock.Advance(time.Millisecond)
		n.stamp(t)
	})
}

func TestOneNodeAtATimeStampsForAnOrderedUnit(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newSite(t)
		a, b := s.node(storetest.Open(t, url), nil), s.node(storetest.Open(t, url), nil)
		a.create(t, ordered)
		last := a.stamp(t)
		held := func(n *node) {
			t.Helper()
			if err := n.refused(t, query(t), tsp.SystemFailure); fault.Of(err).Code != "timestamp.held" {
				t.Errorf("the other node: %v", err)
			}
		}
		held(b)
		s.clock.Advance(3 * time.Second) // the holder asks again in time
		last = later(t, last, a.stamp(t))
		s.clock.Advance(4 * time.Second)
		held(b)
		// The holder is gone. Its lease of five seconds ends, and twice the accuracy.
		s.clock.Advance(2999 * time.Millisecond)
		held(b)
		s.clock.Advance(2 * time.Millisecond)
		last = later(t, last, b.stamp(t))
		held(a)
		// A node that ends in good order makes room at once.
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		last = later(t, last, a.stamp(t))
		later(t, last, a.stamp(t))
	})
}

func later(t *testing.T, last, next *tsp.Verified) *tsp.Verified {
	t.Helper()
	if !next.Time.After(last.Time) {
		t.Errorf("%s follows %s", next.Time, last.Time)
	}
	return next
}
