// Package cttest makes certificates for tests of certificate transparency: a
// root, an authority under it, pre-certificates and what becomes of them.
//
// It uses crypto/x509 where it can, so that what the tests read was written by
// somebody else.
package cttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/tbs"
)

var oidPoison = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}

// A CA is a root and an issuing authority under it. Its methods may be called
// from any goroutine.
type CA struct {
	Root, Issuer []byte // DER

	issuer *x509.Certificate
	key    *ecdsa.PrivateKey
	serial atomic.Int64
}

// Key makes a P-256 key.
func Key(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// NewCA makes a CA whose certificates are valid from 2020 to 2050.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	rootKey, c := Key(tb), &CA{key: Key(tb)}
	root := authority("Transparency Test Root")
	c.Root = create(tb, root, root, rootKey.Public(), rootKey)
	c.Issuer = create(tb, authority("Transparency Test Issuer"), parse(tb, c.Root), c.key.Public(), rootKey)
	c.issuer = parse(tb, c.Issuer)
	return c
}

// Chain is what stands above a leaf: the issuer and the root.
func (c *CA) Chain() [][]byte { return [][]byte{c.Issuer, c.Root} }

// Precert makes a pre-certificate for a DNS name. Each has a serial number of
// its own.
func (c *CA) Precert(tb testing.TB, name string, notBefore, notAfter time.Time) []byte {
	tb.Helper()
	return c.leaf(tb, name, notBefore, notAfter, pkix.Extension{Id: oidPoison, Critical: true, Value: asn1.NullBytes})
}

// Certificate makes a certificate without any extension of RFC 6962.
func (c *CA) Certificate(tb testing.TB, name string, notBefore, notAfter time.Time) []byte {
	tb.Helper()
	return c.leaf(tb, name, notBefore, notAfter)
}

func (c *CA) leaf(tb testing.TB, name string, notBefore, notAfter time.Time, extra ...pkix.Extension) []byte {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + c.serial.Add(1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: notBefore, NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, ExtraExtensions: extra,
	}
	return create(tb, template, c.issuer, c.key.Public(), c.key) // whose key it is does not matter here
}

// Final makes the certificate that follows a pre-certificate.
func (c *CA) Final(tb testing.TB, precert []byte, scts []ct.SCT) []byte {
	tb.Helper()
	list, err := ct.MarshalList(scts)
	if err != nil {
		tb.Fatal(err)
	}
	fields, err := tbs.ReplacePoison(parse(tb, precert).RawTBSCertificate, list)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := tbs.Sign(fields, tbs.ECDSAWithSHA256, c.key)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
}

func create(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func parse(tb testing.TB, der []byte) *x509.Certificate {
	tb.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
