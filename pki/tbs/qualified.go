package tbs

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidQCStatements  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	oidPKIXSyntaxV2  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 11, 2}
	oidQcCompliance  = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}
	oidQcLimit       = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 2}
	oidQcRetention   = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 3}
	oidQcSSCD        = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 4}
	oidQcPDS         = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 5}
	oidQcType        = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQcLegislation = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 7}
)

// The purposes of a qualified certificate, for [QCStatements.Types] (ETSI EN
// 319 412-5, 4.2.3).
var (
	QcESign = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 1}
	QcESeal = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}
	QcWeb   = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 3}
)

// What the identifiers in the subject mean, for [QCStatements.Semantics] (ETSI
// EN 319 412-1, 5.1).
var (
	SemanticsNatural = asn1.ObjectIdentifier{0, 4, 0, 194121, 1, 1}
	SemanticsLegal   = asn1.ObjectIdentifier{0, 4, 0, 194121, 1, 2}
)

// QCStatements says in what way a certificate is qualified (RFC 3739, 3.2.6, and
// ETSI EN 319 412-5). The zero value says nothing and cannot be written.
type QCStatements struct {
	Compliance  bool                    // qualified under the law that Legislation names, or the EU's
	SSCD        bool                    // the key lives in a qualified signature creation device
	Types       []asn1.ObjectIdentifier // QcESign, QcESeal, QcWeb
	PDS         []PDS                   // disclosure statements; one in English is due
	Retention   int                     // years that records are kept after the end; 0: not said
	Limit       *MonetaryLimit          // of a transaction; nil: not said
	Legislation []string                // countries outside the EU whose law applies (ISO 3166-1), such as CH
	Semantics   asn1.ObjectIdentifier   // of the identifiers in the subject; nil: not said
}

// A PDS is the place of a PKI disclosure statement in one language (ISO 639-1).
type PDS struct {
	URL      string // https
	Language string // two letters
}

// A MonetaryLimit is Amount · 10^Exponent of a currency (ISO 4217 letters).
type MonetaryLimit struct {
	Currency         string
	Amount, Exponent int
}

// Extension encodes the statements. It is not critical.
func (q QCStatements) Extension() (Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, q.add)
	e, err := extension(oidQCStatements, false, &b)
	if err == nil && isEmptySequence(e.Value) {
		return Extension{}, errors.New("tbs: qualified statements without a statement")
	}
	return e, err
}

func (q QCStatements) add(b *cryptobyte.Builder) {
	if q.Compliance {
		addStatement(b, oidQcCompliance, nil)
	}
	if q.Limit != nil {
		addStatement(b, oidQcLimit, q.Limit.add)
	}
	if q.Retention > 0 {
		addStatement(b, oidQcRetention, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(q.Retention)) })
	}
	if q.SSCD {
		addStatement(b, oidQcSSCD, nil)
	}
	if len(q.PDS) > 0 {
		addStatement(b, oidQcPDS, func(b *cryptobyte.Builder) { addPDS(b, q.PDS) })
	}
	if len(q.Types) > 0 {
		addStatement(b, oidQcType, func(b *cryptobyte.Builder) { addOIDs(b, q.Types) })
	}
	if len(q.Legislation) > 0 {
		addStatement(b, oidQcLegislation, func(b *cryptobyte.Builder) { addCountries(b, q.Legislation) })
	}
	if len(q.Semantics) > 0 {
		addStatement(b, oidPKIXSyntaxV2, func(b *cryptobyte.Builder) { addOIDs(b, []asn1.ObjectIdentifier{q.Semantics}) })
	}
}

func addStatement(b *cryptobyte.Builder, id asn1.ObjectIdentifier, info func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if info != nil {
			info(b)
		}
	})
}

func addOIDs(b *cryptobyte.Builder, ids []asn1.ObjectIdentifier) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, id := range ids {
			b.AddASN1ObjectIdentifier(id)
		}
	})
}

func addPDS(b *cryptobyte.Builder, all []PDS) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, p := range all {
			if u, err := url.Parse(p.URL); err != nil || u.Scheme != "https" || !isLetters(p.Language, 2) {
				b.SetError(fmt.Errorf("the disclosure statement %q in %q needs an https URL and a language of two letters", p.URL, p.Language))
				return
			}
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addIA5(b, cbasn1.IA5String, "URL", p.URL, checkURI)
				b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(strings.ToLower(p.Language))) })
			})
		}
	})
}

func addCountries(b *cryptobyte.Builder, countries []string) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, c := range countries {
			if !isLetters(c, 2) {
				b.SetError(fmt.Errorf("%q is not a country code of two letters", c))
				return
			}
			b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(strings.ToUpper(c))) })
		}
	})
}

func (m MonetaryLimit) add(b *cryptobyte.Builder) {
	if !isLetters(m.Currency, 3) || m.Amount < 0 {
		b.SetError(fmt.Errorf("the limit of %d %q needs a currency of three letters and an amount", m.Amount, m.Currency))
		return
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(strings.ToUpper(m.Currency))) })
		b.AddASN1Int64(int64(m.Amount))
		b.AddASN1Int64(int64(m.Exponent))
	})
}

func isLetters(s string, n int) bool {
	for _, c := range []byte(s) {
		if c |= 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return len(s) == n
}
