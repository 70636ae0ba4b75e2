package ocsp_test

import (
	"bytes"
	"crypto"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/pki/ocsp"
	foreign "golang.org/x/crypto/ocsp"
)

func requestByOpenSSL(t *testing.T, w *world, options ...string) []byte {
	t.Helper()
	args := append([]string{"ocsp", "-issuer", w.path("ca.pem")}, options...)
	run(t, "openssl", append(args, "-cert", w.path("good.pem"), "-reqout", w.path("request.der"))...)
	der, err := os.ReadFile(w.path("request.der"))
	must(t, err)
	return der
}

// PKI rule 33: requests made by OpenSSL name what we name, byte for byte.
func TestRequestsOfOpenSSLAreReadAndMadeAlike(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	for option, hash := range map[string]crypto.Hash{"-sha1": crypto.SHA1, "-sha256": crypto.SHA256} {
		theirs := requestByOpenSSL(t, w, "-no_nonce", option)
		parsed, err := ocsp.ParseRequest(theirs)
		must(t, err)
		id, err := w.issuer.CertID(hash, append([]byte{0, 0}, w.good.SerialNumber.Bytes()...))
		must(t, err)
		if len(parsed.IDs) != 1 || !reflect.DeepEqual(parsed.IDs[0], id) {
			t.Errorf("read %+v\nwant %+v", parsed.IDs, id)
		}
		if !w.issuer.Matches(parsed.IDs[0]) || parsed.Nonce != nil || parsed.Signed {
			t.Errorf("read %+v", parsed)
		}
		ours, err := ocsp.BuildRequest([]ocsp.CertID{id}, nil)
		must(t, err)
		if !bytes.Equal(ours, theirs) {
			t.Errorf("we write %x\nopenssl  %x", ours, theirs)
		}
	}
	parsed, err := ocsp.ParseRequest(requestByOpenSSL(t, w, "-nonce"))
	must(t, err)
	if len(parsed.Nonce) == 0 {
		t.Error("the nonce was not read")
	}
}

func TestOtherIssuersDoNotMatch(t *testing.T) {
	w, stranger := newWorld(t, newKey(t), newKey(t)), newWorld(t, newKey(t), newKey(t))
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		// Both authorities have the same name: only the key tells them apart.
		id, err := stranger.issuer.CertID(hash, []byte{1})
		must(t, err)
		if w.issuer.Matches(id) || !stranger.issuer.Matches(id) {
			t.Errorf("%v: matched by the wrong issuer", hash)
		}
	}
	if w.issuer.Matches(ocsp.CertID{}) {
		t.Error("an empty CertID matches")
	}
	if _, err := w.issuer.CertID(crypto.SHA512, []byte{1}); err == nil {
		t.Error("SHA-512 names a certificate")
	}
	if _, err := w.issuer.CertID(crypto.SHA1, []byte{0}); err == nil {
		t.Error("serial number zero is accepted")
	}
}

func TestTheForeignParserReadsOurRequests(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	id, err := w.issuer.CertID(crypto.SHA1, w.revoked.SerialNumber.Bytes())
	must(t, err)
	der, err := ocsp.BuildRequest([]ocsp.CertID{id}, bytes.Repeat([]byte{7}, 32))
	must(t, err)
	got, err := foreign.ParseRequest(der)
	must(t, err)
	if got.SerialNumber.Cmp(w.revoked.SerialNumber) != 0 || !bytes.Equal(got.IssuerKeyHash, id.IssuerKeyHash) {
		t.Errorf("read %+v", got)
	}
}

// RFC 9654, 2.1.
func TestNoncesOfEveryLength(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	for _, c := range []struct {
		length  int
		refused bool
		kept    bool
	}{{0, true, false}, {1, false, true}, {16, false, true}, {32, false, true}, {33, false, true}, {128, false, true}, {129, true, false}} {
		nonce := bytes.Repeat([]byte{9}, c.length)
		der := wrapRequest(certID(t, w), tlv(0xa2, tlv(0x30, tlv(0x30, append([]byte("\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x02"), tlv(4, tlv(4, nonce))...)))))
		parsed, err := ocsp.ParseRequest(der)
		if errors.Is(err, ocsp.ErrMalformed) != c.refused || err == nil && (parsed.Nonce != nil) != c.kept {
			t.Errorf("%d octets: %+v, error %v", c.length, parsed, err)
		}
		if c.kept && !bytes.Equal(parsed.Nonce, nonce) {
			t.Errorf("%d octets: read %x", c.length, parsed.Nonce)
		}
	}
}

func certID(tb testing.TB, w *world) []byte {
	tb.Helper()
	id, err := w.issuer.CertID(crypto.SHA1, w.good.SerialNumber.Bytes())
	must(tb, err)
	return id.Raw
}

// wrapRequest makes a request of one CertID and whatever follows the list.
func wrapRequest(id, rest []byte) []byte {
	list := tlv(0x30, tlv(0x30, id))
	return tlv(0x30, tlv(0x30, append(list, rest...)))
}

// tlv writes DER up to 16 MiB.
func tlv(tag byte, body []byte) []byte {
	n := len(body)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	case n < 0x10000:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	}
	return append([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

func TestRequestsWithRarePartsAreRead(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	id := certID(t, w)
	one := tlv(0x30, tlv(0x30, id))
	sha384 := bytes.Replace(id, []byte("\x06\x05\x2b\x0e\x03\x02\x1a"), []byte("\x06\x05\x2b\x0e\x03\x02\x1b"), 1)
	noParameters := bytes.Replace(id, []byte("\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00"), []byte("\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a"), 1)
	noParameters[1] -= 2
	signature := tlv(0xa0, tlv(0x30, append(tlv(0x30, []byte("\x06\x01\x2a")), tlv(3, []byte{0, 1})...)))
	basicOnly := extension("\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x04", true, tlv(0x30, []byte("\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01")))
	for _, c := range []struct {
		name string
		der  []byte
		hash crypto.Hash
	}{
		{"a name of the asker", tlv(0x30, tlv(0x30, append(tlv(0xa1, tlv(0x82, []byte("asker"))), one...))), crypto.SHA1},
		{"a hash we do not know", wrapRequest(sha384, nil), 0},
		{"a hash without parameters", wrapRequest(noParameters, nil), crypto.SHA1},
		{"a signature", tlv(0x30, append(tlv(0x30, one), signature...)), crypto.SHA1},
		{"acceptable responses, critical", wrapRequest(id, tlv(0xa2, tlv(0x30, basicOnly))), crypto.SHA1},
		{"an unknown extension", wrapRequest(id, tlv(0xa2, tlv(0x30, extension("\x06\x01\x2a", false, nil)))), crypto.SHA1},
		{"sixteen certificates", tlv(0x30, tlv(0x30, tlv(0x30, bytes.Repeat(tlv(0x30, id), 16)))), crypto.SHA1},
	} {
		t.Run(c.name, func(t *testing.T) {
			parsed, err := ocsp.ParseRequest(c.der)
			must(t, err)
			if parsed.IDs[0].Hash != c.hash || w.issuer.Matches(parsed.IDs[0]) != (c.hash != 0) {
				t.Errorf("read %+v", parsed.IDs[0])
			}
			if parsed.Signed != strings.Contains(c.name, "signature") {
				t.Errorf("signed: %v", parsed.Signed)
			}
		})
	}
}

func extension(oid string, critical bool, value []byte) []byte {
	body := []byte(oid)
	if critical {
		body = append(body, 1, 1, 0xff)
	}
	return tlv(0x30, append(body, tlv(4, value)...))
}

func TestBadRequestsAreRefused(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	id := certID(t, w)
	good := wrapRequest(id, nil)
	one := tlv(0x30, tlv(0x30, id))
	unknown := extension("\x06\x01\x2a", false, nil)
	for _, c := range []struct {
		name string
		der  []byte
	}{
		{"nothing", nil},
		{"an empty list", tlv(0x30, tlv(0x30, tlv(0x30, nil)))},
		{"seventeen certificates", tlv(0x30, tlv(0x30, tlv(0x30, bytes.Repeat(tlv(0x30, id), 17))))},
		{"more than 64 KiB", wrapRequest(id, tlv(0xa2, tlv(0x30, extension("\x06\x01\x2a", false, make([]byte, ocsp.MaxRequest)))))},
		{"a tail", append(bytes.Clone(good), 0)},
		{"a tail inside", wrapRequest(id, []byte{5, 0})},
		{"the default version", tlv(0x30, tlv(0x30, append([]byte{0xa0, 3, 2, 1, 0}, one...)))},
		{"version 2", tlv(0x30, tlv(0x30, append([]byte{0xa0, 3, 2, 1, 1}, one...)))},
		{"a length that is not minimal", append([]byte{0x30, 0x81, byte(len(good) - 2)}, good[2:]...)},
		{"a hash of the wrong length", wrapRequest(tlv(0x30, []byte("\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x01a\x04\x01b\x02\x01\x01")), nil)},
		{"a negative serial number", wrapRequest(bytes.Replace(id, []byte{2, 1, 0x77}, []byte{2, 1, 0x87}, 1), nil)},
		{"an unknown critical extension", wrapRequest(id, tlv(0xa2, tlv(0x30, extension("\x06\x01\x2a", true, nil))))},
		{"an extension twice", wrapRequest(id, tlv(0xa2, tlv(0x30, append(unknown, unknown...))))},
		{"a nonce that is not DER", wrapRequest(id, tlv(0xa2, tlv(0x30, extension("\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x02", false, []byte("raw")))))},
		{"only unknown kinds of answer", wrapRequest(id, tlv(0xa2, tlv(0x30, extension("\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x04", false, tlv(0x30, nil)))))},
		{"a signature that is none", tlv(0x30, append(tlv(0x30, one), 0xa0, 2, 5, 0))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ocsp.ParseRequest(c.der); !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
	for n := range len(good) {
		if _, err := ocsp.ParseRequest(good[:n]); !errors.Is(err, ocsp.ErrMalformed) {
			t.Fatalf("cut after %d octets: %v", n, err)
		}
	}
	if _, err := ocsp.ParseRequest(good); err != nil {
		t.Error(err)
	}
	if _, err := ocsp.BuildRequest(nil, nil); err == nil {
		t.Error("a request about nothing was built")
	}
	if _, err := ocsp.BuildRequest(make([]ocsp.CertID, 1), make([]byte, 129)); err == nil {
		t.Error("a request with a nonce of 129 octets was built")
	}
}

// Whatever is accepted stays within the limits and can be asked again with the
// same meaning.
func FuzzParseRequest(f *testing.F) {
	w := newWorld(f, newKey(f), newKey(f))
	f.Add(wrapRequest(certID(f, w), nil))
	id, err := w.issuer.CertID(crypto.SHA256, []byte{0xff, 1})
	must(f, err)
	der, err := ocsp.BuildRequest([]ocsp.CertID{id, id}, make([]byte, 32))
	must(f, err)
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		parsed, err := ocsp.ParseRequest(der)
		if err != nil {
			if !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		again, err := ocsp.BuildRequest(parsed.IDs, parsed.Nonce)
		must(t, err)
		reparsed, err := ocsp.ParseRequest(again)
		must(t, err)
		parsed.Signed = false
		if !reflect.DeepEqual(parsed, reparsed) {
			t.Errorf("read %+v, then %+v", parsed, reparsed)
		}
	})
}
