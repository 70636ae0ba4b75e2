package house

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"os"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
)

// realmLogs chooses the logs by the environment of the authority that issues.
type realmLogs struct {
	h  *House
	of map[access.Realm]*transparency.Submitter
}

// openLogs reads the log lists and opens the installation's own log.
func (h *House) openLogs(ctx context.Context) (order.Logs, error) {
	out := realmLogs{h: h, of: map[access.Realm]*transparency.Submitter{}}
	for realm, path := range map[access.Realm]string{access.Preprod: h.Config.PKI.LogLists.Preprod, access.Production: h.Config.PKI.LogLists.Production} {
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fault.Wrap(err, "read the list of transparency logs")
		}
		logs, err := transparency.ParseLogList(text)
		if err != nil {
			return nil, err
		}
		if out.of[realm], err = transparency.New(transparency.Options{Logs: logs, Egress: h.egress(), Clock: h.Clock}); err != nil {
			return nil, err
		}
	}
	return out, h.openCTLog(ctx)
}

// Parameters of the installation's own log.
const (
	ownLogName    = "own"
	ownLogKey     = "ctlog.key"
	ownLogDelay   = 10 * time.Minute
	ownLogPending = 100_000
)

// openCTLog opens the log of this installation, if it is to have one. It takes
// certificates of the installation's own roots; before there are any, there is no
// log.
func (h *House) openCTLog(ctx context.Context) error {
	if h.CTLog != nil || !h.Config.PKI.OwnLog && !h.Config.Dev.Enabled {
		return nil
	}
	roots, err := h.roots(ctx)
	if err != nil || len(roots) == 0 {
		return err
	}
	key, err := h.settingKey(ctx, ownLogKey, "certificate transparency log")
	if err != nil {
		return err
	}
	h.CTLog, err = ctlog.Open(ctx, h.DB, h.Clock, h.Audit, ctlog.Config{Name: ownLogName, Signer: key, Roots: roots, MMD: ownLogDelay, MaxPending: ownLogPending})
	return err
}

// settingKey is a P-256 key that a setting names; it is made the first time.
func (h *House) settingKey(ctx context.Context, name, what string) (crypto.Signer, error) {
	var ref string
	err := h.DB.Update(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT value FROM settings WHERE name = $1`, name).Scan(&ref)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		k, err := h.Vault.Generate(tx, keys.P256, what)
		if err != nil {
			return err
		}
		ref = k.Ref
		_, err = tx.Exec(`INSERT INTO settings (name, value) VALUES ($1, $2)`, name, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	return h.Vault.Signer(ctx, ref)
}

// roots are the certificates of all root authorities.
func (h *House) roots(ctx context.Context) ([][]byte, error) {
	list, err := h.Authority.List(ctx)
	var ders [][]byte
	for _, x := range list {
		if x.Kind == authority.Root && len(x.DER) > 0 {
			ders = append(ders, x.DER)
		}
	}
	return ders, err
}

// realmOf is the environment of the authority that is first in a chain.
func (l realmLogs) realmOf(ctx context.Context, chain [][]byte) (access.Realm, error) {
	list, err := l.h.Authority.List(ctx)
	if err != nil {
		return "", err
	}
	for _, x := range list {
		if len(chain) > 0 && bytes.Equal(x.DER, chain[0]) {
			return access.Realm(x.Realm), nil
		}
	}
	return "", fault.NotFoundf("transparency.issuer", "The certificate's issuer is none of our authorities.")
}

// submitter gives the logs of the chain's environment; nil is our own log.
func (l realmLogs) submitter(ctx context.Context, chain [][]byte) (*transparency.Submitter, error) {
	realm, err := l.realmOf(ctx, chain)
	if err != nil {
		return nil, err
	}
	if s := l.of[realm]; s != nil || l.h.CTLog != nil {
		return s, nil
	}
	return nil, fault.Conflictf("transparency.none", "No certificate transparency logs are configured for %s.", realm).
		WithNext("Name a list of logs in the configuration: pki.log_list.%s", realm)
}

// Submit implements [order.Logs].
func (l realmLogs) Submit(ctx context.Context, r transparency.Request) (transparency.Result, error) {
	s, err := l.submitter(ctx, r.Chain)
	if err != nil {
		return transparency.Result{}, err
	}
	if s != nil {
		return s.Submit(ctx, r)
	}
	return l.ask(ctx, r.Precert, r.Chain, l.h.CTLog.AddPreChain)
}

// SubmitFinal implements [order.Logs].
func (l realmLogs) SubmitFinal(ctx context.Context, cert []byte, chain [][]byte) (transparency.Result, error) {
	s, err := l.submitter(ctx, chain)
	if err != nil {
		return transparency.Result{}, err
	}
	if s != nil {
		return s.SubmitFinal(ctx, cert, chain)
	}
	return l.ask(ctx, cert, chain, l.h.CTLog.AddChain)
}

// ask hands a chain to our own log, which knows the roots that were made since
// it was opened.
func (l realmLogs) ask(ctx context.Context, der []byte, chain [][]byte, add func(context.Context, [][]byte) (ct.SCT, error)) (transparency.Result, error) {
	begin := l.h.Clock.Now()
	whole := append([][]byte{der}, chain...)
	sct, err := add(ctx, whole)
	if errors.Is(err, fault.Invalid) {
		roots, rootsErr := l.h.roots(ctx)
		if rootsErr != nil {
			return transparency.Result{}, rootsErr
		}
		if err := l.h.CTLog.SetRoots(roots); err != nil {
			return transparency.Result{}, err
		}
		sct, err = add(ctx, whole)
	}
	attempt := transparency.Attempt{Log: ownLogName, At: begin, Latency: l.h.Clock.Now().Sub(begin), Outcome: transparency.OK}
	if err != nil {
		attempt.Outcome, attempt.Detail = transparency.Rejected, fault.Of(err).Message
		return transparency.Result{Evidence: []transparency.Attempt{attempt}}, err
	}
	return transparency.Result{SCTs: []ct.SCT{sct}, Evidence: []transparency.Attempt{attempt}}, nil
}
