package clientcert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// A refusal is a certificate and why it was refused. What is not known about it
// is zero.
type refusal struct {
	reason   reason
	leaf     *x509.Certificate
	facts    *facts
	identity Identity
	called   string // name of the service that was called
}

// registered tells whether the certificate is one of ours.
func (r refusal) registered() bool { return r.identity.Status != "" && r.reason != reasonUnknown }

// refuse counts, records and answers.
func (v *Verifier) refuse(ctx context.Context, want Want, r refusal) error {
	v.refusals.counter.WithLabelValues(string(r.reason), want.Realm).Inc()
	v.refusals.record(ctx, want, r)
	return r.fault(want, v.clock.Now())
}

// refuseError refuses for a reason, and passes on any other error.
func (v *Verifier) refuseError(ctx context.Context, want Want, leaf *x509.Certificate, err error) error {
	var why reason
	if errors.As(err, &why) {
		return v.refuse(ctx, want, refusal{reason: why, leaf: leaf})
	}
	return err
}

// The audit log gets one entry a minute for each key. A key is a certificate of
// ours and a reason; certificates that anybody can make are told apart by the
// caller's address only, and when there are too many keys by the reason only.
const (
	auditEvery = time.Minute
	maxKeys    = 1000
)

type refusals struct {
	log     *audit.Log
	clock   clock.Clock
	counter *prometheus.CounterVec

	mu   sync.Mutex
	seen map[string]*window
}

// A window is the minute that follows an entry; refusals in it are counted.
type window struct {
	until time.Time
	count int64 // since the entry
	entry audit.Entry
	from  audit.Origin
}

func (s *refusals) init(log *audit.Log, c clock.Clock, reg prometheus.Registerer) {
	s.log, s.clock, s.seen = log, c, map[string]*window{}
	s.counter = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sealwright_client_certificate_refusals_total",
		Help: "Requests refused because of their client certificate, by reason and environment.",
	}, []string{"reason", "realm"})
	if reg != nil {
		reg.MustRegister(s.counter)
	}
}

// record writes an entry now, or counts the refusal for the next one.
func (s *refusals) record(ctx context.Context, want Want, r refusal) {
	origin := r.origin(audit.OriginOf(ctx))
	if n := s.due(r.key(want, origin.From), r, want, origin); n > 0 {
		s.write(ctx, origin, r.entry(want), n)
	}
}

// due says how many refusals the entry to be written now stands for: none when
// the key has had one within the minute.
func (s *refusals) due(key string, r refusal, want Want, origin audit.Origin) int64 {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.seen[key]
	if w == nil && s.full(now) {
		key = "any|" + string(r.reason) + "|" + want.Realm
		w = s.seen[key]
	}
	if w == nil {
		w = &window{}
		s.seen[key] = w
	}
	w.count++
	if now.Before(w.until) {
		w.entry, w.from = r.entry(want), origin
		return 0
	}
	n := w.count
	w.count, w.until = 0, now.Add(auditEvery)
	return n
}

// full tells whether there is no room for another key, after dropping those
// that have been quiet.
func (s *refusals) full(now time.Time) bool {
	if len(s.seen) < maxKeys {
		return false
	}
	for key, w := range s.seen {
		if w.count == 0 && !now.Before(w.until) {
			delete(s.seen, key)
		}
	}
	return len(s.seen) >= maxKeys
}

// Run calls [Verifier.Flush] once a minute until ctx ends, and then records what
// is left. Each node runs it: the counts are in its memory.
func (v *Verifier) Run(ctx context.Context) {
	tick := time.NewTicker(auditEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			report(last, v.refusals.flush(last, true))
			return
		}
		report(ctx, v.Flush(ctx))
	}
}

func report(ctx context.Context, err error) {
	if err != nil {
		telemetry.Logger(ctx).WarnContext(ctx, "counts of refused client certificates were not recorded", "error", err)
	}
}

// Flush records what was counted in minutes that are over, and forgets keys that
// have been quiet.
func (v *Verifier) Flush(ctx context.Context) error { return v.refusals.flush(ctx, false) }

// flush with all does not wait for the end of the minute.
func (s *refusals) flush(ctx context.Context, all bool) error {
	var failed error
	for _, w := range s.take(all) {
		failed = errors.Join(failed, s.log.Record(audit.WithOrigin(ctx, w.from), counted(w.entry, w.count)))
	}
	return failed
}

// take removes the windows that have ended, or all, and returns those that have
// something to tell.
func (s *refusals) take(all bool) (out []*window) {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, w := range s.seen {
		if now.Before(w.until) && (!all || w.count == 0) {
			continue
		}
		if w.count == 0 {
			delete(s.seen, key)
			continue
		}
		out = append(out, w)
		s.seen[key] = &window{until: now.Add(auditEvery)} // its entry is being written now
	}
	return out
}

// write must not keep a refusal from being answered: what cannot be recorded is logged.
func (s *refusals) write(ctx context.Context, origin audit.Origin, e audit.Entry, n int64) {
	ctx, cancel := context.WithTimeout(audit.WithOrigin(context.WithoutCancel(ctx), origin), 5*time.Second)
	defer cancel()
	if err := s.log.Record(ctx, counted(e, n)); err != nil {
		telemetry.Logger(ctx).ErrorContext(ctx, "a refused client certificate could not be recorded", "reason", e.Detail["reason"], "object", e.ObjectID, "error", err)
	}
}

func counted(e audit.Entry, n int64) audit.Entry {
	e.Detail["count"] = strconv.FormatInt(n, 10)
	return e
}

// origin names the certificate as the one who acts when nobody else is known:
// TLS has proved that the caller holds its key.
func (r refusal) origin(o audit.Origin) audit.Origin {
	if r.registered() && (o.Kind == audit.Anonymous || o.Kind == audit.System) {
		o.Kind, o.ID, o.Name = audit.Certificate, r.identity.Reference(), r.identity.CommonName
	}
	return o
}

func (r refusal) key(want Want, from string) string {
	if r.registered() {
		return r.identity.Reference() + "|" + string(r.reason) + "|" + want.Realm
	}
	return from + "|" + string(r.reason) + "|" + want.Realm
}

// maxShown bounds the names that a stranger's certificate brings into the log.
const maxShown = 200

func (r refusal) entry(want Want) audit.Entry {
	e := audit.Entry{Action: "clientcert.refuse", ObjectKind: "certificate", Realm: want.Realm, Detail: map[string]string{"reason": string(r.reason)}}
	if r.called != "" {
		e.Detail["called"] = shorten(r.called)
	}
	if r.registered() {
		e.ObjectID, e.Client, e.Service = r.identity.Reference(), r.identity.Client, r.identity.Service
		e.Detail["cn"] = r.identity.CommonName
		return e
	}
	if r.leaf != nil {
		sum := sha256.Sum256(r.leaf.Raw)
		e.Detail["sha256"] = hex.EncodeToString(sum[:])
		e.Detail["subject"], e.Detail["issuer"] = shorten(r.leaf.Subject.String()), shorten(r.leaf.Issuer.String())
	}
	return e
}

func shorten(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}
