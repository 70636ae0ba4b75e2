package cms_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/sealwright/sealwright/pki/cms"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// wrap encodes one constructed element.
func wrap(tag byte, parts ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(tag), func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
	return b.BytesOrPanic()
}

// take cuts the first element from in and returns its contents.
func take(tb testing.TB, in *cryptobyte.String, tag byte) cryptobyte.String {
	tb.Helper()
	var out cryptobyte.String
	if !in.ReadASN1(&out, cbasn1.Tag(tag)) {
		tb.Fatalf("no element with the tag %#x", tag)
	}
	return out
}

func whole(tb testing.TB, in *cryptobyte.String) []byte {
	tb.Helper()
	var out cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1Element(&out, &tag) {
		tb.Fatal("no element")
	}
	return out
}

// anatomy is a message with one signer, taken apart.
type anatomy struct {
	oid, version, digests, encap, certs []byte
	infoHead, attributes, infoTail      []byte // attributes with their own tag
}

func dissect(tb testing.TB, der []byte) (a anatomy) {
	in := cryptobyte.String(der)
	outer := take(tb, &in, 0x30)
	a.oid = whole(tb, &outer)
	explicit := take(tb, &outer, 0xa0)
	body := take(tb, &explicit, 0x30)
	a.version, a.digests, a.encap, a.certs = whole(tb, &body), whole(tb, &body), whole(tb, &body), whole(tb, &body)
	infos := take(tb, &body, 0x31)
	info := take(tb, &infos, 0x30)
	a.infoHead = bytes.Join([][]byte{whole(tb, &info), whole(tb, &info), whole(tb, &info)}, nil)
	a.attributes, a.infoTail = whole(tb, &info), info
	return a
}

func (a anatomy) assemble() []byte {
	info := wrap(0x30, a.infoHead, a.attributes, a.infoTail)
	return wrap(0x30, a.oid, wrap(0xa0, wrap(0x30, a.version, a.digests, a.encap, a.certs, wrap(0x31, info))))
}

func TestSignedAttributesDoNotPassForContent(t *testing.T) {
	id := identities(t, "p256")[0]
	a := dissect(t, sign(t, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, cms.Signer{Key: id.key, Certificate: id.cert}))
	if _, err := parse(t, a.assemble()).Verify(cms.Check{}); err != nil {
		t.Fatalf("taken apart and put together again: %v", err)
	}
	content := bytes.Clone(a.attributes)
	content[0] = 0x31
	oid := take(t, (*cryptobyte.String)(&a.encap), 0x30)
	a.encap = wrap(0x30, whole(t, &oid), wrap(0xa0, wrap(0x04, content)))
	a.attributes = nil
	if _, err := parse(t, a.assemble()).Verify(cms.Check{}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("the signed attributes, shown as content: %v", err)
	}
}

func TestSignedAttributesMustBeDER(t *testing.T) {
	id := identities(t, "p256")[0]
	der := sign(t, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, cms.Signer{Key: id.key, Certificate: id.cert})
	change := func(f func(list [][]byte) [][]byte) []byte {
		a := dissect(t, der)
		attributes := take(t, (*cryptobyte.String)(&a.attributes), 0xa0)
		var list [][]byte
		for !attributes.Empty() {
			list = append(list, whole(t, &attributes))
		}
		a.attributes = wrap(0xa0, f(list)...)
		return a.assemble()
	}
	for name, f := range map[string]func([][]byte) [][]byte{
		"out of order": func(l [][]byte) [][]byte { return [][]byte{l[1], l[0]} },
		"twofold":      func(l [][]byte) [][]byte { return [][]byte{l[0], l[0], l[1]} },
		"none":         func([][]byte) [][]byte { return nil },
		"too many": func(l [][]byte) [][]byte {
			for i := range 80 {
				l = append(l, wrap(0x30, []byte{6, 2, 42, byte(i)}, wrap(0x31, []byte{5, 0})))
			}
			return l
		},
	} {
		if _, err := cms.Parse(change(f)); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	only := change(func(l [][]byte) [][]byte { return l[:1] })
	if _, err := parse(t, only).Verify(cms.Check{}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("without the message digest: %v", err)
	}
}

func TestTwoCertificatesOfOneNameAreToldApart(t *testing.T) {
	id := identities(t, "p256")[0]
	other := newIdentity(t, "p256", newKey(t, "p256")) // the same issuer and serial number
	s := cms.Signer{Key: id.key, Certificate: id.cert, SigningCertificate: true}
	d := parse(t, sign(t, cms.Message{Certificates: [][]byte{other.cert.Raw, id.cert.Raw}}, text, s))
	all, err := d.Verify(cms.Check{Certificates: []*x509.Certificate{other.cert}})
	if err != nil || !all[0].Certificate.Equal(id.cert) {
		t.Errorf("verified by %v: %v", all, err)
	}
	d = parse(t, sign(t, cms.Message{Certificates: [][]byte{other.cert.Raw}}, text, s))
	if _, err := d.Verify(cms.Check{}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("with the wrong one alone: %v", err)
	}
}

// The signature is right; the signed attribute speaks of another certificate.
func TestACertificateThatTheSignerDidNotMeanIsRefused(t *testing.T) {
	ids := identities(t, "p256", "p384")
	id, other := ids[0], ids[1].cert
	value := func(of, issuer *x509.Certificate) []byte {
		sum := sha256.Sum256(of.Raw)
		name := wrap(0x30, wrap(0x30, wrap(0xa4, issuer.RawIssuer)), wrap(0x02, issuer.SerialNumber.Bytes()))
		return wrap(0x30, wrap(0x30, wrap(0x30, wrap(0x04, sum[:]), name)))
	}
	for name, c := range map[string]struct {
		value []byte
		want  error
	}{
		"this one":                {value(id.cert, id.cert), nil},
		"the hash of another":     {value(other, id.cert), cms.ErrSignature},
		"the issuer of another":   {value(id.cert, other), cms.ErrSignature},
		"something else entirely": {[]byte{5, 0}, cms.ErrMalformed},
	} {
		s := cms.Signer{Key: id.key, Certificate: id.cert, Attributes: []cms.Attribute{{Type: cms.SigningCertificateV2, Values: [][]byte{c.value}}}}
		_, err := parse(t, sign(t, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, s)).Verify(cms.Check{})
		if c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedAndEndlessInputIsRefused(t *testing.T) {
	id := identities(t, "p256")[0]
	der := sign(t, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, cms.Signer{Key: id.key, Certificate: id.cert})
	for i := range der {
		if _, err := cms.Parse(der[:i]); !errors.Is(err, cms.ErrMalformed) {
			t.Fatalf("the first %d octets: %v", i, err)
		}
	}
	for name, in := range map[string][]byte{
		"more after the end":      append(bytes.Clone(der), 0),
		"endless nesting":         bytes.Repeat([]byte{0x30, 0x80}, 1<<16),
		"a length of 2^32":        {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
		"a length of five octets": {0x30, 0x85, 0, 0, 0, 0, 1},
		"too much":                make([]byte, cms.MaxSize+1),
	} {
		if _, err := cms.Parse(in); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	ids := identities(f, "p256", "ed25519")
	for _, id := range ids {
		for _, s := range []cms.Signer{{Key: id.key, Certificate: id.cert}, {Key: id.key, Certificate: id.cert, ByKeyID: true, SigningCertificate: true}} {
			f.Add(sign(f, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, s))
			f.Add(sign(f, cms.Message{Detached: true}, text, s))
		}
	}
	// Indefinite lengths: openssl cms -sign -stream.
	b := newBench(f)
	b.keyFiles(ids[0])
	b.write("content", text)
	b.run("openssl", "cms", "-sign", "-binary", "-stream", "-nodetach", "-in", "content", "-signer", "p256.pem", "-inkey", "p256.key", "-outform", "DER", "-out", "message")
	f.Add(b.read("message"))
	known := []*x509.Certificate{ids[0].cert, ids[1].cert}
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := cms.Parse(in)
		if err != nil {
			if !errors.Is(err, cms.ErrMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		check := cms.Check{Certificates: known}
		if d.Detached {
			check.Content = text
		}
		all, err := d.Verify(check)
		if err != nil {
			if !errors.Is(err, cms.ErrSignature) && !errors.Is(err, cms.ErrUnsupported) && !errors.Is(err, cms.ErrMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		for _, v := range all {
			if !bytes.Equal(v.Content, text) && (v.Certificate.Equal(known[0]) || v.Certificate.Equal(known[1])) {
				t.Fatalf("other content verified: %q", v.Content)
			}
		}
	})
}
