package crl

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sealwright/sealwright/pki/tbs"
)

// Verify checks that issuer signed the list: that its name is the list's issuer
// byte for byte, that its key identifier, if the list has one, is the list's,
// that its key may sign CRLs (RFC 5280, 6.3.3 f), and the signature, which takes
// one run over the list. Whether issuer is to be trusted, and whether the list
// is current, is left to the caller. A wrong signature is [tbs.ErrBadSignature].
func (c *CRL) Verify(issuer *x509.Certificate) error {
	if !bytes.Equal(c.Issuer, issuer.RawSubject) {
		return errors.New("crl: the list is of another issuer")
	}
	if len(c.IssuerKeyID) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(c.IssuerKeyID, issuer.SubjectKeyId) {
		return errors.New("crl: the list is signed by another key of this issuer")
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return errors.New("crl: the issuer's certificate does not allow its key to sign CRLs")
	}
	alg, err := tbs.ParseAlgorithm(c.AlgorithmID)
	if err != nil {
		return fmt.Errorf("crl: %w", err)
	}
	return alg.Verify(issuer.PublicKey, c.RawTBS, c.Signature)
}
