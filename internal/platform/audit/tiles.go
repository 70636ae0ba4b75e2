package audit

import (
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// readTile gives the stored bytes of a tile, however many, or nil.
func readTile(q store.Queryer, level int, n int64) ([]byte, error) {
	var data []byte
	err := q.QueryRow(`SELECT data FROM audit_tiles WHERE level = $1 AND n = $2`, level, n).Scan(&data)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return data, err
}

func writeTile(tx *store.Tx, level int, n int64, data []byte) error {
	_, err := tx.Exec(`INSERT INTO audit_tiles (level, n, data) VALUES ($1, $2, $3)
		ON CONFLICT (level, n) DO UPDATE SET data = excluded.data`, level, n, data)
	return err
}

// readEdge loads the right edge of the tree at a size. Later growth of the
// stored tiles does not matter: a tile only ever gets longer.
func readEdge(q store.Queryer, size int64) (*edge, error) {
	e := &edge{size: size}
	for level := range e.levels {
		n, width := widths(size, level)
		if width == 0 {
			continue
		}
		data, err := readTile(q, level, n)
		if err != nil {
			return nil, err
		}
		for i := range width {
			h, ok := hashAt(data, i)
			if !ok {
				return nil, damaged("Tile %s of the audit log is missing or too short.", tilePath(level, n, width))
			}
			e.levels[level] = append(e.levels[level], h)
		}
	}
	return e, nil
}

func tilePath(level int, n int64, width int) string {
	return tlog.Tile{H: tileHeight, L: level, N: n, W: width}.Path()
}

func damaged(format string, args ...any) error {
	return fault.New(fault.Internal, "audit.damaged", format, args...).
		WithNext("Run \"sealwright audit verify\" to see which entries are concerned; acts are still recorded meanwhile.")
}

// Tile gives the hashes of a tile of height 8, as the bytes that a tile server
// would publish. A partial tile (W below 256) is the beginning of what is
// stored; one that the tree does not reach yet is not found.
func (l *Log) Tile(q store.Queryer, t tlog.Tile) ([]byte, error) {
	if t.H != tileHeight || t.L < 0 || t.L >= maxLevels || t.N < 0 || t.W < 1 || t.W > tileWidth {
		return nil, fault.Invalidf("audit.tile", "The audit log has tiles of height %d and levels from 0 to %d only.", tileHeight, maxLevels-1)
	}
	data, err := readTile(q, t.L, t.N)
	if err != nil {
		return nil, err
	}
	if len(data) < t.W*tlog.HashSize {
		return nil, fault.NotFoundf("audit.tile_missing", "The audit log does not reach tile %s.", t.Path())
	}
	return data[:t.W*tlog.HashSize], nil
}

// tileReader lets tlog read stored tiles; it checks them against the root itself.
type tileReader struct {
	log *Log
	q   store.Queryer
}

func (tileReader) Height() int { return tileHeight }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles { // at most two for each level
		var err error
		if out[i], err = r.log.Tile(r.q, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
