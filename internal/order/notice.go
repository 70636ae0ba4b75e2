package order

import (
	"strings"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

// An Event is what a notice tells of.
type Event string

// The events, named as package notice does.
const (
	EventIssued        Event = "issued"
	EventRevokeLink    Event = "revocation_code"
	EventRevoked       Event = "revoked"
	EventRenewalDue    Event = "renewal_due"
	EventRenewalLink   Event = "renewal_link"
	EventApproval      Event = "approval_wanted"
	EventApproved      Event = "approval_accepted"
	EventRejected      Event = "approval_rejected"
	EventExpiry        Event = "expiry_reminder"
	EventFileReady     Event = "p12_ready"
	EventPINLink       Event = "pin_link"
	EventPIN           Event = "p12_pin_sent"
	EventFailed        Event = "order_failed"
	EventKeyRecovered  Event = "key_recovered"
	EventDomainPending Event = "domain_pending"
)

// A Notice tells people of an event, in the transaction of the event.
type Notice struct {
	Event      Event
	Order      *Order
	Product    *product.Product
	Holder     string      // e-mail of the certificate's holder, if there is one
	Mobile     string      // of the holder, for [EventPIN] alone
	Language   string      // of the holder
	Additional []Recipient // for this kind of event
	Data       map[string]string
	Key        string // the same notice is sent once
	Secret     bool   // Data holds a link or a PIN: it goes to the holder alone
}

// recipientKinds says which additional recipients hear of an event.
var recipientKinds = map[Event]string{
	EventIssued: "issuance", EventRevoked: "revocation", EventRenewalDue: "renewal", EventExpiry: "renewal", EventKeyRecovered: "recovery",
	EventDomainPending: "domain", EventApproval: "authorization", EventApproved: "authorization-accepted", EventRejected: "authorization-rejected",
}

// secretEvents carry what only the holder may have.
var secretEvents = map[Event]bool{EventRevokeLink: true, EventRenewalLink: true, EventFileReady: true, EventPINLink: true, EventPIN: true}

// tell sends a notice of an event, once for each of its runs.
func (e *Engine) tell(tx *store.Tx, w *work, ev Event, data map[string]string) error {
	if e.Notices == nil {
		return nil
	}
	n := Notice{
		Event: ev, Order: w.Order, Product: w.product, Holder: holderOf(w), Mobile: w.Request.Mobile, Language: w.Request.Language, Data: data, Secret: secretEvents[ev],
		Key: string(ev) + "/" + w.ID,
	}
	if id := data["run"]; id != "" {
		n.Key += "/" + id
	}
	if k := recipientKinds[ev]; k != "" {
		var err error
		if n.Additional, err = e.recipients(tx, w.ID, k); err != nil {
			return err
		}
	}
	return e.Notices.Send(tx, n)
}

// holderOf is the address to which links for the certificate's holder go: the
// first mailbox that the certificate names (A96), or the one that the order says
// (A100).
func holderOf(w *work) string {
	if mail := mailboxOf(w); mail != "" {
		return mail
	}
	return w.Request.Holder
}

// mailboxOf is the first mailbox that the certificate names, or empty.
func mailboxOf(w *work) string {
	if w.profile != nil && len(w.profile.Mailboxes) > 0 {
		return w.profile.Mailboxes[0]
	}
	for _, n := range w.Evidence.Names {
		if local, domain, ok := strings.Cut(n, "@"); ok && local != "" && domain != "" {
			return n
		}
	}
	return ""
}
