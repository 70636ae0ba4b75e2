package crl

import (
	"errors"
	"fmt"

	"github.com/sealwright/sealwright/pki/tbs"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Context tags, which mean a different thing in each structure.
var (
	tag0            = asn1.Tag(0).ContextSpecific()
	tag0Constructed = tag0.Constructed()
)

const (
	tagURI                = asn1.Tag(6 | 0x80) // GeneralName uniformResourceIdentifier
	tagOnlyUserCerts      = asn1.Tag(1 | 0x80)
	tagOnlyCACerts        = asn1.Tag(2 | 0x80)
	tagOnlyAttributeCerts = asn1.Tag(5 | 0x80)
)

// fields encodes what comes before the entries: version to nextUpdate.
func (l *List) fields(alg tbs.Algorithm) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	out := []byte{tagInteger, 1, 1} // v2
	out = append(out, alg.DER()...)
	out = append(out, l.Issuer...)
	out = appendTime(out, l.ThisUpdate)
	return appendTime(out, l.NextUpdate), nil
}

func (l *List) check() error {
	switch {
	case !isSequence(l.Issuer):
		return errors.New("crl: the issuer is not one DER Name")
	case len(l.IssuerKeyID) == 0:
		return errors.New("crl: the issuer's key identifier is missing (RFC 5280, 5.2.1)")
	case !encodable(l.ThisUpdate) || !encodable(l.NextUpdate):
		return errors.New("crl: thisUpdate and nextUpdate must lie in the years 1950 to 9999")
	case !l.NextUpdate.After(l.ThisUpdate):
		return errors.New("crl: nextUpdate must be after thisUpdate")
	case l.Number == nil || l.Number.Sign() < 0 || l.Number.BitLen() > 159:
		return errors.New("crl: the CRL number must be set, and lie from 0 to below 2^159")
	case l.DeltaBase != nil && (l.DeltaBase.Sign() < 0 || l.DeltaBase.Cmp(l.Number) >= 0):
		return errors.New("crl: a delta list's base number must be lower than its own number")
	case l.DeltaBase != nil && len(l.Freshest) > 0:
		return errors.New("crl: only a full list may point to a delta list (RFC 5280, 5.2.6)")
	case !l.ExpiredCertsOnCRL.IsZero() && !encodable(l.ExpiredCertsOnCRL):
		return errors.New("crl: expiredCertsOnCRL must lie in the years 1950 to 9999")
	}
	if err := checkURIs(l.Freshest); err != nil {
		return err
	}
	return l.IDP.check()
}

func (p *DistributionPoint) check() error {
	if p == nil {
		return nil
	}
	only := 0
	for _, set := range []bool{p.OnlyUserCerts, p.OnlyCACerts, p.OnlyAttributeCerts} {
		if set {
			only++
		}
	}
	if only > 1 {
		return errors.New("crl: a list may be limited to one kind of certificate only (RFC 5280, 5.2.5)")
	}
	if only == 0 && len(p.URIs) == 0 {
		return errors.New("crl: an empty issuing distribution point is not allowed (RFC 5280, 5.2.5); leave it out")
	}
	return checkURIs(p.URIs)
}

func checkURIs(uris []string) error {
	if len(uris) > maxURIs {
		return fmt.Errorf("crl: %d URIs, where at most %d are allowed", len(uris), maxURIs)
	}
	for _, uri := range uris {
		if uri == "" || !printable(uri) {
			return fmt.Errorf("crl: %q is not a URI in ASCII; escape it", uri)
		}
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// extensions encodes what comes after the entries: [0] crlExtensions.
func (l *List) extensions() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag0Constructed, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, l.addExtensions)
	})
	return b.Bytes()
}

func (l *List) addExtensions(b *cryptobyte.Builder) {
	addExtension(b, oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(l.IssuerKeyID) })
		})
	})
	addExtension(b, oidCRLNumber, false, func(b *cryptobyte.Builder) { b.AddASN1BigInt(l.Number) })
	if l.DeltaBase != nil {
		addExtension(b, oidDeltaIndicator, true, func(b *cryptobyte.Builder) { b.AddASN1BigInt(l.DeltaBase) })
	}
	if l.IDP != nil {
		addExtension(b, oidDistributionPoint, true, l.IDP.add)
	}
	if len(l.Freshest) > 0 {
		addExtension(b, oidFreshestCRL, false, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addFullName(b, l.Freshest) })
			})
		})
	}
	if !l.ExpiredCertsOnCRL.IsZero() {
		addExtension(b, oidExpiredCertsOnCRL, false, func(b *cryptobyte.Builder) {
			b.AddBytes(appendGeneralizedTime(nil, l.ExpiredCertsOnCRL))
		})
	}
}

func addExtension(b *cryptobyte.Builder, oid string, critical bool, value cryptobyte.BuilderContinuation) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte(oid))
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(asn1.OCTET_STRING, value)
	})
}

func (p *DistributionPoint) add(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if len(p.URIs) > 0 {
			addFullName(b, p.URIs)
		}
		p.eachFlag(func(tag asn1.Tag, set *bool) {
			if *set {
				b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddUint8(0xff) })
			}
		})
	})
}

// eachFlag goes through the flags in the order of their tags.
func (p *DistributionPoint) eachFlag(use func(asn1.Tag, *bool)) {
	use(tagOnlyUserCerts, &p.OnlyUserCerts)
	use(tagOnlyCACerts, &p.OnlyCACerts)
	use(tagOnlyAttributeCerts, &p.OnlyAttributeCerts)
}

// addFullName adds distributionPoint [0] { fullName [0] GeneralNames }.
func addFullName(b *cryptobyte.Builder, uris []string) {
	b.AddASN1(tag0Constructed, func(b *cryptobyte.Builder) {
		b.AddASN1(tag0Constructed, func(b *cryptobyte.Builder) {
			for _, uri := range uris {
				b.AddASN1(tagURI, func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
			}
		})
	})
}
