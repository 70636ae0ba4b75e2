package house

import (
	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

// notices tells people of what the engine does, in the words of package notice.
type notices struct{ h *House }

// occasions are the engine's events as package notice knows them.
var occasions = map[order.Event]notice.Event{
	order.EventIssued: notice.Issued, order.EventRevoked: notice.Revoked, order.EventRevokeLink: notice.RevocationCode, order.EventRenewalDue: notice.RenewalDue, order.EventRenewalLink: notice.RenewalLink,
	order.EventApproval: notice.ApprovalWanted, order.EventApproved: notice.ApprovalAccepted, order.EventRejected: notice.ApprovalRejected,
	order.EventExpiry: notice.ExpiryReminder, order.EventFileReady: notice.P12Ready, order.EventPINLink: notice.PINLink, order.EventPIN: notice.P12PIN,
	order.EventFailed: notice.OrderFailed, order.EventDomainPending: notice.DomainPending, order.EventKeyRecovered: notice.KeyRecovered,
}

// additionalKinds are the kinds of additional recipients.
var additionalKinds = map[string]notice.Kind{
	"issuance": notice.Issuance, "revocation": notice.Revocation, "renewal": notice.Renewal, "recovery": notice.Recovery,
	"domain": notice.DNSCAB, "authorization": notice.Authorization, "authorization-accepted": notice.AuthorizationAccepted, "authorization-rejected": notice.AuthorizationRejected,
}

// Send implements [order.Notices].
func (n notices) Send(tx *store.Tx, x order.Notice) error {
	o := x.Order
	occasion := notice.Occasion{
		Event: occasions[x.Event], Realm: o.Realm, Client: o.Client, Product: o.Product, ObjectID: o.ID, Round: x.Data["run"], Actor: o.Creator,
		Successor: o.Successor, SwitchedOff: switchedOff(x.Product, x.Event),
		Data: notice.Data{
			Name: o.CommonName, Serial: o.Serial, NotBefore: o.NotBefore, NotAfter: o.NotAfter, Order: o.ID, Product: o.ProductName,
			Actor: x.Data["by"], Reason: x.Data["reason"], Link: x.Data["link"], Domain: x.Data["domain"], Token: x.Data["token"],
		},
	}
	if x.Secret {
		occasion.Data.Link = ""
		occasion.Secret = secret.New(x.Data["link"] + x.Data["pin"])
	}
	if x.Event == order.EventPIN {
		// Never by the way that the file's link went.
		occasion.Recipients = append(occasion.Recipients, notice.Recipient{Kind: notice.Subscriber, Mobile: x.Mobile, Language: notice.ParseLanguage(x.Language)})
	} else if x.Holder != "" {
		occasion.Recipients = append(occasion.Recipients, notice.Recipient{Kind: notice.Subscriber, Email: x.Holder, Language: notice.ParseLanguage(x.Language)})
	}
	if !x.Secret {
		for _, r := range x.Additional {
			occasion.Recipients = append(occasion.Recipients, notice.Recipient{Kind: additionalKinds[r.Kind], Email: r.Email, Language: notice.ParseLanguage(r.Language)})
		}
		operators, err := n.operators(tx, x)
		if err != nil {
			return err
		}
		occasion.Recipients = append(occasion.Recipients, operators...)
	}
	_, err := n.h.Notices.Send(tx, occasion)
	return err
}

// switchedOff tells what the product does not want to be told.
func switchedOff(p *product.Product, e order.Event) bool {
	if p == nil {
		return false
	}
	rules := p.Definition.Rules.Notify
	return e == order.EventIssued && !rules.Issuance || e == order.EventRevoked && !rules.Revocation || e == order.EventExpiry && !rules.Expiry
}

// operators are those who look after the client and want to hear of it (A101).
func (n notices) operators(tx *store.Tx, x order.Notice) ([]notice.Recipient, error) {
	switch x.Event {
	case order.EventExpiry, order.EventRenewalDue, order.EventApproval, order.EventFailed, order.EventDomainPending:
	default:
		return nil, nil
	}
	list, err := n.h.Access.Notified(tx.Context(), x.Order.Realm, x.Order.Client)
	var out []notice.Recipient
	for _, address := range list {
		out = append(out, notice.Recipient{Kind: notice.Operators, Email: address})
	}
	return out, err
}
