package ocsp

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealwright/sealwright/pki/tbs"
)

// ErrResponder is wrapped by the error of [Response.Verify] if the answer is
// signed by nobody who may answer for the issuer.
var ErrResponder = errors.New("ocsp: the responder may not answer for this issuer")

// Verify checks that an answer, all of it, is about certificates of issuer, and
// signed by one who may say so (RFC 6960, 4.2.2.2): issuer itself, or a responder
// whose certificate is in the answer, issued directly by issuer for OCSP signing,
// and valid at the given time. It returns that one's certificate.
//
// Left to the caller: whether issuer is to be trusted; whether the responder's
// certificate is revoked, unless it has [NoCheck]; whether each response is
// current ([SingleResponse.CurrentAt]); and whether the nonce is the one sent.
func (r *Response) Verify(issuer *x509.Certificate, at time.Time) (*x509.Certificate, error) {
	known, err := IssuerOf(issuer)
	if err != nil {
		return nil, err
	}
	for i := range r.Responses {
		if !known.Matches(r.Responses[i].ID) {
			return nil, fmt.Errorf("ocsp: the answer is about serial number %x of another issuer", r.Responses[i].ID.Serial)
		}
	}
	responder, err := r.responder(issuer, at)
	if err != nil {
		return nil, err
	}
	alg, err := tbs.ParseAlgorithm(r.AlgorithmID)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	if err := alg.Verify(responder.PublicKey, r.RawTBS, r.Signature); err != nil {
		return nil, fmt.Errorf("ocsp: the answer: %w", err)
	}
	return responder, nil
}

// Find returns the response about a serial number, a big-endian magnitude. It
// looks at no issuer: call it after [Response.Verify].
func (r *Response) Find(serial []byte) (response SingleResponse, ok bool) {
	serial = bytes.TrimLeft(serial, "\x00")
	for _, s := range r.Responses {
		if bytes.Equal(s.ID.Serial, serial) {
			return s, true
		}
	}
	return SingleResponse{}, false
}

// NoCheck says whether a responder's certificate has id-pkix-ocsp-nocheck: its
// authority vouches for it for its whole, short, life (RFC 6960, 4.2.2.2.1).
func NoCheck(cert *x509.Certificate) bool {
	oid := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	for _, ext := range cert.Extensions {
		if ext.Id.Equal(oid) {
			return true
		}
	}
	return false
}

func (r *Response) responder(issuer *x509.Certificate, at time.Time) (*x509.Certificate, error) {
	if r.names(issuer) {
		return issuer, nil
	}
	reason := errors.New("no certificate in the answer is the responder's")
	for _, der := range r.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil || !r.names(cert) {
			continue
		}
		if reason = delegated(cert, issuer, at); reason == nil {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrResponder, reason)
}

// names says whether cert is the one that the ResponderID names.
func (r *Response) names(cert *x509.Certificate) bool {
	if r.ResponderName != nil {
		return bytes.Equal(r.ResponderName, cert.RawSubject)
	}
	bits, err := KeyBits(cert.RawSubjectPublicKeyInfo)
	return err == nil && bytes.Equal(r.ResponderKeyHash, KeyHash(bits))
}

func delegated(cert, issuer *x509.Certificate, at time.Time) error {
	switch {
	case !bytes.Equal(cert.RawIssuer, issuer.RawSubject):
		return errors.New("its certificate is of another issuer")
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("its certificate is not for OCSP signing")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("its certificate does not allow its key to sign")
	case at.Before(cert.NotBefore) || at.After(cert.NotAfter):
		return fmt.Errorf("its certificate is not valid at %s", at.UTC().Format(time.RFC3339))
	case len(cert.UnhandledCriticalExtensions) > 0:
		return errors.New("its certificate has an unknown critical extension")
	}
	return cert.CheckSignatureFrom(issuer)
}
