package house

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// gauges measures the parts of the house each time Prometheus asks.
type gauges struct{ h *House }

var (
	messages    = prometheus.NewDesc("sealwright_outbox_messages_total", "Messages that this node brought to an end or will repeat, by outcome.", []string{"channel", "outcome"}, nil)
	waiting     = prometheus.NewDesc("sealwright_outbox_waiting", "Messages that should have been delivered by now.", []string{"channel"}, nil)
	waitingAge  = prometheus.NewDesc("sealwright_outbox_oldest_seconds", "How long the oldest of them has been waiting.", []string{"channel"}, nil)
	jobRuns     = prometheus.NewDesc("sealwright_jobs_total", "Background jobs that this node ran, by outcome.", []string{"kind", "outcome"}, nil)
	jobAge      = prometheus.NewDesc("sealwright_jobs_oldest_seconds", "How long the oldest due job has been waiting.", []string{"kind"}, nil)
	commits     = prometheus.NewDesc("sealwright_store_commits_total", "Commits of the SQLite database, each one fsync; callers share them.", nil, nil)
	crlAge      = prometheus.NewDesc("sealwright_crl_age_seconds", "Age of an authority's latest revocation list.", []string{"authority"}, nil)
	caEnd       = prometheus.NewDesc("sealwright_authority_ends_seconds", "When an authority's certificate ends, in seconds since 1970.", []string{"authority"}, nil)
	auditSigned = prometheus.NewDesc("sealwright_audit_damaged", "1 from when the audit log was found to be changed until a verification finds it whole.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{messages, waiting, waitingAge, jobRuns, jobAge, commits, crlAge, caEnd, auditSigned} {
		ch <- d
	}
}

// scrapeTime bounds what one scrape may wait for the database. What cannot be
// read is left out, which alerts on absence notice.
const scrapeTime = 5 * time.Second

// Collect implements [prometheus.Collector].
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	h, view, now := g.h, g.h.DB.View(ctx), g.h.Clock.Now()
	for channel, s := range h.Outbox.Stats() {
		for outcome, n := range map[string]int64{"delivered": s.Delivered, "failed": s.Failed, "expired": s.Expired, "retried": s.Retried} {
			count(messages, n, string(channel), outcome)
		}
	}
	if list, err := h.Outbox.Backlog(view); err == nil {
		late := map[outbox.Channel]outbox.Backlog{outbox.Email: {}, outbox.SMS: {}, outbox.Webhook: {}}
		for _, b := range list {
			late[b.Channel] = b
		}
		for channel, b := range late {
			gauge(waiting, float64(b.Count), string(channel))
			gauge(waitingAge, age(now, b.Oldest), string(channel))
		}
	}
	for _, s := range h.Queue.Stats() {
		for outcome, n := range map[string]int64{"done": s.Done, "failed": s.Failed, "retried": s.Retried} {
			count(jobRuns, n, s.Kind, outcome)
		}
	}
	if list, err := h.Queue.Backlog(view); err == nil {
		for _, b := range list {
			gauge(jobAge, age(now, b.Oldest), b.Kind)
		}
	}
	count(commits, h.DB.Commits())
	g.authorities(ctx, now, gauge)
	damaged := 0.0
	if h.auditDamaged.Load() {
		damaged = 1
	}
	gauge(auditSigned, damaged)
}

func (g gauges) authorities(ctx context.Context, now time.Time, gauge func(*prometheus.Desc, float64, ...string)) {
	list, err := g.h.Authority.List(ctx)
	if err != nil {
		return
	}
	for _, x := range list {
		if x.Certificate == nil {
			continue
		}
		gauge(caEnd, float64(x.Certificate.NotAfter.Unix()), x.ID)
		if c, err := g.h.Authority.CurrentCRL(ctx, x.ID); err == nil {
			gauge(crlAge, age(now, c.ThisUpdate), x.ID)
		}
	}
}

// age is how long ago t was; nothing, if there is no t.
func age(now, t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t).Seconds())
}

// sequence extends the audit log and remembers if it contradicts its checkpoint.
func (h *House) sequence(ctx context.Context) {
	_, err := h.Audit.Sequence(ctx)
	if err != nil && ctx.Err() == nil {
		h.Logger.Warn("the audit log could not be sequenced", "error", err)
	}
	if err != nil && fault.Of(err).Code == "audit.damaged" {
		h.auditDamaged.Store(true)
	}
}

// verifyAudit recomputes the whole log (pki-rules row 25: at least every 31
// days; here every day). What it finds goes to the log and to the metrics.
func (h *House) verifyAudit(ctx context.Context) error {
	report, err := h.Audit.Verify(ctx, audit.Options{})
	if err != nil {
		return err
	}
	h.auditDamaged.Store(!report.OK())
	for _, f := range report.Findings {
		h.Logger.Error("the audit log was changed", "kind", f.Kind, "entry", f.EntryID, "leaf", f.Leaf, "finding", f.Message)
	}
	return nil
}
