package crl

import (
	"errors"
	"fmt"
	"iter"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of [Parse], far above what lists carry.
const (
	maxExtensions   = 16
	maxURIs         = 32
	maxParsedSerial = 32 // RFC 5280 allows 20; some authorities wrote 21
)

// ErrMalformed is wrapped by errors of [Parse] and [CRL.Entries] for input that
// is not a version 2 CRL in DER.
var ErrMalformed = errors.New("crl: malformed")

// ErrUnsupported is wrapped by errors of [Parse] and [CRL.Entries] for a
// well-formed list from which this package cannot tell what is revoked.
var ErrUnsupported = errors.New("crl: unsupported")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// A CRL is a parsed list. It points into the DER given to [Parse].
type CRL struct {
	List               // NextUpdate is zero, IssuerKeyID and Number nil, if the list has none
	RawTBS      []byte // the signed bytes
	AlgorithmID []byte // AlgorithmIdentifier, DER; the same inside and outside of RawTBS
	Signature   []byte
	entries     cryptobyte.String
}

// An Entry is one revoked certificate of a parsed list.
type Entry struct {
	Serial     []byte // big-endian magnitude without leading zeros
	At         time.Time
	Reason     int       // [Unspecified] if the entry has none
	Invalidity time.Time // zero if the entry has none
	Raw        []byte    // the DER, fit for [Entries]
}

// Parse reads one CRL, all but its entries, in time independent of their number.
// It does not check the signature: see [CRL.Verify]. Errors wrap [ErrMalformed]
// or [ErrUnsupported].
func Parse(der []byte) (*CRL, error) {
	in := cryptobyte.String(der)
	var outer, tbsElement, tbs, algorithm cryptobyte.String
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() {
		return nil, malformed("not one DER SEQUENCE")
	}
	c := &CRL{}
	if !outer.ReadASN1Element(&tbsElement, asn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!outer.ReadASN1BitStringAsBytes(&c.Signature) || !outer.Empty() {
		return nil, malformed("not a CertificateList")
	}
	c.RawTBS, c.AlgorithmID = tbsElement, algorithm
	if !tbsElement.ReadASN1(&tbs, asn1.SEQUENCE) {
		return nil, malformed("tbsCertList")
	}
	if err := c.parseFields(&tbs); err != nil {
		return nil, err
	}
	if err := c.parseExtensions(tbs); err != nil {
		return nil, err
	}
	return c, nil
}

// parseFields reads version to revokedCertificates.
func (c *CRL) parseFields(tbs *cryptobyte.String) error {
	var version int
	if !tbs.ReadASN1Integer(&version) || version != 1 {
		return malformed("not version 2 (RFC 5280, 5.1.2.1)")
	}
	var algorithm, issuer cryptobyte.String
	if !tbs.ReadASN1Element(&algorithm, asn1.SEQUENCE) || string(algorithm) != string(c.AlgorithmID) {
		return malformed("the signature algorithms inside and outside differ (RFC 5280, 5.1.1.2)")
	}
	if !tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) {
		return malformed("issuer")
	}
	c.Issuer = issuer
	if !readTime(tbs, &c.ThisUpdate) {
		return malformed("thisUpdate")
	}
	if tbs.PeekASN1Tag(asn1.UTCTime) || tbs.PeekASN1Tag(asn1.GeneralizedTime) {
		if !readTime(tbs, &c.NextUpdate) {
			return malformed("nextUpdate")
		}
	}
	if !tbs.PeekASN1Tag(asn1.SEQUENCE) {
		return nil
	}
	if !tbs.ReadASN1(&c.entries, asn1.SEQUENCE) || c.entries.Empty() {
		return malformed("revokedCertificates, which must not be empty (RFC 5280, 5.1.2.6)")
	}
	return nil
}

func (c *CRL) parseExtensions(tbs cryptobyte.String) error {
	if tbs.Empty() {
		return nil
	}
	var wrapper, list cryptobyte.String
	if !tbs.ReadASN1(&wrapper, tag0Constructed) || !tbs.Empty() ||
		!wrapper.ReadASN1(&list, asn1.SEQUENCE) || !wrapper.Empty() {
		return malformed("crlExtensions")
	}
	return readExtensions(list, c.useExtension)
}

func (c *CRL) useExtension(ext extension) (err error) {
	in := ext.value
	switch string(ext.oid) {
	case oidAuthorityKeyID:
		c.IssuerKeyID, err = readKeyID(in)
	case oidCRLNumber:
		c.Number, err = readNumber(in)
	case oidDeltaIndicator:
		c.DeltaBase, err = readNumber(in)
	case oidDistributionPoint:
		c.IDP, err = readDistributionPoint(in)
	case oidFreshestCRL:
		c.Freshest, err = readFreshest(in)
	case oidExpiredCertsOnCRL:
		if !readGeneralizedTime(&in, &c.ExpiredCertsOnCRL) || !in.Empty() {
			err = malformed("expiredCertsOnCRL")
		}
	default:
		// RFC 5280, 5.2: a list with an unknown critical extension must not be
		// used to tell that a certificate is not revoked.
		if ext.critical {
			err = fmt.Errorf("%w: critical extension %x", ErrUnsupported, ext.oid)
		}
	}
	return err
}

func readKeyID(in cryptobyte.String) ([]byte, error) {
	var body, id cryptobyte.String
	var present bool
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !in.Empty() || !body.ReadOptionalASN1(&id, &present, tag0) {
		return nil, malformed("authorityKeyIdentifier")
	}
	return id, nil
}

func readNumber(in cryptobyte.String) (*big.Int, error) {
	n := new(big.Int)
	if len(in) > maxParsedSerial || !in.ReadASN1Integer(n) || !in.Empty() || n.Sign() < 0 {
		return nil, malformed("a CRL number")
	}
	return n, nil
}

// Entries yields the entries in their order. It ends at the first error, which
// wraps [ErrMalformed] or [ErrUnsupported]; whoever looks for a serial number
// must go on to the end, or an error after it goes unseen.
func (c *CRL) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := c.entries
		for !in.Empty() {
			entry, err := readEntry(&in)
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// ParseEntry reads one entry by itself, such as one that [AppendEntry] made. Its
// errors are those of [CRL.Entries].
func ParseEntry(der []byte) (Entry, error) {
	in := cryptobyte.String(der)
	entry, err := readEntry(&in)
	if err == nil && !in.Empty() {
		return Entry{}, malformed("more after an entry")
	}
	return entry, err
}

func readEntry(in *cryptobyte.String) (entry Entry, err error) {
	var raw, body, list cryptobyte.String
	if !in.ReadASN1Element(&raw, asn1.SEQUENCE) {
		return entry, malformed("an entry")
	}
	entry.Raw = raw
	if !raw.ReadASN1(&body, asn1.SEQUENCE) || !readSerial(&body, &entry.Serial) || !readTime(&body, &entry.At) {
		return Entry{}, malformed("an entry")
	}
	if body.Empty() {
		return entry, nil
	}
	if !body.ReadASN1(&list, asn1.SEQUENCE) || !body.Empty() {
		return Entry{}, malformed("the extensions of an entry")
	}
	if err := readExtensions(list, entry.useExtension); err != nil {
		return Entry{}, err
	}
	return entry, nil
}

// readSerial takes zero too, which some old lists have; negative numbers are refused.
func readSerial(in *cryptobyte.String, out *[]byte) bool {
	return len(*in) > 1 && (*in)[1] <= maxParsedSerial && in.ReadASN1Integer(out)
}

func (e *Entry) useExtension(ext extension) error {
	in := ext.value
	switch string(ext.oid) {
	case oidReasonCode:
		if !in.ReadASN1Enum(&e.Reason) || !in.Empty() || !ValidReason(e.Reason) {
			return malformed("a reason code")
		}
	case oidInvalidityDate:
		if !readGeneralizedTime(&in, &e.Invalidity) || !in.Empty() {
			return malformed("an invalidity date")
		}
	case oidCertificateIssuer:
		return fmt.Errorf("%w: an entry of another issuer", ErrUnsupported)
	default:
		if ext.critical {
			return fmt.Errorf("%w: critical entry extension %x", ErrUnsupported, ext.oid)
		}
	}
	return nil
}
