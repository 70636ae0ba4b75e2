package audit

import (
	"bytes"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// loadTile reads the stored leaf hashes when leaf i is the first of a tile.
func (v *verifier) loadTile(i int64) (err error) {
	if i%tileWidth != 0 {
		return nil
	}
	n := i / tileWidth
	if v.tile, err = readTile(v.view, 0, n); err != nil {
		return err
	}
	complete, rest := widths(v.size, 0)
	if n < complete && len(v.tile) != tileBytes {
		v.report.add(BadTile, "", i, "Tile %s has %d bytes instead of %d.", tilePath(0, n, tileWidth), len(v.tile), tileBytes)
	} else if n == complete && len(v.tile) < rest*tlog.HashSize {
		v.report.add(BadTile, "", i, "Tile %s has %d bytes, fewer than its %d entries need.", tilePath(0, n, rest), len(v.tile), rest)
	}
	return nil
}

// keepTile holds a complete tile above the leaves, as the rows make it, until
// compareTile, which follows at once.
func (v *verifier) keepTile(level int, _ int64, hashes []tlog.Hash) error {
	if level > 0 {
		v.above[level] = joinHashes(hashes)
	}
	return nil
}

// compareTile looks at a complete tile above the leaves. It may agree with the
// rows or with the tiles below: where these differ, that is a finding already.
func (v *verifier) compareTile(level int, n int64, hashes []tlog.Hash) error {
	if level == 0 {
		return nil // compared leaf by leaf
	}
	data, err := readTile(v.view, level, n)
	if err == nil && !bytes.Equal(data, joinHashes(hashes)) && !bytes.Equal(data, v.above[level]) {
		v.wrongAbove(level, n, len(hashes))
	}
	return err
}

func (v *verifier) wrongAbove(level int, n int64, width int) {
	v.report.add(BadTile, "", Pending, "Tile %s does not hold the hashes of the tiles below it.", tilePath(level, n, width))
}

// edges looks at the unfinished tiles above the leaves, and at whatever is
// stored beyond the edge of the tree.
func (v *verifier) edges() error {
	for level, row := range v.fromTiles.levels {
		if level == 0 || len(row) == 0 {
			continue
		}
		n, _ := widths(v.size, level)
		data, err := readTile(v.view, level, n)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(data, joinHashes(row)) && !bytes.HasPrefix(data, joinHashes(v.fromRows.levels[level])) {
			v.wrongAbove(level, n, len(row))
		}
	}
	return v.beyond()
}

// beyond finds tiles that are longer than the tree or lie outside it. One
// statement reads the size too: a sequencer may be at work.
func (v *verifier) beyond() error {
	type tile struct{ size, level, n, length int64 }
	rows, err := v.view.Query(`SELECT t.size, x.level, x.n, LENGTH(x.data) FROM audit_tiles x, audit_tree t
		WHERE t.id = 1 AND (x.n < 0 OR x.level < 0 OR x.level >= $1 OR x.n >= t.size >> CAST(CASE WHEN x.level BETWEEN 0 AND 6 THEN 8 * x.level + 8 ELSE 0 END AS INTEGER))
		ORDER BY x.level, x.n LIMIT $2`, maxLevels, v.report.limit+maxLevels)
	list, err := store.Collect(rows, err, func(r *store.Rows) (t tile, err error) {
		return t, r.Scan(&t.size, &t.level, &t.n, &t.length)
	})
	for _, t := range list {
		if t.n >= 0 && t.level >= 0 && t.level < maxLevels {
			complete, rest := widths(max(t.size, v.size), int(t.level))
			if t.n < complete || t.n == complete && t.length == int64(rest*tlog.HashSize) && rest > 0 {
				continue
			}
			if t.n == complete && t.length < int64(rest*tlog.HashSize) {
				continue // too short, which was told already
			}
		}
		v.report.add(BadTile, "", Pending, "Tile %d of level %d reaches beyond the tree.", t.n, t.level)
	}
	return err
}
