package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// ProofFormat is the format that [Proof] files carry.
const ProofFormat = "sealwright-audit-proof-v1"

// A Proof shows that one entry stands in the log: as JSON it is a file for an
// auditor, who needs only the log's public key to check it.
type Proof struct {
	Format     string      `json:"format"`     // ProofFormat
	Leaf       string      `json:"leaf"`       // the entry in canonical form, see [Stored.Leaf]
	Index      int64       `json:"index"`      // of the leaf, from 0
	Hashes     []tlog.Hash `json:"hashes"`     // audit path, RFC 6962 section 2.1.1, in base64
	Checkpoint string      `json:"checkpoint"` // signed note with the size and root that the path leads to
}

// Prove makes the proof for an entry against the latest checkpoint. An entry
// that is not sequenced yet is a conflict; one that does not match the
// checkpoint any more is damage.
func (l *Log) Prove(ctx context.Context, entryID string) (Proof, error) {
	view := l.db.View(ctx)
	s, err := l.Get(view, entryID)
	if err != nil {
		return Proof{}, err
	}
	if s.Index == Pending {
		return Proof{}, fault.Conflictf("audit.pending", "Audit entry %q has no place in the signed log yet.", entryID).WithNext("Try again in a few seconds.")
	}
	row, err := readTree(view)
	if err != nil {
		return Proof{}, err
	}
	tree, err := l.open(row.checkpoint)
	if err != nil {
		return Proof{}, damaged("Nothing can be proved: %v.", err)
	}
	p := Proof{Format: ProofFormat, Leaf: string(s.Leaf()), Index: s.Index, Checkpoint: row.checkpoint}
	hashes, err := tlog.ProveRecord(tree.N, s.Index, tlog.TileHashReader(tree, tileReader{l, view}))
	if err == nil {
		p.Hashes = hashes
		err = p.check(tree)
	}
	if f := fault.Of(err); err != nil && f.Kind == fault.Unavailable {
		return Proof{}, err
	}
	if err != nil {
		return Proof{}, damaged("Audit entry %q does not match the signed log: %v.", entryID, err)
	}
	return p, nil
}

// maxProof bounds a proof file: an entry, 63 hashes and a checkpoint are far less.
const maxProof = 1 << 20

// ParseProof reads a proof file. It does not check the proof; see [CheckProof].
func ParseProof(file []byte) (Proof, error) {
	if len(file) > maxProof {
		return Proof{}, errors.New("the proof file is larger than 1 MiB")
	}
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	var p Proof
	if err := d.Decode(&p); err != nil {
		return Proof{}, errors.New("the proof file is not a proof in JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return Proof{}, errors.New("the proof file has something after the proof")
	}
	if p.Format != ProofFormat {
		return Proof{}, errors.New("the proof file is not in the format " + ProofFormat)
	}
	return p, nil
}

// Entry reads the entry that the proof is about.
func (p Proof) Entry() (Stored, error) {
	s, err := ParseLeaf([]byte(p.Leaf))
	s.Index = p.Index
	return s, err
}

// CheckProof checks that the log with the given public key signed the
// checkpoint, and that the entry stands at its index in the tree of that
// checkpoint. It needs nothing else.
func CheckProof(p Proof, key ed25519.PublicKey) error {
	if p.Format != ProofFormat {
		return errors.New("the proof is not in the format " + ProofFormat)
	}
	if len(key) != ed25519.PublicKeySize {
		return errors.New("the key is not an Ed25519 public key")
	}
	if _, err := p.Entry(); err != nil {
		return err
	}
	origin, _, _ := strings.Cut(p.Checkpoint, "\n")
	v, err := newVerifier(origin, key)
	if err != nil {
		return errCheckpoint
	}
	tree, err := openCheckpoint(p.Checkpoint, origin, v)
	if err != nil {
		return err
	}
	return p.check(tree)
}

func (p Proof) check(tree tlog.Tree) error {
	if p.Index < 0 || p.Index >= tree.N {
		return errors.New("the entry's index is beyond the checkpoint")
	}
	if tlog.CheckRecord(p.Hashes, tree.N, tree.Hash, p.Index, tlog.RecordHash([]byte(p.Leaf))) != nil {
		return errors.New("the entry is not in the tree of the checkpoint")
	}
	return nil
}
