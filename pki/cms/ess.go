package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// tagDirectoryName is the choice directoryName of a GeneralName.
const tagDirectoryName = cbasn1.Tag(0x80 | 0x20 | 4)

// signingCertificate encodes the value of the attribute signing-certificate-v2
// (RFC 5035, section 4): the signer's certificate by its SHA-256, which is the
// default and not written. Issuer and serial number are added when the signer is
// named by its key identifier and they cannot be inferred.
func signingCertificate(cert *x509.Certificate, withIssuer bool) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	seq := func(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) { b.AddASN1(cbasn1.SEQUENCE, f) }
	seq(b, func(b *cryptobyte.Builder) { // SigningCertificateV2
		seq(b, func(b *cryptobyte.Builder) { // certs
			seq(b, func(b *cryptobyte.Builder) { // ESSCertIDv2
				b.AddASN1OctetString(sum(crypto.SHA256, cert.Raw))
				if !withIssuer {
					return
				}
				seq(b, func(b *cryptobyte.Builder) { // issuerSerial
					seq(b, func(b *cryptobyte.Builder) {
						b.AddASN1(tagDirectoryName, func(b *cryptobyte.Builder) { b.AddBytes(cert.RawIssuer) })
					})
					b.AddASN1BigInt(cert.SerialNumber)
				})
			})
		})
	})
	return b.Bytes()
}

// checkSigningCertificate reads a signing-certificate-v2 and checks that the
// first certificate it names, the signer's (RFC 5035, section 5.4.1.1), is cert.
func checkSigningCertificate(der []byte, cert *x509.Certificate) error {
	in := cryptobyte.String(der)
	var body, list, id, digest, name cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&list, cbasn1.SEQUENCE) || !list.ReadASN1(&id, cbasn1.SEQUENCE) {
		return malformed("signing-certificate-v2")
	}
	hash := crypto.SHA256
	if id.PeekASN1Tag(cbasn1.SEQUENCE) {
		var err error
		if !id.ReadASN1Element(&name, cbasn1.SEQUENCE) {
			return malformed("signing-certificate-v2")
		}
		if hash, err = ParseHash(name); err != nil {
			return err
		}
	}
	if !id.ReadASN1(&digest, cbasn1.OCTET_STRING) {
		return malformed("signing-certificate-v2")
	}
	if !bytes.Equal(digest, sum(hash, cert.Raw)) {
		return wrong("signing-certificate-v2 names another certificate")
	}
	if id.Empty() {
		return nil
	}
	return checkIssuerSerial(id, cert)
}

func checkIssuerSerial(in cryptobyte.String, cert *x509.Certificate) error {
	var body, names, name cryptobyte.String
	serial := new(big.Int)
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&names, cbasn1.SEQUENCE) ||
		!body.ReadASN1Integer(serial) || !body.Empty() {
		return malformed("the issuer in signing-certificate-v2")
	}
	if !names.ReadASN1(&name, tagDirectoryName) || !names.Empty() || !bytes.Equal(name, cert.RawIssuer) || serial.Cmp(cert.SerialNumber) != 0 {
		return wrong("signing-certificate-v2 names a certificate of another issuer or number")
	}
	return nil
}
