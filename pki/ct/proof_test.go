package ct_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/pki/ct"
)

// A forest stores the hashes of a tree that grows.
type forest struct {
	leaves [][]byte
	hashes []ct.Hash
}

func (f *forest) ReadHashes(indexes []int64) ([]ct.Hash, error) {
	var out []ct.Hash
	for _, i := range indexes {
		out = append(out, f.hashes[i])
	}
	return out, nil
}

func grow(tb testing.TB, n int) *forest {
	tb.Helper()
	f := &forest{}
	for i := range n {
		leaf := fmt.Appendf(nil, "leaf %d", i)
		more, err := tlog.StoredHashesForRecordHash(int64(i), ct.LeafHash(leaf), f)
		if err != nil {
			tb.Fatal(err)
		}
		f.leaves, f.hashes = append(f.leaves, leaf), append(f.hashes, more...)
	}
	return f
}

// The judges: MTH, PATH and PROOF of RFC 6962, sections 2.1, 2.1.1 and 2.1.2,
// word for word.

func mth(d [][]byte) ct.Hash {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, d[0]...))
	}
	k := split(len(d))
	l, r := mth(d[:k]), mth(d[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func path(m int, d [][]byte) []ct.Hash {
	if len(d) == 1 {
		return nil
	}
	if k := split(len(d)); m < k {
		return append(path(m, d[:k]), mth(d[k:]))
	} else {
		return append(path(m-k, d[k:]), mth(d[:k]))
	}
}

func subproof(m int, d [][]byte, whole bool) []ct.Hash {
	if m == len(d) {
		if whole {
			return nil
		}
		return []ct.Hash{mth(d)}
	}
	if k := split(len(d)); m <= k {
		return append(subproof(m, d[:k], whole), mth(d[k:]))
	} else {
		return append(subproof(m-k, d[k:], false), mth(d[:k]))
	}
}

func same(a, b []ct.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestProofsAreThoseOfTheRFC(t *testing.T) {
	const n = 33
	f := grow(t, n)
	for size := 1; size <= n; size++ {
		root := mth(f.leaves[:size])
		for i := range size {
			proof, err := ct.ProveInclusion(int64(i), int64(size), f)
			if err != nil || !same(proof, path(i, f.leaves[:size])) {
				t.Fatalf("inclusion of %d in %d: %v, %v", i, size, proof, err)
			}
			leaf := ct.LeafHash(f.leaves[i])
			if err := ct.VerifyInclusion(leaf, int64(i), int64(size), proof, root); err != nil {
				t.Fatalf("inclusion of %d in %d: %v", i, size, err)
			}
			refuseChanged(t, proof, func(p []ct.Hash) error {
				return ct.VerifyInclusion(leaf, int64(i), int64(size), p, root)
			})
			if ct.VerifyInclusion(ct.Hash{1}, int64(i), int64(size), proof, root) == nil {
				t.Fatal("another leaf is proved")
			}
		}
		for first := 1; first <= size; first++ {
			old := mth(f.leaves[:first])
			proof, err := ct.ProveConsistency(int64(first), int64(size), f)
			if err != nil || !same(proof, subproof(first, f.leaves[:size], true)) {
				t.Fatalf("consistency of %d with %d: %v, %v", first, size, proof, err)
			}
			if err := ct.VerifyConsistency(int64(first), int64(size), old, root, proof); err != nil {
				t.Fatalf("consistency of %d with %d: %v", first, size, err)
			}
			refuseChanged(t, proof, func(p []ct.Hash) error {
				return ct.VerifyConsistency(int64(first), int64(size), old, root, p)
			})
			if ct.VerifyConsistency(int64(first), int64(size), ct.Hash{1}, root, proof) == nil {
				t.Fatal("another old root is proved")
			}
		}
	}
}

// refuseChanged tries a proof that is shorter, longer, and differs in a bit.
func refuseChanged(t *testing.T, proof []ct.Hash, verify func([]ct.Hash) error) {
	t.Helper()
	longer := append(append([]ct.Hash(nil), proof...), ct.Hash{})
	if verify(longer) == nil {
		t.Fatal("a longer proof holds")
	}
	for i := range proof {
		changed := append([]ct.Hash(nil), proof...)
		changed[i][31] ^= 1
		if verify(changed) == nil {
			t.Fatal("a changed proof holds")
		}
	}
	if len(proof) > 0 && verify(proof[1:]) == nil {
		t.Fatal("a shorter proof holds")
	}
}

func TestTheEmptyTreeIsConsistentWithEverything(t *testing.T) {
	f := grow(t, 3)
	if ct.EmptyRoot() != mth(nil) {
		t.Error("another root of the empty tree")
	}
	proof, err := ct.ProveConsistency(0, 3, f)
	if err != nil || len(proof) != 0 {
		t.Errorf("%v, %v", proof, err)
	}
	if err := ct.VerifyConsistency(0, 3, mth(nil), mth(f.leaves), nil); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"a wrong empty root":     ct.VerifyConsistency(0, 3, ct.Hash{}, mth(f.leaves), nil),
		"two empty trees":        ct.VerifyConsistency(0, 0, mth(nil), ct.Hash{}, nil),
		"a proof without reason": ct.VerifyConsistency(0, 3, mth(nil), mth(f.leaves), []ct.Hash{{}}),
	} {
		if err == nil {
			t.Errorf("%s is proved", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(int64(1), int64(3), []byte{1}, uint8(2))
	f.Add(int64(math.MaxInt64-1), int64(math.MaxInt64), []byte{}, uint8(64))
	f.Add(int64(-1), int64(1)<<62, []byte{}, uint8(62))
	f.Fuzz(func(t *testing.T, a, b int64, seed []byte, n uint8) {
		proof := make([]ct.Hash, n)
		for i := range proof {
			proof[i] = sha256.Sum256(append(seed, byte(i)))
		}
		if ct.VerifyInclusion(ct.Hash{3}, a, b, proof, ct.Hash{4}) == nil || ct.VerifyConsistency(a, b, ct.Hash{1}, ct.Hash{2}, proof) == nil && a != 0 {
			t.Fatal("nonsense is proved")
		}
	})
}
