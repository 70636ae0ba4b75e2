package wscert

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/pkcs12"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Settings are what an installation decides about its orders.
type Settings struct {
	Approval  bool          // every order waits for an operator other than the one who placed it
	Life      Life          // of a certificate, two years (N31); an order may ask for less
	LinkLife  time.Duration // how long a file waits to be fetched
	Reminders []int         // days before expiry, descending
	Lease     time.Duration // how long a step may take before another node takes over
	// Known refuses a key that others know, such as a compromised one; nil refuses
	// what can be seen from the key alone.
	Known func(ctx context.Context, spki []byte, key crypto.PublicKey) error
	// Notify returns the addresses of the operators who look after a client.
	Notify func(ctx context.Context, realm access.Realm, client string) ([]string, error)
}

// Sender puts messages into the outbox.
type Sender interface {
	Send(tx *store.Tx, m outbox.Message) (string, error)
}

// Engine runs the orders. Build it with [New].
type Engine struct {
	db       *store.DB
	ca       *authority.Authorities
	desk     *handover.Desk
	vault    *keys.Vault
	pool     *keys.Pool
	outbox   Sender
	audit    *audit.Log
	clock    clock.Clock
	settings Settings
	owners   owners
}

// New builds the engine over the domains and platform parts that it uses.
func New(db *store.DB, ca *authority.Authorities, desk *handover.Desk, vault *keys.Vault, pool *keys.Pool, out Sender, log *audit.Log, c clock.Clock, s Settings) *Engine {
	return &Engine{db: db, ca: ca, desk: desk, vault: vault, pool: pool, outbox: out, audit: log, clock: c, settings: s}
}

const purposeKey = "order.key"

// kind marks these certificates among the authority's.
const kind = "ws-ssl"

func errStale(id string) error {
	return fault.Conflictf("order.changed", "The order %s was changed by somebody else at the same moment.", id).WithNext("Look at it again.")
}

// A step is an order with what its next commit needs in memory only.
type step struct {
	*Order
	intent *authority.Intent
	key    crypto.Signer // of mode Generate
}

// prepare gets the key, draws the serial number and builds the TBSCertificate.
// Nothing is stored yet; the caller commits the order together with the intent.
func (e *Engine) prepare(ctx context.Context, o *Order, client access.Client) (*step, error) {
	s := &step{Order: o}
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if o.Mode == Generate {
		key, err := e.pool.Get(ctx, o.Spec.Algorithm)
		if err != nil {
			return nil, err
		}
		if s.key, o.spki, o.sealedKey, err = e.sealKey(key); err != nil {
			return nil, err
		}
	}
	public, err := x509.ParsePKIXPublicKey(o.spki)
	if err != nil {
		return nil, err
	}
	if _, ok := public.(*rsa.PublicKey); ok {
		usage |= x509.KeyUsageKeyEncipherment
	}
	issuer, err := e.ca.For(ctx, string(o.Realm), authority.ClientAuth)
	if err != nil {
		return nil, err
	}
	subject, err := subjectOf(client, o.CommonName)
	if err != nil {
		return nil, fault.Invalidf("order.subject", "The certificate's name cannot be encoded: %v.", err)
	}
	s.intent, err = e.ca.Plan(ctx, issuer.ID, authority.Draft{
		Subject: subject, SPKI: o.spki, KeyUsage: usage, SAN: tbs.SAN{URI: []string{ServiceURI(o.Realm, o.ServiceName)}},
		Validity: o.Spec.Life.AddTo,
		Client:   o.Client, Service: o.Service, Kind: kind, OrderID: o.ID, CommonName: o.CommonName,
	})
	if err != nil {
		return nil, err
	}
	o.Authority, o.Serial = s.intent.Authority, authority.SerialText(s.intent.Serial)
	o.NotBefore, o.NotAfter = s.intent.NotBefore, s.intent.NotAfter
	now := e.clock.Now()
	o.State, o.lease = Issue, now.Add(e.settings.Lease)
	o.note("KEY_VALIDATION", "SUCCESS", now, "", describeKey(public))
	o.note("GENERATE_TBS", "SUCCESS", now, "", "serial number "+o.Serial)
	return s, nil
}

func (e *Engine) sealKey(key crypto.Signer) (crypto.Signer, []byte, []byte, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, nil, err
	}
	sealed, err := e.vault.Seal(purposeKey, private)
	return key, spki, sealed, err
}

// finish signs the certificate of an order in state Issue and commits the
// outcome. It is the happy path and the way back after a crash.
func (e *Engine) finish(ctx context.Context, s *step) error {
	cert, err := e.ca.Sign(ctx, s.intent)
	if err != nil {
		return e.postpone(ctx, s.Order, err)
	}
	var offer *handover.Offer
	if s.Mode == Generate {
		if offer, err = e.keyFile(ctx, s, cert); err != nil {
			return e.postpone(ctx, s.Order, err)
		}
	}
	var file []byte
	if s.Mode == Bring {
		if file, err = e.PEM(ctx, cert.DER, s.Authority); err != nil {
			return e.postpone(ctx, s.Order, err)
		}
	}
	before := *s.Order
	err = e.db.Update(ctx, func(tx *store.Tx) error {
		*s.Order = before // the function may run again
		now := e.clock.Now()
		s.State, s.lease, s.Problem, s.sealedKey, s.der = Issued, time.Time{}, "", nil, cert.DER
		s.History = slices.Clone(before.History)
		s.note("ISSUE", "SUCCESS", now, "", "")
		if err := e.ca.Record(tx, cert); err != nil {
			return err
		}
		var err error
		switch {
		case offer != nil:
			if s.Handover, err = e.desk.Offer(tx, *offer); err != nil {
				return err
			}
			s.claimBy = now.Add(e.settings.LinkLife)
		case s.Mode == Bring:
			if err := e.desk.Attach(tx, s.Handover, s.CommonName+".pem", file); err != nil {
				return err
			}
		}
		if err := save(tx, s.Order, now); err != nil {
			return err
		}
		return e.record(tx, s.Order, "order.issue", map[string]string{"serial": s.Serial, "authority": s.Authority})
	})
	if err != nil {
		*s.Order = before
	}
	return err
}

// keyFile makes the encrypted file with key, certificate and chain, and its
// password (N16, N20, N22).
func (e *Engine) keyFile(ctx context.Context, s *step, cert *authority.Certificate) (*handover.Offer, error) {
	leaf, err := x509.ParseCertificate(cert.DER)
	if err != nil {
		return nil, err
	}
	chain, err := e.ca.ChainCertificates(ctx, s.Authority)
	if err != nil {
		return nil, err
	}
	password := secret.NewPassword(12)
	file, err := pkcs12.Encode(s.Spec.Profile, s.key, leaf, chain, password.Reveal(), s.CommonName)
	if err != nil {
		return nil, err
	}
	return &handover.Offer{
		Realm: string(s.Realm), Client: s.Client, Service: s.Service, OrderID: s.ID, Kind: handover.PKCS12, Title: s.CommonName,
		Recipient: s.Recipient.handover(), FileName: s.CommonName + ".p12", File: file, Password: password,
	}, nil
}

// PEM is a certificate with its chain, leaf first, without the root.
func (e *Engine) PEM(ctx context.Context, der []byte, issuer string) ([]byte, error) {
	chain, err := e.ca.ChainPEM(ctx, issuer)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), chain...), nil
}

// retryAfter is how long an order rests when something below is down.
const retryAfter = 5 * time.Second

// postpone keeps an order whose signing could not be done now, such as when an
// HSM does not answer: it stays in state Issue, says why, and the sweep tries
// again. Only a defect that will not heal fails it.
func (e *Engine) postpone(ctx context.Context, o *Order, cause error) error {
	if !errors.Is(cause, fault.Unavailable) && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return errors.Join(cause, e.fail(ctx, o, fault.Of(cause).Message))
	}
	before := *o
	err := e.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		*o = before
		now := e.clock.Now()
		o.Problem, o.lease = fault.Of(cause).Message, now.Add(retryAfter)
		o.History = slices.Clone(before.History)
		o.note("ISSUE", "RETRY", now, "", o.Problem)
		return save(tx, o, now)
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	return fault.Unavailablef(cause, "order.delayed", "The order %s is stored and will be issued as soon as its authority's key can be used.", o.ID).
		WithNext("There is no need to order again; look at the order in a moment.")
}

// fail ends an order. Its certificate may have been signed, so it is revoked
// rather than forgotten (A118).
func (e *Engine) fail(ctx context.Context, o *Order, why string) error {
	before := *o
	return e.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		*o = before
		now := e.clock.Now()
		if serial, err := hex.DecodeString(o.Serial); err == nil && len(serial) > 0 {
			if err := e.ca.Revoke(tx, o.Authority, serial, authority.CessationOfOperation); err != nil && !errors.Is(err, fault.Conflict) {
				return err
			}
		}
		if err := e.closeDelivery(tx, o, why); err != nil {
			return err
		}
		o.State, o.Problem, o.lease, o.sealedKey, o.claimBy = Failed, why, time.Time{}, nil, time.Time{}
		o.History = slices.Clone(before.History)
		o.note("FAILED", "FAILED", now, "", why)
		if err := save(tx, o, now); err != nil {
			return err
		}
		return e.record(tx, o, "order.fail", map[string]string{"why": why})
	})
}

func (e *Engine) closeDelivery(tx *store.Tx, o *Order, why string) error {
	if o.Handover == "" {
		return nil
	}
	_, err := e.desk.Close(tx, o.Handover, why)
	return err
}

func (e *Engine) record(tx *store.Tx, o *Order, action string, detail map[string]string) error {
	return e.audit.Append(tx, audit.Entry{Action: action, ObjectKind: "order", ObjectID: o.ID, Realm: string(o.Realm), Client: o.Client, Service: o.Service, Result: audit.OK, Detail: detail})
}
