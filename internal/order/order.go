// Package order takes orders for any product of the managed PKI from request to
// certificate and beyond: validation, approval, issuing, publication, renewal,
// revocation.
//
// The row of an order is its truth. [Engine.Create] and the queue's worker run
// the same stages; a stage computes in memory and says what comes next, and the
// engine commits only where durability demands it (the points D1 to D5 of the
// design), so that a simple order costs two commits. Each stage leaves a [Job] in
// the commit that follows it, which makes the whole way visible. A
// compare-and-set on the order's version is the only door through each commit:
// eight simultaneous requests yield one certificate. An order that is being
// worked on is due again when its lease runs out; what takes it up then is the
// code of the happy path.
package order

import (
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
)

// A State is where an order stands (A107 to A121).
type State string

// The states, in the order in which a certificate passes through them, and
// those in which it ends. An order rests in PreValidation, PendingAuth,
// PendingCSR and KeyValidation while it waits for somebody; all others are
// passed or final.
const (
	New           State = "NEW"
	PendingCSR    State = "PENDING_CSR_RENEWAL"
	KeyValidation State = "KEY_VALIDATION"
	GenerateTBS   State = "GENERATE_TBS"
	PreValidation State = "PRE_VALIDATION"
	PendingAuth   State = "PENDING_AUTH"
	PreIssue      State = "PRE_ISSUE"
	Issue         State = "ISSUE"
	PostValid     State = "POST_VALIDATION"
	Finalize      State = "FINALIZE_ISSUANCE"

	Issued   State = "ISSUED"
	Revoked  State = "REVOKED"
	Rejected State = "REJECTED"
	Failed   State = "FAILED"
	Unknown  State = "UNKNOWN"
)

// States lists all states.
func States() []State {
	return []State{New, PendingCSR, KeyValidation, GenerateTBS, PreValidation, PendingAuth, PreIssue, Issue, PostValid, Finalize, Issued, Revoked, Rejected, Failed, Unknown}
}

// Final tells whether an order in this state does not move by itself any more.
func (s State) Final() bool {
	switch s {
	case Issued, Revoked, Rejected, Failed, Unknown:
		return true
	}
	return false
}

// An Order is one certificate's way, from request to end.
type Order struct {
	ID             string
	Realm          access.Realm
	Client         string
	Product        string
	ProductVersion int
	ProductName    string // when the order was placed
	State          State
	Origin         Origin
	CommonName     string
	Subject        string // RFC 4514 text
	Authority      string
	Serial         string // lower-case hex; empty before PreIssue
	NotBefore      time.Time
	NotAfter       time.Time
	RevokedAt      time.Time
	Reason         authority.Reason
	Owner          string // who looks after the certificate; free text
	Creator        string // id of the principal
	CreatorName    string
	Predecessor    string // the order that this one renews
	Successor      string // the order that renews this one, once issued
	Problem        string // why it waits, failed or was rejected, for people
	Created        time.Time
	Updated        time.Time

	Jobs     []Job // empty in lists
	Request  Asked // zero in lists
	Evidence Evidence

	version   int64
	due       time.Time
	csr       []byte // DER
	spki      []byte
	sealedKey []byte
}

// Due is when the order is taken up again by itself; zero when it is not.
func (o *Order) Due() time.Time { return o.due }

// Expired tells whether an issued certificate is past its life.
func (o *Order) Expired(now time.Time) bool { return o.State == Issued && now.After(o.NotAfter) }

// An Origin is the way an order came in.
type Origin string

// The origins.
const (
	FromUI      Origin = "ui"
	FromAPI     Origin = "api"
	FromCommand Origin = "command"
	FromACME    Origin = "acme"
	FromCMC     Origin = "cmc"
	FromEST     Origin = "est"
	FromSCEP    Origin = "scep"
	FromCMP     Origin = "cmp"
	FromRenewal Origin = "renewal"
)
