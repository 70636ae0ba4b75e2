package transparency_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

// A17, A112, A114; pki-rules row 23: the whole way of a certificate, and how
// many SCTs of how many operators it gets.
func TestACertificateGetsTheSCTsOfItsLifetime(t *testing.T) {
	w := newWorld(t, "a1", "a2", "b1", "c1")
	for _, c := range []struct {
		name     string
		notAfter time.Time
		scts     int
	}{
		{"exactly 180 days", start.Add(180*24*time.Hour - time.Second), 2},
		{"a second more", start.Add(180 * 24 * time.Hour), 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			precert := w.ca.Precert(t, "www.example.com", start, c.notAfter)
			r, err := w.Submit(t.Context(), transparency.Request{Precert: precert, Chain: w.ca.Chain()})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.SCTs) != c.scts {
				t.Errorf("%d SCTs, want %d", len(r.SCTs), c.scts)
			}
			operators := map[string]bool{}
			for _, e := range r.Evidence {
				if e.Outcome == transparency.OK {
					operators[e.Operator] = true
				}
				if e.LogID == "" || e.At.IsZero() || e.Outcome == transparency.OK && e.Status != http.StatusOK {
					t.Errorf("evidence without substance: %+v", e)
				}
			}
			if len(operators) < 2 {
				t.Errorf("all SCTs are of one operator: %v", outcomes(r))
			}
			final := w.final(t, precert, r)
			published, err := w.SubmitFinal(t.Context(), final, w.ca.Chain())
			if err != nil || len(published.SCTs) != 1 {
				t.Fatalf("publishing the final certificate: %+v, %v", published, err)
			}
			again, err := w.SubmitFinal(t.Context(), final, w.ca.Chain())
			if err != nil || !reflect.DeepEqual(again.SCTs, published.SCTs) {
				t.Errorf("published again: %+v, %v", again, err)
			}
			if !slices.ContainsFunc(r.SCTs, func(s ct.SCT) bool { return s.LogID == published.SCTs[0].LogID }) {
				t.Error("the final certificate went to a log that did not have the pre-certificate")
			}
		})
	}
}

func TestARepeatedCallAsksForTheMissingOnly(t *testing.T) {
	w := newWorld(t, "a1", "b1", "c1")
	w.servers[1].spoilWith(status(400, "no"))
	w.servers[2].spoilWith(status(400, "no"))
	request := w.request(t)
	first, err := w.Submit(t.Context(), request)
	wantFault(t, err, fault.Unavailable, "transparency.incomplete")
	wantOutcomes(t, first, "a1:ok", "b1:rejected", "c1:rejected")
	if len(first.SCTs) != 1 {
		t.Fatalf("%d SCTs are kept of a failed call", len(first.SCTs))
	}
	w.servers[2].spoilWith(nil)
	foreign := first.SCTs[0]
	foreign.LogID[0]++
	spoiled := first.SCTs[0]
	spoiled.Timestamp++
	request.Already = []ct.SCT{foreign, spoiled, first.SCTs[0], first.SCTs[0]}
	asked := w.servers[0].asked.Load()
	second, err := w.Submit(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if w.servers[0].asked.Load() != asked {
		t.Error("the log whose SCT was there already was asked again")
	}
	w.final(t, request.Precert, second)
	if got := outcomes(second); !slices.Contains(got, "a1:kept") || !slices.Contains(got, ":dropped") || !slices.Contains(got, "c1:ok") {
		t.Errorf("evidence %v", got)
	}
	request.Already = second.SCTs
	third, err := w.Submit(t.Context(), request)
	if err != nil || !reflect.DeepEqual(third.SCTs, second.SCTs) {
		t.Errorf("with everything there already: %v, %v", outcomes(third), err)
	}
	wantOutcomes(t, third, "a1:kept", "c1:kept")
}

func TestOneOperatorIsNotEnough(t *testing.T) {
	w := newWorld(t, "a1", "a2", "a3", "b1")
	w.servers[3].spoilWith(status(400, "no"))
	r, err := w.Submit(t.Context(), w.request(t))
	wantFault(t, err, fault.Unavailable, "transparency.incomplete")
	if len(r.SCTs) == 0 || slices.ContainsFunc(r.Evidence, func(e transparency.Attempt) bool { return e.Operator == "b" && e.Outcome == transparency.OK }) {
		t.Errorf("evidence %v", outcomes(r))
	}
	if err := w.SetLogs(w.list()[:3]); err != nil {
		t.Fatal(err)
	}
	_, err = w.Submit(t.Context(), w.request(t))
	wantFault(t, err, fault.Unavailable, "transparency.no_logs")
}

func TestWhatCannotBeSubmittedIsTold(t *testing.T) {
	w := newWorld(t, "a1", "b1")
	good := w.request(t)
	plain := w.ca.Certificate(t, "a.example", start, until)
	for _, c := range []struct {
		name string
		try  func() error
		code string
	}{
		{"what is no certificate", func() error {
			_, err := w.Submit(t.Context(), transparency.Request{Precert: []byte("x"), Chain: good.Chain})
			return err
		}, "transparency.certificate"},
		{"no issuer", func() error {
			_, err := w.Submit(t.Context(), transparency.Request{Precert: good.Precert})
			return err
		}, "transparency.chain"},
		{"a certificate as a pre-certificate", func() error {
			_, err := w.Submit(t.Context(), transparency.Request{Precert: plain, Chain: good.Chain})
			return err
		}, "transparency.kind"},
		{"a pre-certificate as final", func() error { _, err := w.SubmitFinal(t.Context(), good.Precert, good.Chain); return err }, "transparency.kind"},
		{"a root that no log knows", func() error {
			other := cttest.NewCA(t)
			_, err := w.Submit(t.Context(), transparency.Request{Precert: other.Precert(t, "a.example", start, until), Chain: other.Chain()})
			return err
		}, "transparency.rejected"},
	} {
		t.Run(c.name, func(t *testing.T) { wantFault(t, c.try(), fault.Invalid, c.code) })
	}
	t.Run("beyond all intervals", func(t *testing.T) {
		precert := w.ca.Precert(t, "a.example", start, start.AddDate(2, 0, 0))
		_, err := w.Submit(t.Context(), transparency.Request{Precert: precert, Chain: good.Chain})
		wantFault(t, err, fault.Unavailable, "transparency.no_logs")
	})
	t.Run("a certificate without SCTs gets as many as a pre-certificate", func(t *testing.T) {
		r, err := w.SubmitFinal(t.Context(), plain, good.Chain)
		if err != nil || len(r.SCTs) != 2 {
			t.Errorf("%d SCTs, %v", len(r.SCTs), err)
		}
	})
}

func TestACallerThatGivesUpLeavesEvidence(t *testing.T) {
	w := newWorld(t, "a1", "b1")
	w.servers[1].spoilWith(silent)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		w.time.waitArmed(2) // both asked; a1 answered
		cancel()
	}()
	r, err := w.Submit(ctx, w.request(t))
	wantFault(t, err, fault.Unavailable, "transparency.incomplete")
	wantOutcomes(t, r, "a1:ok", "b1:unneeded")
	if len(r.SCTs) != 1 {
		t.Errorf("%d SCTs", len(r.SCTs))
	}
}

// Many orders at once, with the machine's timers.
func TestManyCallsAtOnce(t *testing.T) {
	w := newWorld(t, "a1", "b1", "c1")
	w.options.After = nil
	w.renew(t)
	w.servers[0].spoilWith(status(500, ""))
	var wg sync.WaitGroup
	for range 12 {
		request := w.request(t)
		wg.Go(func() {
			r, err := w.Submit(t.Context(), request)
			if err != nil {
				t.Error(err)
				return
			}
			list, err := ct.MarshalList(r.SCTs)
			if err != nil || len(r.SCTs) != 2 || len(list) == 0 {
				t.Errorf("%d SCTs, %v", len(r.SCTs), err)
			}
		})
	}
	wg.Wait()
	for _, s := range w.servers[1:] {
		if n, err := s.log.Sequence(t.Context()); err != nil || n != 12 {
			t.Errorf("%s holds %d entries, %v", s.name, n, err)
		}
	}
}
