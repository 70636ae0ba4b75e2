// Package domainval proves that an applicant controls the names that a
// certificate is to hold: domain names, IP addresses and mailboxes. It also
// asks the CAA records whether we may issue at all.
//
// Clients validate domains ahead of time ([Desk.Add]); one that is valid covers
// the names below it (A182). An order that needs names calls [Desk.Begin] in
// its own transaction, which uses evidence that is fresh enough and opens a
// validation for every other name. [Desk.Check] looks at once, [Desk.Sweep]
// every hour (A191); when the last name of an order is settled, Options.OnDone
// is called in the transaction that settles it. [Desk.CheckCAA] and
// [Desk.BeginMail] do the same for CAA and for mailboxes.
//
// What the rules of the trade say stands in rules.go with the days on which it
// changes. Everything that was seen is kept as evidence with the clause, the
// version of the rules, the time, and what each network perspective found.
//
// Nobody is believed without a look: the primary perspective validates DNSSEC,
// and for publicly trusted certificates a quorum of remote perspectives must
// see the same ([perspective], TLS BR 3.2.2.9).
package domainval

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Perspective looks at the network from one place.
type Perspective interface {
	Place() perspective.Place
	Look(ctx context.Context, q perspective.Question) (perspective.Observation, error)
}

// Sender puts messages into the outbox.
type Sender interface {
	Send(tx *store.Tx, m outbox.Message) (string, error)
}

// Auditor records acts.
type Auditor interface {
	Append(tx *store.Tx, e audit.Entry) error
}

// Settings are what an operator decides.
type Settings struct {
	TokenPrefix string   // before the random value in DNS and files, as "prefix=value"; empty is "swiss-pki"
	Label       string   // underscore label under which a TXT record may stand too; empty is "_pki-validation"
	Issuers     []string // the authority's names in CAA and persistent records; its CPS lists them

	// AccountURI names a client's account in CAA and persistent records (RFC
	// 8657). Nil means that there are no such URIs: a record that asks for one
	// refuses, and the persistent method is not offered.
	AccountURI func(realm access.Realm, client string) string

	// RequireMPIC has publicly trusted names looked at from the number of
	// remote perspectives that the rules ask for. Without it no certificate may
	// be called publicly trusted outside of tests; evidence that was got
	// without it does not count once it is on.
	RequireMPIC bool

	// PermitUnreachableCAA uses the permission of TLS BR 4.2.2.1 to issue when
	// the CAA records of a zone that is proven to be unsigned cannot be had,
	// the fault is not ours, and it was tried twice. Without it, that refuses.
	PermitUnreachableCAA bool
}

// Options are what a [Desk] stands on.
type Options struct {
	DB      *store.DB
	Clock   clock.Clock
	Audit   Auditor
	Outbox  Sender
	Primary Perspective
	Remotes []Perspective
	// Link makes the address of the page on which a link is confirmed.
	Link func(realm access.Realm, token string) string
	// OnDone is called in the transaction that settles the last open name or
	// mailbox of an order, or makes one of them fail. It may be called again
	// for the same order. Nil is allowed.
	OnDone   func(tx *store.Tx, order string) error
	Log      *slog.Logger // nil discards
	Settings Settings
}

// A Desk is where control is shown. Build it with [New]; its methods may be
// called from any goroutine and by several nodes at once.
type Desk struct {
	db      *store.DB
	clock   clock.Clock
	audit   Auditor
	outbox  Sender
	primary Perspective
	remotes []Perspective
	link    func(realm access.Realm, token string) string
	onDone  func(tx *store.Tx, order string) error
	log     *slog.Logger
	set     Settings
}

// New opens the desk. It refuses perspectives that are not distinct, and a
// prefix or label that could not stand in the DNS.
func New(o Options) (*Desk, error) {
	if o.Settings.TokenPrefix == "" {
		o.Settings.TokenPrefix = "swiss-pki"
	}
	if o.Settings.Label == "" {
		o.Settings.Label = "_pki-validation"
	}
	if strings.ContainsFunc(o.Settings.TokenPrefix, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return nil, errors.New("the prefix of the random values holds a character that does not go into a TXT record")
	}
	if label := o.Settings.Label; label[0] != '_' || len(label) > 63 || strings.Trim(label[1:], "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return nil, errors.New("the label for TXT records must begin with an underscore (TLS BR 3.2.2.4.7) and hold lower-case letters, digits and hyphens")
	}
	places := []perspective.Place{o.Primary.Place()}
	for _, r := range o.Remotes {
		places = append(places, r.Place())
	}
	if o.Settings.RequireMPIC {
		if err := perspective.CheckPlaces(places); err != nil {
			return nil, err
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnDone == nil {
		o.OnDone = func(*store.Tx, string) error { return nil }
	}
	return &Desk{
		db: o.DB, clock: o.Clock, audit: o.Audit, outbox: o.Outbox, primary: o.Primary, remotes: o.Remotes,
		link: o.Link, onDone: o.OnDone, log: o.Log, set: o.Settings,
	}, nil
}

// value is how a random value is published.
func (d *Desk) value(token string) string { return d.set.TokenPrefix + "=" + token }

func (d *Desk) account(realm access.Realm, client string) string {
	if d.set.AccountURI == nil {
		return ""
	}
	return d.set.AccountURI(realm, client)
}
