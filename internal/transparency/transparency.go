// Package transparency obtains signed certificate timestamps (RFC 6962) from
// several logs, so that browsers accept a certificate, and checks those that a
// certificate carries.
//
// A [Submitter] knows a list of logs and a [Policy]. [Submitter.Submit] sends a
// pre-certificate to the best set of logs that fulfils the policy, at once. A
// log that fails, or has not answered after [Timing.Hedge], is replaced by
// another, so that neither one dead log nor one dead operator holds up an order
// while the policy can be met without it. An SCT counts once its log id,
// signature and time have been checked. Every attempt is kept as evidence.
//
// [Submitter.SubmitFinal] publishes the certificate itself and
// [Submitter.CheckIssued] checks what was issued.
//
// # State
//
// What logs are asked first comes from a memory of this process; nothing is
// stored. The caller keeps [Result] with the order, also when Submit fails, and
// passes the SCTs to the next try as [Request.Already]. Logs give the same or
// an equally good SCT for what they have seen, so any call may be repeated.
package transparency

import (
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Timing bounds how long things take. Zero fields have the defaults in
// brackets.
type Timing struct {
	Hedge    time.Duration // until another log is asked as well [2 s]
	Attempt  time.Duration // until a log's answer is given up [15 s]
	Deadline time.Duration // of one call of Submit [40 s]
	Backoff  time.Duration // before a log is asked again, doubled each time [1 s]
	Tries    int           // how often one call asks one log [3]
	Skew     time.Duration // how far an SCT may be in the future [5 s]
	MaxAge   time.Duration // how far an SCT may be before NotBefore, or before now if that is earlier [48 h]
}

func (t Timing) filled() Timing {
	for _, f := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&t.Hedge, 2 * time.Second},
		{&t.Attempt, 15 * time.Second},
		{&t.Deadline, 40 * time.Second},
		{&t.Backoff, time.Second},
		{&t.Skew, 5 * time.Second},
		{&t.MaxAge, 48 * time.Hour},
	} {
		if *f.value <= 0 {
			*f.value = f.standard
		}
	}
	if t.Tries <= 0 {
		t.Tries = 3
	}
	return t
}

// Options are what a [Submitter] stands on.
type Options struct {
	Logs   []Log
	Policy Policy
	Timing Timing
	Egress egress.Policy  // its Timeout and MaxBody are set here
	Roots  *x509.CertPool // for the TLS of the logs; nil uses those of the system
	Clock  clock.Clock

	// After starts a timer and returns how to stop it; nil uses the machine's.
	After func(time.Duration) (fire <-chan time.Time, stop func())
}

// A Submitter talks to logs. Its methods may be called from any goroutine.
type Submitter struct {
	policy Policy
	timing Timing
	clock  clock.Clock
	after  func(time.Duration) (<-chan time.Time, func())
	client *http.Client
	memory *memory
	logs   atomic.Pointer[[]*known]
}

// maxAnswer is far more than an SCT takes, in bytes.
const maxAnswer = 64 << 10

// New makes a submitter. A log list or policy that cannot be meant gives Invalid.
func New(o Options) (*Submitter, error) {
	policy, err := o.Policy.filled()
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		return nil, fault.New(fault.Internal, "transparency.clock", "A submitter needs a clock.")
	}
	s := &Submitter{policy: policy, timing: o.Timing.filled(), clock: o.Clock, after: o.After, memory: newMemory()}
	if s.after == nil {
		s.after = machineTimer
	}
	if err := s.SetLogs(o.Logs); err != nil {
		return nil, err
	}
	out := o.Egress
	out.Timeout, out.MaxBody = s.timing.Attempt, maxAnswer
	s.client = out.Client(egress.Options{Roots: o.Roots})
	return s, nil
}

func machineTimer(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// SetLogs changes the log list, from the next call on. What is remembered of
// logs in both lists stays.
func (s *Submitter) SetLogs(logs []Log) error {
	checked, err := checkLogs(logs)
	if err != nil {
		return err
	}
	s.logs.Store(&checked)
	return nil
}

// Logs is the log list in use.
func (s *Submitter) Logs() []Log {
	var out []Log
	for _, k := range *s.logs.Load() {
		out = append(out, k.Log)
	}
	return out
}

// Close closes idle connections.
func (s *Submitter) Close() { s.client.CloseIdleConnections() }
