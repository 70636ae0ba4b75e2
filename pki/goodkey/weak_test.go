package goodkey

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// What sha1sum and sha256sum print for the keys in testdata; see the README there.
const (
	debianSHA1   = "49d96fae9bfc0e84bba3"
	debianSHA256 = "6a5fe0a26ec49ea11eda6c6c05ee63f01c8dda392fc771b6ececd2efe4f3f039"
	p256SHA256   = "d7687719f688d9d55838d01914fbca6955becc88612e120e056a6a896ab00791"
)

func publicKey(t testing.TB, file string) crypto.PublicKey {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func list(t testing.TB, texts ...string) *WeakKeys {
	t.Helper()
	var readers []io.Reader
	for _, text := range texts {
		readers = append(readers, strings.NewReader(text))
	}
	w, err := ReadWeakKeys(readers...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func binaryRecord(t testing.TB, sum string, id byte) string {
	t.Helper()
	b, err := hex.DecodeString(sum[:30])
	if err != nil {
		t.Fatal(err)
	}
	return string(append(b, id))
}

// A109: Debian's weak keys are found in every published form of the lists.
func TestListedKeysAreFoundInEveryForm(t *testing.T) {
	weak, other := publicKey(t, "debian-weak-rsa2048.pem"), publicKey(t, "p256.pem")
	for _, test := range []struct {
		name, list string
		rsa, ec    bool
	}{
		{"openssl-blacklist", "# comment\n\n00006aa0ce2cd60e6660\n" + debianSHA1 + "\nffff1f5a2b9f01d6a6aa\n", true, false},
		{"openssl-blacklist in disorder and with CRLF", "ffff1f5a2b9f01d6a6aa\r\n" + debianSHA1 + "\r\n00006aa0ce2cd60e6660\r\n", true, false},
		{"dwk", p256SHA256 + "\n" + debianSHA256 + "\n", true, true},
		{"dwk in capitals without a final line break", strings.ToUpper(debianSHA256), true, false},
		{"badkeys as text", debianSHA256[:30] + "01\n" + p256SHA256[:30] + "05\n", true, true},
		{"badkeys as binary", binaryRecord(t, p256SHA256, 5) + binaryRecord(t, debianSHA256, 1), true, true},
		{"a list of others", "00006aa0ce2cd60e6660\nffff1f5a2b9f01d6a6aa\n", false, false},
		{"an empty list", "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := list(t, test.list)
			if got := w.Contains(weak); got != test.rsa {
				t.Errorf("the Debian key: %t", got)
			}
			if got := w.Contains(other); got != test.ec {
				t.Errorf("the P-256 key: %t", got)
			}
			if w.Contains(withLength(t, 2048)) || w.Contains(ecKey(t, elliptic.P256())) {
				t.Error("a fresh key is found")
			}
		})
	}
}

func TestListsAreJoinedAndCountedOnce(t *testing.T) {
	w := list(t, debianSHA1+"\n"+debianSHA1+"\n", p256SHA256+"\n", binaryRecord(t, p256SHA256, 1))
	if w.Len() != 2 || !w.Contains(publicKey(t, "p256.pem")) || !w.Contains(publicKey(t, "debian-weak-rsa2048.pem")) {
		t.Errorf("%d keys", w.Len())
	}
	var none *WeakKeys
	if none.Len() != 0 || none.Contains(publicKey(t, "p256.pem")) {
		t.Error("the nil list holds a key")
	}
	for _, key := range []crypto.PublicKey{nil, &rsa.PublicKey{}, "a key"} {
		if w.Contains(key) {
			t.Errorf("%T is found", key)
		}
	}
}

// A list that is read half would let weak keys pass.
func TestADamagedListIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"a line that is no hash":    debianSHA1 + "\nhello\n",
		"a line of 22 digits":       debianSHA1 + "00\n",
		"a line that is too long":   debianSHA256 + "00\n",
		"a line cut off":            debianSHA256[:63] + "\n",
		"a binary record cut off":   binaryRecord(t, debianSHA256, 1)[:15],
		"a web page instead":        "<!DOCTYPE html>\n<html>\n",
		"one line without an end":   strings.Repeat("0", 1<<20),
		"binary after a text start": debianSHA1 + "\n" + string([]byte{0, 1, 2}),
	} {
		t.Run(name, func(t *testing.T) {
			if w, err := ReadWeakKeys(strings.NewReader(text)); err == nil {
				t.Errorf("%d keys were read", w.Len())
			}
		})
	}
	broken := errors.New("broken")
	if _, err := ReadWeakKeys(io.MultiReader(strings.NewReader(strings.Repeat(debianSHA1+"\n", 10_000)), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("an error of the disk: %v", err)
	}
}

func TestAListTakesTenOctetsForAKey(t *testing.T) {
	var text bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&text, "%020x\n", (i*2654435761)%(1<<40))
	}
	w := list(t, text.String())
	if size := cap(w.bySHA1) + cap(w.bySHA256); size > 11*w.Len() {
		t.Errorf("%d keys take %d octets", w.Len(), size)
	}
}

// SP 800-89, 5.3.3 (a SHOULD of TLS BR 6.1.6): a modulus that is a prime or the
// power of one has no secret.
func TestPrimesAndTheirPowersAreNoModulus(t *testing.T) {
	strict := Default()
	strict.Composite = true
	p, cube := prime(t, 2048), prime(t, 683)
	for cube.Mul(cube, new(big.Int).Mul(cube, cube)); cube.BitLen() != 2048; {
		cube = prime(t, 683)
		cube.Mul(cube, new(big.Int).Mul(cube, cube))
	}
	for _, test := range []struct {
		name string
		n    *big.Int
		want Code
	}{
		{"a prime", p, PrimeModulus},
		{"the cube of a prime", cube, PrimeModulus},
		{"two primes", withLength(t, 2048).N, ""},
		{"two primes of 3072 bits", withLength(t, 3072).N, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := strict.Check(&rsa.PublicKey{N: test.n, E: 65537})
			var refusal *Error
			if (test.want == "") != (err == nil) || err != nil && (!errors.As(err, &refusal) || refusal.Code != test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if err := Default().Check(&rsa.PublicKey{N: p, E: 65537}); err != nil {
		t.Errorf("the proof costs, and is made only where it is asked for: %v", err)
	}
}

func FuzzReadWeakKeys(f *testing.F) {
	f.Add([]byte("# c\n" + debianSHA1 + "\n"))
	f.Add([]byte(debianSHA256 + "\n"))
	f.Add([]byte(binaryRecord(f, debianSHA256, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := ReadWeakKeys(bytes.NewReader(data))
		if err == nil && w.Len()*16 > len(data)+16*2 && w.Len()*20 > len(data)+20 {
			t.Errorf("%d keys in %d octets", w.Len(), len(data))
		}
	})
}

func BenchmarkContains(b *testing.B) {
	var text bytes.Buffer
	for i := range 300_000 {
		fmt.Fprintf(&text, "%020x\n", (i*2654435761)%(1<<40))
	}
	w, key := list(b, text.String()), publicKey(b, "debian-weak-rsa2048.pem")
	for b.Loop() {
		if w.Contains(key) {
			b.Fatal("found")
		}
	}
}
