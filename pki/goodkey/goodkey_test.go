package goodkey

import (
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 refusing such keys is what is tested
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func prime(t testing.TB, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func modulus(factors ...*big.Int) *rsa.PublicKey {
	n := big.NewInt(1)
	for _, f := range factors {
		n.Mul(n, f)
	}
	return &rsa.PublicKey{N: n, E: 65537}
}

// withLength multiplies random primes to a modulus of exactly so many bits. It
// takes many small ones, since they are found faster and no check can tell.
func withLength(t testing.TB, bits int) *rsa.PublicKey {
	t.Helper()
	for {
		n := prime(t, 256+bits%256)
		for n.BitLen() < bits-300 {
			n.Mul(n, prime(t, 256))
		}
		for try := 0; try < 4; try++ {
			if key := modulus(n, prime(t, bits-n.BitLen()+try%2)); key.N.BitLen() == bits {
				return key
			}
		}
	}
}

// withFactor makes a modulus of 2048 bits that factor divides.
func withFactor(t testing.TB, factor int64) *rsa.PublicKey {
	t.Helper()
	f := big.NewInt(factor)
	for try := 0; ; try++ {
		if key := modulus(f, withLength(t, 2048-f.BitLen()+try%2).N); key.N.BitLen() == 2048 {
			return key
		}
	}
}

func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).Set(n)
	p.SetBit(p, 0, 1)
	for p.Add(p, big.NewInt(2)); !p.ProbablyPrime(1); p.Add(p, big.NewInt(2)) {
	}
	return p
}

// rocaPrime makes a prime as the faulty generator did: k·M + (65537^a mod M),
// with M the product of the first 126 primes (2048-bit keys).
func rocaPrime(t testing.TB, bits int) *big.Int {
	t.Helper()
	m, count := big.NewInt(1), 0
	for p := int64(2); count < 126; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
			count++
		}
	}
	a, err := rand.Int(rand.Reader, m)
	if err != nil {
		t.Fatal(err)
	}
	base := new(big.Int).Exp(big.NewInt(65537), a, m)
	for try := 0; ; try++ {
		k := prime(t, bits-m.BitLen()+try%2) // any number with its top bits set serves
		p := k.Mul(k, m)
		p.Add(p, base)
		if p.BitLen() == bits && p.ProbablyPrime(1) {
			return p
		}
		base.Mul(base, big.NewInt(65537)).Mod(base, m)
	}
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func TestCheckRefusesBadKeys(t *testing.T) {
	p := prime(t, 1024)
	offCurve := ecKey(t, elliptic.P256())
	//lint:ignore SA1019 a point off the curve can be made in no other way
	offCurve.Y = new(big.Int).Add(offCurve.Y, big.NewInt(1))
	otherCurve := ecKey(t, elliptic.P384())
	otherCurve.Curve = elliptic.P256()
	far := new(big.Int).Lsh(big.NewInt(1), 500) // beyond the reach of 100 rounds: 2^500 apart, √n 1024 bits
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		key  crypto.PublicKey
		want Code // "" for a good key
	}{
		{"RSA-2048", withLength(t, 2048), ""},
		{"RSA-3072", withLength(t, 3072), ""},
		{"P-256", ecKey(t, elliptic.P256()), ""},
		{"P-384", ecKey(t, elliptic.P384()), ""},
		{"P-521", ecKey(t, elliptic.P521()), ""},

		{"RSA-1024", withLength(t, 1024), KeyTooSmall},
		{"RSA-2047", withLength(t, 2047), KeyTooSmall},
		{"RSA of 8200 bits", &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8199, 1), E: 65537}, KeyTooLarge},
		{"RSA of 2052 bits", withLength(t, 2052), ModulusLength},
		{"RSA without a modulus", &rsa.PublicKey{E: 65537}, KeyTooSmall},
		{"a negative modulus", &rsa.PublicKey{N: new(big.Int).Neg(modulus(p, p).N), E: 65537}, KeyTooSmall},
		{"exponent 3", &rsa.PublicKey{N: withLength(t, 2048).N, E: 3}, WeakExponent},
		{"exponent 1", &rsa.PublicKey{N: withLength(t, 2048).N, E: 1}, WeakExponent},
		{"an even exponent", &rsa.PublicKey{N: withLength(t, 2048).N, E: 65538}, WeakExponent},
		{"an even modulus", withFactor(t, 2), SmallFactor},
		{"a factor of 3", withFactor(t, 3), SmallFactor},
		{"the largest small factor", withFactor(t, 751), SmallFactor},
		{"primes that follow each other", modulus(p, nextPrime(p)), ClosePrimes},
		{"primes that share their upper half", modulus(p, nextPrime(new(big.Int).Add(p, far))), ClosePrimes},
		{"the square of a prime", modulus(p, p), ClosePrimes},
		{"the faulty generator of ROCA", modulus(rocaPrime(t, 1024), rocaPrime(t, 1024)), ROCA},

		{"P-224", ecKey(t, elliptic.P224()), CurveNotAllowed},
		{"no curve", &ecdsa.PublicKey{}, CurveNotAllowed},
		{"a point off the curve", offCurve, PointNotOnCurve},
		{"a point of another curve", otherCurve, PointNotOnCurve},
		{"the point at infinity", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}, PointNotOnCurve},
		{"Ed25519 in TLS", ed, KeyTypeNotAllowed},
		{"DSA", &dsa.PublicKey{}, KeyTypeNotAllowed},
		{"nothing", nil, KeyTypeNotAllowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Default().Check(test.key)
			var refusal *Error
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (!errors.As(err, &refusal) || refusal.Code != test.want || refusal.Text == ""):
				t.Errorf("got %v, want code %s", err, test.want)
			}
		})
	}
}

// "primes that share their upper half" above needs 100 rounds to be enough, which
// holds when |p−q| is below about 2^(bits/4)·√(8·rounds). One step beyond must pass.
func TestFermatStopsAfterItsRounds(t *testing.T) {
	p := prime(t, 1024)
	q := nextPrime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 520)))
	if closePrimes(modulus(p, q).N, fermatRounds) {
		t.Error("primes 2^520 apart are out of reach of 100 rounds, yet were called close")
	}
}

func TestAPolicyAllowsWhatItNames(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Policy{Ed25519: true}).Check(ed); err != nil {
		t.Error(err)
	}
	if err := (Policy{Ed25519: true}).Check(ed[:31]); err == nil {
		t.Error("a short Ed25519 key is accepted")
	}
	if err := (Policy{MinRSA: 3072, MaxRSA: 4096}).Check(withLength(t, 2048)); err == nil {
		t.Error("RSA-2048 is accepted where 3072 is the least")
	}
	for _, key := range []crypto.PublicKey{ed, withLength(t, 2048), ecKey(t, elliptic.P256())} {
		if err := (Policy{}).Check(key); err == nil {
			t.Errorf("the zero policy accepts %T", key)
		}
	}
}

// A random modulus without small factors shows the mark of ROCA with a chance
// below 2^-27, so a thousand must show none.
func TestRandomModuliBearNoMark(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 2048)
	for range 1000 {
		n, err := rand.Int(rand.Reader, limit)
		if err != nil {
			t.Fatal(err)
		}
		if residuesOf(n.SetBit(n, 0, 1)).roca {
			t.Errorf("%x bears the mark of ROCA", n)
		}
	}
}

func TestTrialDivisionAgreesWithBigInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "n"))
		n.Add(n, big.NewInt(1))
		want := uint64(0)
		for p := int64(2); p <= largestPrime && want == 0; p++ {
			if new(big.Int).Mod(n, big.NewInt(p)).Sign() == 0 {
				want = uint64(p)
			}
		}
		if got := residuesOf(n).smallest; got != want {
			t.Fatalf("smallest factor of %d: got %d, want %d", n, got, want)
		}
	})
}

func TestIsSquareAgreesWithTheRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "root"))
		square := new(big.Int).Mul(root, root)
		if !isSquare(square) {
			t.Fatalf("%d² is not seen as a square", root)
		}
		if square.Add(square, big.NewInt(1)); root.Sign() > 0 && isSquare(square) {
			t.Fatalf("%d²+1 is seen as a square", root)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for name, key := range map[string]crypto.PublicKey{
		"RSA-2048": withLength(b, 2048), "RSA-4096": withLength(b, 4096), "P-256": ecKey(b, elliptic.P256()),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := Default().Check(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
