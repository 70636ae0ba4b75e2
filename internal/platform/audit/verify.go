package audit

import (
	"context"
	"errors"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Options say what [Log.Verify] checks beyond the log itself.
type Options struct {
	// Checkpoints are signed checkpoints of this log that were kept elsewhere.
	// The log must still contain everything that each of them covers.
	Checkpoints []string
	// Findings bounds how many findings are listed, 100 when zero; all are counted.
	Findings int
	// Progress, when set, is called after each page of entries.
	Progress func(done, total int64)
}

// Verify recomputes the log from its rows: every leaf, every tile, and the
// roots of the latest checkpoint and of those given. Whatever was changed,
// deleted, inserted or re-ordered since it was sequenced is a finding in the
// report; the error tells only that the log could not be read, or that a given
// checkpoint was not signed by it.
//
// Run it on a schedule: the network security requirements of the CA/Browser
// Forum ask for a look at the integrity of logs at least every 31 days.
//
// It reads the entries once, in pages, with memory that does not grow with the
// log, while the log goes on being written and sequenced.
func (l *Log) Verify(ctx context.Context, o Options) (Report, error) {
	if l.keyErr != nil {
		return Report{}, l.keyErr
	}
	v := &verifier{log: l, view: l.db.View(ctx), progress: o.Progress, report: newReport(o.Findings)}
	for _, text := range o.Checkpoints {
		t, err := l.open(text)
		if err != nil {
			return Report{}, fault.Invalidf("audit.checkpoint", "A given checkpoint is not one of this log: %v.", err)
		}
		v.marks = append(v.marks, mark{Tree: t})
	}
	v.fromRows.full = v.keepTile
	v.fromTiles.full = v.compareTile
	for _, step := range []func() error{v.head, v.entries, v.edges, v.strays} {
		if err := step(); err != nil {
			return Report{}, err
		}
	}
	v.judge()
	return v.report, nil
}

// A verifier builds the tree twice, from the rows and from the stored leaf
// hashes. Where the two differ, the root that the checkpoint signs tells which
// of them was changed.
type verifier struct {
	log      *Log
	view     store.View
	progress func(done, total int64)
	report   Report

	size      int64             // leaves to go through
	marks     []mark            // roots that must come by
	fromRows  edge              // a missing row is filled in from the tile
	fromTiles edge              // a missing hash is filled in from the row
	above     [maxLevels][]byte // the latest complete tile of each level, from the rows
	tile      []byte            // the stored tile of level 0 that the next leaf is in
	previous  string            // id of the last entry seen
	suspects  []suspect

	rowsMatch, tilesMatch bool // the checkpoint
}

// A mark is a signed tree that the log must pass through.
type mark struct {
	tlog.Tree
	latest bool // the checkpoint stored with the log
}

// A suspect is an entry that differs from its stored leaf hash.
type suspect struct {
	id         string
	leaf       int64
	have, want tlog.Hash
}

// head reads the checkpoint and decides how far to go. A forged size is no
// reason to walk for ever: beyond what is signed, only rows count.
func (v *verifier) head() error {
	row, err := readTree(v.view)
	gone := errors.Is(err, store.ErrNotFound)
	if gone {
		row.size = math.MaxInt64
	} else if err != nil {
		return err
	}
	var last int64
	if err := v.view.QueryRow(`SELECT COALESCE(MAX(leaf), -1) FROM audit_entries WHERE leaf IS NOT NULL`).Scan(&last); err != nil {
		return err
	}
	if err := v.view.QueryRow(`SELECT COUNT(*) FROM audit_entries WHERE leaf IS NULL`).Scan(&v.report.Pending); err != nil {
		return err
	}
	v.size = max(0, min(row.size-1, last)+1)
	v.report.Checkpoint = row.checkpoint
	if gone {
		v.report.add(BadCheckpoint, "", Pending, "The row that holds the log's size and checkpoint is gone.")
		return nil
	}
	if row.size == 0 && row.checkpoint == "" {
		return nil
	}
	signed, err := v.log.open(row.checkpoint)
	if err != nil {
		v.report.add(BadCheckpoint, "", Pending, "The stored checkpoint cannot be trusted: %v.", err)
		return nil
	}
	if signed.N != row.size {
		v.report.add(BadCheckpoint, "", Pending, "The stored checkpoint covers %d entries, but the log was sequenced up to %d: one of the two was put back or changed.", signed.N, row.size)
	}
	v.size = max(v.size, signed.N)
	v.marks = append(v.marks, mark{signed, true})
	return nil
}

const verifyPage = 1000

// entries goes through all rows that have a leaf, in the order of leaves.
func (v *verifier) entries() error {
	v.passMarks()
	leaf, id := int64(math.MinInt64), ""
	for {
		rows, err := v.view.Query(`SELECT `+columns+` FROM audit_entries
			WHERE leaf IS NOT NULL AND leaf >= $1 AND leaf < $2 AND (leaf, id) > ($1, $3) ORDER BY leaf, id LIMIT $4`, leaf, v.size, id, verifyPage)
		page, err := store.Collect(rows, err, scanHashed)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := v.entry(r); err != nil {
				return err
			}
			leaf, id = r.leaf, r.id
		}
		if v.progress != nil {
			v.progress(v.fromRows.size, v.size)
		}
		if len(page) < verifyPage {
			return v.missing(v.size, "")
		}
	}
}

// A hashed row is what is left of an entry once its leaf hash is known.
type hashed struct {
	id   string
	leaf int64
	hash tlog.Hash
}

func scanHashed(rows *store.Rows) (hashed, error) {
	s, detail, err := scanRaw(rows.Scan)
	if err != nil {
		return hashed{}, err
	}
	if s.Entry.Detail, err = parseDetail(detail); err != nil {
		// Append writes no such detail, so the row differs from what was sequenced.
		return hashed{s.ID, s.Index, tlog.RecordHash([]byte(detail))}, nil
	}
	return hashed{s.ID, s.Index, s.hash()}, nil
}

func (v *verifier) entry(r hashed) error {
	next := v.fromRows.size
	if r.leaf < 0 {
		v.report.doubled++
		v.report.add(Inserted, r.id, r.leaf, "Entry %s was inserted or moved: it has the impossible leaf %d.", r.id, r.leaf)
		return nil
	}
	if r.leaf < next {
		v.report.doubled++
		v.report.add(Inserted, r.id, r.leaf, "Entry %s was inserted or moved: leaf %d belongs to %s.", r.id, r.leaf, v.previous)
		return nil
	}
	if err := v.missing(r.leaf, r.id); err != nil {
		return err
	}
	v.previous = r.id
	return v.leaf(r.id, &r.hash)
}

// missing goes over leaves without a row, up to the one of entry id.
func (v *verifier) missing(until int64, id string) error {
	from := v.fromRows.size
	if from == until {
		return nil
	}
	v.report.gone += until - from
	v.report.add(Missing, "", from, "%s missing: deleted, or taken out of %s.", leaves(from, until-1), place(v.previous, id))
	for v.fromRows.size < until {
		if err := v.leaf("", nil); err != nil {
			return err
		}
	}
	return nil
}

// leaf adds the next leaf to both trees; hash is nil where the row is missing.
func (v *verifier) leaf(id string, hash *tlog.Hash) error {
	i := v.fromRows.size
	if err := v.loadTile(i); err != nil {
		return err
	}
	want, ok := hashAt(v.tile, int(i%tileWidth))
	have := want
	if hash != nil {
		have = *hash
	}
	if !ok {
		want = have
	}
	if have != want {
		v.report.Total++
		if len(v.suspects) < v.report.limit {
			v.suspects = append(v.suspects, suspect{id, i, have, want})
		}
	}
	if err := v.fromRows.push(have); err != nil {
		return err
	}
	if err := v.fromTiles.push(want); err != nil {
		return err
	}
	v.passMarks()
	return nil
}

// passMarks compares the roots with the signed trees of this very size.
func (v *verifier) passMarks() {
	for _, m := range v.marks {
		if m.N != v.fromRows.size {
			continue
		}
		rows, tiles := v.fromRows.root() == m.Hash, v.fromTiles.root() == m.Hash
		if m.latest {
			v.rowsMatch, v.tilesMatch = rows, tiles
			v.report.Size, v.report.Root = m.N, m.Hash
		}
		switch {
		case rows || tiles:
		case m.latest:
			v.report.add(BadCheckpoint, "", Pending, "The root that the checkpoint of %d entries signs is neither that of the entries nor that of the stored tiles.", m.N)
		default:
			v.report.add(Rewritten, "", Pending, "The first %d entries are not those of a checkpoint that the log signed earlier: its past was rewritten.", m.N)
		}
	}
}

// strays looks for rows beyond the tree. It asks for the tree's size in the
// same statement, because a sequencer may be at work.
func (v *verifier) strays() error {
	rows, err := v.view.Query(`SELECT e.id, e.leaf FROM audit_entries e, audit_tree t
		WHERE t.id = 1 AND e.leaf >= t.size AND e.leaf >= $1 ORDER BY e.leaf LIMIT $2`, v.size, v.report.limit)
	list, err := store.Collect(rows, err, func(r *store.Rows) (h hashed, err error) { return h, r.Scan(&h.id, &h.leaf) })
	for _, r := range list {
		v.report.add(Inserted, r.id, r.leaf, "Entry %s was inserted or moved: it claims leaf %d, where nothing was sequenced.", r.id, r.leaf)
	}
	for _, m := range v.marks {
		if m.N > v.size {
			v.report.add(RolledBack, "", Pending, "The log signed a checkpoint of %d entries but ends after %d: it was put back to an older state.", m.N, v.size)
		}
	}
	return errors.Join(err, v.countRows())
}

// countRows makes sure that the walk saw every row: an index that lies, or a
// row that came in behind the walk, shows here.
func (v *verifier) countRows() error {
	var n int64
	err := v.view.QueryRow(`SELECT COUNT(*) FROM audit_entries WHERE leaf + 0 < $1`, v.size).Scan(&n)
	if want := v.size - v.report.gone + v.report.doubled; err == nil && n != want {
		v.report.add(Inserted, "", Pending, "The database counts %d sequenced entries where %d were read: rows changed during the verification, or an index is broken.", n, want)
	}
	return err
}
