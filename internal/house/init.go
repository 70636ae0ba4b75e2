package house

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Founding is what a new installation is told once.
type Founding struct {
	Organisation  string // in the names of the authorities
	Country       string // two letters; may be empty
	Administrator access.Administrator
	// Token names keys in the HSM by authority id; others are made in software.
	Token map[string]string
	// OfflineRoots leaves the realms' roots to be imported: their issuing
	// authorities are then made with `sealwright ca request`.
	OfflineRoots bool
}

// The authorities of an installation. Each environment has its own root, and so
// have the certificates that belong to no environment.
const (
	PlatformRoot = "platform-root"
	PlatformTLS  = "platform-tls" // this installation's own servers
	PlatformAPI  = "platform-api" // API client certificates
)

// Init makes an installation: data directory, master key, schema, audit key,
// authorities and the first administrator. What exists is kept, so that an
// Init that was cut short can be run again.
func Init(ctx context.Context, cfg *config.Config, o Options, f Founding) (*House, access.Invitation, error) {
	h := newHouse(cfg, o)
	inv, err := h.init(ctx, o, f)
	if err != nil {
		return nil, inv, errors.Join(err, h.Close())
	}
	return h, inv, nil
}

func (h *House) init(ctx context.Context, o Options, f Founding) (access.Invitation, error) {
	var none access.Invitation
	if err := os.MkdirAll(h.Config.Server.DataDir, 0o700); err != nil {
		return none, fault.Invalidf("house.data_dir", "The data directory %s cannot be made.", h.Config.Server.DataDir).WithCause(err)
	}
	if err := newMaster(h.Config.Keys.Master); err != nil {
		return none, err
	}
	if err := h.openStore(ctx); err != nil {
		return none, err
	}
	if err := h.newAuditKey(ctx); err != nil {
		return none, err
	}
	key, err := h.auditKey(ctx)
	if err != nil {
		return none, err
	}
	if err := h.build(ctx, o, key); err != nil {
		return none, err
	}
	if err := h.found(ctx, f); err != nil {
		return none, err
	}
	if err := h.openCTLog(ctx); err != nil {
		return none, err
	}
	if err := h.Authority.RotateResponders(ctx); err != nil {
		return none, err
	}
	if err := h.Authority.ProduceDueCRLs(ctx); err != nil {
		return none, err
	}
	_, inv, err := h.Access.Bootstrap(ctx, f.Administrator)
	if errors.Is(err, fault.Conflict) {
		err = nil // there is an administrator: a second run
	}
	return inv, err
}

// newMaster makes the master key file unless there is one or the key comes from
// elsewhere.
func newMaster(m config.Master) error {
	if !m.Passphrase.Empty() || !m.Key.Empty() {
		return nil
	}
	_, err := keys.NewMasterFile(m.File)
	if errors.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

func (h *House) newAuditKey(ctx context.Context) error {
	return h.DB.Update(ctx, func(tx *store.Tx) error {
		var ref string
		err := tx.QueryRow(`SELECT value FROM settings WHERE name = $1`, auditKeySetting).Scan(&ref)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		k, err := h.Vault.Generate(tx, keys.Ed25519, "audit log")
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO settings (name, value) VALUES ($1, $2)`, auditKeySetting, k.Ref)
		return err
	})
}

func (h *House) found(ctx context.Context, f Founding) error {
	// P-256, because every new TLS connection to this installation has it verified:
	// a signature by P-384 would cost the client more than the rest of the handshake.
	if err := h.root(ctx, f, PlatformRoot, apicert.Realm, f.Organisation+" Platform Root CA", keys.P256); err != nil {
		return err
	}
	if err := h.issuing(ctx, f, PlatformTLS, apicert.Realm, f.Organisation+" Platform TLS CA", authority.ServerAuth, keys.P256, PlatformRoot); err != nil {
		return err
	}
	// RSA, because the signature hash of API client certificates can be chosen (D13).
	if err := h.issuing(ctx, f, PlatformAPI, apicert.Realm, f.Organisation+" API Client CA", authority.ClientAuth, keys.RSA3072, PlatformRoot); err != nil {
		return err
	}
	if f.OfflineRoots {
		return nil
	}
	for _, realm := range access.Realms() {
		name := map[access.Realm]string{access.Preprod: "Preprod", access.Production: "Production"}[realm]
		root := string(realm) + "-root"
		if err := h.root(ctx, f, root, string(realm), fmt.Sprintf("%s %s Root CA", f.Organisation, name), keys.P384); err != nil {
			return err
		}
		if err := h.issuing(ctx, f, string(realm)+"-clients-1", string(realm), fmt.Sprintf("%s %s Web Service CA", f.Organisation, name), authority.ClientAuth, keys.P256, root); err != nil {
			return err
		}
		if err := h.issuing(ctx, f, GeneralAuthority(realm), string(realm), fmt.Sprintf("%s %s Issuing CA", f.Organisation, name), authority.General, keys.P256, root); err != nil {
			return err
		}
	}
	return nil
}

// GeneralAuthority is the id of the authority that an installation makes for the
// products of an environment.
func GeneralAuthority(realm access.Realm) string { return string(realm) + "-general-1" }

func (h *House) root(ctx context.Context, f Founding, id, realm, name string, alg keys.Algorithm) error {
	return h.unless(ctx, id, func() error {
		_, err := h.Authority.CreateRoot(ctx, f.spec(id, realm, name, authority.Any, alg, 20))
		return err
	})
}

func (h *House) issuing(ctx context.Context, f Founding, id, realm, name string, p authority.Purpose, alg keys.Algorithm, parent string) error {
	return h.unless(ctx, id, func() error {
		_, err := h.Authority.CreateIssuing(ctx, f.spec(id, realm, name, p, alg, 10), parent)
		return err
	})
}

func (h *House) unless(ctx context.Context, id string, create func() error) error {
	if _, err := h.Authority.Get(ctx, id); !errors.Is(err, fault.NotFound) {
		return err
	}
	return create()
}

func (f Founding) spec(id, realm, name string, p authority.Purpose, alg keys.Algorithm, years int) authority.Spec {
	s := authority.Spec{ID: id, Realm: realm, Name: name, Org: f.Organisation, Country: f.Country, Purpose: p, Key: alg, Years: years}
	if label := f.Token[id]; label != "" {
		s.KeyRef = keys.HSMRef(label)
	}
	return s
}
