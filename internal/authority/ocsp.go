package authority

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ocsp"
)

// An OCSPAnswer is a response and how long it may be cached.
type OCSPAnswer struct {
	DER        []byte
	ThisUpdate time.Time
	NextUpdate time.Time // zero: do not cache
}

// AnswerOCSP answers a DER request on behalf of one authority. It always has an
// answer; a malformed request and an internal error have OCSP's own. A serial
// number that was never issued is never "good".
//
// A request about one certificate, without nonce, is answered with what was
// signed for the last one alike, if the certificate has not changed since; all
// others have an answer of their own.
func (a *Authorities) AnswerOCSP(ctx context.Context, id string, request []byte) (OCSPAnswer, error) {
	now := a.clock.Now()
	d, err := a.desk(ctx, id, now)
	if err != nil {
		status := ocsp.TryLater
		if errors.Is(err, fault.NotFound) {
			status = ocsp.Unauthorized
		}
		return OCSPAnswer{DER: status.DER()}, err
	}
	req, err := ocsp.ParseRequest(request)
	if err != nil {
		return OCSPAnswer{DER: ocsp.Malformed.DER()}, nil
	}
	if m := d.mould(req); m != nil {
		return a.answerKept(ctx, d, m, req.IDs[0], now)
	}
	for _, cid := range req.IDs {
		if !d.issuer.Matches(cid) {
			return OCSPAnswer{DER: ocsp.Unauthorized.DER()}, nil
		}
	}
	return a.answerAnew(ctx, d, req)
}

// answerKept gives an answer that is remembered, or signs and remembers one.
func (a *Authorities) answerKept(ctx context.Context, d *desk, m *mould, id ocsp.CertID, now time.Time) (OCSPAnswer, error) {
	kept := &a.validity.ocsp.answers
	following := a.follow(ctx, now)
	if following == nil {
		if x, ok := kept.get(d.number, id.Hash, id.Serial); ok && x.mould == m.tag && now.Unix()-int64(x.thisUpdate) < d.renew {
			s := x.statement(d)
			var buf [72]byte
			return OCSPAnswer{DER: m.Append(make([]byte, 0, m.size), &s, appendSignature(buf[:0], &x.signature)), ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate}, nil
		}
	}
	version := kept.version(d.number, id.Serial)
	state, err := a.state(ctx, d, id.Serial)
	if err != nil {
		return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
	}
	if state.Status == 0 { // unused; nobody can make us remember those
		return a.answerAnew(ctx, d, &ocsp.Request{IDs: []ocsp.CertID{id}})
	}
	x, s, signature, err := a.sign(d, m, id, state)
	if err != nil {
		return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
	}
	if x != nil && following == nil {
		kept.put(x, version)
	}
	return OCSPAnswer{DER: m.Append(make([]byte, 0, m.size), &s, signature), ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate}, nil
}

// sign signs an answer of a mould; x is nil if it cannot be kept.
func (a *Authorities) sign(d *desk, m *mould, id ocsp.CertID, state state) (x *answer, s ocsp.Statement, signature []byte, err error) {
	now, err := a.guard.SigningTime()
	if err != nil {
		return nil, s, nil, err
	}
	s = ocsp.Statement{Serial: id.Serial, Status: state.Status, RevokedAt: state.revokedAt, Reason: state.reason, ThisUpdate: now.Truncate(time.Second)}
	expired := state.notAfter.Before(s.ThisUpdate)
	d.bound(&s, expired)
	if signature, err = m.Sign(&s, d.signer); err != nil {
		return nil, s, nil, err
	}
	if packed, ok := pack(&s, id.Hash, signature, expired); ok {
		packed.mould, packed.number = m.tag, d.number
		x = &packed
	}
	return x, s, signature, nil
}

// answerAnew signs an answer for one request: with a nonce, about several
// certificates, or about one that was never issued.
func (a *Authorities) answerAnew(ctx context.Context, d *desk, req *ocsp.Request) (OCSPAnswer, error) {
	now, err := a.guard.SigningTime()
	if err != nil {
		return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
	}
	now = now.Truncate(time.Second)
	answer := &ocsp.Answer{ProducedAt: now, Nonce: req.Nonce, ResponderKeyHash: d.keyHash, Certificates: [][]byte{d.certificate.Raw}, ExtendedRevoke: d.unknownRevoked}
	result := OCSPAnswer{ThisUpdate: now}
	cacheable := len(req.Nonce) == 0
	for _, id := range req.IDs {
		state, err := a.state(ctx, d, id.Serial)
		if err != nil {
			return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
		}
		if state.Status == 0 {
			state, cacheable = d.unused(), false // it may be issued the next moment
		}
		s := ocsp.Statement{ThisUpdate: now}
		d.bound(&s, !state.notAfter.IsZero() && state.notAfter.Before(now))
		answer.Responses = append(answer.Responses, ocsp.SingleResponse{
			ID: id, Status: state.Status, RevokedAt: state.revokedAt, Reason: state.reason, ThisUpdate: now, NextUpdate: s.NextUpdate, ArchiveCutoff: s.ArchiveCutoff,
		})
		result.NextUpdate = s.NextUpdate
	}
	if !cacheable {
		result.NextUpdate = time.Time{}
	}
	if result.DER, err = ocsp.Build(answer, d.algorithm, d.signer); err != nil {
		return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
	}
	return result, nil
}

// A state is what is to be said of a certificate. Without a Status, its serial
// number is not in use.
type state struct {
	ocsp.Status
	revokedAt time.Time
	reason    int
	notAfter  time.Time
}

// state reads the live state of a certificate.
func (a *Authorities) state(ctx context.Context, d *desk, serial []byte) (s state, err error) {
	var status string
	var at, until int64
	err = a.db.View(ctx).QueryRow(`SELECT status, revoked_at, reason, not_after FROM certificates WHERE authority = $1 AND serial = $2`, d.id, serial).
		Scan(&status, &at, &s.reason, &until)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return state{}, err
	}
	return stateOf(status, at, until, s.reason), nil
}

// stateOf: an intent counts as unused, since nothing may have been signed.
func stateOf(status string, at, until int64, reason int) state {
	s := state{notAfter: store.Time(until)}
	switch status {
	case CertValid:
		s.Status = ocsp.Good
	case CertRevoked:
		s.Status, s.revokedAt, s.reason = ocsp.Revoked, store.Time(at), reason
	}
	return s
}
