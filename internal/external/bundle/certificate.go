package bundle

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // people still look certificates up by it
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/dn"
)

// A Certificate is what a certificate says of itself.
type Certificate struct {
	DER             []byte
	SHA1, SHA256    string   // fingerprints of DER, lower-case hex
	Serial          string   // lower-case hex without leading zeros; "-" comes before a negative one
	CommonName      string   // the last of the subject; may be empty
	Subject, Issuer string   // RFC 4514
	Names           []string // alternative names, in their order
	Authority       bool     // basic constraints say that it may issue
	Key             Key
	Signature       string // algorithm, such as "ECDSA with SHA-256"
	NotBefore       time.Time
	NotAfter        time.Time // inclusive
	Notes           []Note

	subject, issuer      []byte // DER
	keyID, authorityID   []byte // of the subject's and the issuer's key; nil if not said
	attributes           dn.Name
	signatureAlgorithm   []byte // DER
	subjectPublicKeyInfo []byte // DER
}

// A Note is something bad about a certificate.
type Note struct {
	Code string `json:"code"` // "key.…", "signature.weak", "extension.unreadable"
	Text string `json:"text"` // a sentence for people
}

func (c *Certificate) note(code, format string, args ...any) {
	c.Notes = append(c.Notes, Note{code, fmt.Sprintf(format, args...)})
}

const maxSerial = 64 // octets; RFC 5280 allows 20

var (
	tagVersion    = cbasn1.Tag(0).Constructed().ContextSpecific()
	tagIssuerUID  = cbasn1.Tag(1).ContextSpecific()
	tagSubjectUID = cbasn1.Tag(2).ContextSpecific()
	tagExtensions = cbasn1.Tag(3).Constructed().ContextSpecific()
)

// Parse reads one DER certificate (RFC 5280, section 4.1) of at most
// [MaxCertificate] octets.
func Parse(der []byte) (*Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, fmt.Errorf("it is larger than %d KiB", MaxCertificate>>10)
	}
	der = bytes.Clone(der)
	in := cryptobyte.String(der)
	var whole, body, algorithm cryptobyte.String
	var signature asn1.BitString
	if !in.ReadASN1(&whole, cbasn1.SEQUENCE) || !in.Empty() || !whole.ReadASN1(&body, cbasn1.SEQUENCE) ||
		!whole.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !whole.ReadASN1BitString(&signature) || !whole.Empty() {
		return nil, errors.New("its three parts are not there")
	}
	one, two := sha1.Sum(der), sha256.Sum256(der)
	c := &Certificate{DER: der, SHA1: hex.EncodeToString(one[:]), SHA256: hex.EncodeToString(two[:]), signatureAlgorithm: algorithm}
	if err := c.readBody(body); err != nil {
		return nil, err
	}
	c.readKey()
	c.readSignatureAlgorithm()
	return c, nil
}

func (c *Certificate) readBody(body cryptobyte.String) (err error) {
	var serial, algorithm, issuer, validity, subject, spki cryptobyte.String
	if !body.SkipOptionalASN1(tagVersion) || !body.ReadASN1(&serial, cbasn1.INTEGER) || !body.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!body.ReadASN1Element(&issuer, cbasn1.SEQUENCE) || !body.ReadASN1(&validity, cbasn1.SEQUENCE) ||
		!body.ReadASN1Element(&subject, cbasn1.SEQUENCE) || !body.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return errors.New("a field is missing or of another type")
	}
	if c.Serial, err = serialText(serial); err != nil {
		return err
	}
	if c.NotBefore, err = readTime(&validity); err != nil {
		return fmt.Errorf("the beginning of its validity: %w", err)
	}
	if c.NotAfter, err = readTime(&validity); err != nil {
		return fmt.Errorf("the end of its validity: %w", err)
	}
	name, err := dn.Parse(issuer)
	if err != nil {
		return fmt.Errorf("its issuer: %w", err)
	}
	c.Issuer, c.issuer = printable(name.String()), issuer
	if c.attributes, err = dn.Parse(subject); err != nil {
		return fmt.Errorf("its subject: %w", err)
	}
	c.Subject, c.subject, c.subjectPublicKeyInfo = printable(c.attributes.String()), subject, spki
	if names := c.attributes.Values(dn.CN); len(names) > 0 {
		c.CommonName = printable(names[len(names)-1])
	}
	return c.readTail(body)
}

// readTail reads what may follow the key: unique identifiers and extensions.
func (c *Certificate) readTail(body cryptobyte.String) error {
	var wrapped cryptobyte.String
	var there bool
	if !body.SkipOptionalASN1(tagIssuerUID) || !body.SkipOptionalASN1(tagSubjectUID) || !body.ReadOptionalASN1(&wrapped, &there, tagExtensions) || !body.Empty() {
		return errors.New("what follows its key is of an unknown type")
	}
	if !there {
		return nil
	}
	var list cryptobyte.String
	if !wrapped.ReadASN1(&list, cbasn1.SEQUENCE) || !wrapped.Empty() {
		return errors.New("its extensions are not a list")
	}
	for !list.Empty() {
		var one, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) || !one.SkipOptionalASN1(cbasn1.BOOLEAN) ||
			!one.ReadASN1(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return errors.New("an extension is malformed")
		}
		if !c.readExtension(id, value) {
			c.note("extension.unreadable", "The extension %s cannot be read; what it says is not known.", id)
		}
	}
	return nil
}

// readTime reads a UTCTime or GeneralizedTime.
func readTime(in *cryptobyte.String) (t time.Time, err error) {
	ok := false
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		ok = in.ReadASN1UTCTime(&t)
	} else {
		ok = in.ReadASN1GeneralizedTime(&t)
	}
	if !ok {
		return t, errors.New("it is not a time")
	}
	return t.UTC(), nil
}

// serialText reads the octets of an INTEGER, shortest or not.
func serialText(octets []byte) (string, error) {
	if len(octets) == 0 || len(octets) > maxSerial {
		return "", fmt.Errorf("its serial number has %d octets", len(octets))
	}
	n := new(big.Int).SetBytes(octets)
	if octets[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(octets))))
	}
	return n.Text(16), nil
}

// printable makes one line of text that everybody may be shown, of at most 2000
// characters.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 { // the marks that turn text around
			return '\uFFFD'
		}
		return r
	}, s)
	return clip(s, 2000)
}

func clip(s string, n int) string {
	count := 0
	for i := range s {
		if count++; count > n {
			return s[:i] + "…"
		}
	}
	return s
}
