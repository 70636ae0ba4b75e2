package tsp

import (
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/cms"
)

// An Info is what a token says: TSTInfo (RFC 3161, section 2.4.2).
type Info struct {
	Policy     asn1.ObjectIdentifier
	Imprint    Imprint
	Serial     *big.Int
	Time       time.Time
	Accuracy   time.Duration // how far Time may be off, either way; zero if not stated
	Ordering   bool          // tokens of this authority can be ordered by Time alone
	Nonce      []byte        // the contents of an INTEGER
	TSA        []byte        // GeneralName, DER; nil if not stated
	Extensions []Extension
}

// A Token is a parsed time-stamp token, whose signature is yet to be verified.
type Token struct {
	signed *cms.SignedData
	info   Info
}

// Unverified is what the token claims. Believe what [Token.Verify] returns.
func (t *Token) Unverified() Info { return t.info }

// ParseToken reads one TimeStampToken: a SignedData whose content is a TSTInfo.
// A token with an extension that is critical and unknown is refused; none is
// known. Errors wrap [ErrMalformed], or cms.ErrMalformed.
func ParseToken(der []byte) (*Token, error) {
	signed, err := cms.Parse(der)
	if err != nil {
		return nil, err
	}
	if !signed.Type.Equal(TypeInfo) || signed.Detached {
		return nil, malformed("a signed message of the type %s, not a time-stamp", signed.Type)
	}
	if len(signed.Signers) != 1 {
		return nil, malformed("a token with %d signatures; RFC 3161, section 2.4.2 allows one", len(signed.Signers))
	}
	t := &Token{signed: signed}
	if err := t.info.parse(signed.Unverified()); err != nil {
		return nil, err
	}
	return t, nil
}

func (i *Info) parse(der []byte) (err error) {
	in := cryptobyte.String(der)
	var body cryptobyte.String
	var version int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) || version != 1 ||
		!body.ReadASN1ObjectIdentifier(&i.Policy) {
		return malformed("TSTInfo, or its version or policy")
	}
	if i.Imprint, err = readImprint(&body); err != nil {
		return err
	}
	i.Serial = new(big.Int)
	ok := body.ReadASN1Integer(i.Serial)
	if ok {
		i.Time, ok = readGenTime(&body)
	}
	if !ok {
		return malformed("the serial number or time of a token")
	}
	if i.Accuracy, ok = readAccuracy(&body); !ok {
		return malformed("the accuracy of a token")
	}
	if body.PeekASN1Tag(cbasn1.BOOLEAN) && (!body.ReadASN1Boolean(&i.Ordering) || !i.Ordering) {
		return malformed("ordering, or its default written out")
	}
	if i.Nonce, ok = readNonce(&body); !ok {
		return malformed("the nonce of a token")
	}
	return i.parseRest(body)
}

func (i *Info) parseRest(body cryptobyte.String) error {
	if body.PeekASN1Tag(tag0) {
		var wrapper, name cryptobyte.String
		var tag cbasn1.Tag
		if !body.ReadASN1(&wrapper, tag0) || !wrapper.ReadAnyASN1Element(&name, &tag) || !wrapper.Empty() {
			return malformed("the name in a token")
		}
		i.TSA = name
	}
	var ok bool
	if i.Extensions, ok = readExtensions(&body, tag1); !ok || !body.Empty() {
		return malformed("the extensions of a token, or more after them")
	}
	for _, e := range i.Extensions {
		if e.Critical {
			return malformed("a token with the unknown critical extension %s", e.ID)
		}
	}
	return nil
}

// addAccuracy encodes Accuracy, in seconds, milliseconds and microseconds.
func addAccuracy(b *cryptobyte.Builder, d time.Duration) {
	if d == 0 {
		return
	}
	part := func(b *cryptobyte.Builder, tag cbasn1.Tag, n int64) {
		if n != 0 {
			b.AddASN1Int64WithTag(n, tag)
		}
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		part(b, cbasn1.INTEGER, int64(d/time.Second))
		part(b, cbasn1.Tag(0).ContextSpecific(), int64(d%time.Second/time.Millisecond))
		part(b, cbasn1.Tag(1).ContextSpecific(), int64(d%time.Millisecond/time.Microsecond))
	})
}

func readAccuracy(in *cryptobyte.String) (time.Duration, bool) {
	if !in.PeekASN1Tag(cbasn1.SEQUENCE) {
		return 0, true
	}
	var body cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) {
		return 0, false
	}
	part := func(tag cbasn1.Tag, least, most int64) (n int64, ok bool) {
		if !body.PeekASN1Tag(tag) {
			return 0, true
		}
		return n, body.ReadASN1Int64WithTag(&n, tag) && n >= least && n <= most
	}
	const century = 100 * 366 * 24 * 3600 // beyond it no accuracy is one
	seconds, ok1 := part(cbasn1.INTEGER, 0, century)
	millis, ok2 := part(cbasn1.Tag(0).ContextSpecific(), 1, 999)
	micros, ok3 := part(cbasn1.Tag(1).ContextSpecific(), 1, 999)
	d := time.Duration(seconds)*time.Second + time.Duration(millis)*time.Millisecond + time.Duration(micros)*time.Microsecond
	return d, ok1 && ok2 && ok3 && body.Empty()
}
