package transparency_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/transparency"
)

// A112: a log that does not answer is replaced after the hedge time, not after
// its own time-out, and so is the replacement.
func TestASlowLogIsReplacedWithoutWaitingForIt(t *testing.T) {
	w := newWorld(t, "a1", "b1", "c1", "d1")
	w.servers[0].spoilWith(silent)
	w.servers[2].spoilWith(silent)
	request := w.request(t)
	p := w.begin(t, request)
	w.time.waitArmed(2) // a1 and b1 asked; b1 answered
	w.time.pass(2 * time.Second)
	w.time.waitArmed(1) // c1 asked
	w.time.pass(2 * time.Second)
	r, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, r, "a1:slow", "b1:ok", "c1:slow", "d1:ok")
	w.final(t, request.Precert, r)
	for _, e := range r.Evidence {
		if e.Log == "a1" && e.Latency != 4*time.Second || e.Log == "c1" && e.Latency != 2*time.Second {
			t.Errorf("%s took %s", e.Log, e.Latency)
		}
	}
	// The next order begins with those that answer.
	r, err = w.Submit(t.Context(), w.request(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, r, "b1:ok", "d1:ok")
}

// A late answer is as good as any: what comes first fulfils the policy.
func TestALateAnswerStillCounts(t *testing.T) {
	w := newWorld(t, "a1", "b1", "c1")
	release := make(chan struct{})
	w.servers[0].spoilWith(func(rw http.ResponseWriter, r *http.Request, honest http.Handler) {
		<-release
		honest.ServeHTTP(rw, r)
	})
	w.servers[2].spoilWith(silent)
	p := w.begin(t, w.request(t))
	w.time.waitArmed(2)
	w.time.pass(2 * time.Second)
	w.time.waitArmed(1) // c1 asked
	close(release)
	r, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, r, "a1:ok", "b1:ok", "c1:unneeded")
}

func TestTimeIsUpAtTheDeadline(t *testing.T) {
	w := newWorld(t, "a1", "b1")
	w.servers[1].spoilWith(silent)
	p := w.begin(t, w.request(t))
	w.time.waitArmed(2)
	w.time.pass(2 * time.Second)
	w.time.waitArmed(1) // nobody is left to ask
	w.time.pass(38 * time.Second)
	r, err := p.wait()
	wantFault(t, err, fault.Unavailable, "transparency.incomplete")
	if fault.Of(err).RetryAfter == 0 || len(r.SCTs) != 1 {
		t.Errorf("%v, %d SCTs", err, len(r.SCTs))
	}
	wantOutcomes(t, r, "a1:ok", "b1:slow")
}

// A log that cannot be replaced is asked again, after a pause that doubles.
func TestALogIsAskedAgainAfterAPause(t *testing.T) {
	w := newWorld(t, "a1", "b1")
	w.servers[1].spoilWith(status(500, ""))
	p := w.begin(t, w.request(t))
	w.time.waitArmed(3) // both asked, both answered
	w.time.pass(time.Second)
	w.time.waitArmed(2) // asked again, failed again
	if n := w.servers[1].asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	w.servers[1].spoilWith(nil)
	w.time.pass(1999 * time.Millisecond)
	if n := w.servers[1].asked.Load(); n != 2 {
		t.Errorf("asked too early")
	}
	w.time.pass(time.Millisecond)
	r, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, r, "a1:ok", "b1:failed", "b1:failed", "b1:ok")
}

func TestAfterThreeTriesACallGivesUp(t *testing.T) {
	w := newWorld(t, "a1", "b1")
	w.servers[1].spoilWith(status(500, ""))
	p := w.begin(t, w.request(t))
	w.time.waitArmed(3)
	w.time.pass(time.Second)
	w.time.waitArmed(2)
	w.time.pass(2 * time.Second)
	r, err := p.wait()
	wantFault(t, err, fault.Unavailable, "transparency.incomplete")
	wantOutcomes(t, r, "a1:ok", "b1:failed", "b1:failed", "b1:failed")
}

// A log that says when to come back is left alone until then, by all calls.
func TestRetryAfterIsKept(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"in seconds", "20"},
		{"as a date", start.Add(20 * time.Second).Format(http.TimeFormat)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "a1", "b1")
			w.servers[1].spoilWith(status(429, "", "Retry-After", c.value))
			p := w.begin(t, w.request(t))
			w.time.waitArmed(3)
			w.servers[1].spoilWith(nil)
			w.time.pass(19 * time.Second)
			other := w.begin(t, w.request(t))
			w.time.waitArmed(2) // a1 asked and answered; b1 is to be left alone
			if n := w.servers[1].asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
			w.time.pass(time.Second)
			for _, p := range []*pending{p, other} {
				if _, err := p.wait(); err != nil {
					t.Error(err)
				}
			}
			if n := w.servers[1].asked.Load(); n != 3 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("beyond the deadline there is nothing to wait for", func(t *testing.T) {
		w := newWorld(t, "a1", "b1")
		w.servers[1].spoilWith(status(503, "", "Retry-After", "3000000000"))
		_, err := w.Submit(t.Context(), w.request(t))
		wantFault(t, err, fault.Unavailable, "transparency.incomplete")
	})
}

// The circuit breaker: a log that failed three times is avoided for a while,
// asked by one when the while is over, and asked at any time if there is no
// other way.
func TestALogThatFailsAgainAndAgainIsAvoided(t *testing.T) {
	w := newWorld(t, "a1", "b1", "c1")
	submit := func() transparency.Result {
		t.Helper()
		r, err := w.Submit(t.Context(), w.request(t))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	w.servers[0].spoilWith(status(500, ""))
	for range 3 {
		submit()
	}
	wantOutcomes(t, submit(), "b1:ok", "c1:ok")
	if n := w.servers[0].asked.Load(); n != 3 {
		t.Fatalf("asked %d times", n)
	}
	w.time.pass(31 * time.Second)
	wantOutcomes(t, submit(), "a1:failed", "b1:ok", "c1:ok")
	wantOutcomes(t, submit(), "b1:ok", "c1:ok")

	w.servers[0].spoilWith(nil)
	w.servers[1].spoilWith(status(400, ""))
	wantOutcomes(t, submit(), "a1:ok", "b1:rejected", "c1:ok")
	// a1 is well again; b1 said no last and comes last.
	wantOutcomes(t, submit(), "a1:ok", "c1:ok")
}

// A log that signs wrongly is avoided at once and for long.
func TestALogThatLiesIsAvoidedAtOnce(t *testing.T) {
	w := newWorld(t, "a1", "b1", "c1")
	other := w.servers[1].log.Key().ID()
	w.servers[0].spoilWith(changed(wrongID(other)))
	if _, err := w.Submit(t.Context(), w.request(t)); err != nil {
		t.Fatal(err)
	}
	w.time.pass(59 * time.Minute)
	r, err := w.Submit(t.Context(), w.request(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, r, "b1:ok", "c1:ok")
	w.time.pass(2 * time.Minute)
	if r, err = w.Submit(t.Context(), w.request(t)); err != nil || !slices.Contains(outcomes(r), "a1:wrong_log") {
		t.Errorf("%v, %v", outcomes(r), err)
	}
}
