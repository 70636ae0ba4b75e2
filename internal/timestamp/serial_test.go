package timestamp_test

import (
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/tsp"
)

func TestTwoNodesNeverUseASerialNumberTwice(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newSite(t)
		nodes := []*node{s.node(storetest.Open(t, url), nil), s.node(storetest.Open(t, url), nil)}
		nodes[0].create(t, nil)
		request := query(t)
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[string]bool{}
		for i := range 8 {
			wg.Go(func() {
				for range 50 {
					answer, err := nodes[i%2].Stamp(t.Context(), "unit", request)
					if err != nil {
						t.Error(err)
						return
					}
					v, err := s.verify(answer)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if text := v.Serial.Text(16); seen[text] {
						t.Errorf("the serial number %s was used twice", text)
					} else {
						seen[text] = true
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(seen) != 400 {
			t.Errorf("%d different serial numbers in 400 stamps", len(seen))
		}
	})
}

func TestANodeThatCrashedLeavesItsNumbersUnused(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		last := n.stamp(t).Serial
		for range 3 {
			n = n.site.node(n.db, nil) // as after a crash: nothing was given back, no time has passed
			next := n.stamp(t).Serial
			if gap := new(big.Int).Sub(next, last); gap.Cmp(big.NewInt(1<<16)) < 0 {
				t.Errorf("%d follows %d, within its block", next, last)
			}
			last = next
		}
	})
}

func TestADatabaseFromAnOldCopyGivesNoNumberTwice(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		n.site.clock.Advance(time.Hour)
		n = n.site.node(n.db, nil)
		used := n.stamp(t).Serial
		err := n.db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE timestamp_serials SET next_serial = 1`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		n.site.clock.Advance(time.Second)
		if again := n.site.node(n.db, nil).stamp(t).Serial; again.Cmp(used) <= 0 {
			t.Errorf("%d after %d", again, used)
		}
	})
}

// The reservation of a block fails before or after the commit; either way its
// numbers are not used and later ones are.
func TestABlockThatMayNotBeDurableIsNotUsed(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		before := n.stamp(t).Serial
		for name, fails := range map[string]func(update func() error) error{
			"before the commit": func(func() error) error { return errors.New("lost") },
			"after the commit":  func(update func() error) error { return errors.Join(update(), errors.New("the news was lost")) },
		} {
			n = n.site.node(n.db, nil)
			n.db.Interpose(fails)
			if err := n.refused(t, query(t), tsp.SystemFailure); err == nil {
				t.Errorf("%s: no error", name)
			}
			n.db.Interpose(nil)
			after := n.stamp(t).Serial
			if after.Cmp(before) <= 0 {
				t.Errorf("%s: %d after %d", name, after, before)
			}
			before = after
		}
	})
}
