package remote

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"io"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Signer opens the key with this label: *rsa.PublicKey, *ecdsa.PublicKey or
// ed25519.PublicKey. The signer survives restarts of the process and losses of
// the token. Without such a key the fault is NotFound, "keys.unknown".
func (c *Client) Signer(ctx context.Context, label string) (crypto.Signer, error) {
	b, err := c.call(ctx, opPublic, []byte(label))
	if err != nil {
		return nil, err
	}
	public, err := parsePublic(b)
	if err != nil {
		return nil, c.unavailable(err)
	}
	return &signer{c, label, public, sha256.Sum256(b)}, nil
}

type signer struct {
	client      *Client
	label       string
	public      crypto.PublicKey
	fingerprint [32]byte
}

// Public implements crypto.Signer.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer. The token has its own source of randomness, so
// rand is not used and ECDSA is not deterministic.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	r := Request{Label: s.label, Fingerprint: s.fingerprint, Hash: opts.HashFunc(), Input: digest}
	if _, err := hashCode(r.Hash); err != nil {
		return nil, err
	}
	switch s.public.(type) {
	case *rsa.PublicKey:
		r.Scheme = PKCS1v15
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			r.Scheme, r.SaltLength = PSS, pss.SaltLength
			// RFC 8017, section 9.1: a salt as long as the hash; longer ones, which
			// "auto" means in Go, many tokens refuse.
			if r.SaltLength == rsa.PSSSaltLengthAuto || r.SaltLength == rsa.PSSSaltLengthEqualsHash {
				r.SaltLength = r.Hash.Size()
			}
		}
	case *ecdsa.PublicKey:
		r.Scheme = ECDSA
	case ed25519.PublicKey:
		r.Scheme = Ed25519
	}
	variant, ok := opts.(*ed25519.Options)
	if r.check() != nil || ok && variant.Context != "" { // Ed25519ctx is another algorithm
		return nil, fault.Invalidf("keys.sign_options", "The key %q cannot sign %d bytes with these options (hash %v, salt of %d bytes).", s.label, len(digest), r.Hash, r.SaltLength)
	}
	payload, err := r.encode()
	if err != nil {
		return nil, err
	}
	return s.client.call(context.Background(), opSign, payload)
}
