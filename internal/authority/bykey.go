package authority

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/dn"
)

// keyTag is how certificates are found by their public key. Eight octets of the
// hash keep the index small; two keys with the same tag are told apart by
// comparing the keys themselves.
func keyTag(spki []byte) int64 {
	sum := sha256.Sum256(spki)
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits will do
}

// FindBySPKI yields every certificate of any authority with a public key, given
// as its SubjectPublicKeyInfo, also those that are about to be signed.
func (a *Authorities) FindBySPKI(ctx context.Context, spki []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		tag, authority, serial := keyTag(spki), "", []byte{}
		for {
			rows, err := a.db.View(ctx).Query(`SELECT `+recordColumns+` FROM certificates
				WHERE spki = $1 AND (authority > $2 OR (authority = $2 AND serial > $3)) AND status <> 'void' ORDER BY authority, serial LIMIT $4 + 0`,
				tag, authority, serial, int64(findPage))
			page, err := store.Collect(rows, err, func(r *store.Rows) (Record, error) { return scanRecord(r) })
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, r := range page {
				if key, err := spkiOf(r.DER); err != nil || bytes.Equal(key, spki) {
					if !yield(r, err) {
						return
					}
				}
			}
			if len(page) < findPage {
				return
			}
			authority, serial = page[len(page)-1].Authority, page[len(page)-1].Serial
		}
	}
}

// RevokeBySPKI revokes every certificate with a public key, such as one whose
// private key was found in public. It commits as it goes and can be repeated.
func (a *Authorities) RevokeBySPKI(ctx context.Context, spki []byte, w Withdrawal) (Tally, error) {
	return a.withdrawEach(ctx, a.FindBySPKI(ctx, spki), w)
}

// spkiOf reads the SubjectPublicKeyInfo of a certificate, or of a TBSCertificate
// that is yet to be signed.
func spkiOf(der []byte) ([]byte, error) {
	version := cbasn1.Tag(0).ContextSpecific().Constructed()
	damaged := errors.New("a stored certificate is damaged")
	var body, spki cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) {
		return nil, damaged
	}
	if body.PeekASN1Tag(cbasn1.SEQUENCE) { // signed: one level further in
		if !body.ReadASN1(&body, cbasn1.SEQUENCE) {
			return nil, damaged
		}
	}
	ok := body.SkipOptionalASN1(version) && body.SkipASN1(cbasn1.INTEGER)
	for range 4 { // signature, issuer, validity, subject
		ok = ok && body.SkipASN1(cbasn1.SEQUENCE)
	}
	if !ok || !body.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return nil, damaged
	}
	return spki, nil
}

// proofPrefix begins the name of a request that proves a key and asks for
// nothing but revocation. No request for a certificate can be taken for one.
const proofPrefix = "revoke "

// ProofName is the common name that a PKCS #10 request must have, and be signed
// with the certificate's key, to revoke the certificate with
// [Authorities.WithdrawByProof].
func ProofName(serial []byte) string { return proofPrefix + SerialText(serial) }

// WithdrawByProof revokes for somebody who shows nothing but that the private
// key is in their hands, by a PKCS #10 request with the name of [ProofName].
// When the reason is key compromise, every certificate with the key goes.
func (a *Authorities) WithdrawByProof(ctx context.Context, request []byte, reason Reason) (Tally, error) {
	r, err := csr.Parse(request)
	if err != nil {
		return Tally{}, fault.Invalidf("revocation.proof", "The request cannot be used: %v.", err).WithField("request")
	}
	text, ok := strings.CutPrefix(r.Name.Value(dn.CN), proofPrefix)
	serial, err := hex.DecodeString(text)
	if !ok || err != nil {
		return Tally{}, fault.Invalidf("revocation.proof", "The request's common name does not ask for a revocation.").WithField("request").
			WithNext("Make one whose common name is “%s” and the serial number in hexadecimal digits.", strings.TrimSpace(proofPrefix))
	}
	w := Withdrawal{By: RoleSubscriber, Reason: reason, Why: "proof of possession of the key"}
	found := false
	done, err := a.withdrawEach(ctx, func(yield func(Record, error) bool) {
		var others []Record
		for c, err := range a.FindBySPKI(ctx, r.SPKI) {
			named := err == nil && bytes.Equal(c.Serial, serial)
			if found = found || named; err == nil && !named {
				others = append(others, c)
				continue
			}
			if !yield(c, err) {
				return
			}
		}
		if !found || reason != KeyCompromise {
			return
		}
		for _, c := range others {
			if !yield(c, nil) {
				return
			}
		}
	}, w)
	if err == nil && !found {
		err = fault.NotFoundf("revocation.proof", "There is no certificate with the serial number %s and this key.", text)
	}
	return done, err
}
