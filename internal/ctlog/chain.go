package ctlog

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

// Limits of a submission.
const (
	MaxChain       = 10       // certificates
	MaxCertificate = 64 << 10 // bytes of one
)

// A rootSet is the accepted roots.
type rootSet struct {
	ders      [][]byte
	byHash    map[[sha256.Size]byte]*x509.Certificate
	bySubject map[string][]*x509.Certificate
}

// SetRoots changes which roots are accepted, from now on and on this node. At
// least one is needed, and none may be beyond what crypto/x509 reads.
func (l *Log) SetRoots(ders [][]byte) error {
	r := &rootSet{byHash: map[[sha256.Size]byte]*x509.Certificate{}, bySubject: map[string][]*x509.Certificate{}}
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fault.Invalidf("ctlog.roots", "A root of transparency log %q is not a certificate.", l.config.Name).WithCause(err)
		}
		if _, known := r.byHash[sha256.Sum256(der)]; known {
			continue
		}
		r.ders = append(r.ders, bytes.Clone(der))
		r.byHash[sha256.Sum256(der)] = c
		r.bySubject[string(c.RawSubject)] = append(r.bySubject[string(c.RawSubject)], c)
	}
	if len(r.ders) == 0 {
		return fault.Invalidf("ctlog.roots", "Transparency log %q has no roots and would accept nothing.", l.config.Name)
	}
	l.roots.Store(r)
	return nil
}

// Roots are the accepted roots, DER. They are not to be changed.
func (l *Log) Roots() [][]byte { return l.roots.Load().ders }

// verify checks that each certificate was issued by the next and the last by an
// accepted root or is one, and returns them with the root at the end (RFC 6962,
// section 3.1). Whether they are still valid does not matter to a log.
func (r *rootSet) verify(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > MaxChain {
		return nil, badChain("The chain has %d certificates; 1 to %d can be submitted.", len(ders), MaxChain)
	}
	chain := make([]*x509.Certificate, 0, len(ders)+1)
	for i, der := range ders {
		if len(der) > MaxCertificate {
			return nil, badChain("Certificate %d of the chain has %d bytes; at most %d are accepted.", i, len(der), MaxCertificate)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, badChain("Certificate %d of the chain cannot be read.", i).WithCause(err)
		}
		if i > 0 && !issued(chain[i-1], c) {
			return nil, badChain("Certificate %d of the chain did not issue the one before it.", i).
				WithNext("Order the chain from the leaf to the root.")
		}
		chain = append(chain, c)
	}
	last := chain[len(chain)-1]
	if _, ok := r.byHash[sha256.Sum256(last.Raw)]; ok {
		return chain, nil
	}
	candidates := r.bySubject[string(last.RawIssuer)]
	i := slices.IndexFunc(candidates, func(root *x509.Certificate) bool { return issued(last, root) })
	if i < 0 {
		return nil, fault.Invalidf("ctlog.root", "The chain does not lead to a root that this log accepts.").
			WithNext("See get-roots for those it accepts.").WithField("chain")
	}
	return append(chain, candidates[i]), nil
}

func issued(child, parent *x509.Certificate) bool {
	return bytes.Equal(child.RawIssuer, parent.RawSubject) && child.CheckSignatureFrom(parent) == nil
}

func badChain(format string, args ...any) *fault.Fault {
	return fault.Invalidf("ctlog.chain", format, args...).WithField("chain")
}

// precertSigning is the purpose of a precertificate signing certificate.
var precertSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 4}

// entryOf makes the entry of a verified chain.
func entryOf(kind ct.EntryType, chain []*x509.Certificate) (ct.Entry, error) {
	leaf := chain[0].Raw
	poisoned := ct.IsPrecert(leaf)
	switch {
	case kind == ct.TypeX509 && poisoned:
		return ct.Entry{}, fault.Invalidf("ctlog.poison", "This is a pre-certificate.").WithNext("Submit it to add-pre-chain.").WithField("chain")
	case kind == ct.TypeX509:
		return ct.CertificateEntry(leaf), nil
	case !poisoned:
		return ct.Entry{}, fault.Invalidf("ctlog.poison", "This is not a pre-certificate: it has no poison extension.").WithNext("Submit it to add-chain.").WithField("chain")
	case len(chain) < 2:
		return ct.Entry{}, badChain("The chain of a pre-certificate needs its issuer.")
	case slices.ContainsFunc(chain[1].UnknownExtKeyUsage, precertSigning.Equal):
		return ct.Entry{}, badChain("Pre-certificates of a precertificate signing certificate are not accepted.").
			WithNext("Sign the pre-certificate with the key that signs the certificate.")
	}
	entry, err := ct.PrecertEntry(leaf, chain[1].Raw)
	if err != nil {
		return ct.Entry{}, fault.Invalidf("ctlog.poison", "The extensions of the pre-certificate are not those of RFC 6962.").WithField("chain").WithCause(err)
	}
	return entry, nil
}
