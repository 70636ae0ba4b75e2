package ct

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// A TreeHead is a signed tree head (RFC 6962, section 3.5): what a log says its
// tree is at a moment.
type TreeHead struct {
	Size      int64 // leaves
	Timestamp int64 // milliseconds; see [Millis]
	Root      Hash
	Signature Signature
}

// Errors of the verifying functions. A caller that must tell a lying log from a
// confused one matches them.
var (
	ErrSignature = errors.New("ct: the signature is not the log's")
	ErrLogID     = errors.New("ct: the SCT is of another log")
)

// minRSA is the least size of a log's RSA key in bits (RFC 6962, section 2.1.4).
const minRSA = 2048

// A Key is the public key of a log.
type Key struct {
	id     LogID
	public crypto.PublicKey
}

// ParseKey reads a log's public key, DER SubjectPublicKeyInfo: ECDSA on P-256
// or RSA of at least 2,048 bits, as RFC 6962, section 2.1.4, has it.
func ParseKey(spki []byte) (Key, error) {
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return Key{}, errors.New("ct: the log's key is not a SubjectPublicKeyInfo")
	}
	if err := checkPublic(public); err != nil {
		return Key{}, err
	}
	return Key{LogIDOf(spki), public}, nil
}

func checkPublic(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSA {
			return nil
		}
	}
	return errors.New("ct: the log's key is neither ECDSA on P-256 nor RSA of at least 2048 bits")
}

// ID is the log's id.
func (k Key) ID() LogID { return k.id }

// VerifySCT checks that this log signed the SCT for this entry. An SCT that
// names another log gives [ErrLogID], a wrong signature [ErrSignature]. Whether
// the timestamp is plausible is for the caller to judge.
func (k Key) VerifySCT(t SCT, e Entry) error {
	if t.LogID != k.id {
		return ErrLogID
	}
	input, err := sctInput(t, e)
	if err != nil {
		return err
	}
	return k.verify(input, t.Signature)
}

// VerifyTreeHead checks that this log signed the tree head.
func (k Key) VerifyTreeHead(h TreeHead) error {
	input, err := treeInput(h)
	if err != nil {
		return err
	}
	return k.verify(input, h.Signature)
}

func (k Key) verify(input []byte, g Signature) error {
	digest := sha256.Sum256(input)
	ok := false
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		ok = g.Algorithm == signatureECDSA && ecdsa.VerifyASN1(public, digest[:], g.Value)
	case *rsa.PublicKey:
		ok = g.Algorithm == signatureRSA && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], g.Value) == nil
	}
	if !ok || g.Hash != hashSHA256 {
		return ErrSignature
	}
	return nil
}

// A Signer signs as a log.
type Signer struct {
	key       Key
	spki      []byte
	private   crypto.Signer
	algorithm uint8
}

// NewSigner takes a log's private key, wherever it lives; see [ParseKey] for
// the kinds.
func NewSigner(private crypto.Signer) (*Signer, error) {
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, errors.New("ct: the log's key has an unknown kind")
	}
	key, err := ParseKey(spki)
	if err != nil {
		return nil, err
	}
	s := &Signer{key: key, spki: spki, private: private, algorithm: signatureRSA}
	if _, ok := key.public.(*ecdsa.PublicKey); ok {
		s.algorithm = signatureECDSA
	}
	return s, nil
}

// Key is the public half.
func (s *Signer) Key() Key { return s.key }

// SPKI is the public half as DER SubjectPublicKeyInfo.
func (s *Signer) SPKI() []byte { return append([]byte(nil), s.spki...) }

// SCT signs a timestamp, in milliseconds, for an entry.
func (s *Signer) SCT(e Entry, timestamp int64) (SCT, error) {
	t := SCT{LogID: s.key.id, Timestamp: timestamp}
	input, err := sctInput(t, e)
	if err != nil {
		return SCT{}, err
	}
	t.Signature, err = s.sign(input)
	return t, err
}

// TreeHead signs a tree of a size as of a timestamp in milliseconds.
func (s *Signer) TreeHead(size, timestamp int64, root Hash) (TreeHead, error) {
	h := TreeHead{Size: size, Timestamp: timestamp, Root: root}
	input, err := treeInput(h)
	if err != nil {
		return TreeHead{}, err
	}
	h.Signature, err = s.sign(input)
	return h, err
}

func (s *Signer) sign(input []byte) (Signature, error) {
	digest := sha256.Sum256(input)
	value, err := s.private.Sign(rand.Reader, digest[:], crypto.SHA256)
	return Signature{Hash: hashSHA256, Algorithm: s.algorithm, Value: value}, err
}

// sctInput is the digitally-signed struct of RFC 6962, section 3.2.
func sctInput(t SCT, e Entry) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(e.Certificate)+len(e.TBS)+64))
	b.AddUint8(v1)
	b.AddUint8(signatureTypeTimestamp)
	if err := addTimestamped(b, LeafOf(t, e)); err != nil {
		return nil, err
	}
	return b.Bytes()
}

// treeInput is the digitally-signed struct of RFC 6962, section 3.5.
func treeInput(h TreeHead) ([]byte, error) {
	if h.Size < 0 {
		return nil, errors.New("ct: a tree of negative size")
	}
	if err := checkTimestamp(h.Timestamp); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 50))
	b.AddUint8(v1)
	b.AddUint8(signatureTypeTree)
	b.AddUint64(uint64(h.Timestamp))
	b.AddUint64(uint64(h.Size))
	b.AddBytes(h.Root[:])
	return b.Bytes()
}
