package cms_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/cms"
)

var text = []byte("What is signed here is exactly this.\r\n\x00\xff")

// variants are the ways to sign that are tried with each other and with openssl.
func variants(tb testing.TB) map[string]cms.Signer {
	out := map[string]cms.Signer{}
	for _, id := range identities(tb, "rsa", "p256", "p384", "p521", "ed25519") {
		out[id.name] = cms.Signer{Key: id.key, Certificate: id.cert}
		if id.name == "rsa" {
			out["rsa-sha512"] = cms.Signer{Key: id.key, Certificate: id.cert, Hash: crypto.SHA512}
			out["rsa-pss"] = cms.Signer{Key: id.key, Certificate: id.cert, PSS: true}
			out["rsa-pss-sha384"] = cms.Signer{Key: id.key, Certificate: id.cert, PSS: true, Hash: crypto.SHA384}
		}
		if id.name == "p256" {
			out["p256-keyid"] = cms.Signer{Key: id.key, Certificate: id.cert, ByKeyID: true, SigningCertificate: true}
			out["p256-cades"] = cms.Signer{Key: id.key, Certificate: id.cert, SigningCertificate: true, SigningTime: time.Now()}
		}
	}
	return out
}

func TestWhatWasSignedIsVerifiedAndNothingElse(t *testing.T) {
	for name, s := range variants(t) {
		for _, detached := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s detached=%v", name, detached), func(t *testing.T) {
				m := cms.Message{Detached: detached, Certificates: [][]byte{s.Certificate.Raw}}
				d := parse(t, sign(t, m, text, s))
				check := cms.Check{}
				if detached {
					check.Content = text
				}
				all, err := d.Verify(check)
				if err != nil {
					t.Fatal(err)
				}
				v := all[0]
				if len(all) != 1 || !bytes.Equal(v.Content, text) || !v.Certificate.Equal(s.Certificate) || !v.Type.Equal(cms.Data) ||
					v.Bound != s.SigningCertificate || v.SigningTime.Unix() != s.SigningTime.Unix() {
					t.Errorf("verified %+v", v)
				}
				if detached {
					check.Content = append(bytes.Clone(text), 0)
					if _, err := d.Verify(check); !errors.Is(err, cms.ErrSignature) {
						t.Errorf("other content: %v", err)
					}
					check.Content = nil
				} else {
					check.Content = text
				}
				if _, err := d.Verify(check); !errors.Is(err, cms.ErrSignature) {
					t.Errorf("no content, or twice: %v", err)
				}
			})
		}
	}
}

// Whatever bit is changed, a message is refused, or what is returned is still
// what was signed (a bit of an unsigned part, such as a version number).
func TestNoChangedBitGetsOtherContentThrough(t *testing.T) {
	ids := identities(t, "p256", "ed25519")
	der := sign(t, cms.Message{Type: asn1.ObjectIdentifier{1, 2, 3}, Certificates: [][]byte{ids[0].cert.Raw}}, text,
		cms.Signer{Key: ids[0].key, Certificate: ids[0].cert, SigningCertificate: true, SigningTime: time.Unix(1e9, 0)})
	refused := 0
	for i := range len(der) * 8 {
		changed := bytes.Clone(der)
		changed[i/8] ^= 1 << (i % 8)
		d, err := cms.Parse(changed)
		if err != nil {
			refused++
			continue
		}
		all, err := d.Verify(cms.Check{})
		if err != nil {
			refused++
			continue
		}
		if v := all[0]; !bytes.Equal(v.Content, text) || !v.Type.Equal(asn1.ObjectIdentifier{1, 2, 3}) || !v.Certificate.Equal(ids[0].cert) || v.SigningTime.Unix() != 1e9 || !v.Bound {
			t.Fatalf("bit %d: verified %+v", i, v)
		}
	}
	if refused < len(der)*7 {
		t.Errorf("only %d of %d changes were refused", refused, len(der)*8)
	}
}

func TestSeveralSignersEachVerify(t *testing.T) {
	ids := identities(t, "rsa", "p384", "ed25519")
	var signers []cms.Signer
	m := cms.Message{}
	for _, id := range ids {
		signers = append(signers, cms.Signer{Key: id.key, Certificate: id.cert})
		m.Certificates = append(m.Certificates, id.cert.Raw)
	}
	d := parse(t, sign(t, m, text, signers...))
	all, err := d.Verify(cms.Check{})
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(v cms.Verified) bool { return v.Certificate.Equal(id.cert) }) {
			t.Errorf("%s is missing", id.name)
		}
	}
	// One that does not verify spoils the whole, but not the others by themselves.
	i := slices.IndexFunc(d.Signers, func(s *cms.SignerInfo) bool { return s.Serial.Cmp(ids[1].cert.SerialNumber) == 0 })
	d.Signers[i].Signature[9] ^= 1
	if _, err := d.Verify(cms.Check{}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("a wrong one among three: %v", err)
	}
	if _, err := d.VerifySigner(d.Signers[(i+1)%3], cms.Check{}); err != nil {
		t.Errorf("a right one among three: %v", err)
	}
}

func TestDetachedContentCanBeSignedAndVerifiedByItsDigest(t *testing.T) {
	id := identities(t, "p256")[0]
	p, err := cms.Message{Detached: true}.Prepare(cms.Signer{Key: id.key, Certificate: id.cert}, cms.Signer{Key: id.key, Certificate: id.cert, Hash: crypto.SHA512})
	if err != nil {
		t.Fatal(err)
	}
	short, long := sha256.Sum256(text), sha512.Sum512(text)
	digests := map[crypto.Hash][]byte{crypto.SHA256: short[:], crypto.SHA512: long[:]}
	der, err := p.SignDigests(digests)
	if err != nil {
		t.Fatal(err)
	}
	known := []*x509.Certificate{id.cert}
	for name, c := range map[string]cms.Check{"content": {Certificates: known, Content: text}, "digests": {Certificates: known, Digests: digests}} {
		if all, err := parse(t, der).Verify(c); err != nil || len(all) != 2 {
			t.Errorf("by %s: %v", name, err)
		}
	}
	if _, err := parse(t, der).Verify(cms.Check{Certificates: known, Digests: map[crypto.Hash][]byte{crypto.SHA256: short[:]}}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("without one of the digests: %v", err)
	}
	if _, err := p.SignDigests(map[crypto.Hash][]byte{crypto.SHA256: short[:]}); err == nil {
		t.Error("signed without the digest")
	}
}

func TestAPreparedMessageSignsManyContentsAtOnce(t *testing.T) {
	id := identities(t, "p256")[0]
	p, err := cms.Message{Certificates: [][]byte{id.cert.Raw}}.Prepare(cms.Signer{Key: id.key, Certificate: id.cert})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	for i := range 8 {
		go func() {
			content := []byte(fmt.Sprint("content ", i))
			der, err := p.Sign(content)
			if err == nil {
				var d *cms.SignedData
				if d, err = cms.Parse(der); err == nil {
					var all []cms.Verified
					if all, err = d.Verify(cms.Check{}); err == nil && !bytes.Equal(all[0].Content, content) {
						err = fmt.Errorf("verified %q", all[0].Content)
					}
				}
			}
			results <- err
		}()
	}
	for range 8 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestAttributesTravelWithTheSignature(t *testing.T) {
	id := identities(t, "p256")[0]
	signed, unsigned := asn1.ObjectIdentifier{1, 2, 3, 4}, asn1.ObjectIdentifier{1, 2, 3, 5}
	var stamped []byte
	s := cms.Signer{
		Key: id.key, Certificate: id.cert,
		Attributes: []cms.Attribute{{Type: signed, Values: [][]byte{{5, 0}, {2, 1, 7}}}},
		Unsigned: func(signature []byte) ([]cms.Attribute, error) {
			stamped = signature
			return []cms.Attribute{{Type: unsigned, Values: [][]byte{{4, 2, signature[0], signature[1]}}}}, nil
		},
	}
	d := parse(t, sign(t, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, s))
	all, err := d.Verify(cms.Check{})
	if err != nil {
		t.Fatal(err)
	}
	got := all[0].Signer
	i := slices.IndexFunc(got.Signed, func(a cms.Attribute) bool { return a.Type.Equal(signed) })
	if i < 0 || len(got.Signed[i].Values) != 2 || !bytes.Equal(got.Signed[i].Values[0], []byte{2, 1, 7}) {
		t.Errorf("signed attributes %v", got.Signed)
	}
	if v, ok := got.Unsigned.Get(unsigned); !ok || !bytes.Equal(v, []byte{4, 2, stamped[0], stamped[1]}) || !bytes.Equal(stamped, got.Signature) {
		t.Errorf("unsigned attributes %v", got.Unsigned)
	}
	if _, ok := got.Signed.Get(signed); ok {
		t.Error("an attribute with two values was taken for one with one")
	}
}

func TestWhatCannotBeSignedIsRefused(t *testing.T) {
	ids := identities(t, "rsa", "p256", "ed25519")
	rsaID, ec, ed := ids[0], ids[1], ids[2]
	ok := cms.Signer{Key: ec.key, Certificate: ec.cert}
	twice := ok
	twice.Attributes = []cms.Attribute{{Type: cms.ContentType, Values: [][]byte{{5, 0}}}}
	broken := ok
	broken.Attributes = []cms.Attribute{{Type: cms.SignatureTimeStamp, Values: [][]byte{{5, 1}}}}
	for _, c := range []struct {
		name string
		m    cms.Message
		s    []cms.Signer
	}{
		{"nothing", cms.Message{}, nil},
		{"a key without its certificate", cms.Message{}, []cms.Signer{{Key: ec.key}}},
		{"the certificate of another key", cms.Message{}, []cms.Signer{{Key: ec.key, Certificate: rsaID.cert}}},
		{"Ed25519 with SHA-256", cms.Message{}, []cms.Signer{{Key: ed.key, Certificate: ed.cert, Hash: crypto.SHA256}}},
		{"SHA-1", cms.Message{}, []cms.Signer{{Key: rsaID.key, Certificate: rsaID.cert, Hash: crypto.SHA1}}},
		{"PSS with ECDSA", cms.Message{}, []cms.Signer{{Key: ec.key, Certificate: ec.cert, PSS: true}}},
		{"an attribute of ours", cms.Message{}, []cms.Signer{twice}},
		{"an attribute that is not DER", cms.Message{}, []cms.Signer{broken}},
		{"a certificate that is not DER", cms.Message{Certificates: [][]byte{[]byte("PEM")}}, []cms.Signer{ok}},
		{"a type without a signer", cms.Message{Type: cms.MessageDigest, Certificates: [][]byte{ec.cert.Raw}}, nil},
	} {
		if _, err := c.m.Prepare(c.s...); err == nil {
			t.Errorf("%s: prepared", c.name)
		}
	}
	p, err := cms.Message{Certificates: [][]byte{ec.cert.Raw}}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sign(text); err == nil {
		t.Error("content without a signer was encoded")
	}
}

// A device is a key that is not in this process.
type device struct {
	crypto.Signer
	spoil byte
}

func (d device) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s, err := d.Signer.Sign(r, digest, opts)
	s[len(s)-1] ^= d.spoil
	return s, err
}

func TestAWrongSignatureByADeviceIsDiscarded(t *testing.T) {
	for _, id := range identities(t, "rsa", "p256", "ed25519") {
		for _, usePSS := range []bool{false, id.name == "rsa"} {
			for _, spoil := range []byte{0, 1} {
				p, err := cms.Message{}.Prepare(cms.Signer{Key: device{id.key, spoil}, Certificate: id.cert, PSS: usePSS})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Sign(text); (err == nil) != (spoil == 0) {
					t.Errorf("%s, pss %v, spoilt %d: %v", id.name, usePSS, spoil, err)
				}
			}
		}
	}
}
