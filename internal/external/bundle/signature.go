package bundle

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// algorithm is a signature algorithm with its hash where that is a weak one.
type algorithm struct{ name, weak string }

var algorithms = map[string]algorithm{
	"1.2.840.113549.1.1.2":    {"RSA with MD2", "MD2"},
	"1.2.840.113549.1.1.4":    {"RSA with MD5", "MD5"},
	"1.2.840.113549.1.1.5":    {"RSA with SHA-1", "SHA-1"},
	"1.3.14.3.2.29":           {"RSA with SHA-1", "SHA-1"},
	"1.2.840.113549.1.1.14":   {"RSA with SHA-224", ""},
	"1.2.840.113549.1.1.11":   {"RSA with SHA-256", ""},
	"1.2.840.113549.1.1.12":   {"RSA with SHA-384", ""},
	"1.2.840.113549.1.1.13":   {"RSA with SHA-512", ""},
	"1.2.840.10040.4.3":       {"DSA with SHA-1", "SHA-1"},
	"2.16.840.1.101.3.4.3.2":  {"DSA with SHA-256", ""},
	"1.2.840.10045.4.1":       {"ECDSA with SHA-1", "SHA-1"},
	"1.2.840.10045.4.3.1":     {"ECDSA with SHA-224", ""},
	"1.2.840.10045.4.3.2":     {"ECDSA with SHA-256", ""},
	"1.2.840.10045.4.3.3":     {"ECDSA with SHA-384", ""},
	"1.2.840.10045.4.3.4":     {"ECDSA with SHA-512", ""},
	"1.3.101.112":             {"Ed25519", ""},
	"1.3.101.113":             {"Ed448", ""},
	"2.16.840.1.101.3.4.3.17": {"ML-DSA-44", ""},
	"2.16.840.1.101.3.4.3.18": {"ML-DSA-65", ""},
	"2.16.840.1.101.3.4.3.19": {"ML-DSA-87", ""},
}

var hashes = map[string]algorithm{
	"1.3.14.3.2.26":          {"SHA-1", "SHA-1"},
	"2.16.840.1.101.3.4.2.4": {"SHA-224", ""},
	"2.16.840.1.101.3.4.2.1": {"SHA-256", ""},
	"2.16.840.1.101.3.4.2.2": {"SHA-384", ""},
	"2.16.840.1.101.3.4.2.3": {"SHA-512", ""},
}

// readSignatureAlgorithm names the algorithm. A weak hash does not matter where the
// certificate is an authority's own signature on itself, which nobody relies on.
func (c *Certificate) readSignatureAlgorithm() {
	a := signatureAlgorithm(c.signatureAlgorithm)
	c.Signature = a.name
	if a.weak != "" && !(c.Authority && bytes.Equal(c.subject, c.issuer)) {
		c.note("signature.weak", "The certificate is signed with %s, for which forgeries can be made; most software refuses it.", a.weak)
	}
}

func signatureAlgorithm(der []byte) algorithm {
	in := cryptobyte.String(der)
	var body cryptobyte.String
	var id asn1.ObjectIdentifier
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&id) {
		return algorithm{name: "unknown"}
	}
	if id.String() == oidRSAPSS {
		h := pssHash(body)
		return algorithm{"RSASSA-PSS with " + h.name, h.weak}
	}
	if a, ok := algorithms[id.String()]; ok {
		return a
	}
	return algorithm{name: id.String()}
}

// pssHash reads the first field of RSASSA-PSS-params, which is SHA-1 where it is left
// out (RFC 4055, section 3.1).
func pssHash(parameters cryptobyte.String) algorithm {
	var body, wrapped, hash cryptobyte.String
	var there bool
	var id asn1.ObjectIdentifier
	if !parameters.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadOptionalASN1(&wrapped, &there, cbasn1.Tag(0).Constructed().ContextSpecific()) {
		return algorithm{name: "an unknown hash"}
	}
	if !there {
		return algorithm{"SHA-1", "SHA-1"}
	}
	if !wrapped.ReadASN1(&hash, cbasn1.SEQUENCE) || !hash.ReadASN1ObjectIdentifier(&id) {
		return algorithm{name: "an unknown hash"}
	}
	if a, ok := hashes[id.String()]; ok {
		return a
	}
	return algorithm{name: id.String()}
}

// Limits of the search for issuers: files may be made to cost time.
const (
	maxChain   = 8
	maxTries   = 8    // certificates of the same name whose signatures are tried
	maxRSABits = 8192 // of a key that signatures are tried with
)

// A Pool finds the chains of certificates among each other. It remembers what it
// found, and is for one goroutine.
type Pool struct {
	all     []*Certificate
	issuers map[*Certificate]*Certificate
}

// NewPool makes a pool of certificates, in any order.
func NewPool(all []*Certificate) *Pool {
	return &Pool{all, map[*Certificate]*Certificate{}}
}

// Chain gives those above c that the pool has, its issuer first, at most eight.
func (p *Pool) Chain(c *Certificate) []*Certificate {
	var chain []*Certificate
	for at := c; len(chain) < maxChain && !bytes.Equal(at.subject, at.issuer); {
		issuer, known := p.issuers[at]
		if !known {
			issuer = p.issuer(at)
			p.issuers[at] = issuer
		}
		if issuer == nil || slices.Contains(chain, issuer) { // two authorities may have issued each other
			break
		}
		chain, at = append(chain, issuer), issuer
	}
	return chain
}

func (p *Pool) issuer(c *Certificate) *Certificate {
	tries := 0
	for _, o := range p.all {
		if o.SHA256 == c.SHA256 || !bytes.Equal(o.subject, c.issuer) || o.keyID != nil && c.authorityID != nil && !bytes.Equal(o.keyID, c.authorityID) {
			continue
		}
		if tries++; tries > maxTries {
			return nil
		}
		if !c.refutes(o) {
			return o
		}
	}
	return nil
}

// refutes tells whether the signature on c shows that o is not its issuer. Where the
// standard library cannot verify, the names have to do: the chain is shown and handed
// out, and nothing here trusts it.
func (c *Certificate) refutes(o *Certificate) bool {
	if key, ok := o.Key.public.(*rsa.PublicKey); !ok && o.Key.public == nil || ok && key.N.BitLen() > maxRSABits {
		return false
	}
	child, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return false
	}
	parent, err := x509.ParseCertificate(o.DER)
	if err != nil {
		return false
	}
	err = parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	var insecure x509.InsecureAlgorithmError
	return err != nil && !errors.Is(err, x509.ErrUnsupportedAlgorithm) && !errors.As(err, &insecure)
}
