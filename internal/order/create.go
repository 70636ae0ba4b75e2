package order

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/lint"
)

// A Request places an order.
type Request struct {
	Client  string // id of the client that it is for
	Product string // "pma-…"
	CSR     []byte // PEM, DER or base64; empty when the key is made here
	Asked
	Origin     Origin
	Owner      string // who looks after the certificate; free text
	Tags       []string
	Recipients []Recipient // to be told beside those whom the product names
	Comment    string
	Papers     []Paper // documents that the product asks for
	Terms      bool    // the terms were accepted, where the product has any
	// Later returns as soon as the order is durable, and a worker goes on. Without
	// it the order is taken as far as it goes by itself.
	Later bool

	predecessor string
}

// Asked is what a request says of the certificate; it is kept with the order.
type Asked struct {
	SubjectDN  string                    `json:"subjectDN,omitempty"`
	Fields     map[string][]string       `json:"fields,omitempty"`
	DNS        []product.DNSName         `json:"dns,omitempty"`
	Email      []string                  `json:"email,omitempty"`
	UPN        []string                  `json:"upn,omitempty"`
	IP         []string                  `json:"ip,omitempty"`
	URI        []string                  `json:"uri,omitempty"`
	Validity   int                       `json:"validity,omitempty"`
	NotBefore  time.Time                 `json:"notBefore,omitzero"`
	Extensions product.RequestExtensions `json:"extensions,omitzero"`
	Generation product.Generation        `json:"generation,omitempty"`
	Lookup     map[string]string         `json:"lookup,omitempty"`   // what to look for in the product's data source (A77)
	Publish    *bool                     `json:"publish,omitempty"`  // nil: as the product says
	Language   string                    `json:"language,omitempty"` // of messages to the holder
	Mobile     string                    `json:"mobile,omitempty"`   // of the holder, for a PIN that is made here
	Holder     string                    `json:"holder,omitempty"`   // e-mail of the holder, where the certificate names none

	// AwaitCSR is a renewal that waits for its request. It is the engine's own mark;
	// what an order says of it is not looked at.
	AwaitCSR bool `json:"awaitCSR,omitempty"`
	// Records are what the data source had when the order was placed; the engine
	// fills them in.
	Records product.Rows `json:"records,omitempty"`
}

// asked is what the product's policy looks at.
func (w *work) asked() (product.Request, error) {
	a := w.Request
	r := product.Request{
		CSR:       w.parsed,
		SubjectDN: a.SubjectDN, Fields: a.Fields, DNS: a.DNS, Email: a.Email, UPN: a.UPN, IP: a.IP, URI: a.URI,
		Validity: a.Validity, NotBefore: a.NotBefore, Extensions: a.Extensions, KeyGeneration: a.Generation,
	}
	if r.CSR == nil && len(w.csr) > 0 {
		var err error
		if w.parsed, err = parseCSR(w.csr); err != nil {
			return r, err
		}
		r.CSR = w.parsed
	}
	return r, nil
}

// Evidence is what the checks of an order found, kept with it for good.
type Evidence struct {
	Names      []string               `json:"names,omitempty"` // that the order is found by
	CAAUntil   time.Time              `json:"caaUntil,omitzero"`
	Lint       *lint.Report           `json:"lint,omitempty"`
	PostLint   *lint.Report           `json:"postLint,omitempty"`
	CT         []transparency.Attempt `json:"ct,omitempty"`
	SCTs       []ct.SCT               `json:"scts,omitempty"`
	Precert    []byte                 `json:"precert,omitempty"` // signed, as the logs saw it, in DER
	ApprovedBy string                 `json:"approvedBy,omitempty"`
	AmendedBy  string                 `json:"amendedBy,omitempty"` // who changed the request before it was approved
	Attempts   int                    `json:"attempts,omitempty"`  // failed runs of the present step
}

// A Recipient is told of an event beside those whom the product names.
type Recipient struct {
	Kind     string `json:"kind"` // see [product.RecipientKinds]
	Email    string `json:"email"`
	Language string `json:"language,omitempty"` // EN, FR, DE or NEUTRAL, and more
}

// Create places an order and takes it as far as it goes by itself: to its
// certificate, or to a wait that the order tells of. A request that the product's
// policy refuses, a malformed one, or one with a bad key makes no order; the
// fault names the field.
func (e *Engine) Create(ctx context.Context, s access.Scope, r Request) (*Order, error) {
	r.AwaitCSR = false
	w, err := e.draft(ctx, s, r)
	if err != nil {
		return nil, err
	}
	if w.extras.documents, err = e.storePapers(ctx, w.CreatorName, r.Papers); err != nil {
		return nil, err
	}
	if r.Later {
		w.due = e.Clock.Now()
		err = e.commit(ctx, w, func(tx *store.Tx) error {
			if e.Queue != nil {
				tx.AfterCommit(func() { e.Queue.Wake(Lane) })
			}
			return nil
		})
	} else {
		err = e.run(ctx, w)
	}
	if errors.Is(err, store.ErrExists) && w.Predecessor != "" {
		return nil, errRenewing(w.CommonName)
	}
	if err != nil {
		return nil, err
	}
	return w.Order, nil
}

// Check tells whether a request would be taken, and gives what its certificate
// would hold. Nothing is stored.
func (e *Engine) Check(ctx context.Context, s access.Scope, r Request) (*product.Profile, error) {
	r.AwaitCSR = false
	w, err := e.draft(ctx, s, r)
	if err != nil {
		return nil, err
	}
	return w.profile, nil
}

// draft checks a request and makes the order of it, in memory.
func (e *Engine) draft(ctx context.Context, s access.Scope, r Request) (*work, error) {
	client, err := access.FindClient(e.DB.View(ctx), access.System("order"), r.Client)
	if err != nil {
		return nil, err
	}
	if err := s.Require(access.CertificateOrder, client.Realm, client.ID); err != nil {
		return nil, err
	}
	p, err := e.Products.For(ctx, client.Realm, client.ID, r.Product)
	if err != nil {
		return nil, err
	}
	if err := r.check(p); err != nil {
		return nil, err
	}
	if r.Origin != FromRenewal {
		if err := checkPapers(p, r.Papers); err != nil {
			return nil, err
		}
	}
	now, principal := e.Clock.Now(), s.Principal()
	w := &work{product: p, Order: &Order{
		ID: ident.New("ord"), Realm: client.Realm, Client: client.ID, Product: p.ID, ProductVersion: p.Version, ProductName: p.Name,
		State: New, Origin: r.Origin, Owner: r.Owner, Creator: principal.ID, CreatorName: principal.Name, Predecessor: r.predecessor,
		Created: now, Updated: now, Request: r.Asked,
	}}
	if w.Request.Records, err = e.records(ctx, p, r.Lookup); err != nil {
		return nil, err
	}
	w.extras = extras{tags: r.Tags, recipients: r.Recipients, comment: r.Comment}
	if w.Origin == "" {
		w.Origin = FromAPI
	}
	if err := e.takeCSR(w, r.CSR); err != nil {
		return nil, err
	}
	if w.Request.AwaitCSR {
		return w, nil
	}
	return w, e.decide(ctx, w)
}

// takeCSR reads the customer's request, whose proof of possession is verified.
func (e *Engine) takeCSR(w *work, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	r, err := parseCSR(data)
	if err != nil {
		return err
	}
	w.csr, w.spki, w.parsed = r.Raw, r.SPKI, r
	w.Request.AwaitCSR = false
	return nil
}

// decide resolves the product's policy and checks a key that came with the
// order, so that what is wrong is told at once and not by a failed order.
func (e *Engine) decide(ctx context.Context, w *work) error {
	r, err := w.asked()
	if err != nil {
		return err
	}
	if w.profile, err = w.product.Resolve(r, e.Clock.Now(), w.Request.Records); err != nil {
		return err
	}
	w.CommonName, w.Subject, w.Evidence.Names = w.profile.CommonName, w.profile.SubjectText, w.profile.Search
	w.Request.Generation = w.profile.Generation
	if w.Request.Generation == product.PKCS12WithCAPIN && w.Request.Mobile == "" {
		return fault.Invalidf("order.mobile_missing", "The PIN of the key file goes by SMS, so that it does not travel with the file; the order names no mobile number.").WithField("mobile")
	}
	if w.Request.Generation == product.GeneratedHSM {
		return fault.Conflictf("order.hsm", "The product %q has its keys made in a security module of the authority, which is not set up here.", w.product.Name)
	}
	if len(w.spki) == 0 {
		return nil
	}
	w.keyText, err = e.checkKey(ctx, w)
	return err
}

var mobileNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// limits of what comes with an order.
const (
	maxTags       = 50
	maxTag        = 100
	maxRecipients = 50
	maxComment    = 10_000
)

func (r *Request) check(p *product.Product) error {
	r.Tags, r.Recipients = slices.Clone(r.Tags), slices.Clone(r.Recipients) // the caller's stay as they are
	for i, t := range r.Tags {
		r.Tags[i] = strings.TrimSpace(t)
		if r.Tags[i] == "" || len(r.Tags[i]) > maxTag {
			return fault.Invalidf("order.tag", "A tag has 1 to %d bytes.", maxTag).WithField("tags")
		}
	}
	slices.Sort(r.Tags)
	r.Tags = slices.Compact(r.Tags)
	switch {
	case len(r.Tags) > maxTags:
		return fault.Invalidf("order.tags", "An order has at most %d tags.", maxTags).WithField("tags")
	case len(r.Recipients) > maxRecipients:
		return fault.Invalidf("order.recipients", "An order has at most %d additional recipients.", maxRecipients).WithField("recipients")
	case len(r.Comment) > maxComment:
		return fault.Invalidf("order.comment", "A comment has at most %d bytes.", maxComment).WithField("comment")
	case len(r.Owner) > 200:
		return fault.Invalidf("order.owner", "The owner has at most 200 bytes.").WithField("owner")
	case !p.Definition.Rules.API && (r.Origin == FromAPI || r.Origin == ""):
		return fault.Conflictf("order.api_off", "The product %q is not ordered by programs.", p.Name).WithNext("Order it on the pages, or change the product.")
	case r.Mobile != "" && !mobileNumber.MatchString(r.Mobile):
		return fault.Invalidf("order.mobile", "%q is not a mobile number in international form, such as +4512345678.", r.Mobile).WithField("mobile")
	case p.Definition.Rules.Terms && !r.Terms && r.Origin != FromRenewal:
		return fault.Invalidf("order.terms", "The product %q has terms that must be accepted.", p.Name).WithField("terms")
	case r.Publish != nil && !p.Definition.Rules.Publication.Override:
		return fault.Invalidf("order.publish", "The product %q decides on publication itself.", p.Name).WithField("publish")
	}
	for i := range r.Recipients {
		if err := r.Recipients[i].check(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recipient) check(p *product.Product) error {
	if !slices.Contains(p.Definition.Rules.Notify.Additional, r.Kind) {
		return fault.Invalidf("order.recipient_kind", "The product %q takes no additional recipients of the kind %q.", p.Name, r.Kind).WithField("recipients")
	}
	a, err := mail.ParseAddress(r.Email)
	if err != nil || a.Name != "" || len(r.Email) > 254 {
		return fault.Invalidf("order.recipient_email", "%q is not an e-mail address.", r.Email).WithField("recipients")
	}
	return nil
}

func describeKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "key"
}
