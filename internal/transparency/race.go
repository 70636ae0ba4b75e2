package transparency

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

// A race is one call of Submit: logs that are asked at once until what they
// gave fulfils the need. One goroutine runs it; attempts run in others and send
// their answers to it.
type race struct {
	s        *Submitter
	logs     []*known // the log list when the call began
	sub      submission
	need     need
	notAfter time.Time
	deadline time.Time
	pool     []*known            // that may be asked
	prefer   func(k *known) bool // logs to be asked before others

	have     []holding
	running  map[*known]*attempt
	tries    map[*known]int
	again    map[*known]time.Time // not before; after a failure
	out      map[*known]Outcome   // not again in this call
	answers  chan answer          // has room for all there can be
	evidence []Attempt
}

// A holding is an SCT that counts.
type holding struct {
	log *known
	sct ct.SCT
}

// An attempt is a log that is being asked.
type attempt struct {
	since time.Time
	late  bool // another was asked in its place
}

// keep takes over SCTs from earlier calls, each after the same checks as a new one.
func (h *race) keep(already []ct.SCT) {
	now := h.s.clock.Now()
	for _, t := range already {
		i := slices.IndexFunc(h.logs, func(k *known) bool { return k.key.ID() == t.LogID })
		if i < 0 {
			h.evidence = append(h.evidence, Attempt{LogID: t.LogID.String(), At: now, Outcome: Dropped, Detail: "The log is not in the log list."})
			continue
		}
		k := h.logs[i]
		e := evidence(k, now, Kept)
		switch outcome, detail := h.s.judge(k, t, h.sub); {
		case outcome != OK:
			e.Outcome, e.Detail = Dropped, detail
		case !k.counts(t) || !k.covers(h.notAfter):
			e.Outcome, e.Detail = Dropped, "SCTs of this log do not count for this certificate."
		case h.has(k):
			e.Outcome, e.Detail = Dropped, "One SCT of this log is enough."
		default:
			h.have = append(h.have, holding{k, t})
		}
		h.evidence = append(h.evidence, e)
	}
}

func (h *race) has(k *known) bool {
	return slices.ContainsFunc(h.have, func(g holding) bool { return g.log == k })
}

// run asks logs until the need is fulfilled, all ways are exhausted, or time is up.
func (h *race) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer h.abandon()
	others := slices.DeleteFunc(slices.Clone(h.pool), h.has)
	if _, possible := h.need.complete(h.holders(), others); !possible {
		return fault.Unavailablef(nil, "transparency.no_logs", "The usable logs cannot give %d SCTs of %d operators for a certificate valid until %s.",
			h.need.logs, h.need.operators, h.notAfter.UTC().Format(time.DateOnly)).
			WithNext("Update the log list.")
	}
	for {
		if _, done := h.chosen(); done {
			return nil
		}
		now := h.s.clock.Now()
		if !now.Before(h.deadline) {
			return h.incomplete()
		}
		h.start(ctx, now)
		wake := h.wake(now)
		if len(h.running) == 0 && wake.Equal(h.deadline) {
			return h.incomplete() // nothing will change until then
		}
		fire, stop := h.s.after(wake.Sub(now))
		select {
		case a := <-h.answers:
			h.ended(a)
		case <-fire:
			h.markLate()
		case <-ctx.Done():
			stop()
			return fault.Unavailablef(ctx.Err(), "transparency.incomplete", "Asking the logs was interrupted.")
		}
		stop()
	}
}

func (h *race) holders() (out []*known) {
	for _, g := range h.have {
		out = append(out, g.log)
	}
	return out
}

// chosen is the SCTs that fulfil the need, no more than it takes.
func (h *race) chosen() (scts []ct.SCT, done bool) {
	pick, done := h.need.complete(nil, h.holders())
	if !done {
		return nil, false
	}
	for _, g := range h.have {
		if slices.Contains(pick, g.log) {
			scts = append(scts, g.sct)
		}
	}
	return scts, true
}

// start asks the logs that are missing to fulfil the need, as if those that are
// late never answered.
func (h *race) start(ctx context.Context, now time.Time) {
	base := h.holders()
	for k, a := range h.running {
		if !a.late {
			base = append(base, k)
		}
	}
	var candidates []*known
	for _, k := range h.pool {
		if h.waiting(k) && !h.notBefore(k).After(now) {
			candidates = append(candidates, k)
		}
	}
	candidates = h.s.memory.rank(candidates, now)
	slices.SortStableFunc(candidates, func(a, b *known) int {
		switch pa, pb := h.prefer(a), h.prefer(b); {
		case pa && !pb:
			return -1
		case pb && !pa:
			return 1
		}
		return 0
	})
	pick, _ := h.need.complete(base, candidates)
	for _, k := range pick {
		h.running[k] = &attempt{since: now}
		h.tries[k]++
		h.s.memory.asked(k, now)
		go func() { h.answers <- h.s.ask(ctx, k, h.sub) }()
	}
}

// waiting tells whether a log may still be asked in this call.
func (h *race) waiting(k *known) bool {
	return h.running[k] == nil && h.out[k] == "" && !h.has(k)
}

// notBefore is when a log may be asked: after its pause in this call, and after
// the time that it asked for in any.
func (h *race) notBefore(k *known) time.Time {
	at := h.s.memory.notBefore(k)
	if h.again[k].After(at) {
		return h.again[k]
	}
	return at
}

// wake is when the next thing happens by itself: an attempt becomes late, a log
// may be asked again, or time is up.
func (h *race) wake(now time.Time) time.Time {
	at := h.deadline
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	for _, a := range h.running {
		if !a.late {
			sooner(a.since.Add(h.s.timing.Hedge))
		}
	}
	for _, k := range h.pool {
		if h.waiting(k) {
			sooner(h.notBefore(k))
		}
	}
	return at
}

func (h *race) markLate() {
	now := h.s.clock.Now()
	for _, a := range h.running {
		if now.Sub(a.since) >= h.s.timing.Hedge {
			a.late = true
		}
	}
}

// ended takes an answer in.
func (h *race) ended(a answer) {
	now, since := h.s.clock.Now(), h.running[a.log].since
	delete(h.running, a.log)
	e := evidence(a.log, since, a.outcome)
	e.Latency, e.Status, e.Detail = now.Sub(since), a.status, a.detail
	h.evidence = append(h.evidence, e)
	var asked time.Time
	if a.retryAfter > 0 {
		asked = now.Add(a.retryAfter)
	}
	h.s.memory.learned(a.log, a.outcome, e.Latency, asked, now)
	switch tries := h.tries[a.log]; {
	case a.outcome == OK:
		h.have = append(h.have, holding{a.log, a.sct})
	case a.outcome.passing() && tries < h.s.timing.Tries:
		h.again[a.log] = now.Add(h.s.timing.Backoff << min(tries-1, 10))
	default:
		h.out[a.log] = a.outcome
	}
}

// abandon notes the attempts that are no longer waited for.
func (h *race) abandon() {
	now := h.s.clock.Now()
	for _, k := range h.pool { // in the order of the list, as maps have none
		a := h.running[k]
		if a == nil {
			continue
		}
		e := evidence(k, a.since, Unneeded)
		if a.late {
			e.Outcome = Slow
		}
		e.Latency = now.Sub(a.since)
		h.evidence = append(h.evidence, e)
		h.s.memory.learned(k, e.Outcome, e.Latency, time.Time{}, now)
	}
}

// incomplete is the error when the need cannot be fulfilled now.
func (h *race) incomplete() error {
	rejected := len(h.have) == 0 && len(h.out) == len(h.pool)
	for _, outcome := range h.out {
		rejected = rejected && outcome == Rejected
	}
	if rejected {
		return fault.Invalidf("transparency.rejected", "All %d logs refused the certificate%s", len(h.pool), h.lastWords()).
			WithNext("See the evidence of each attempt; the logs may not know the root.")
	}
	f := fault.Unavailablef(nil, "transparency.incomplete", "Logs gave %d of %d SCTs in the time there was%s", len(h.have), h.need.logs, h.lastWords()).
		WithNext("The submission can be repeated; see the evidence of each attempt.")
	f.RetryAfter = time.Minute
	return f
}

// lastWords ends the sentence with what went wrong last.
func (h *race) lastWords() string {
	for _, e := range slices.Backward(h.evidence) {
		if e.Outcome != OK && e.Outcome != Kept && e.Outcome != Unneeded {
			return fmt.Sprintf("; log %q: %s.", e.Log, e.Outcome)
		}
	}
	return "."
}

func (h *race) result(err error) (Result, error) {
	scts, done := h.chosen()
	if !done {
		for _, g := range h.have {
			scts = append(scts, g.sct)
		}
	}
	return Result{SCTs: scts, Evidence: h.evidence}, err
}
