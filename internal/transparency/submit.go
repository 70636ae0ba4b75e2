package transparency

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

const (
	pathPrecert = "ct/v1/add-pre-chain" // RFC 6962, section 4.2
	pathFinal   = "ct/v1/add-chain"     // RFC 6962, section 4.1
)

// A Request is a pre-certificate to be logged.
type Request struct {
	Precert []byte   // DER
	Chain   [][]byte // DER, its issuer first, up to a root that the logs know
	Already []ct.SCT // obtained by earlier calls for the same pre-certificate
}

// Submit obtains the SCTs that the policy asks for. The dates that choose logs
// and number are those of the pre-certificate. SCTs in Already count if they
// still hold, so that a repeated call asks for the missing ones only.
//
// When the policy cannot be met now, the error is Unavailable
// ("transparency.incomplete", or "transparency.no_logs" when the log list
// cannot meet it at all); when every log said that it does not want the
// pre-certificate, it is Invalid ("transparency.rejected"). The result then
// holds what was obtained and all evidence.
func (s *Submitter) Submit(ctx context.Context, r Request) (Result, error) {
	c, entry, err := readSubmitted(r.Precert, r.Chain, true)
	if err != nil {
		return Result{}, err
	}
	h, err := s.newRace(pathPrecert, entry, c, r.Chain, s.policy.need(c.NotBefore, c.NotAfter))
	if err != nil {
		return Result{}, err
	}
	h.keep(r.Already)
	return h.result(h.run(ctx))
}

// SubmitFinal publishes a certificate: logs take it, those first whose SCTs it
// carries, until as many have it as the policy asks for a final certificate. A
// certificate without SCTs gets as many as a pre-certificate would. Chain is as
// in [Request]. Repeating the call does no harm: logs answer with the SCT they
// gave before, or another one. Errors are those of [Submitter.Submit].
func (s *Submitter) SubmitFinal(ctx context.Context, certificate []byte, chain [][]byte) (Result, error) {
	c, entry, err := readSubmitted(certificate, chain, false)
	if err != nil {
		return Result{}, err
	}
	list, err := ct.EmbeddedList(certificate)
	if err != nil {
		return Result{}, badCertificate(err)
	}
	n := s.policy.need(c.NotBefore, c.NotAfter)
	var embedded []ct.SCT
	if list != nil {
		if embedded, err = ct.ParseList(list); err != nil {
			return Result{}, badCertificate(err)
		}
		n = need{s.policy.Final, 1}
	}
	h, err := s.newRace(pathFinal, entry, c, chain, n)
	if err != nil {
		return Result{}, err
	}
	h.prefer = func(k *known) bool {
		return slices.ContainsFunc(embedded, func(t ct.SCT) bool { return t.LogID == k.key.ID() })
	}
	return h.result(h.run(ctx))
}

// readSubmitted takes what is to be submitted apart.
func readSubmitted(der []byte, chain [][]byte, precert bool) (*x509.Certificate, ct.Entry, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, ct.Entry{}, badCertificate(err)
	}
	if len(chain) == 0 {
		return nil, ct.Entry{}, fault.Invalidf("transparency.chain", "A certificate without its issuer cannot be submitted to logs.")
	}
	if ct.IsPrecert(der) != precert {
		return nil, ct.Entry{}, fault.Invalidf("transparency.kind", "Certificates and pre-certificates are submitted in different ways, and this is the wrong one.")
	}
	if !precert {
		return c, ct.CertificateEntry(der), nil
	}
	entry, err := ct.PrecertEntry(der, chain[0])
	if err != nil {
		return nil, ct.Entry{}, badCertificate(err)
	}
	return c, entry, nil
}

func badCertificate(cause error) error {
	return fault.Invalidf("transparency.certificate", "What is to be logged is not a certificate or pre-certificate as RFC 6962 has it.").WithCause(cause)
}

// newRace prepares a call.
func (s *Submitter) newRace(path string, entry ct.Entry, c *x509.Certificate, chain [][]byte, n need) (*race, error) {
	body, err := json.Marshal(ct.AddChainRequest{Chain: append([][]byte{c.Raw}, chain...)})
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	oldest := now
	if c.NotBefore.Before(now) {
		oldest = c.NotBefore
	}
	h := &race{
		s: s, logs: *s.logs.Load(), need: n, notAfter: c.NotAfter, deadline: now.Add(s.timing.Deadline),
		sub:     submission{path: path, body: body, entry: entry, oldest: oldest.Add(-s.timing.MaxAge)},
		running: map[*known]*attempt{}, tries: map[*known]int{}, again: map[*known]time.Time{}, out: map[*known]Outcome{},
		prefer: func(*known) bool { return false },
	}
	for _, k := range h.logs {
		if k.takes(c.NotAfter) {
			h.pool = append(h.pool, k)
		}
	}
	h.answers = make(chan answer, len(h.pool)*s.timing.Tries)
	return h, nil
}
