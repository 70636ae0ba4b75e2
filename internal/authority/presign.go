package authority

import (
	"context"
	"crypto"
	"errors"
	"sync"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ocsp"
)

const (
	// presignRows is how many certificates one run looks at: half a second's work.
	presignRows = 20_000
	presignPage = 1000
)

// A presigner remembers how far the last run came.
type presigner struct {
	mu        sync.Mutex
	authority string
	serial    []byte
}

// LimitOCSPAnswers bounds the memory for signed OCSP answers, in octets; an
// answer takes 128. The default is 128 MiB. Call it before the first answer.
func (a *Authorities) LimitOCSPAnswers(octets int64) { a.validity.ocsp.answers.most = octets }

// PresignOCSP signs answers before they are asked for, those that are not there
// or soon to be renewed, as clients ask for them: named by SHA-1, without nonce.
// Each run goes on where the last one ended and takes less than a second; when
// all is done, or memory is full, it begins again. Run it every minute or so, on
// each node: answers are kept in memory. Without it answers are signed when they
// are first asked for.
func (a *Authorities) PresignOCSP(ctx context.Context) error {
	p := &a.validity.presign
	p.mu.Lock()
	defer p.mu.Unlock()
	list, err := a.List(ctx)
	if err != nil {
		return err
	}
	now, left := a.clock.Now(), presignRows
	var failed error
	begun := false
	for _, x := range list {
		if begun = begun || p.authority == "" || p.authority == x.ID; !begun {
			continue
		}
		d, err := a.desk(ctx, x.ID, now)
		if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Unavailable) {
			continue // it has no certificate or no responder yet
		}
		if err == nil {
			if p.authority != x.ID {
				p.authority, p.serial = x.ID, []byte{}
			}
			left, err = a.presign(ctx, d, p, left)
		}
		if failed = errors.Join(failed, fault.Wrap(err, "ocsp answers of "+x.ID)); left <= 0 {
			return failed
		}
	}
	p.authority, p.serial = "", []byte{}
	return failed
}

// presign returns how many certificates may still be looked at: none when there
// is no room for more answers.
func (a *Authorities) presign(ctx context.Context, d *desk, p *presigner, left int) (int, error) {
	type row struct {
		serial []byte
		state  state
	}
	for left > 0 {
		if err := a.follow(ctx, a.clock.Now()); err != nil {
			return left, err
		}
		// The states are read after the versions: what changes between them and
		// the answer is not kept.
		versions := a.validity.ocsp.answers.versions()
		rows, err := a.db.View(ctx).Query(`SELECT serial, status, revoked_at, reason, not_after FROM certificates
			WHERE authority = $1 AND serial > $2 ORDER BY serial LIMIT $3 + 0`, d.id, p.serial, int64(presignPage))
		page, err := store.Collect(rows, err, func(r *store.Rows) (w row, err error) {
			var status string
			var at, until int64
			var reason int
			err = r.Scan(&w.serial, &status, &at, &reason, &until)
			w.state = stateOf(status, at, until, reason)
			return w, err
		})
		if err != nil {
			return left, err
		}
		for _, w := range page {
			if a.validity.ocsp.answers.full() {
				p.authority, p.serial = "", []byte{}
				return 0, nil
			}
			if err := a.presignOne(d, w.serial, w.state, versions); err != nil {
				return left, err
			}
			p.serial = w.serial
		}
		if left -= len(page); len(page) < presignPage {
			return left, nil
		}
	}
	return left, nil
}

func (a *Authorities) presignOne(d *desk, serial []byte, state state, versions [answerStripes]uint64) error {
	now := a.clock.Now()
	if state.Status == 0 || state.notAfter.Before(now) {
		return nil
	}
	kept, m := &a.validity.ocsp.answers, &d.moulds[0]
	// Those that would be renewed within the next quarter of their life are now.
	if x, ok := kept.get(d.number, crypto.SHA1, serial); ok && x.mould == m.tag && now.Unix()-int64(x.thisUpdate) < d.renew-d.renew/4 {
		return nil
	}
	x, _, _, err := a.sign(d, m, ocsp.CertID{Hash: crypto.SHA1, Serial: serial}, state)
	if x != nil {
		kept.put(x, versions[place(d.number, serial)%answerStripes])
	}
	return err
}
