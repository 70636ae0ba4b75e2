package keycheck

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Kinds of proof in [Blocked].
const (
	proofKey       = "private-key"
	proofSignature = "signature"
)

// Limits of what a stranger may send: an RSA key of 16,384 bits takes 9,300 octets in
// DER and 12,700 in PEM.
const (
	maxPrivateKey = 16 << 10
	maxRSABits    = 16384
	maxSignature  = 4 << 10
)

// A Proof is what came of a report that a key is compromised.
type Proof struct {
	SPKI string // revoke the certificates of this key; see [HashOf]
	New  bool   // it was not blocked before
}

// Compromised blocks the key whose private part is given, in PEM or DER, unencrypted:
// PKCS #8, PKCS #1 or SEC 1. That it could be given is the proof. The private key is
// not stored, logged or part of an error. Anybody may call it; limit the rate.
//
// In the same transaction runs then, if it is not nil: it revokes what the key is
// used in.
func (r *Registry) Compromised(ctx context.Context, private []byte, note string, then func(tx *store.Tx, p Proof) error) (Proof, error) {
	pub, err := publicOf(private)
	if err != nil {
		return Proof{}, err
	}
	return r.proved(ctx, pub, proofKey, note, "", then)
}

// publicOf reads a private key and gives its public part.
func publicOf(data []byte) (crypto.PublicKey, error) {
	unreadable := fault.Invalidf("key.private", "This is not a private key that can be read.").
		WithNext("Send it unencrypted as PEM or DER: PKCS #8, PKCS #1 for RSA or SEC 1 for elliptic curves. If you cannot give it away, prove it with a signature.").WithField("key")
	if len(data) > maxPrivateKey {
		return nil, fault.New(fault.TooLarge, "key.private_size", "The private key has %d octets; at most %d are read.", len(data), maxPrivateKey).WithField("key")
	}
	der := data
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			der = block.Bytes
			break
		}
	}
	var key any
	var err error
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
		func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
	} {
		if key, err = parse(der); err == nil {
			break
		}
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, unreadable // without the parser's error, which might quote the key
	}
	return signer.Public(), nil
}

// challengeLife is how long a challenge waits for its signature.
const challengeLife = 24 * time.Hour

// challengeText is what is signed. It cannot be taken for anything else that a key
// signs, and whoever signs it reads what it says.
const challengeText = "I hold the private key that signs this text and report that it is compromised.\nAll certificates for it are to be revoked.\nSealwright key compromise report, challenge "

// Challenge makes a text to be signed with a compromised key. It is good for one
// report within a day. Anybody may call it; limit the rate.
func (r *Registry) Challenge(ctx context.Context) (text string, expires time.Time, err error) {
	token := secret.NewToken()
	expires = r.clock.Now().Add(challengeLife)
	err = r.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO keycheck_challenges (id, expires_at) VALUES ($1, $2)`, secret.Hash(token.Reveal()), store.Micros(expires))
		return err
	})
	return challengeText + token.Reveal() + "\n", expires, err
}

// Prove blocks a key that has signed a challenge: with PKCS #1 v1.5 or ECDSA over
// SHA-256, SHA-384 or SHA-512, or with Ed25519, as
//
//	openssl dgst -sha256 -sign key.pem challenge.txt
//	openssl pkeyutl -sign -rawin -inkey key.pem -in challenge.txt
//
// write it. spki is the key's SubjectPublicKeyInfo in DER. Faults: Gone
// "key.challenge" for a text that was not given out, is used or too old, and Invalid
// "key.signature". For then see [Registry.Compromised].
func (r *Registry) Prove(ctx context.Context, text string, spki, signature []byte, note string, then func(tx *store.Tx, p Proof) error) (Proof, error) {
	token, ok := strings.CutPrefix(strings.TrimRight(text, "\r\n"), challengeText)
	id := secret.Hash(token)
	if !ok || len(token) > 100 || r.known(ctx, id) != nil {
		return Proof{}, errChallenge()
	}
	if len(spki) > maxSPKI || len(signature) > maxSignature {
		return Proof{}, fault.New(fault.TooLarge, "key.signature_size", "The key or its signature is too long.")
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return Proof{}, fault.Invalidf("key.unsupported", "The public key cannot be read.").WithNext("Send its SubjectPublicKeyInfo.").WithField("key")
	}
	// The text may have lost its last line break on the way, or not.
	if !signed(pub, challengeText+token+"\n", signature) && !signed(pub, challengeText+token, signature) {
		return Proof{}, fault.Invalidf("key.signature", "The signature is not one by this key over the challenge.").
			WithNext("Sign the text as it was given, with SHA-256.").WithField("signature")
	}
	return r.proved(ctx, pub, proofSignature, note, id, then)
}

func errChallenge() error {
	return fault.Gonef("key.challenge", "This challenge was not given out, has been used or is older than a day.").WithNext("Ask for a new one and sign it.").WithField("challenge")
}

func (r *Registry) known(ctx context.Context, id string) error {
	var n int
	return r.db.View(ctx).QueryRow(`SELECT 1 FROM keycheck_challenges WHERE id = $1 AND expires_at > $2`, id, store.Micros(r.clock.Now())).Scan(&n)
}

// signed verifies with the algorithms that a key of this kind can have used. Keys too
// large to be verified in reasonable time sign nothing.
func signed(pub crypto.PublicKey, text string, signature []byte) bool {
	var algorithms []tbs.Algorithm
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > maxRSABits {
			return false
		}
		algorithms = []tbs.Algorithm{tbs.SHA256WithRSA, tbs.SHA384WithRSA, tbs.SHA512WithRSA}
	case *ecdsa.PublicKey:
		algorithms = []tbs.Algorithm{tbs.ECDSAWithSHA256, tbs.ECDSAWithSHA384, tbs.ECDSAWithSHA512}
	case ed25519.PublicKey:
		algorithms = []tbs.Algorithm{tbs.Ed25519}
	}
	for _, a := range algorithms {
		if a.Verify(pub, []byte(text), signature) == nil {
			return true
		}
	}
	return false
}

// proved blocks the key and uses up the challenge, if there is one, in one transaction.
func (r *Registry) proved(ctx context.Context, pub crypto.PublicKey, proof, note, challenge string, then func(tx *store.Tx, p Proof) error) (p Proof, err error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return Proof{}, fault.Invalidf("key.unsupported", "Keys of this kind are not certified here.").WithCause(err)
	}
	err = r.db.Update(ctx, func(tx *store.Tx) error {
		p = Proof{SPKI: HashOf(spki)}
		if challenge != "" {
			n, err := tx.Exec(`DELETE FROM keycheck_challenges WHERE id = $1 AND expires_at > $2`, challenge, store.Micros(r.clock.Now()))
			if err != nil {
				return err
			}
			if n == 0 {
				return errChallenge()
			}
		}
		if p.New, err = r.blockProved(tx, Blocked{SPKI: p.SPKI, Number: numberOf(pub), Reason: Compromised, Source: "report", Proof: proof, Note: note}); err != nil {
			return err
		}
		if then != nil {
			return then(tx, p)
		}
		return nil
	})
	return p, err
}

// blockProved blocks a key, or adds the proof to an entry that had none.
func (r *Registry) blockProved(tx *store.Tx, b Blocked) (bool, error) {
	added, err := r.Block(tx, b)
	if err != nil || added {
		return added, err
	}
	n, err := tx.Exec(`UPDATE keycheck_blocked SET proof = $1, number = $2, reason = $3 WHERE spki = $4 AND proof = ''`, b.Proof, b.Number, string(b.Reason), b.SPKI)
	if err != nil || n == 0 {
		return false, err
	}
	return false, r.note(tx, "key.proof", b.SPKI, "proof", b.Proof)
}

// sweepBatch bounds one run of [Registry.Sweep].
const sweepBatch = 5000

// Sweep deletes challenges whose time is over. Run it every hour; several nodes may.
func (r *Registry) Sweep(ctx context.Context) error {
	return r.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM keycheck_challenges WHERE id IN (SELECT id FROM keycheck_challenges WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 + 0`+tx.SkipLocked()+`)`,
			store.Micros(r.clock.Now()), sweepBatch)
		return err
	})
}
