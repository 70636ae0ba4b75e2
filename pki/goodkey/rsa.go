package goodkey

import (
	"encoding/binary"
	"math/big"
	"math/bits"
)

// largestPrime is the bound of SP 800-89, 5.3.3, which TLS BR 6.1.6 cites.
const largestPrime = 751

// rocaLargest is the largest prime that divides the primorial of every key size
// of the faulty generator (the first 39 primes).
const rocaLargest = 167

// residues is what the small primes reveal of a modulus.
type residues struct {
	smallest uint64 // smallest prime factor up to largestPrime, or 0
	roca     bool
}

// residuesOf divides n by all primes up to largestPrime.
//
// ROCA (Nemec et al., CCS 2017): the generator made primes of the form
// k·M + (65537^a mod M), with M a product of small primes. So modulo each of those
// primes the modulus is a power of 65537. For a random modulus all 38 residues
// lie in these subgroups with a chance below 2^-27.
func residuesOf(n *big.Int) residues {
	words := wordsOf(n)
	result := residues{roca: true}
	for _, g := range groups {
		rest := remainder(words, g.product)
		for _, p := range g.primes {
			r := rest % p.value
			if r == 0 {
				return residues{smallest: p.value}
			}
			if p.value <= rocaLargest && !p.powers.has(r) {
				result.roca = false
			}
		}
	}
	return result
}

// wordsOf returns n as 64-bit words, most significant first.
func wordsOf(n *big.Int) []uint64 {
	octets := n.FillBytes(make([]byte, (n.BitLen()+63)/64*8))
	words := make([]uint64, len(octets)/8)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(octets[8*i:])
	}
	return words
}

func remainder(words []uint64, divisor uint64) uint64 {
	rest := uint64(0)
	for _, w := range words {
		rest = bits.Rem64(rest, w, divisor)
	}
	return rest
}

// A primeGroup is a run of primes whose product fits a word, so that one long
// division serves them all.
type primeGroup struct {
	product uint64
	primes  []smallPrime
}

type smallPrime struct {
	value  uint64
	powers residueSet // powers of 65537 modulo value, up to rocaLargest
}

// groups is computed once and never written again.
var groups = makeGroups()

func makeGroups() []primeGroup {
	var all []primeGroup
	group := primeGroup{product: 1}
	for p := uint64(2); p <= largestPrime; p++ {
		if !big.NewInt(int64(p)).ProbablyPrime(0) { // exact below 2^64
			continue
		}
		if high, _ := bits.Mul64(group.product, p); high != 0 {
			all = append(all, group)
			group = primeGroup{product: 1}
		}
		group.product *= p
		group.primes = append(group.primes, smallPrime{p, powersOf65537(p)})
	}
	return append(all, group)
}

// A residueSet is a set of numbers below 192.
type residueSet [3]uint64

func (s *residueSet) has(r uint64) bool { return s[r/64]>>(r%64)&1 == 1 }

func powersOf65537(p uint64) residueSet {
	var s residueSet
	if p > rocaLargest {
		return s
	}
	for r := uint64(1) % p; !s.has(r); r = r * 65537 % p {
		s[r/64] |= 1 << (r % 64)
	}
	return s
}

// closePrimes runs Fermat's factorisation: with a starting at the root of n,
// rounded up, a²−n is a square as soon as a is the mean of the two factors.
func closePrimes(n *big.Int, rounds int) bool {
	a := new(big.Int).Sqrt(n)
	square := new(big.Int).Mul(a, a)
	if square.Cmp(n) == 0 {
		return true
	}
	one := big.NewInt(1)
	a.Add(a, one)
	difference := square.Mul(a, a)
	difference.Sub(difference, n)
	step := new(big.Int).Lsh(a, 1) // (a+1)² − a² = 2a+1
	step.Add(step, one)
	two := big.NewInt(2)
	for range rounds {
		if isSquare(difference) {
			return true
		}
		difference.Add(difference, step)
		step.Add(step, two)
	}
	return false
}

// primePower tells whether n is a prime or the power of one, apart from errors of
// negligible chance on either side. For n = p^k, Fermat's little theorem gives
// 2^n = 2 modulo p, so p divides both 2^n − 2 and n. For a product of unlike
// primes it does not, but for numbers that are not found by chance (Carmichael
// numbers, which are no key either).
func primePower(n *big.Int) bool {
	two := big.NewInt(2)
	r := new(big.Int).Exp(two, n, n)
	r.Sub(r, two)
	return r.GCD(nil, nil, r.Abs(r), n).BitLen() > 1
}

// isSquare asks three small moduli first, which rule out 99 of 100 numbers.
func isSquare(n *big.Int) bool {
	if n.Bit(1) == 1 || n.Bit(0) == 1 && n.Bit(2) == 1 { // squares are 0, 1 or 4 modulo 8
		return false
	}
	rest := remainder(wordsOf(n), 63*65*11)
	if !squares63.has(rest%63) || !squares65.has(rest%65) || !squares11.has(rest%11) {
		return false
	}
	root := new(big.Int).Sqrt(n)
	return root.Mul(root, root).Cmp(n) == 0
}

// The quadratic residues, computed once and never written again.
var squares63, squares65, squares11 = squaresModulo(63), squaresModulo(65), squaresModulo(11)

func squaresModulo(m uint64) residueSet {
	var s residueSet
	for i := range m {
		r := i * i % m
		s[r/64] |= 1 << (r % 64)
	}
	return s
}
