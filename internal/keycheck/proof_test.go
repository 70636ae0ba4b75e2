package keycheck_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func openssl(t testing.TB, input []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

var keyArguments = map[string][]string{
	"RSA":     {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
	"EC":      {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
	"EC-384":  {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
	"Ed25519": {"genpkey", "-algorithm", "ED25519"},
}

// testKey has OpenSSL make a private key, in PEM.
func testKey(t testing.TB, kind string) (private []byte, pub crypto.PublicKey) {
	t.Helper()
	private = openssl(t, nil, keyArguments[kind]...)
	block, _ := pem.Decode(openssl(t, private, "pkey", "-pubout"))
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return private, pub
}

// The private key, posted as proof, blocks itself in every form that OpenSSL writes,
// and nothing of it is kept.
func TestAPostedPrivateKeyBlocksItself(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for name, form := range map[string]struct {
			kind string
			args []string
		}{
			"PKCS #8":               {"RSA", []string{"pkey"}},
			"PKCS #8 in DER":        {"RSA", []string{"pkey", "-outform", "DER"}},
			"PKCS #1":               {"RSA", []string{"rsa", "-traditional"}},
			"SEC 1":                 {"EC", []string{"ec"}},
			"SEC 1 in DER":          {"EC-384", []string{"ec", "-outform", "DER"}},
			"SEC 1 with parameters": {"EC", nil},
			"Ed25519":               {"Ed25519", []string{"pkey"}},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, db)
				private, pub := testKey(t, form.kind)
				posted := append(openssl(t, nil, "ecparam", "-name", "prime256v1"), private...)
				if form.args != nil {
					posted = openssl(t, private, form.args...)
				}
				var told keycheck.Proof
				proof, err := w.keys.Compromised(t.Context(), posted, "found on a server", func(tx *store.Tx, p keycheck.Proof) error { told = p; return nil })
				if err != nil || !proof.New || proof.SPKI != keycheck.HashOf(spkiOf(t, pub)) || told != proof {
					t.Fatalf("%+v, told %+v, %v", proof, told, err)
				}
				b, err := w.keys.Get(db.View(t.Context()), proof.SPKI)
				if err != nil || b.Proof != "private-key" || b.Reason != keycheck.Compromised || b.Number == "" || b.Note != "found on a server" {
					t.Errorf("%+v %v", b, err)
				}
				refused(t, w.keys.Remove(t.Context(), admin, proof.SPKI, "please"), "key.proved")
				block, _ := pem.Decode(openssl(t, private, "pkey"))
				for table, text := range storetest.Dump(t, db) {
					if strings.Contains(text, string(block.Bytes[len(block.Bytes)-40:])) || strings.Contains(text, strings.Split(string(private), "\n")[1]) {
						t.Errorf("the private key stands in table %s", table)
					}
				}
				again, err := w.keys.Compromised(t.Context(), posted, "", nil)
				if err != nil || again.New || again.SPKI != proof.SPKI {
					t.Errorf("again: %+v %v", again, err)
				}
			})
		}
	})
}

func TestWhatIsNoPrivateKeyProvesNothing(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	private, _ := testKey(t, "EC")
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "a request": file(t, "good-p256.csr"),
		"a public key":        openssl(t, private, "pkey", "-pubout"),
		"an encrypted key":    openssl(t, private, "pkey", "-aes256", "-passout", "pass:1234"),
		"a key that was bent": bytes.Replace(private, []byte("M"), []byte("N"), 1),
	} {
		_, err := w.keys.Compromised(t.Context(), data, "", nil)
		refused(t, err, "key.private")
		if len(data) > 0 && strings.Contains(err.Error(), string(data)) {
			t.Errorf("%s: the error quotes what was posted", name)
		}
	}
	if _, err := w.keys.Compromised(t.Context(), make([]byte, 1<<20), "", nil); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a megabyte: %v", err)
	}
	if n := w.count("keycheck_blocked"); n != 0 {
		t.Errorf("%d keys were blocked", n)
	}
}

// If the revocation fails, the key is not blocked either: both or neither.
func TestBlockingAndRevokingAreOneAct(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		private, _ := testKey(t, "EC")
		broken := errors.New("broken")
		if _, err := w.keys.Compromised(t.Context(), private, "", func(*store.Tx, keycheck.Proof) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if n := w.count("keycheck_blocked"); n != 0 {
			t.Errorf("%d keys were blocked", n)
		}
	})
}

// sign has OpenSSL sign a text as the documentation says.
func sign(t *testing.T, private []byte, text string, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	key, in := filepath.Join(dir, "key.pem"), filepath.Join(dir, "challenge.txt")
	if err := errors.Join(os.WriteFile(key, private, 0o600), os.WriteFile(in, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	if len(args) == 0 {
		return openssl(t, nil, "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", in)
	}
	return openssl(t, nil, append(append([]string{"dgst"}, args...), "-sign", key, in)...)
}

func TestASignatureOverAChallengeBlocksTheKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, test := range []struct {
			name, kind string
			args       []string
			change     func(string) string
		}{
			{"RSA with SHA-256", "RSA", []string{"-sha256"}, nil},
			{"RSA with SHA-512", "RSA", []string{"-sha512"}, nil},
			{"P-256", "EC", []string{"-sha256"}, nil},
			{"P-384 with SHA-256", "EC-384", []string{"-sha256"}, nil},
			{"Ed25519", "Ed25519", nil, nil},
			{"without the last line break", "EC", []string{"-sha256"}, func(s string) string { return strings.TrimRight(s, "\n") }},
		} {
			t.Run(test.name, func(t *testing.T) {
				private, pub := testKey(t, test.kind)
				text, expires, err := w.keys.Challenge(t.Context())
				w.check(err)
				if !strings.Contains(text, "compromised") || !expires.Equal(noon.Add(24*time.Hour)) {
					t.Errorf("%q until %s", text, expires)
				}
				if test.change != nil {
					text = test.change(text)
				}
				signature := sign(t, private, text, test.args...)
				proof, err := w.keys.Prove(t.Context(), text, spkiOf(t, pub), signature, "", nil)
				if err != nil || !proof.New || proof.SPKI != keycheck.HashOf(spkiOf(t, pub)) {
					t.Fatalf("%+v %v", proof, err)
				}
				_, err = w.keys.Prove(t.Context(), text, spkiOf(t, pub), signature, "", nil)
				refused(t, err, "key.challenge")
			})
		}
		for table, text := range storetest.Dump(t, db) {
			if table == "keycheck_challenges" && text != "" {
				t.Errorf("used challenges remain: %s", text)
			}
		}
	})
}

func TestWrongSignaturesAndChallengesProveNothing(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	private, pub := testKey(t, "EC")
	_, other := testKey(t, "EC")
	text, _, err := w.keys.Challenge(t.Context())
	w.check(err)
	signature := sign(t, private, text, "-sha256")
	for _, test := range []struct {
		name      string
		text      string
		spki, sig []byte
		code      string
	}{
		{"by another key", text, spkiOf(t, other), signature, "key.signature"},
		{"over another text", text, spkiOf(t, pub), sign(t, private, "hello", "-sha256"), "key.signature"},
		{"no signature", text, spkiOf(t, pub), nil, "key.signature"},
		{"with SHA-1", text, spkiOf(t, pub), sign(t, private, text, "-sha1"), "key.signature"},
		{"no key", text, []byte("hello"), signature, "key.unsupported"},
		{"a huge key", text, file(t, "huge-65536.der"), signature, "key.signature_size"},
		{"a challenge of one's own", strings.Replace(text, "challenge ", "challenge x", 1), spkiOf(t, pub), signature, "key.challenge"},
		{"another text that was signed", "hello", spkiOf(t, pub), sign(t, private, "hello", "-sha256"), "key.challenge"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := w.keys.Prove(t.Context(), test.text, test.spki, test.sig, "", nil)
			refused(t, err, test.code)
		})
	}
	w.clock.Advance(24 * time.Hour)
	_, err = w.keys.Prove(t.Context(), text, spkiOf(t, pub), signature, "", nil)
	refused(t, err, "key.challenge")
	w.check(w.keys.Sweep(t.Context()))
	if n := w.count("keycheck_challenges"); n != 0 {
		t.Errorf("%d old challenges remain", n)
	}
	if n := w.count("keycheck_blocked"); n != 0 {
		t.Errorf("%d keys were blocked", n)
	}
}

// A challenge is good for one report, however many come at once.
func TestAChallengeIsUsedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		private, pub := testKey(t, "EC")
		text, _, err := w.keys.Challenge(t.Context())
		w.check(err)
		signature := sign(t, private, text, "-sha256")
		var wg sync.WaitGroup
		won := make(chan bool, 8)
		for range 8 {
			wg.Go(func() {
				if _, err := w.keys.Prove(t.Context(), text, spkiOf(t, pub), signature, "", nil); err == nil {
					won <- true
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d reports succeeded", len(won))
		}
	})
}

// A report that is believed first and proved later keeps the proof.
func TestAProofIsAddedToABlockedKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		private, pub := testKey(t, "EC")
		_, err := w.keys.Add(t.Context(), admin, keycheck.HashOf(spkiOf(t, pub)), keycheck.Refused, "")
		w.check(err)
		proof, err := w.keys.Compromised(t.Context(), private, "", nil)
		w.check(err)
		b, err := w.keys.Get(db.View(t.Context()), proof.SPKI)
		if err != nil || proof.New || b.Proof != "private-key" || b.Reason != keycheck.Compromised || b.Number == "" || !w.audited("key.proof") {
			t.Errorf("%+v %+v %v %v", proof, b, w.acts(), err)
		}
	})
}
