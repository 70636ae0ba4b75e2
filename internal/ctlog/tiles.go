package ctlog

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ct"
)

const tileHeight = 8

// A tileReader lets tlog read the stored tiles of a tree; tlog checks them
// against the root, and those that pass are kept for the next question.
type tileReader struct {
	q     store.Queryer
	log   string
	known map[tlog.Tile][]byte
	err   error // of reading, as opposed to what tlog finds wrong
}

// hashes reads the stored hashes of a tree, all of them checked against its root.
func (l *Log) hashes(q store.Queryer, head ct.TreeHead) ct.HashReader {
	tiles := &tileReader{q: q, log: l.config.Name, known: map[tlog.Tile][]byte{}}
	checked := tlog.TileHashReader(tlog.Tree{N: head.Size, Hash: head.Root}, tiles)
	return tlog.HashReaderFunc(func(indexes []int64) ([]ct.Hash, error) {
		out, err := checked.ReadHashes(indexes)
		if err != nil && tiles.err == nil {
			return nil, damaged("The tiles of transparency log %q do not match its signed tree head.", l.config.Name).WithCause(err)
		}
		return out, err
	})
}

func (r *tileReader) Height() int { return tileHeight }

func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, t := range tiles {
		r.known[t] = data[i]
	}
}

// ReadTiles asks the database once for all tiles that are not known yet.
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var missing []tlog.Tile
	for _, t := range tiles {
		if r.known[t] == nil {
			missing = append(missing, t)
		}
	}
	stored, err := r.load(missing)
	if err != nil {
		r.err = err
		return nil, err
	}
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		out[i] = r.known[t]
		if out[i] != nil {
			continue
		}
		// A stored tile may be longer than the tree that is read: it grew since.
		data := stored[place{t.L, t.N}]
		if len(data) < t.W*tlog.HashSize {
			r.err = damaged("Tile %s of transparency log %q is missing or too short.", t.Path(), r.log)
			return nil, r.err
		}
		out[i] = data[:t.W*tlog.HashSize]
	}
	return out, nil
}

// A place is where a tile is stored, whatever its width.
type place struct {
	level int
	n     int64
}

func (r *tileReader) load(tiles []tlog.Tile) (map[place][]byte, error) {
	if len(tiles) == 0 {
		return nil, nil
	}
	var where strings.Builder
	args := []any{r.log}
	for i, t := range tiles {
		if i > 0 {
			where.WriteString(" OR ")
		}
		fmt.Fprintf(&where, "(level = $%d AND n = $%d)", 2*i+2, 2*i+3)
		args = append(args, t.L, t.N)
	}
	rows, err := r.q.Query(`SELECT level, n, data FROM ctlog_tiles WHERE log = $1 AND (`+where.String()+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[place][]byte{}
	for rows.Next() {
		var at place
		var data []byte
		if err := rows.Scan(&at.level, &at.n, &data); err != nil {
			return nil, err
		}
		out[at] = data
	}
	return out, rows.Err()
}

// A growth is a tree with new leaves: its hashes are the stored ones up to
// base, and fresh from there on.
type growth struct {
	old   ct.HashReader
	size  int64
	base  int64
	fresh []ct.Hash
}

func newGrowth(old ct.HashReader, size int64) *growth {
	return &growth{old: old, size: size, base: tlog.StoredHashIndex(0, size)}
}

// ReadHashes implements [tlog.HashReader].
func (g *growth) ReadHashes(indexes []int64) ([]ct.Hash, error) {
	out := make([]ct.Hash, len(indexes))
	var stored []int64
	for i, x := range indexes {
		if x < g.base {
			stored = append(stored, x)
		} else {
			out[i] = g.fresh[x-g.base]
		}
	}
	if len(stored) == 0 {
		return out, nil
	}
	hashes, err := g.old.ReadHashes(stored)
	if err != nil {
		return nil, err
	}
	for i, x := range indexes {
		if x < g.base {
			out[i], hashes = hashes[0], hashes[1:]
		}
	}
	return out, nil
}

// push adds a leaf.
func (g *growth) push(leaf ct.Hash) error {
	more, err := tlog.StoredHashesForRecordHash(g.size, leaf, g)
	if err != nil {
		return err
	}
	g.fresh = append(g.fresh, more...)
	g.size++
	return nil
}

func damaged(format string, args ...any) *fault.Fault {
	return fault.New(fault.Internal, "ctlog.damaged", format, args...).
		WithNext("Do not repair it by hand: retire the log, and restore the database beside it to see what changed.")
}
