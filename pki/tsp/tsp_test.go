package tsp_test

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/cms"
	"github.com/sealwright/sealwright/pki/tsp"
)

func TestAStampSaysWhatWasAsked(t *testing.T) {
	for _, kind := range []string{"rsa", "p256", "p384", "p521", "ed25519"} {
		w := newWorld(t, kind)
		w.unit.Ordering, w.unit.Qualified = true, true
		r := request(true)
		r.Policy = otherPolicy
		v, err := w.token(w.stamp(r)).Verify(w.options())
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := v.Answers(r); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		want := new(big.Int).SetUint64(1<<63 + 5)
		if v.Serial.Cmp(want) != 0 || !v.Time.Equal(moment.Truncate(time.Millisecond)) || v.Accuracy != 1500*time.Millisecond || !v.Ordering ||
			!v.Policy.Equal(otherPolicy) || len(v.Extensions) != 1 || !v.Certificate.Equal(w.unit.Certificate) || len(v.Chain) != 2 || v.TSA == nil {
			t.Errorf("%s: %+v", kind, v.Info)
		}
	}
}

func TestATokenAnswersItsRequestOnly(t *testing.T) {
	w := newWorld(t, "p256")
	info := w.token(w.stamp(request(true))).Unverified()
	long := sha512.Sum512(data)
	for name, change := range map[string]func(*tsp.Request){
		"other data":       func(r *tsp.Request) { r.Imprint.Digest = bytes.Repeat([]byte{1}, 32) },
		"another hash":     func(r *tsp.Request) { r.Imprint = tsp.Imprint{Hash: crypto.SHA512, Digest: long[:]} },
		"another nonce":    func(r *tsp.Request) { r.Nonce = tsp.Nonce(big.NewInt(1)) },
		"no nonce":         func(r *tsp.Request) { r.Nonce = nil },
		"another policy":   func(r *tsp.Request) { r.Policy = otherPolicy },
		"an unknown other": func(r *tsp.Request) { r.Policy = asn1.ObjectIdentifier{1, 2} },
	} {
		r := request(true)
		change(r)
		if err := info.Answers(r); !errors.Is(err, tsp.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := info.Answers(request(false)); err != nil {
		t.Error(err)
	}
}

func TestATokenIsVerifiedAgainstItsUnit(t *testing.T) {
	w := newWorld(t, "p256")
	bare, full := w.stamp(request(false)), w.stamp(request(true))
	if _, err := w.token(bare).Verify(w.options()); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("without the certificate: %v", err)
	}
	o := w.options()
	o.Unit = w.unit.Certificate
	if _, err := w.token(bare).Verify(o); err != nil {
		t.Errorf("with the certificate given: %v", err)
	}
	stranger := newWorld(t, "p256")
	if _, err := w.token(full).Verify(stranger.options()); !errors.Is(err, tsp.ErrUnit) {
		t.Errorf("under another root: %v", err)
	}
	if _, err := w.token(full).Verify(tsp.Options{}); err == nil {
		t.Error("verified without a root")
	}
	o = w.options()
	o.At = moment.Add(2 * time.Hour)
	if _, err := w.token(full).Verify(o); !errors.Is(err, tsp.ErrUnit) {
		t.Errorf("after the certificate's end: %v", err)
	}
	for i := range full {
		changed := bytes.Clone(full)
		changed[i] ^= 4
		token, err := tsp.ParseToken(changed)
		if err != nil {
			continue
		}
		v, err := token.Verify(w.options())
		if err == nil && (v.Answers(request(true)) != nil || v.Serial.BitLen() != 64 || !v.Time.Equal(moment.Truncate(time.Millisecond))) {
			t.Fatalf("octet %d changed: %+v", i, v.Info)
		}
	}
}

// RFC 3161, section 2.3: the extended key usage is critical and the only one.
func TestOnlyACertificateForTimeStampingAloneMakesAUnit(t *testing.T) {
	w := newWorld(t, "p256")
	usage := func(ids ...asn1.ObjectIdentifier) []byte {
		b, err := asn1.Marshal(ids)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	stamping, signing := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
	for name, change := range map[string]func(*x509.Certificate){
		"not critical":         func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false },
		"another purpose too":  func(c *x509.Certificate) { c.ExtraExtensions[0].Value = usage(stamping, signing) },
		"another purpose":      func(c *x509.Certificate) { c.ExtraExtensions[0].Value = usage(signing) },
		"no purpose":           func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{} },
		"a key for encryption": func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment },
	} {
		u := w.unit
		u.Certificate = w.unitCertificate(u.Key.Public(), change)
		if _, err := tsp.NewStamper(u); !errors.Is(err, tsp.ErrUnit) {
			t.Errorf("%s: a stamper was made: %v", name, err)
		}
		if err := tsp.CheckUnit(u.Certificate); !errors.Is(err, tsp.ErrUnit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*tsp.Unit){
		"no policy":     func(u *tsp.Unit) { u.Policies = nil },
		"no resolution": func(u *tsp.Unit) { u.Resolution = 0 },
		"nanoseconds":   func(u *tsp.Unit) { u.Accuracy = time.Nanosecond },
		"another key":   func(u *tsp.Unit) { u.Key = w.rootKey },
	} {
		u := w.unit
		change(&u)
		if _, err := tsp.NewStamper(u); err == nil {
			t.Errorf("%s: a stamper was made", name)
		}
	}
}

func TestWhatCannotBeStampedIsRejectedWithTheRightFailure(t *testing.T) {
	w := newWorld(t, "p256")
	sum := sha1.Sum(data)
	imprint := func(oid asn1.ObjectIdentifier, digest []byte) []byte {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid); b.AddASN1NULL() })
			b.AddASN1OctetString(digest)
		})
		return b.BytesOrPanic()
	}
	raw := func(version int64, parts ...[]byte) []byte {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(version); b.AddBytes(bytes.Join(parts, nil)) })
		return b.BytesOrPanic()
	}
	good := imprint(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, make([]byte, 32))
	short := imprint(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, make([]byte, 31))
	ask := func(change func(*tsp.Request)) []byte {
		r := request(true)
		change(r)
		der, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, c := range []struct {
		name string
		in   []byte
		want tsp.Failure
	}{
		{"nothing", nil, tsp.BadDataFormat},
		{"text", []byte("POST me"), tsp.BadDataFormat},
		{"too much", make([]byte, tsp.MaxRequest+1), tsp.BadDataFormat},
		{"more after the end", append(raw(1, good), 0), tsp.BadDataFormat},
		{"an imprint that is too short", raw(1, short), tsp.BadDataFormat},
		{"a nonce that is too long", raw(1, good, append([]byte{2, 0x81, 0x80}, bytes.Repeat([]byte{1}, 128)...)), tsp.BadDataFormat},
		{"unknown parts", raw(1, good, []byte{0x0c, 1, 'x'}), tsp.BadDataFormat},
		{"another version", raw(2, good), tsp.BadRequest},
		{"SHA-1, which row 24 of the rules forbids", raw(1, imprint(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, sum[:])), tsp.BadAlg},
		{"an unknown hash", raw(1, imprint(asn1.ObjectIdentifier{1, 2, 3}, sum[:])), tsp.BadAlg},
		{"an unknown policy", ask(func(r *tsp.Request) { r.Policy = asn1.ObjectIdentifier{1, 2, 3} }), tsp.UnacceptedPolicy},
		{"an extension", ask(func(r *tsp.Request) {
			r.Extensions = []tsp.Extension{{ID: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		}), tsp.UnacceptedExtension},
	} {
		r, err := tsp.ParseRequest(c.in)
		if err == nil {
			_, err = w.stamper().Stamp(r, 1, moment)
		}
		var why *tsp.Rejection
		if !errors.As(err, &why) || why.Failure != c.want {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_, err = tsp.ParseResponse(why.Response())
		var read *tsp.Rejection
		if !errors.As(err, &read) || *read != *why {
			t.Errorf("%s: read as %v, written as %v", c.name, err, why)
		}
		out := w.run("openssl", "ts", "-reply", "-text", "-in", w.file("rejection", why.Response()))
		if !strings.Contains(out, "Status: Rejected.") || !strings.Contains(out, why.Text) || strings.Contains(out, "Failure info: unspecified") {
			t.Errorf("%s: openssl reads %s", c.name, out)
		}
	}
}

func TestOpenSSLAcceptsOurStamps(t *testing.T) {
	for _, c := range []struct{ kind, digest string }{{"rsa", "-sha256"}, {"p256", "-sha384"}, {"p384", "-sha512"}, {"p521", "-sha512"}} {
		for _, certs := range []bool{true, false} {
			w := newWorld(t, c.kind)
			w.unit.Qualified = true
			w.file("data", data)
			args := []string{"ts", "-query", "-data", "data", c.digest, "-out", "query", "-tspolicy", policy.String()}
			if certs {
				args = append(args, "-cert")
			}
			w.run("openssl", args...)
			r, err := tsp.ParseRequest(w.read("query"))
			if err != nil || r.CertReq != certs || !r.Policy.Equal(policy) || len(r.Nonce) == 0 {
				t.Fatalf("%s: %+v: %v", c.kind, r, err)
			}
			w.file("reply", tsp.Granted(w.stamp(r)))
			verify := []string{"ts", "-verify", "-in", "reply", "-queryfile", "query", "-CAfile", "root.pem"}
			if !certs {
				verify = append(verify, "-untrusted", "unit.pem")
			}
			if out := w.run("openssl", verify...); !strings.Contains(out, "Verification: OK") {
				t.Errorf("%s: %s", c.kind, out)
			}
			text := w.run("openssl", "ts", "-reply", "-in", "reply", "-text")
			for _, want := range []string{
				"Status: Granted.", "Policy OID: 1.2.3.4.91", "Serial number: 0x8000000000000005", moment.Format("Jan _2 15:04:05.000 2006"),
				"0x01 seconds, 0x01F4 millis", "Ordering: no", "TSA: DirName:", "Unit 1", "qcStatements",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q is not in\n%s", c.kind, want, text)
				}
			}
		}
	}
}

func TestOurRequestsAndVerifierWorkWithOpenSSLAsTheUnit(t *testing.T) {
	for _, kind := range []string{"rsa", "p256"} {
		w := newWorld(t, kind)
		key, err := x509.MarshalPKCS8PrivateKey(w.unit.Key)
		if err != nil {
			t.Fatal(err)
		}
		w.file("unit.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
		w.file("serial", []byte("01\n"))
		w.file("conf", []byte(`[tsa]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.91
other_policies = 1.2.3.4.92
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = yes
tsa_name = yes
ess_cert_id_alg = sha256
`))
		for _, certs := range []bool{true, false} {
			r := request(certs)
			der, err := r.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			w.file("query", der)
			w.run("openssl", "ts", "-reply", "-config", "conf", "-section", "tsa", "-queryfile", "query", "-signer", "unit.pem", "-inkey", "unit.key", "-out", "reply")
			token, err := tsp.ParseResponse(w.read("reply"))
			if err != nil {
				t.Fatal(err)
			}
			o := w.options()
			o.Unit = w.unit.Certificate
			v, err := w.token(token).Verify(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Answers(r); err != nil {
				t.Error(err)
			}
			if v.Accuracy != 1500100*time.Microsecond || !v.Ordering || v.Time.Sub(moment).Abs() > time.Minute {
				t.Errorf("%+v", v.Info)
			}
		}
		// What openssl refuses, and how.
		r := request(true)
		r.Policy = asn1.ObjectIdentifier{1, 9}
		der, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		w.file("query", der)
		w.run("openssl", "ts", "-reply", "-config", "conf", "-section", "tsa", "-queryfile", "query", "-signer", "unit.pem", "-inkey", "unit.key", "-out", "reply")
		var why *tsp.Rejection
		if _, err := tsp.ParseResponse(w.read("reply")); !errors.As(err, &why) || why.Failure != tsp.UnacceptedPolicy || why.Text == "" {
			t.Errorf("rejected with %v", err)
		}
	}
}

func TestTimesAreWrittenAsDERAsksFor(t *testing.T) {
	w := newWorld(t, "p256")
	base := moment.Truncate(time.Second)
	for _, c := range []struct {
		resolution, offset time.Duration
		want               string
	}{
		{time.Second, 999999 * time.Microsecond, ""},
		{time.Millisecond, 999999 * time.Microsecond, ".999"},
		{time.Millisecond, 120 * time.Millisecond, ".12"},
		{time.Millisecond, 999 * time.Microsecond, ""},
		{time.Microsecond, 100 * time.Microsecond, ".0001"},
	} {
		w.unit.Resolution = c.resolution
		token, err := w.stamper().Stamp(request(false), 1, base.Add(c.offset))
		if err != nil {
			t.Fatal(err)
		}
		want := base.Format("20060102150405") + c.want + "Z"
		if !bytes.Contains(token, append([]byte{0x18, byte(len(want))}, want...)) {
			t.Errorf("%s to %s: not %s", c.offset, c.resolution, want)
		}
		if got := w.token(token).Unverified().Time; !got.Equal(base.Add(c.offset).Truncate(c.resolution)) {
			t.Errorf("%s to %s: read as %s", c.offset, c.resolution, got)
		}
	}
}
