package ctlog_test

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/ct"
)

// root is MTH of RFC 6962, section 2.1, word for word: an independent judge.
func root(leaves [][]byte) ct.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	l, r := root(leaves[:k]), root(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

// A monitor watches a log from outside, with nothing but its key, and remembers
// every tree head that it saw.
type monitor struct {
	w      *world
	heads  []ct.TreeHead
	leaves [][]byte
}

// look fetches the tree head and what is new, and checks all that can be.
func (m *monitor) look(t *testing.T) {
	t.Helper()
	l, ctx := m.w.log, t.Context()
	head := m.w.head(t)
	if err := l.Key().VerifyTreeHead(head); err != nil {
		t.Fatal(err)
	}
	for int64(len(m.leaves)) < head.Size {
		entries, err := l.Entries(ctx, int64(len(m.leaves)), head.Size-1)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			m.checkEntry(t, e)
			m.leaves = append(m.leaves, e.Leaf)
		}
	}
	if root(m.leaves) != head.Root {
		t.Fatalf("the root of %d entries is not the one that was signed", head.Size)
	}
	for _, old := range m.heads {
		proof, err := l.Consistency(ctx, old.Size, head.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := ct.VerifyConsistency(old.Size, head.Size, old.Root, head.Root, proof); err != nil {
			t.Fatalf("from %d to %d: %v", old.Size, head.Size, err)
		}
		if old.Timestamp >= head.Timestamp && old.Size != head.Size {
			t.Fatalf("a tree head is not more recent than one before: %d, %d", old.Timestamp, head.Timestamp)
		}
	}
	m.heads = append(m.heads, head)
}

// checkEntry sees that the extra data lead from the entry to a root.
func (m *monitor) checkEntry(t *testing.T, e ct.LogEntry) {
	t.Helper()
	leaf, err := ct.ParseLeaf(e.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	precert, chain, err := ct.ParseExtra(leaf.Entry.Type, e.Extra)
	if err != nil || len(chain) != 2 || !bytes.Equal(chain[1], m.w.ca.Root) {
		t.Fatalf("extra data with %d certificates, %v", len(chain), err)
	}
	if leaf.Entry.Type == ct.TypePrecert && !bytes.Equal(m.w.entry(t, precert).TBS, leaf.Entry.TBS) {
		t.Fatal("the entry is not that of the pre-certificate in its extra data")
	}
}

// included sees that the log kept a promise, in each tree that reaches it.
func (m *monitor) included(t *testing.T, p promise) {
	t.Helper()
	if err := m.w.log.Key().VerifySCT(p.sct, p.entry); err != nil {
		t.Fatal(err)
	}
	hash, err := ct.LeafOf(p.sct, p.entry).Hash()
	if err != nil {
		t.Fatal(err)
	}
	kept := false
	for _, head := range m.heads {
		if head.Size == 0 {
			continue
		}
		index, path, err := m.w.log.ProofByHash(t.Context(), hash, head.Size)
		if err != nil {
			continue // not in that tree yet
		}
		if err := ct.VerifyInclusion(hash, index, head.Size, path, head.Root); err != nil {
			t.Fatalf("entry %d in the tree of %d: %v", index, head.Size, err)
		}
		kept = head.Size == m.heads[len(m.heads)-1].Size
	}
	if !kept {
		t.Fatal("the log handed out an SCT and the next tree does not hold its entry")
	}
}

// Pki-rules row 37, RFC 6962: every SCT that left is in the next tree, each tree
// extends all before it, and all proofs hold, over sizes around those of tiles.
func TestAnOutsiderFindsEveryPromiseKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		m := &monitor{w: w}
		m.look(t)
		var promises []promise
		for _, n := range []int{1, 1, 2, 3, 120, 129, 1, 0, 270} {
			promises = append(promises, w.submit(t, n)...)
			w.clock.Advance(time.Second)
			w.sequence(t, n)
			m.look(t)
		}
		if size := m.heads[len(m.heads)-1].Size; size != 527 {
			t.Fatalf("the tree has %d entries", size)
		}
		for i := 0; i < len(promises); i += 7 {
			m.included(t, promises[i])
		}
		m.included(t, promises[len(promises)-1])
		for _, at := range []struct{ index, size int64 }{{0, 1}, {0, 527}, {255, 256}, {256, 257}, {526, 527}, {200, 300}} {
			e, path, err := w.log.EntryAndProof(t.Context(), at.index, at.size)
			if err != nil {
				t.Fatal(err)
			}
			if err := ct.VerifyInclusion(ct.LeafHash(e.Leaf), at.index, at.size, path, root(m.leaves[:at.size])); err != nil {
				t.Errorf("entry %d in the tree of %d: %v", at.index, at.size, err)
			}
		}
	})
}

// RFC 6962, 3.5: a log without submissions signs its tree anew well within the
// merge delay, and not more often than needed.
func TestAQuietLogSignsItsTreeAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.submit(t, 3)
		w.sequence(t, 3)
		before := w.head(t)
		w.clock.Advance(w.log.MMD()/4 - time.Minute)
		w.sequence(t, 0)
		if w.head(t).Timestamp != before.Timestamp {
			t.Error("signed again too early")
		}
		w.clock.Advance(2 * time.Minute)
		w.sequence(t, 0)
		after := w.head(t)
		if after.Timestamp <= before.Timestamp || after.Root != before.Root || after.Size != 3 {
			t.Errorf("got %+v after %+v", after, before)
		}
		if err := w.log.Key().VerifyTreeHead(after); err != nil {
			t.Error(err)
		}
	})
}
