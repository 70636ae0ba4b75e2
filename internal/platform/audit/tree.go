package audit

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * tlog.HashSize
	maxLevels  = 7 // 256^7 leaves; also keeps shifts of the size below 64
)

// An edge is the right edge of a growing tree: for each level of tiles, the
// hashes of its unfinished tile. It is all that is needed to add leaves and to
// know the root, whatever the size.
type edge struct {
	size   int64
	levels [maxLevels][]tlog.Hash
	// full is told of each tile when it is complete; hashes are valid during the call.
	full func(level int, n int64, hashes []tlog.Hash) error
}

// widths gives the number of complete and the length of the unfinished tile on
// a level of a tree of a size.
func widths(size int64, level int) (complete int64, rest int) {
	hashes := size >> (tileHeight * level)
	return hashes >> tileHeight, int(hashes & (tileWidth - 1))
}

// push adds a leaf.
func (e *edge) push(h tlog.Hash) error {
	e.size++
	for level := range e.levels {
		row := append(e.levels[level], h)
		e.levels[level] = row
		if len(row) < tileWidth {
			return nil
		}
		if err := e.full(level, e.size>>(tileHeight*(level+1))-1, row); err != nil {
			return err
		}
		h = subtree(row)
		e.levels[level] = row[:0]
	}
	return nil
}

// root is the tree hash (RFC 6962, section 2.1) of everything pushed.
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		empty, _ := tlog.TreeHash(0, nil) // reads nothing for an empty tree
		return empty
	}
	var root tlog.Hash
	some := false
	for _, row := range e.levels {
		// The complete subtrees, smallest and rightmost first.
		for len(row) > 0 {
			width := 1 << bits.TrailingZeros(uint(len(row)))
			h := subtree(row[len(row)-width:])
			if some {
				h = tlog.NodeHash(h, root)
			}
			root, some = h, true
			row = row[:len(row)-width]
		}
	}
	return root
}

// subtree is the hash over a power of two of hashes.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

func joinHashes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// hashAt reads the i-th hash of a tile's data.
func hashAt(data []byte, i int) (h tlog.Hash, ok bool) {
	if len(data) < (i+1)*tlog.HashSize {
		return h, false
	}
	copy(h[:], data[i*tlog.HashSize:])
	return h, true
}
