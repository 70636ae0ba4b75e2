package wscert

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/goodkey"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// A Request is an order as it is placed.
type Request struct {
	Realm     access.Realm
	Service   string // name
	ShortName string // of the application that will use the certificate (N12)
	Orderer   string // id of the authorised person who receives it; may be empty in mode Direct
	Mode      Mode
	CSR       []byte // of mode Direct, PEM or DER
	Spec      Spec   // zero values take the defaults
	Comment   string
	// Within, unless nil, is called in the transaction that stores the order. An
	// error undoes the transaction and is what Create returns.
	Within func(tx *store.Tx, orderID string) error

	predecessor string
}

func (r Request) within(tx *store.Tx, o *Order) error {
	if r.Within == nil {
		return nil
	}
	return r.Within(tx, o.ID)
}

const maxComment = 2000

// Create places an order and takes it as far as it goes now: to a file waiting
// to be picked up, to the certificate itself, or to a wait for an approval.
//
// When the authority's key cannot be used at the moment, the order is returned
// together with a fault of kind Unavailable: it is stored and will be issued.
func (e *Engine) Create(ctx context.Context, s access.Scope, r Request) (*Order, error) {
	o, client, err := e.draft(ctx, s, r)
	if err != nil {
		return nil, err
	}
	if o.State == PendingAuth || o.State == PendingCSR {
		return o, e.db.Update(ctx, func(tx *store.Tx) error {
			if err := e.place(tx, o); err != nil {
				return err
			}
			return r.within(tx, o)
		})
	}
	st, err := e.prepare(ctx, o, client)
	if err != nil {
		return nil, err
	}
	if o.Mode == Direct && r.Within == nil {
		return e.issueDirect(ctx, st)
	}
	if err := e.db.Update(ctx, func(tx *store.Tx) error {
		if err := e.place(tx, o); err != nil {
			return err
		}
		if err := r.within(tx, o); err != nil {
			return err
		}
		return e.ca.Hold(tx, st.intent)
	}); err != nil {
		return nil, err
	}
	return o, e.finish(ctx, st)
}

// draft checks the request and fills in an order that is not stored yet.
func (e *Engine) draft(ctx context.Context, s access.Scope, r Request) (*Order, access.Client, error) {
	q := e.db.View(ctx)
	service, client, err := e.owners.find(q, r.Realm, r.Service, e.clock.Now())
	if err != nil {
		return nil, access.Client{}, err
	}
	if err := s.Require(access.CertificateOrder, service.Realm, service.Client); err != nil {
		return nil, access.Client{}, err
	}
	if service.Status != access.Active || client.Status != access.Active {
		return nil, client, fault.Conflictf("order.service_closed", "The service %q is closed; no certificates are issued for it.", service.Name)
	}
	now := e.clock.Now()
	o := &Order{
		ID: ident.New("ord"), Realm: service.Realm, Client: service.Client, Service: service.ID, ServiceName: service.Name,
		Mode: r.Mode, Spec: r.Spec, Comment: strings.TrimSpace(r.Comment), Predecessor: r.predecessor,
		CreatedBy: s.Principal().Name, Creator: s.Principal().ID, Created: now, Updated: now, version: 1,
	}
	if len(o.Comment) > maxComment {
		return nil, client, fault.Invalidf("order.comment", "The comment has %d characters; the limit is %d.", len(o.Comment), maxComment).WithField("comment")
	}
	if o.ShortName, o.CommonName, err = commonName(service.Name, r.ShortName); err != nil {
		return nil, client, err
	}
	if err := e.checkRecipient(q, s, o, r.Orderer); err != nil {
		return nil, client, err
	}
	if err := e.checkSpec(ctx, o, r.CSR); err != nil {
		return nil, client, err
	}
	o.note("NEW", "SUCCESS", now, o.CreatedBy, "")
	o.State = KeyValidation
	if e.settings.Approval {
		o.State = PendingAuth
		o.note("PENDING_AUTH", "WAITING", now, "", "needs the approval of another operator")
	} else if o.Mode == Bring {
		o.State = PendingCSR
	}
	return o, client, nil
}

// checkRecipient holds the order against the client's authorised persons (N13, N14).
func (e *Engine) checkRecipient(q store.Queryer, s access.Scope, o *Order, id string) error {
	if id == "" {
		if o.Mode == Direct {
			return nil
		}
		return fault.Invalidf("order.recipient", "An order needs the authorised person who will receive the certificate.").WithField("orderer")
	}
	p, err := access.AuthorisedOrderer(q, s, o.Client, id)
	if err != nil {
		return err
	}
	o.Recipient = Recipient{ID: p.ID, Name: p.Name, Email: p.Email, Mobile: p.Mobile, Language: p.Language}
	return nil
}

func (e *Engine) checkSpec(ctx context.Context, o *Order, request []byte) error {
	if o.Spec.Life == (Life{}) {
		o.Spec.Life = e.settings.Life
	}
	now := e.clock.Now()
	if end := o.Spec.Life.AddTo(now); !end.After(now) || end.After(e.settings.Life.AddTo(now)) {
		return fault.Invalidf("order.life", "A client certificate lives at most until %s.", e.settings.Life.AddTo(now).Format(time.DateOnly)).WithField("life")
	}
	switch o.Mode {
	case Generate:
		if o.Spec.Algorithm == "" {
			o.Spec.Algorithm = keys.P256
		}
		if _, err := keys.ParseAlgorithm(string(o.Spec.Algorithm)); err != nil {
			return err
		}
		switch o.Spec.Profile {
		case "":
			o.Spec.Profile = pkcs12.Modern
		case pkcs12.Modern, pkcs12.Legacy:
		default:
			return fault.Invalidf("order.profile", "There is no encryption %q for key files.", string(o.Spec.Profile)).WithField("profile")
		}
		return nil
	case Bring:
		return nil
	case Direct:
		spki, err := e.checkCSR(ctx, request)
		o.spki = spki
		return err
	}
	return fault.Invalidf("order.mode", "%q is not a way to order a certificate.", o.Mode).WithField("mode").WithNext("Use generate, bring or direct.")
}

// checkCSR verifies a request's proof of possession and its key. Only the key
// is taken from it: names come from the order.
func (e *Engine) checkCSR(ctx context.Context, request []byte) (spki []byte, err error) {
	r, err := csr.Parse(request)
	if err != nil {
		return nil, badRequest(err)
	}
	if err := goodkey.Default().Check(r.PublicKey); err != nil {
		var bad *goodkey.Error
		if errors.As(err, &bad) {
			return nil, fault.Invalidf("csr."+string(bad.Code), "The key in the request cannot be used: %s", bad.Error()).WithField("csr").WithNext("Make a new key and request.")
		}
		return nil, err
	}
	if e.settings.Known != nil {
		if err := e.settings.Known(ctx, r.SPKI, r.PublicKey); err != nil {
			return nil, err
		}
	}
	return slices.Clone(r.SPKI), nil
}

func badRequest(err error) error {
	var bad *csr.Error
	if errors.As(err, &bad) {
		return fault.Invalidf("csr."+string(bad.Code), "The certificate request cannot be used: %s", bad.Error()).WithField("csr")
	}
	return err
}

// place stores a new order, starts its delivery if it is to wait for the
// recipient's request, and records it.
func (e *Engine) place(tx *store.Tx, o *Order) error {
	if o.State == PendingCSR {
		if err := e.invite(tx, o); err != nil {
			return err
		}
	}
	if err := insert(tx, o); err != nil {
		return err
	}
	return e.record(tx, o, "order.create", map[string]string{"cn": o.CommonName, "mode": string(o.Mode), "recipient": o.Recipient.ID})
}

// invite sends link and one-time password to a recipient who brings a request.
func (e *Engine) invite(tx *store.Tx, o *Order) error {
	id, err := e.desk.Offer(tx, handover.Offer{
		Realm: string(o.Realm), Client: o.Client, Service: o.Service, OrderID: o.ID, Kind: handover.Certificate,
		Title: o.CommonName, Recipient: o.Recipient.handover(), FileName: o.CommonName + ".pem",
	})
	o.Handover, o.claimBy = id, e.clock.Now().Add(e.settings.LinkLife)
	return err
}

// Approve lets an order that waits for approval go on. Nobody approves an
// order that they placed themselves.
func (e *Engine) Approve(ctx context.Context, s access.Scope, id string) (*Order, error) {
	o, err := e.pending(ctx, s, id)
	if err != nil {
		return nil, err
	}
	client, err := access.FindClient(e.db.View(ctx), access.System("order"), o.Client)
	if err != nil {
		return nil, err
	}
	now := e.clock.Now()
	o.ApprovedBy = s.Principal().Name
	o.note("PENDING_AUTH", "SUCCESS", now, o.ApprovedBy, "approved")
	if o.Mode == Bring {
		o.State = PendingCSR
		return o, e.db.Update(ctx, func(tx *store.Tx) error {
			if err := e.invite(tx, o); err != nil {
				return err
			}
			if err := save(tx, o, now); err != nil {
				return err
			}
			return e.record(tx, o, "order.approve", nil)
		})
	}
	st, err := e.prepare(ctx, o, client)
	if err != nil {
		return nil, err
	}
	return e.run(ctx, st, "order.approve")
}

// run commits a prepared step of a stored order and finishes it.
func (e *Engine) run(ctx context.Context, st *step, action string) (*Order, error) {
	if err := e.db.Update(ctx, func(tx *store.Tx) error {
		if err := e.ca.Hold(tx, st.intent); err != nil {
			return err
		}
		if err := save(tx, st.Order, e.clock.Now()); err != nil {
			return err
		}
		return e.record(tx, st.Order, action, nil)
	}); err != nil {
		return nil, err
	}
	return st.Order, e.finish(ctx, st)
}

// Reject ends an order that waits for approval.
func (e *Engine) Reject(ctx context.Context, s access.Scope, id, why string) (*Order, error) {
	o, err := e.pending(ctx, s, id)
	if err != nil {
		return nil, err
	}
	now := e.clock.Now()
	o.State, o.Problem = Rejected, why
	o.note("PENDING_AUTH", "FAILED", now, s.Principal().Name, why)
	return o, e.db.Update(ctx, func(tx *store.Tx) error {
		if err := save(tx, o, now); err != nil {
			return err
		}
		return e.record(tx, o, "order.reject", map[string]string{"why": why})
	})
}

func (e *Engine) pending(ctx context.Context, s access.Scope, id string) (*Order, error) {
	o, err := e.Get(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if err := s.Require(access.CertificateApprove, o.Realm, o.Client); err != nil {
		return nil, err
	}
	if o.State != PendingAuth {
		return nil, fault.Conflictf("order.not_pending", "The order %s does not wait for approval; it is %s.", o.CommonName, o.State)
	}
	if o.Creator == s.Principal().ID {
		return nil, fault.Forbiddenf("order.four_eyes", "You placed this order yourself; somebody else must decide on it.")
	}
	return o, nil
}

// SubmitCSR takes the certificate request that the recipient brings on the
// pick-up page, and issues.
func (e *Engine) SubmitCSR(ctx context.Context, token, session string, request []byte) (*Order, error) {
	d, err := e.desk.Resume(ctx, token, session)
	if err != nil {
		return nil, err
	}
	o, err := e.get(ctx, d.OrderID)
	if err != nil {
		return nil, err
	}
	if o.State != PendingCSR {
		return nil, fault.Conflictf("order.has_request", "A certificate request was brought already.").WithNext("Reload the page to fetch the certificate.")
	}
	if o.spki, err = e.checkCSR(ctx, request); err != nil {
		return nil, err
	}
	client, err := access.FindClient(e.db.View(ctx), access.System("order"), o.Client)
	if err != nil {
		return nil, err
	}
	st, err := e.prepare(ctx, o, client)
	if err != nil {
		return nil, err
	}
	return e.run(ctx, st, "order.request")
}

// CompletePickup ends a delivery whose last byte has been sent: see
// [handover.Desk.Complete]. The order learns of it in the same transaction.
func (e *Engine) CompletePickup(ctx context.Context, d handover.Delivery, session string) error {
	o, err := e.get(ctx, d.OrderID)
	if err != nil {
		return err
	}
	before := *o
	return e.db.Update(ctx, func(tx *store.Tx) error {
		*o = before
		now := e.clock.Now()
		if err := e.desk.Complete(tx, d, session); err != nil {
			return err
		}
		o.Delivered, o.claimBy = now, time.Time{}
		o.History = slices.Clone(before.History)
		o.note("FINALIZE_ISSUANCE", "SUCCESS", now, o.Recipient.Name, "fetched by the recipient")
		return save(tx, o, now)
	})
}

// SendAgain sends a new link and one-time password for a file that has not
// been fetched; the earlier link no longer works.
func (e *Engine) SendAgain(ctx context.Context, s access.Scope, id string) (*Order, error) {
	o, err := e.Get(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if err := s.Require(access.CertificateOrder, o.Realm, o.Client); err != nil {
		return nil, err
	}
	if o.Handover == "" || o.claimBy.IsZero() {
		return nil, fault.Conflictf("order.nothing_to_fetch", "There is nothing to fetch for %s any more.", o.CommonName).WithNext("Order a new certificate.")
	}
	now := e.clock.Now()
	o.claimBy = now.Add(e.settings.LinkLife)
	o.note("NOTIFY", "SUCCESS", now, s.Principal().Name, "new link sent")
	return o, e.db.Update(ctx, func(tx *store.Tx) error {
		if err := e.desk.Renew(tx, o.Handover); err != nil {
			return err
		}
		return save(tx, o, now)
	})
}

// Reissue orders the same certificate again for the same person, such as when
// the file was lost (N32, N36). Both certificates work until the first ends or
// is withdrawn (N33).
func (e *Engine) Reissue(ctx context.Context, s access.Scope, id string) (*Order, error) {
	r, err := e.ReissueRequest(ctx, s, id)
	if err != nil {
		return nil, err
	}
	return e.Create(ctx, s, r)
}

// ReissueRequest is the request that [Engine.Reissue] places, for callers who
// have something to add to it.
func (e *Engine) ReissueRequest(ctx context.Context, s access.Scope, id string) (Request, error) {
	o, err := e.Get(ctx, s, id)
	if err != nil {
		return Request{}, err
	}
	if o.Mode == Direct {
		return Request{}, fault.Conflictf("order.direct", "The certificate %s was made from a request.", o.CommonName).WithNext("Order a new one with a new request.")
	}
	return Request{Realm: o.Realm, Service: o.ServiceName, ShortName: o.ShortName, Orderer: o.Recipient.ID, Mode: o.Mode, Spec: o.Spec, Comment: o.Comment, predecessor: o.ID}, nil
}

// Withdraw revokes the certificate of an order (N29, N30). From the commit on
// no service accepts it. A file that was not fetched is erased.
func (e *Engine) Withdraw(ctx context.Context, s access.Scope, id string, reason authority.Reason) (*Order, error) {
	o, err := e.Get(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if err := s.Require(access.CertificateRevoke, o.Realm, o.Client); err != nil {
		return nil, err
	}
	if o.State != Issued {
		return nil, fault.Conflictf("order.not_issued", "The order %s is %s; there is no certificate to withdraw.", o.CommonName, o.State)
	}
	before := *o
	err = e.db.Update(ctx, func(tx *store.Tx) error {
		*o = before
		o.History = slices.Clone(before.History)
		return e.withdraw(tx, o, reason, s.Principal().Name, "withdrawn")
	})
	return o, err
}

// withdraw ends an order and revokes its certificate, the order first: the
// authority's news of it then finds nothing left to do.
func (e *Engine) withdraw(tx *store.Tx, o *Order, reason authority.Reason, by, why string) error {
	serial, err := hex.DecodeString(o.Serial)
	if err != nil {
		return err
	}
	if err := e.end(tx, o, reason, by, why); err != nil {
		return err
	}
	return e.ca.Revoke(tx, o.Authority, serial, reason)
}

// end writes what becomes of an order whose certificate is revoked.
func (e *Engine) end(tx *store.Tx, o *Order, reason authority.Reason, by, why string) error {
	now := e.clock.Now()
	if err := e.closeDelivery(tx, o, why); err != nil {
		return err
	}
	o.State, o.claimBy, o.sealedKey = Revoked, time.Time{}, nil
	o.note("REVOKED", "SUCCESS", now, by, why+", reason "+reason.String())
	if err := save(tx, o, now); err != nil {
		return err
	}
	if err := e.tellWithdrawn(tx, o, why); err != nil {
		return err
	}
	return e.record(tx, o, "order.withdraw", map[string]string{"reason": reason.String(), "why": why})
}

// Follow ends the order of a certificate that somebody else than this package
// revoked, such as everything with a compromised key. It is called in that
// transaction (authority.Authorities.OnChange).
func (e *Engine) Follow(tx *store.Tx, c authority.Record) error {
	if c.Kind != kind || c.Status != authority.CertRevoked {
		return nil
	}
	o, err := scan(tx.QueryRow(`SELECT `+columns+` FROM wscert_orders WHERE id = $1 AND serial = $2 AND state = 'ISSUED'`, c.OrderID, authority.SerialText(c.Serial)))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.end(tx, o, c.Reason, "", "revoked by the authority")
}
