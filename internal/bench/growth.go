package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// growth fills one database further and further and measures at each size what
// people and programs do all day.
func growth(ctx context.Context, s *session) error {
	sizes := s.Rows
	if len(sizes) == 0 {
		sizes = []int64{1_000, 1_000_000, 5_000_000}
		if s.Quick {
			sizes = []int64{1_000, 20_000}
		}
	}
	dir, err := s.place("growth")
	if err != nil {
		return err
	}
	p := plan{dir: dir}
	if s.engine() == "postgres" {
		if p.database, err = s.newDatabase(ctx); err != nil {
			return err
		}
	}
	requests, err := newPool(2000)
	if err != nil {
		return err
	}
	st := &stock{}
	for _, n := range sizes {
		if err := s.grow(ctx, p, st, n); err != nil {
			return err
		}
		if err := s.atSize(ctx, p, st, requests, n); err != nil {
			return fmt.Errorf("at %d rows: %w", n, err)
		}
	}
	s.judgeGrowth(sizes)
	return nil
}

func (s *session) grow(ctx context.Context, p plan, st *stock, n int64) error {
	site, log, err := openSite(ctx, p)
	if err != nil {
		return err
	}
	defer log.Close()
	m, err := newMould(ctx, site.House)
	if err == nil {
		begin, had := time.Now(), st.count
		err = st.fill(ctx, site.House.DB, m, n)
		s.say("%d orders made in %.1f s", st.count-had, time.Since(begin).Seconds())
	}
	return errors.Join(err, site.House.Close())
}

// growthCase names a case at a size.
func growthCase(what string, n int64) string { return fmt.Sprintf("%s rows=%d", what, n) }

func (s *session) atSize(ctx context.Context, plan plan, st *stock, requests *pool, n int64) error {
	begin := time.Now()
	p, err := s.install(ctx, plan)
	if err != nil {
		return err
	}
	defer func() { p.stop() }()
	s.say("at %d rows the product starts in %.2f s", n, time.Since(begin).Seconds())
	certificate, err := p.clientCertificate(ctx, fmt.Sprintf("growth %d", n))
	if err != nil {
		return err
	}
	mutual, err := p.call(ctx, certificate)
	if err != nil {
		return err
	}
	for _, callers := range s.numbers() {
		acknowledged := newLedger[issued](callers)
		issue, c := p.issuing(requests, acknowledged)
		for _, x := range []struct {
			what string
			op   operation
		}{
			{"issue", issue},
			{"look-up", p.finding(c, st.serials)},
			{"first-page", p.paging(c, nil)},
			{"deep-page", p.paging(c, st.ids)},
			{"mtls", mutual},
		} {
			if err := s.compare(ctx, growthCase(x.what, n), callers, target{name: product, server: p.process, op: x.op}); err != nil {
				return err
			}
		}
		c.close()
	}
	return nil
}

type listAnswer struct{ Items []orderAnswer }

// finding looks orders up by the serial numbers of their certificates.
func (p *installation) finding(c *callers, serials []string) operation {
	return func(ctx context.Context, caller int) error {
		serial := serials[rand.IntN(len(serials))]
		var found listAnswer
		if err := c.json(ctx, caller, http.MethodGet, "/api/v1/orders?search="+serial, p.Logins.Token, nil, &found, http.StatusOK); err != nil {
			return err
		}
		if len(found.Items) != 1 || found.Items[0].Serial != serial {
			return fmt.Errorf("%d orders found with serial number %s", len(found.Items), serial)
		}
		return nil
	}
}

// paging asks for pages of the list of orders: the first, or those after ids.
func (p *installation) paging(c *callers, ids []string) operation {
	return func(ctx context.Context, caller int) error {
		address := "/api/v1/orders?limit=50"
		if len(ids) > 0 {
			// Not from the last ones: their pages are short.
			address += "&cursor=" + url.QueryEscape(store.Key{ID: ids[len(ids)/4+rand.IntN(len(ids)-len(ids)/4)]}.Cursor())
		}
		var page listAnswer
		if err := c.json(ctx, caller, http.MethodGet, address, p.Logins.Token, nil, &page, http.StatusOK); err != nil {
			return err
		}
		if len(page.Items) != 50 {
			return fmt.Errorf("the page has %d orders", len(page.Items))
		}
		return nil
	}
}

// The rules of growth: how much dearer an operation may be in the largest
// database than in the smallest, in processor time or in time as noted.
const (
	dearer   = 1.15
	slower   = 3.0
	pageTime = 20 * time.Millisecond
)

// judgeGrowth holds the largest size against the smallest.
func (s *session) judgeGrowth(sizes []int64) {
	if len(sizes) < 2 || s.Quick {
		return
	}
	first, last := sizes[0], sizes[len(sizes)-1]
	for _, what := range []string{"issue", "mtls"} {
		a, b := s.result(growthCase(what, first)), s.result(growthCase(what, last))
		d := float64(b.CPU()) / float64(a.CPU())
		s.check(d <= dearer, "%s: %.2f times the CPU at %d rows (at most %.2f)", what, d, last, dearer)
	}
	a, b := s.result(growthCase("look-up", first)), s.result(growthCase("look-up", last))
	d := float64(b.P50) / float64(a.P50)
	s.check(d <= slower, "look-up: %.2f times the p50 at %d rows (at most %.0f)", d, last, slower)
	for _, what := range []string{"first-page", "deep-page"} {
		x := s.result(growthCase(what, last))
		s.check(x.P99 <= pageTime, "%s: p99 %.1f ms at %d rows (at most %.0f)", what, ms(x.P99), last, ms(pageTime))
	}
}

// result is the median of the first result of a case.
func (s *session) result(name string) Sample {
	for _, r := range s.report.Results {
		if r.Case == name {
			return r.Median()
		}
	}
	return Sample{}
}
