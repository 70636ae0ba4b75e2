// Package house puts the parts together: from a configuration it opens the
// database and the keys, builds the domains in the order in which they depend
// on each other, and serves the endpoints. Commands and tests start here.
package house

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/document"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/internal/wscert"
)

// Options are what a command or test decides beyond the configuration.
type Options struct {
	Clock   clock.Clock  // nil: the machine's
	Logger  *slog.Logger // nil: the default
	Version string
	// Lease is how long an order's step may take before another node takes
	// over; zero: 30 seconds.
	Lease time.Duration
	// Quick makes password hashing cheap and no RSA keys in advance. Tests only.
	Quick bool
}

// A House is an open installation.
type House struct {
	Config  *config.Config
	Clock   clock.Clock
	Logger  *slog.Logger
	Metrics *telemetry.Metrics
	Health  *telemetry.Health

	DB        *store.DB
	Vault     *keys.Vault
	Pool      *keys.Pool
	Audit     *audit.Log
	Blobs     *blob.Store
	Queue     *jobs.Queue
	Outbox    *outbox.Outbox
	Dev       *outbox.Dev // nil outside of dev mode
	Access    *access.Directory
	Authority *authority.Authorities
	Handover  *handover.Desk
	WSCerts   *wscert.Engine // client certificates for web services
	APICerts  *apicert.Desk
	Documents *document.Store

	Products   *product.Products
	Keys       *keycheck.Registry
	Domains    *domainval.Desk
	Notices    *notice.Desk
	Publish    *publish.Publishing
	Timestamps *timestamp.Units
	External   *external.Registry
	CTLog      *ctlog.Log // nil unless this installation runs one
	Orders     *order.Engine

	Idempotency *idempotency.Keys

	auditDamaged atomic.Bool

	version string
	work    []func(context.Context) // what runs while the house serves
	closers []io.Closer
}

// Open opens an installation that [Init] has made. Close it.
func Open(ctx context.Context, cfg *config.Config, o Options) (*House, error) {
	h := newHouse(cfg, o)
	err := h.open(ctx, o)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func newHouse(cfg *config.Config, o Options) *House {
	h := &House{Config: cfg, Clock: o.Clock, Logger: o.Logger, version: o.Version}
	if h.Clock == nil {
		h.Clock = clock.System{}
	}
	if h.Logger == nil {
		h.Logger = slog.Default()
	}
	h.Metrics = telemetry.NewMetrics(o.Version)
	h.Health = telemetry.NewHealth(h.Clock, h.Logger)
	return h
}

func (h *House) open(ctx context.Context, o Options) error {
	if err := h.openStore(ctx); err != nil {
		return err
	}
	auditKey, err := h.auditKey(ctx)
	if err != nil {
		return err
	}
	return h.build(ctx, o, auditKey)
}

// openStore opens database and keys, which everything else needs.
func (h *House) openStore(ctx context.Context) error {
	db, err := store.Open(ctx, h.Config.Database.URL.Reveal())
	if err != nil {
		return fault.Wrap(err, "open the database")
	}
	h.DB = db
	h.closers = append(h.closers, db)
	h.Health.Add("database", db.Ping)
	master, err := masterKey(h.Config.Keys.Master)
	if err != nil {
		return err
	}
	var opts []keys.Option
	if socket := h.Config.Keys.SignerSocket; socket != "" {
		client := remote.NewClient(socket)
		h.closers = append(h.closers, client)
		h.Health.Add("signer", client.Health)
		opts = append(opts, keys.WithToken(client))
	}
	h.Vault, err = keys.Open(ctx, db, master, h.Clock, opts...)
	return fault.Wrap(err, "open the keys")
}

func masterKey(m config.Master) (keys.Master, error) {
	switch {
	case !m.Passphrase.Empty():
		return keys.MasterPassphrase(m.Passphrase)
	case !m.Key.Empty():
		return keys.ParseMaster(m.Key)
	}
	return keys.MasterFile(m.File)
}

// auditKeySetting names the vault key that signs the audit log's checkpoints.
const auditKeySetting = "audit.key"

func (h *House) auditKey(ctx context.Context) (crypto.Signer, error) {
	ref, err := h.setting(ctx, auditKeySetting)
	if err != nil {
		return nil, err
	}
	if ref == "" {
		return nil, fault.Conflictf("house.empty", "The database is empty.").WithNext("Run: sealwright init")
	}
	return h.Vault.Signer(ctx, ref)
}

func (h *House) setting(ctx context.Context, name string) (string, error) {
	var value string
	err := h.DB.View(ctx).QueryRow(`SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return value, err
}

// build makes the domains, from the ones that know nobody to the ones that
// know many.
func (h *House) build(ctx context.Context, o Options, auditKey crypto.Signer) error {
	public, err := url.Parse(h.Config.Server.PublicURL)
	if err != nil {
		return err
	}
	h.Audit = audit.New(h.DB, h.Clock, auditKey, public.Hostname()+"/audit")
	if err := h.openBlobs(); err != nil {
		return err
	}
	h.Queue = jobs.New(h.DB, h.Clock, h.Logger, jobs.Options{Grace: max(time.Second, h.Config.Limits.ShutdownTimeout-jobs.Stopping)})
	if err := h.openOutbox(); err != nil {
		return err
	}
	if err := h.openAccess(public, o.Quick); err != nil {
		return err
	}
	last, err := h.lastSeen(ctx)
	if err != nil {
		return err
	}
	guard := clock.NewGuard(h.Clock, last)
	h.Authority = authority.New(h.DB, h.Vault, h.Audit, h.Blobs, h.Clock, guard, authority.URLs{Base: h.Config.Server.PublicHTTPURL})
	h.Pool = newPool(o.Quick)
	c := h.Config
	policy := handover.DefaultPolicy
	now := h.Clock.Now()
	policy.LinkLife = c.Handover.LinkLife.AddTo(now).Sub(now)
	policy.CodeLife, policy.CodeTries, policy.CodeLimit = c.Handover.OTPLife, c.Handover.OTPTries, c.Handover.OTPResendLimit+1
	h.Handover = handover.New(h.DB, h.Vault, h.Outbox, h.Audit, h.Clock, policy, func(_, token string) string { return c.Server.PublicURL + "/pickup/" + token })
	lease := o.Lease
	if lease == 0 {
		lease = 30 * time.Second
	}
	life := c.Certificate.Life
	h.WSCerts = wscert.New(h.DB, h.Authority, h.Handover, h.Vault, h.Pool, h.Outbox, h.Audit, h.Clock, wscert.Settings{
		Approval: c.Certificate.Approval, Life: wscert.Life{Years: life.Years, Months: life.Months, Days: life.Days},
		LinkLife: policy.LinkLife, Reminders: c.Certificate.Reminders, Lease: lease, Notify: h.Access.Notified,
		Known: func(ctx context.Context, spki []byte, key crypto.PublicKey) error {
			return h.Keys.Known(ctx, spki, key)
		},
	})
	h.APICerts = &apicert.Desk{DB: h.DB, Authority: h.Authority, Vault: h.Vault, Audit: h.Audit, Clock: h.Clock}
	h.Documents = document.New(h.DB, h.Blobs, h.Audit, h.Clock, document.Settings{Life: c.SDS.Life.AddTo, MaxSize: c.SDS.MaxSize})
	h.Idempotency = &idempotency.Keys{DB: h.DB, Clock: h.Clock}
	if err := h.openPKI(ctx, guard, lease); err != nil {
		return err
	}
	h.schedule()
	h.Metrics.Registerer().MustRegister(gauges{h})
	return nil
}

// newPool keeps keys ready, unless the installation is to open fast.
func newPool(quick bool) *keys.Pool {
	if quick {
		return keys.NewPool(keys.Stock{})
	}
	return keys.NewPool()
}

func (h *House) openBlobs() (err error) {
	if h.Config.Blob.Kind == config.BlobTable {
		h.Blobs = blob.NewTable(h.DB, h.Vault, h.Clock)
		return nil
	}
	h.Blobs, err = blob.NewFiles(h.Config.Blob.Dir, h.Vault)
	return err
}

func (h *House) openAccess(public *url.URL, quick bool) (err error) {
	params := password.Recommended
	if quick {
		params = password.Params{MemoryKiB: 64, Time: 1, Threads: 1}
	}
	h.Access, err = access.New(access.Options{
		DB: h.DB, Clock: h.Clock, Audit: h.Audit, Sealer: h.Vault, Hasher: password.NewHasher(params), Inviter: inviter{h},
		Host: public.Hostname(), Origins: []string{h.Config.Server.PublicURL},
		IdleTimeout: h.Config.Limits.SessionIdle, SessionTimeout: h.Config.Limits.SessionLife,
		WithoutSecond: h.Config.Dev.Enabled, AccountFailures: int64(h.Config.Limits.LoginTries),
	})
	return err
}

// lastSeen is the latest time in the audit log: a clock that is behind it must
// not sign.
func (h *House) lastSeen(ctx context.Context) (time.Time, error) {
	list, _, err := h.Audit.List(h.DB.View(ctx), audit.Filter{AllClients: true}, store.Page{Limit: 1})
	if err != nil || len(list) == 0 {
		return time.Time{}, err
	}
	return list[0].At, nil
}

// schedule registers the work that comes round.
func (h *House) schedule() {
	every := func(name string, d time.Duration, run func(context.Context) error) {
		h.Queue.Every(name, d, func(ctx context.Context, _ jobs.Job) error { return run(ctx) })
	}
	every("crl.produce", time.Minute, h.Authority.ProduceDueCRLs)
	every("ocsp.rotate", time.Hour, h.Authority.RotateResponders)
	every("crl.sweep", 24*time.Hour, h.Authority.SweepRevocations)
	every("wscert.sweep", 15*time.Second, h.WSCerts.Sweep)
	every("wscert.unclaimed", 5*time.Minute, h.WSCerts.ExpireUnclaimed)
	every("wscert.remind", time.Hour, h.WSCerts.Remind)
	every("apicert.sweep", 10*time.Minute, h.APICerts.Sweep)
	every("tls.sweep", 10*time.Minute, h.SweepOwnCertificates)
	every("audit.verify", 24*time.Hour, h.verifyAudit)
	every("blob.sweep", 24*time.Hour, h.SweepBlobs)
	every("idempotency.sweep", time.Hour, h.Idempotency.Sweep)
	every("document.expire", 10*time.Minute, h.Documents.Expire)
	h.schedulePKI(every)
}

// orphanAge is how old a blob without an owner must be before it is swept: far
// longer than the time between storing bytes and storing the row that names them.
const orphanAge = 24 * time.Hour

// SweepBlobs removes what crashes left behind: uploads that were cut off, and
// blobs that nobody's row names.
func (h *House) SweepBlobs(ctx context.Context) error {
	_, err := h.Blobs.Sweep(ctx, h.Clock.Now().Add(-orphanAge), func(ctx context.Context, ids []string) (map[string]bool, error) {
		used, err := h.Documents.InUse(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, ask := range []blob.InUse{h.Authority.InUse, h.Orders.InUse} {
			more, err := ask(ctx, ids)
			if err != nil {
				return nil, err
			}
			for id, yes := range more {
				used[id] = used[id] || yes
			}
		}
		return used, nil
	})
	return err
}

// Close releases everything; it may be called on a house that is half open.
func (h *House) Close() error {
	if h.Pool != nil {
		h.Pool.Close()
	}
	var err error
	for i := len(h.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, h.closers[i].Close())
	}
	h.closers = nil
	return err
}

// inviter sends invitations through the outbox.
type inviter struct{ h *House }

func (i inviter) Invite(tx *store.Tx, inv access.Invitation) error {
	_, err := i.h.Outbox.Send(tx, outbox.Message{
		Channel: outbox.Email, ObjectKind: "operator", ObjectID: inv.Operator.ID, To: inv.Operator.Email,
		Subject: "Your access to Sealwright",
		Body: fmt.Sprintf("Hello %s,\n\nyou have been given access to Sealwright at %s.\nChoose your password here, before %s UTC:\n\n  {secret}\n",
			inv.Operator.Name, i.h.Config.Server.PublicURL, inv.Expires.Format("2 January 2006 15:04")),
		Secret: inviteLink(i.h.Config.Server.PublicURL, inv), NotAfter: inv.Expires,
	})
	return err
}

// dataFile is a file of the installation in its data directory.
func (h *House) dataFile(name string) string { return filepath.Join(h.Config.Server.DataDir, name) }
