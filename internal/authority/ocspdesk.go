package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ocsp"
	"github.com/sealwright/sealwright/pki/tbs"
)

// respondents are what a node remembers to answer for its authorities. The zero
// value is ready.
type respondents struct {
	answers answers
	feed    feed

	mu      sync.RWMutex
	desks   map[string]*desk
	numbers map[string]uint32 // of authorities, from 1, for as long as the process runs
	moulds  uint32            // how many there have been
}

func (r *respondents) forget(authority string, serial []byte) {
	r.mu.RLock()
	number := r.numbers[authority]
	r.mu.RUnlock()
	if number != 0 {
		r.answers.forget(number, serial)
	}
}

// A desk answers for one authority: with its present responder, by its present
// policy. It does not change.
type desk struct {
	id             string
	number         uint32
	issuer         *ocsp.Issuer
	keyRef         string // of the responder
	signer         crypto.Signer
	algorithm      tbs.Algorithm
	certificate    *x509.Certificate
	keyHash        []byte
	since          time.Time // when the authority began
	life, archive  time.Duration
	renew          int64 // seconds after which an answer is signed anew
	unknownRevoked bool
	moulds         [2]mould // SHA-1, SHA-256

	until time.Time // when to see whether all this still holds
}

type mould struct {
	*ocsp.Mould
	tag  uint32
	size int // of an answer, about
}

// mould is the one for a request that needs no answer of its own; nil if it does.
func (d *desk) mould(req *ocsp.Request) *mould {
	if len(req.IDs) != 1 || req.Nonce != nil {
		return nil
	}
	for i := range d.moulds {
		if d.moulds[i].Fits(req.IDs[0]) {
			return &d.moulds[i]
		}
	}
	return nil
}

// bound says until when a statement holds, not longer than its signer's
// certificate, and for an expired certificate, how far back states are told.
func (d *desk) bound(s *ocsp.Statement, expired bool) {
	s.NextUpdate = s.ThisUpdate.Add(d.life)
	if s.NextUpdate.After(d.certificate.NotAfter) {
		s.NextUpdate = d.certificate.NotAfter
	}
	if !expired || d.archive == 0 {
		return
	}
	if s.ArchiveCutoff = s.ThisUpdate.Add(-d.archive); s.ArchiveCutoff.Before(d.since) {
		s.ArchiveCutoff = d.since
	}
}

// unused is the state of a serial number that is not in use.
func (d *desk) unused() state {
	if d.unknownRevoked { // RFC 6960, 2.2
		return state{Status: ocsp.Revoked, revokedAt: time.Unix(0, 0), reason: int(CertificateHold)}
	}
	return state{Status: ocsp.Unknown}
}

// desk finds or sets up the desk of an authority.
func (a *Authorities) desk(ctx context.Context, id string, now time.Time) (*desk, error) {
	r := &a.validity.ocsp
	r.mu.RLock()
	d := r.desks[id]
	r.mu.RUnlock()
	if d != nil && now.Before(d.until) {
		return d, nil
	}
	x, err := a.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if x.Certificate == nil {
		return nil, fault.NotFoundf("ocsp.waiting", "The authority %q has no certificate yet.", id)
	}
	if x.responder.keyRef == "" || now.After(x.responder.until) {
		return nil, fault.Unavailablef(nil, "ocsp.no_responder", "The authority %q has no OCSP signer at the moment.", id)
	}
	p, err := a.policy(ctx, id)
	if err != nil {
		return nil, err
	}
	if d == nil || d.keyRef != x.responder.keyRef || !bytes.Equal(d.certificate.Raw, x.responder.der) || d.life != p.OCSPLife || d.archive != p.OCSPArchive || d.unknownRevoked != p.UnknownRevoked {
		if d, err = a.newDesk(ctx, x, p.Policy); err != nil {
			return nil, err
		}
	}
	again := *d
	again.until = now.Add(cacheLife)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desks[id] = &again
	return &again, nil
}

func (a *Authorities) newDesk(ctx context.Context, x *Authority, p Policy) (*desk, error) {
	d := &desk{id: x.ID, keyRef: x.responder.keyRef, since: x.Certificate.NotBefore, life: p.OCSPLife, archive: p.OCSPArchive, renew: int64(p.OCSPLife / 2 / time.Second), unknownRevoked: p.UnknownRevoked}
	var err error
	if d.issuer, err = ocsp.IssuerOf(x.Certificate); err != nil {
		return nil, err
	}
	if d.signer, err = a.vault.Signer(ctx, d.keyRef); err != nil {
		return nil, err
	}
	if d.certificate, err = x509.ParseCertificate(x.responder.der); err != nil {
		return nil, err
	}
	if d.algorithm, err = tbs.ForKey(d.signer.Public()); err != nil {
		return nil, err
	}
	bits, err := ocsp.KeyBits(d.certificate.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	d.keyHash = ocsp.KeyHash(bits)
	r := &a.validity.ocsp
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desks == nil {
		r.desks, r.numbers = map[string]*desk{}, map[string]uint32{}
	}
	if r.numbers[x.ID] == 0 {
		r.numbers[x.ID] = uint32(len(r.numbers)) + 1 //nolint:gosec // there are never many
	}
	d.number = r.numbers[x.ID]
	for i, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		m, err := ocsp.NewMould(d.issuer, hash, d.keyHash, [][]byte{d.certificate.Raw}, d.algorithm)
		if err != nil {
			return nil, err
		}
		r.moulds++
		d.moulds[i] = mould{Mould: m, tag: r.moulds, size: len(d.certificate.Raw) + 400}
	}
	return d, nil
}
