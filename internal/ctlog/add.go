package ctlog

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ct"
)

// AddChain takes a certificate and its chain (RFC 6962, section 4.1) and returns
// the log's promise to publish it. What the log does not accept gives Invalid;
// a log that could not keep the promise gives Unavailable or TooMany.
func (l *Log) AddChain(ctx context.Context, chain [][]byte) (ct.SCT, error) {
	return l.add(ctx, ct.TypeX509, chain)
}

// AddPreChain is [Log.AddChain] for a pre-certificate (RFC 6962, section 4.2).
func (l *Log) AddPreChain(ctx context.Context, chain [][]byte) (ct.SCT, error) {
	return l.add(ctx, ct.TypePrecert, chain)
}

func (l *Log) add(ctx context.Context, kind ct.EntryType, ders [][]byte) (ct.SCT, error) {
	chain, err := l.roots.Load().verify(ders)
	if err != nil {
		return ct.SCT{}, err
	}
	entry, err := entryOf(kind, chain)
	if err != nil {
		return ct.SCT{}, err
	}
	if err := l.inShard(chain[0].NotAfter); err != nil {
		return ct.SCT{}, err
	}
	raw, err := entry.Marshal()
	if err != nil {
		return ct.SCT{}, err
	}
	fingerprint := sha256.Sum256(raw)
	sct, err := l.known(l.db.View(ctx), fingerprint)
	if !errors.Is(err, store.ErrNotFound) {
		return sct, err
	}
	if err := l.accepting(ctx); err != nil {
		return ct.SCT{}, err
	}
	r, err := l.newRow(entry, chain, fingerprint)
	if err != nil {
		return ct.SCT{}, err
	}
	return l.insert(ctx, r)
}

// inShard holds NotAfter against the log's interval.
func (l *Log) inShard(notAfter time.Time) error {
	start, limit := l.config.Start, l.config.Limit
	if !start.IsZero() && notAfter.Before(start) || !limit.IsZero() && !notAfter.Before(limit) {
		return fault.Invalidf("ctlog.shard", "The certificate is valid until %s, outside the interval of transparency log %q.", notAfter.UTC().Format(time.RFC3339), l.config.Name).
			WithNext("Submit it to the log of its interval.").WithField("chain")
	}
	return nil
}

// known gives the SCT that was handed out for an entry, or store.ErrNotFound.
func (l *Log) known(q store.Queryer, fingerprint [sha256.Size]byte) (ct.SCT, error) {
	var raw []byte
	err := q.QueryRow(`SELECT sct FROM ctlog_entries WHERE log = $1 AND fingerprint = $2`, l.config.Name, fingerprint[:]).Scan(&raw)
	if err != nil {
		return ct.SCT{}, err
	}
	return ct.ParseSCT(raw)
}

// A row is an entry as it is stored.
type row struct {
	sct           ct.SCT
	fingerprint   [sha256.Size]byte
	leaf, sctRaw  []byte
	precert       []byte // empty for a certificate
	chainHash     [sha256.Size]byte
	chainMarshals []byte
}

// newRow signs. Nobody sees the SCT before insert has made the row durable.
func (l *Log) newRow(entry ct.Entry, chain []*x509.Certificate, fingerprint [sha256.Size]byte) (row, error) {
	now, err := l.guard.SigningTime()
	if err != nil {
		return row{}, err
	}
	r := row{fingerprint: fingerprint, precert: []byte{}}
	if r.sct, err = l.signer.SCT(entry, ct.Millis(now)); err != nil {
		return row{}, fault.Wrap(err, "sign an SCT")
	}
	if r.sctRaw, err = r.sct.Marshal(); err != nil {
		return row{}, err
	}
	if r.leaf, err = ct.LeafOf(r.sct, entry).Marshal(); err != nil {
		return row{}, err
	}
	if entry.Type == ct.TypePrecert {
		r.precert = chain[0].Raw
	}
	above := make([][]byte, 0, len(chain))
	for _, c := range chain[1:] {
		above = append(above, c.Raw)
	}
	r.chainMarshals, err = ct.MarshalChain(above)
	r.chainHash = sha256.Sum256(r.chainMarshals)
	return r, err
}

// insert makes the entry durable. When another caller was first with the same
// entry, its SCT is the one that counts, and the one just signed is forgotten.
func (l *Log) insert(ctx context.Context, r row) (sct ct.SCT, err error) {
	hash := ct.LeafHash(r.leaf)
	err = l.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO ctlog_entries (id, log, fingerprint, at, leaf, leaf_hash, precert, chain, sct)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (log, fingerprint) DO NOTHING`,
			ident.New("cte"), l.config.Name, r.fingerprint[:], r.sct.Timestamp, r.leaf, hash[:], r.precert, r.chainHash[:], r.sctRaw)
		if err != nil {
			return err
		}
		if n == 0 {
			sct, err = l.known(tx, r.fingerprint)
			return err
		}
		sct = r.sct
		_, err = tx.Exec(`INSERT INTO ctlog_chains (hash, data) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`, r.chainHash[:], r.chainMarshals)
		return err
	})
	if err != nil {
		return ct.SCT{}, err
	}
	return sct, nil
}
