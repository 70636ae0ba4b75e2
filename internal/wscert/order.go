// Package wscert takes orders for the client certificates of web services from
// request to hand-over and beyond: approval, issuing, delivery, reminders,
// withdrawal. Orders for products of the managed PKI are package order's.
//
// The row of an order is its truth. Each step computes what it can in memory
// and then commits once: the new state, the history entry, the audit entry and
// the outgoing messages together. The only door into issuing is a
// compare-and-set on the order's version, so that two workers or eight
// simultaneous requests yield one certificate. An order that was being worked
// on when its node died carries a lease that runs out; [Engine.Sweep] then
// takes it up with the same code that serves the happy path.
package wscert

import (
	"encoding/json"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// A State is where an order stands (requirements A107 to A121). Orders for
// client certificates pass through these.
type State string

// The states. An order that has left PendingAuth and PendingCSR moves by
// itself until it is Issued, Rejected or Failed.
const (
	PendingAuth   State = "PENDING_AUTH"        // waits for an approval
	PendingCSR    State = "PENDING_CSR_RENEWAL" // waits for the recipient's certificate request
	KeyValidation State = "KEY_VALIDATION"      // is to get its key, serial number and TBSCertificate
	Issue         State = "ISSUE"               // serial number and TBSCertificate are durable; to be signed
	Issued        State = "ISSUED"
	Revoked       State = "REVOKED"
	Rejected      State = "REJECTED"
	Failed        State = "FAILED"
)

// A Mode says where the key comes from and how the result travels.
type Mode string

// The modes.
const (
	Generate Mode = "generate" // key made here; encrypted file handed over once (N16)
	Bring    Mode = "bring"    // the recipient brings a request on the pick-up page
	Direct   Mode = "direct"   // the request came with the order; the certificate is in the answer
)

// A Spec is what was asked for.
type Spec struct {
	Algorithm keys.Algorithm `json:"algorithm,omitempty"` // of a key made here
	Profile   pkcs12.Profile `json:"profile"`             // of the key file
	Life      Life           `json:"life"`
}

// A Life is how long a certificate is valid, in calendar units.
type Life struct {
	Years  int `json:"years,omitempty"`
	Months int `json:"months,omitempty"`
	Days   int `json:"days,omitempty"`
}

// AddTo is when a life that begins at t ends.
func (l Life) AddTo(t time.Time) time.Time { return t.AddDate(l.Years, l.Months, l.Days) }

// An Event is one line of an order's history: a job of requirement A136.
type Event struct {
	Name   string    `json:"name"`
	State  string    `json:"state"` // SUCCESS, FAILED, RETRY or WAITING (A138 to A145)
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// An Order is a certificate order.
type Order struct {
	ID          string
	Realm       access.Realm
	Client      string
	Service     string
	ServiceName string
	ShortName   string // as it stands in the certificate's name (N12)
	CommonName  string
	State       State
	Mode        Mode
	Spec        Spec
	Recipient   Recipient
	Authority   string
	Serial      string // lower-case hex; empty before Issue
	NotBefore   time.Time
	NotAfter    time.Time
	Handover    string // id of the delivery, if there is one
	Delivered   time.Time
	Predecessor string
	CreatedBy   string // name of the principal
	Creator     string // its id
	ApprovedBy  string
	Comment     string
	Problem     string // why it failed or waits
	History     []Event
	Created     time.Time
	Updated     time.Time

	der       []byte // of the certificate, when this process has just issued it
	sealedKey []byte
	spki      []byte
	version   int64
	claimBy   time.Time
	lease     time.Time
}

// A Recipient is the authorised person behind an order, as recorded when it
// was placed (N13).
type Recipient struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"`
	Mobile   string `json:"mobile,omitempty"`
	Language string `json:"language,omitempty"`
}

func (r Recipient) handover() handover.Recipient {
	return handover.Recipient{Name: r.Name, Email: r.Email, Mobile: r.Mobile, Language: r.Language}
}

// Claim is until when the recipient can fetch the file; zero when there is
// nothing to fetch any more.
func (o *Order) Claim() time.Time { return o.claimBy }

// Expired tells whether an issued certificate is past its life.
func (o *Order) Expired(now time.Time) bool { return o.State == Issued && now.After(o.NotAfter) }

// note adds a line to the history, which keeps the latest hundred.
func (o *Order) note(name, state string, at time.Time, by, detail string) {
	o.History = append(o.History, Event{name, state, at, by, detail})
	if len(o.History) > 100 {
		o.History = append(o.History[:1:1], o.History[len(o.History)-99:]...)
	}
}

const columns = `id, realm, client, service, service_name, slug, cn, state, mode, spec, recipient, sealed_key, spki, authority, serial, not_before, not_after,
	handover, delivered_at, predecessor, created_by, creator, approved_by, comment, problem, history, version, lease, claim_by, created_at, updated_at`

func scan(r interface{ Scan(...any) error }) (*Order, error) {
	var o Order
	var spec, recipient, history string
	var from, to, delivered, lease, claim, created, updated int64
	if err := r.Scan(&o.ID, &o.Realm, &o.Client, &o.Service, &o.ServiceName, &o.ShortName, &o.CommonName, &o.State, &o.Mode, &spec, &recipient, &o.sealedKey, &o.spki,
		&o.Authority, &o.Serial, &from, &to, &o.Handover, &delivered, &o.Predecessor, &o.CreatedBy, &o.Creator, &o.ApprovedBy, &o.Comment, &o.Problem,
		&history, &o.version, &lease, &claim, &created, &updated); err != nil {
		return nil, err
	}
	o.NotBefore, o.NotAfter, o.Delivered = store.Time(from), store.Time(to), store.Time(delivered)
	o.lease, o.claimBy = store.Time(lease), store.Time(claim)
	o.Created, o.Updated = store.Time(created), store.Time(updated)
	for text, into := range map[string]any{spec: &o.Spec, recipient: &o.Recipient, history: &o.History} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return nil, err
		}
	}
	return &o, nil
}

func insert(tx *store.Tx, o *Order) error {
	spec, recipient, history := encode(o)
	_, err := tx.Exec(`INSERT INTO wscert_orders (id, realm, client, service, service_name, slug, cn, search, state, mode, spec, recipient, sealed_key, spki, authority, serial,
			not_before, not_after, predecessor, created_by, creator, comment, history, version, lease, handover, claim_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $28)`,
		o.ID, string(o.Realm), o.Client, o.Service, o.ServiceName, o.ShortName, o.CommonName, searchKey(o.CommonName), string(o.State), string(o.Mode), spec, recipient, o.sealedKey, o.spki,
		o.Authority, o.Serial, store.Micros(o.NotBefore), store.Micros(o.NotAfter), o.Predecessor, o.CreatedBy, o.Creator, o.Comment, history, o.version, store.Micros(o.lease),
		o.Handover, store.Micros(o.claimBy), store.Micros(o.Created))
	return err
}

// save writes the order if nobody changed it since it was read. It is the
// compare-and-set that every step ends in.
func save(tx *store.Tx, o *Order, now time.Time) error {
	spec, recipient, history := encode(o)
	n, err := tx.Exec(`UPDATE wscert_orders SET state = $1, spec = $2, recipient = $3, sealed_key = $4, spki = $5, authority = $6, serial = $7, not_before = $8, not_after = $9,
			handover = $10, delivered_at = $11, approved_by = $12, comment = $13, problem = $14, history = $15, version = version + 1, lease = $16,
			claim_by = $17, updated_at = $18 WHERE id = $19 AND version = $20`,
		string(o.State), spec, recipient, o.sealedKey, o.spki, o.Authority, o.Serial, store.Micros(o.NotBefore), store.Micros(o.NotAfter),
		o.Handover, store.Micros(o.Delivered), o.ApprovedBy, o.Comment, o.Problem, history, store.Micros(o.lease),
		store.Micros(o.claimBy), store.Micros(now), o.ID, o.version)
	if err != nil {
		return err
	}
	if n != 1 {
		return errStale(o.ID)
	}
	version := o.version + 1
	tx.AfterCommit(func() { o.version = version })
	o.Updated = now
	return nil
}

func encode(o *Order) (spec, recipient, history string) {
	// These types hold strings, numbers and times and always encode.
	a, _ := json.Marshal(o.Spec)
	b, _ := json.Marshal(o.Recipient)
	c, _ := json.Marshal(o.History)
	return string(a), string(b), string(c)
}
