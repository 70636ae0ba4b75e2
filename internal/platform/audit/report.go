package audit

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A Report is what [Log.Verify] found.
type Report struct {
	Size       int64     // entries that the latest checkpoint covers
	Root       tlog.Hash // that it signs
	Checkpoint string    // itself, to be kept elsewhere when all is well
	Pending    int64     // entries not sequenced yet, which nothing protects
	Total      int       // number of findings
	Findings   []Finding // the first of them, in the order of leaves

	limit         int
	gone, doubled int64 // leaves without a row, rows without a leaf of their own
}

// OK tells whether the log is as it was signed.
func (r Report) OK() bool { return r.Total == 0 }

// A Kind says what is wrong.
type Kind string

// The kinds of findings.
const (
	Changed       Kind = "changed"     // an entry differs from what was sequenced
	Moved         Kind = "moved"       // an entry stands at another entry's leaf
	Missing       Kind = "missing"     // a leaf has no entry
	Inserted      Kind = "inserted"    // an entry has a leaf that is not its own
	BadTile       Kind = "tile"        // stored hashes are wrong; entries may be right
	BadCheckpoint Kind = "checkpoint"  // the stored checkpoint is wrong
	RolledBack    Kind = "rolled-back" // the log ends before a checkpoint it signed
	Rewritten     Kind = "rewritten"   // the log contradicts a checkpoint it signed
)

// A Finding is one thing that is wrong, in words for people.
type Finding struct {
	Kind    Kind
	EntryID string // empty where it is no particular entry, or the entry is gone
	Leaf    int64  // its leaf, or Pending
	Message string
}

const defaultFindings = 100

func newReport(limit int) Report {
	if limit <= 0 {
		limit = defaultFindings
	}
	return Report{limit: limit}
}

func (r *Report) add(kind Kind, id string, leaf int64, format string, args ...any) {
	r.Total++
	r.list(Finding{kind, id, leaf, fmt.Sprintf(format, args...)})
}

// list keeps a finding that has been counted.
func (r *Report) list(f Finding) {
	if len(r.Findings) < r.limit {
		r.Findings = append(r.Findings, f)
	}
}

// judge puts the suspects into words. The signed root knows whether the
// entries or the stored hashes are the original ones; where entry and place
// were exchanged, the hash of one is the leaf of the other.
func (v *verifier) judge() {
	home := map[tlog.Hash]int64{}
	for _, s := range v.suspects {
		home[s.want] = s.leaf
	}
	for _, s := range v.suspects {
		f := Finding{Kind: Changed, EntryID: s.id, Leaf: s.leaf}
		at, moved := home[s.have]
		switch {
		case v.rowsMatch:
			f.Kind = BadTile
			f.Message = fmt.Sprintf("Tile %s holds a wrong hash for entry %s (leaf %d); the entry itself is as signed.", tilePath(0, s.leaf/tileWidth, tileWidth), s.id, s.leaf)
		case moved:
			f.Kind = Moved
			f.Message = fmt.Sprintf("Entry %s was moved: it stands at leaf %d and was sequenced at leaf %d.", s.id, s.leaf, at)
		case v.tilesMatch:
			f.Message = fmt.Sprintf("Entry %s (leaf %d) was changed after it was sequenced.", s.id, s.leaf)
		default:
			f.Message = fmt.Sprintf("Entry %s (leaf %d) and its stored leaf hash differ, and no signed checkpoint tells which is right.", s.id, s.leaf)
		}
		v.report.list(f)
	}
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int { return cmp.Compare(a.Leaf, b.Leaf) })
}

func leaves(from, to int64) string {
	if from == to {
		return fmt.Sprintf("The entry of leaf %d is", from)
	}
	return fmt.Sprintf("The entries of the %d leaves from %d to %d are", to-from+1, from, to)
}

func place(after, before string) string {
	switch {
	case after == "" && before == "":
		return "the log, which has no others"
	case after == "":
		return "its place before " + before
	case before == "":
		return "its place after " + after
	}
	return "its place between " + after + " and " + before
}
