// Package remote is the narrow protocol between Sealwright and the process that
// holds a PKCS#11 token: list keys, give a public key, sign, tell one's health.
//
// Both ends are on one machine, joined by a Unix socket that only the
// configured user may open. Frames carry a request id, so that many goroutines
// share one connection and answers may come in any order. [Client] gives
// crypto.Signers; [Serve] answers them from a [Backend].
//
// When the process or its token is away, calls fail with a fault of kind
// Unavailable and the code "keys.hsm_unavailable"; the next call tries again.
package remote

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"golang.org/x/crypto/cryptobyte"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// MaxFrame bounds a frame. Only Ed25519 sends whole messages; other schemes
// send digests of at most 64 bytes.
const MaxFrame = 1 << 20

// Frame: length of the rest (4 bytes), request id (8), code (1), payload.
const (
	lengthSize = 4
	headerSize = 9
)

// Codes of requests.
const (
	opHealth = 1
	opList   = 2
	opPublic = 3
	opSign   = 4
)

// Codes of answers: 0, or a fault's kind plus one.
const answerOK = 0

var errFrame = errors.New("malformed frame")

type frame struct {
	id      uint64
	code    byte
	payload []byte
}

func (f frame) append(dst []byte) ([]byte, error) {
	if len(f.payload) > MaxFrame-headerSize {
		return dst, fault.New(fault.TooLarge, "keys.message_too_large", "The message of %d bytes is too large for the signer process.", len(f.payload)).
			WithNext("Use a key whose algorithm signs a digest: RSA or ECDSA.")
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(headerSize+len(f.payload)))
	dst = binary.BigEndian.AppendUint64(dst, f.id)
	return append(append(dst, f.code), f.payload...), nil
}

// readFrame reads one frame. io.EOF means that the peer closed between frames.
func readFrame(r io.Reader) (frame, error) {
	var head [lengthSize + headerSize]byte
	if _, err := io.ReadFull(r, head[:lengthSize]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < headerSize || n > MaxFrame {
		return frame{}, errFrame
	}
	if _, err := io.ReadFull(r, head[lengthSize:]); err != nil {
		return frame{}, noEOF(err)
	}
	f := frame{id: binary.BigEndian.Uint64(head[lengthSize:]), code: head[lengthSize+8]}
	if n > headerSize {
		f.payload = make([]byte, n-headerSize)
		if _, err := io.ReadFull(r, f.payload); err != nil {
			return frame{}, noEOF(err)
		}
	}
	return f, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A Scheme is a way to sign.
type Scheme uint8

// The schemes.
const (
	PKCS1v15 Scheme = 1 // RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) over a digest
	PSS      Scheme = 2 // RSASSA-PSS (RFC 8017, section 8.1) with MGF1 of the same hash, over a digest
	ECDSA    Scheme = 3 // over a digest; the answer is the ASN.1 Ecdsa-Sig-Value (RFC 3279, section 2.2.3)
	Ed25519  Scheme = 4 // pure Ed25519 (RFC 8032), over the message
)

// A Request asks for one signature.
type Request struct {
	Label       string      // of the key
	Fingerprint [32]byte    // SHA-256 of its SubjectPublicKeyInfo: a key replaced under the same label does not sign
	Scheme      Scheme      //
	Hash        crypto.Hash // SHA-256, SHA-384 or SHA-512; 0 with Ed25519
	SaltLength  int         // bytes, PSS only
	Input       []byte      // digest, or message with Ed25519
}

// A KeyInfo is a key pair in the token that can sign.
type KeyInfo struct {
	Label  string
	Public crypto.PublicKey
}

var hashCodes = [...]crypto.Hash{0, crypto.SHA256, crypto.SHA384, crypto.SHA512}

func hashCode(h crypto.Hash) (uint8, error) {
	for i, known := range hashCodes {
		if h == known {
			return uint8(i), nil
		}
	}
	return 0, fault.Invalidf("keys.hash", "The hash %v is not supported with keys in a token.", h).WithNext("Use SHA-256, SHA-384 or SHA-512.")
}

// check holds a request to what its scheme asks for, on both ends.
func (r Request) check() error {
	switch r.Scheme {
	case Ed25519:
		if r.Hash != 0 || r.SaltLength != 0 {
			return errFrame
		}
		return nil
	case PKCS1v15, PSS, ECDSA:
		if r.Hash == 0 || len(r.Input) != r.Hash.Size() || r.SaltLength < 0 || r.SaltLength > r.Hash.Size() || r.Scheme != PSS && r.SaltLength != 0 {
			return errFrame
		}
		return nil
	}
	return errFrame
}

func (r Request) encode() ([]byte, error) {
	h, err := hashCode(r.Hash)
	if err != nil {
		return nil, err
	}
	if r.SaltLength < 0 || r.SaltLength > math.MaxUint8 {
		return nil, errFrame
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 64+len(r.Label)+len(r.Input)))
	addText(b, r.Label)
	b.AddBytes(r.Fingerprint[:])
	b.AddUint8(uint8(r.Scheme))
	b.AddUint8(h)
	b.AddUint8(uint8(r.SaltLength))
	b.AddBytes(r.Input)
	return b.Bytes()
}

func decodeRequest(payload []byte) (Request, error) {
	s := cryptobyte.String(payload)
	var r Request
	var scheme, hash, salt uint8
	if !readText(&s, &r.Label) || !s.CopyBytes(r.Fingerprint[:]) || !s.ReadUint8(&scheme) || !s.ReadUint8(&hash) || !s.ReadUint8(&salt) || int(hash) >= len(hashCodes) {
		return Request{}, errFrame
	}
	r.Scheme, r.Hash, r.SaltLength, r.Input = Scheme(scheme), hashCodes[hash], int(salt), s
	return r, r.check()
}

func addText(b *cryptobyte.Builder, text string) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

func readText(s *cryptobyte.String, text *string) bool {
	var t cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&t) {
		return false
	}
	*text = string(t)
	return true
}

func encodeKeys(list []KeyInfo) ([]byte, error) {
	var b cryptobyte.Builder
	for _, k := range list {
		spki, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			return nil, fmt.Errorf("public key of %q: %w", k.Label, err)
		}
		addText(&b, k.Label)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(spki) })
	}
	return b.Bytes()
}

func decodeKeys(payload []byte) ([]KeyInfo, error) {
	s := cryptobyte.String(payload)
	var list []KeyInfo
	for !s.Empty() {
		var k KeyInfo
		var spki cryptobyte.String
		if !readText(&s, &k.Label) || !s.ReadUint16LengthPrefixed(&spki) {
			return nil, errFrame
		}
		var err error
		if k.Public, err = parsePublic(spki); err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// parsePublic reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) of a
// kind that can sign here.
func parsePublic(spki []byte) (crypto.PublicKey, error) {
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, errFrame
	}
	switch public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return public, nil
	}
	return nil, errFrame
}

// encodeFault carries what a caller may see, never the cause: that is in the
// log of the signer process.
func encodeFault(err error) (code byte, payload []byte) {
	f := fault.Of(err)
	b := cryptobyte.NewBuilder(nil)
	for _, text := range []string{f.Code, f.Message, f.Next} {
		addText(b, text[:min(len(text), math.MaxUint16)])
	}
	payload, _ = b.Bytes() // lengths were bounded above
	return byte(f.Kind) + 1, payload
}

func decodeFault(code byte, payload []byte) error {
	s := cryptobyte.String(payload)
	var name, message, next string
	if code == answerOK || code > byte(fault.Unavailable)+1 || !readText(&s, &name) || !readText(&s, &message) || !readText(&s, &next) || !s.Empty() {
		return errFrame
	}
	f := fault.New(fault.Kind(code-1), name, "%s", message)
	f.Next = next
	return f
}
