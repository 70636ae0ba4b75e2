package tbs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidCRLDistribution  = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidPolicies         = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAIA              = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
	oidAIAOCSP          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1}
	oidAIAIssuers       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 2}
	oidOCSPNoCheck      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidQualifierCPS     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}
	oidQualifierNotice  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2}
	oidPoison           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}
)

// Extended key usages, for [ExtKeyUsage].
var (
	ServerAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	ClientAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	CodeSigning     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
	EmailProtection = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
	TimeStamping    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	OCSPSigning     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
	DocumentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36} // RFC 9336

	AnyExtendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	PKINITClient        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 3, 4} // RFC 4556
	PKINITKDC           = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 3, 5}
	SmartCardLogon      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 2}
	MSDocumentSigning   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 12}
)

// BasicConstraints is critical. For a CA, pathLen is the number of CAs allowed
// below it, or −1 for no limit; otherwise it is ignored (RFC 5280, 4.2.1.9).
func BasicConstraints(ca bool, pathLen int) Extension {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if !ca {
			return
		}
		b.AddASN1Boolean(true)
		if pathLen >= 0 {
			b.AddASN1Int64(int64(pathLen))
		}
	})
	return Extension{ID: oidBasicConstraints, Critical: true, Value: b.BytesOrPanic()}
}

// KeyUsage is critical. At least one bit must be set (RFC 5280, 4.2.1.3).
func KeyUsage(usage x509.KeyUsage) (Extension, error) {
	if usage <= 0 || usage > 1<<9-1 {
		return Extension{}, fmt.Errorf("tbs: key usage %#x has no bit or an unknown bit set", int(usage))
	}
	// DER drops trailing zero bits of a named bit list; bit 0 is the leftmost.
	length := bits.Len16(uint16(usage))
	reversed := bits.Reverse16(uint16(usage))
	octets := []byte{byte(reversed >> 8), byte(reversed)}[:(length+7)/8]
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(uint8(len(octets)*8 - length))
		b.AddBytes(octets)
	})
	return extension(oidKeyUsage, true, &b)
}

// ExtKeyUsage lists purposes. It is critical when time stamping is the only one,
// as RFC 3161, 2.3 demands, and not critical otherwise.
func ExtKeyUsage(purposes ...asn1.ObjectIdentifier) (Extension, error) {
	if len(purposes) == 0 {
		return Extension{}, errors.New("tbs: extended key usage without a purpose")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, id := range purposes {
			b.AddASN1ObjectIdentifier(id)
		}
	})
	return extension(oidExtKeyUsage, len(purposes) == 1 && purposes[0].Equal(TimeStamping), &b)
}

// KeyID is the key identifier of RFC 7093, method 1: the leftmost 160 bits of the
// SHA-256 hash of the public key's BIT STRING content.
func KeyID(spki []byte) ([20]byte, error) {
	input := cryptobyte.String(spki)
	var fields, key cryptobyte.String
	var unused uint8
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !input.Empty() || !fields.SkipASN1(cbasn1.SEQUENCE) ||
		!fields.ReadASN1(&key, cbasn1.BIT_STRING) || !fields.Empty() || !key.ReadUint8(&unused) {
		return [20]byte{}, errors.New("tbs: not a DER SubjectPublicKeyInfo")
	}
	sum := sha256.Sum256(key)
	return [20]byte(sum[:20]), nil
}

// SubjectKeyID carries the [KeyID] of the subject's key.
func SubjectKeyID(spki []byte) (Extension, error) {
	id, err := KeyID(spki)
	if err != nil {
		return Extension{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1OctetString(id[:])
	return extension(oidSubjectKeyID, false, &b)
}

// AuthorityKeyID carries the issuer's key identifier as it stands in the CA
// certificate, which may have been made by another method than [KeyID].
func AuthorityKeyID(keyID []byte) (Extension, error) {
	if len(keyID) == 0 {
		return Extension{}, errors.New("tbs: the authority key identifier is empty")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(keyID) })
	})
	return extension(oidAuthorityKeyID, false, &b)
}

// AIA tells where the OCSP responder and the issuer's certificate are. At least
// one URL must be given (RFC 5280, 4.2.2.1).
func AIA(ocspURLs, caIssuersURLs []string) (Extension, error) {
	if len(ocspURLs)+len(caIssuersURLs) == 0 {
		return Extension{}, errors.New("tbs: authority information access without a URL")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addAccess(b, oidAIAOCSP, ocspURLs)
		addAccess(b, oidAIAIssuers, caIssuersURLs)
	})
	return extension(oidAIA, false, &b)
}

func addAccess(b *cryptobyte.Builder, method asn1.ObjectIdentifier, urls []string) {
	for _, url := range urls {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(method)
			addURI(b, url)
		})
	}
}

// CRLDistributionPoints names one CRL by one or more equivalent URLs: a single
// distribution point (RFC 5280, 4.2.1.13).
func CRLDistributionPoints(urls ...string) (Extension, error) {
	if len(urls) == 0 {
		return Extension{}, errors.New("tbs: CRL distribution points without a URL")
	}
	tag0 := cbasn1.Tag(0).ContextSpecific().Constructed()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(tag0, func(b *cryptobyte.Builder) { // distributionPoint
				b.AddASN1(tag0, func(b *cryptobyte.Builder) { // fullName
					for _, url := range urls {
						addURI(b, url)
					}
				})
			})
		})
	})
	return extension(oidCRLDistribution, false, &b)
}

// A Policy is a certificate policy. CPS is the URL of its practice statement and
// Notice a text for the relying party, of at most 200 characters; either may be "".
type Policy struct {
	ID     asn1.ObjectIdentifier
	CPS    string
	Notice string
}

// CertificatePolicies lists policies in the order given, each once (RFC 5280,
// 4.2.1.4).
func CertificatePolicies(policies ...Policy) (Extension, error) {
	if len(policies) == 0 {
		return Extension{}, errors.New("tbs: certificate policies without a policy")
	}
	return policyList(oidPolicies, policies)
}

func policyList(id asn1.ObjectIdentifier, policies []Policy) (Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i, p := range policies {
			for _, earlier := range policies[:i] {
				if earlier.ID.Equal(p.ID) {
					b.SetError(fmt.Errorf("policy %s occurs twice", p.ID))
					return
				}
			}
			addPolicy(b, p)
		}
	})
	return extension(id, false, &b)
}

func addPolicy(b *cryptobyte.Builder, p Policy) {
	if n := utf8.RuneCountInString(p.Notice); n > 200 || !utf8.ValidString(p.Notice) {
		b.SetError(fmt.Errorf("the notice of policy %s has %d characters or is not UTF-8; RFC 5280 allows 200", p.ID, n))
		return
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(p.ID)
		if p.CPS == "" && p.Notice == "" {
			return
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if p.CPS != "" {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidQualifierCPS)
					addIA5(b, cbasn1.IA5String, "CPS", p.CPS, checkURI)
				})
			}
			if p.Notice != "" {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidQualifierNotice)
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // UserNotice, explicitText only
						b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(p.Notice)) })
					})
				})
			}
		})
	})
}

// OCSPNoCheck marks the certificate of a delegated OCSP responder as not to be
// checked for revocation (RFC 6960, 4.2.2.2.1).
func OCSPNoCheck() Extension {
	return Extension{ID: oidOCSPNoCheck, Value: []byte{5, 0}}
}

// Custom is any other extension. Its value must be one DER element.
func Custom(id asn1.ObjectIdentifier, critical bool, value []byte) (Extension, error) {
	if !isElement(value) {
		return Extension{}, fmt.Errorf("tbs: the value of extension %s is not one DER element", id)
	}
	return Extension{ID: id, Critical: critical, Value: value}, nil
}

func extension(id asn1.ObjectIdentifier, critical bool, b *cryptobyte.Builder) (Extension, error) {
	value, err := b.Bytes()
	if err != nil {
		return Extension{}, fmt.Errorf("tbs: extension %s: %w", id, err)
	}
	return Extension{ID: id, Critical: critical, Value: value}, nil
}
