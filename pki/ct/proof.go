package ct

import (
	"errors"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxTree is the largest tree that proofs are made and checked for.
const MaxTree = 1 << 62

// A HashReader gives stored hashes of a tree by the index that
// [tlog.StoredHashIndex] defines.
type HashReader = tlog.HashReader

var (
	errRange = errors.New("ct: index or size out of range")
	errProof = errors.New("ct: the proof does not hold")
)

// EmptyRoot is the root of the tree without leaves: SHA-256 of nothing.
func EmptyRoot() Hash {
	empty, _ := tlog.TreeHash(0, nil) // reads nothing for an empty tree
	return empty
}

// ProveInclusion makes the audit path of a leaf in the tree of a size (RFC
// 6962, section 2.1.1). The reader may be of a larger tree of the same log.
func ProveInclusion(index, size int64, r HashReader) ([]Hash, error) {
	if index < 0 || size > MaxTree || index >= size {
		return nil, errRange
	}
	return tlog.ProveRecord(size, index, r)
}

// VerifyInclusion checks an audit path.
func VerifyInclusion(leaf Hash, index, size int64, path []Hash, root Hash) error {
	if index < 0 || size > MaxTree || index >= size {
		return errRange
	}
	if tlog.CheckRecord(path, size, root, index, leaf) != nil {
		return errProof
	}
	return nil
}

// ProveConsistency makes the proof that the tree of the second size extends
// that of the first (RFC 6962, section 2.1.2). It is empty when the sizes are
// equal or the first is zero, where there is nothing to prove.
func ProveConsistency(first, second int64, r HashReader) ([]Hash, error) {
	if first < 0 || first > second || second > MaxTree {
		return nil, errRange
	}
	if first == 0 || first == second {
		return []Hash{}, nil
	}
	return tlog.ProveTree(second, first, r)
}

// VerifyConsistency checks a consistency proof between two roots.
func VerifyConsistency(first, second int64, firstRoot, secondRoot Hash, proof []Hash) error {
	switch {
	case first < 0 || first > second || second > MaxTree:
		return errRange
	case first == 0:
		if len(proof) != 0 || firstRoot != EmptyRoot() || second == 0 && secondRoot != firstRoot {
			return errProof
		}
		return nil
	}
	if tlog.CheckTree(proof, second, secondRoot, first, firstRoot) != nil {
		return errProof
	}
	return nil
}
