package access

import (
	"time"

	"github.com/sealwright/sealwright/internal/platform/secret"
)

// A Status tells whether a client, service or principal may act.
type Status string

// The statuses.
const (
	Active   Status = "active"
	Invited  Status = "invited"  // an operator who has not chosen a password yet
	Disabled Status = "disabled" // may come back
	Closed   Status = "closed"   // a client or service that ended; its name stays taken
)

// A Client is an organisation with an agreement, in one realm (A4, A40).
type Client struct {
	ID        string // cli-…
	Realm     Realm
	Name      string
	Country   string // ISO 3166-1 alpha-2, upper case
	OrgNumber string // in the register of that country; unique per realm and country unless empty
	Status    Status // Active or Closed
	Created   time.Time
}

// A Service is a customer account of a client: documents, eID methods and
// web-service calls belong to it.
type Service struct {
	ID          string // svc-…
	Realm       Realm
	Client      string
	Name        string // unique in the realm, [a-z0-9-]{1,40}
	Profile     string // graphical profile; empty for the default
	Status      Status // Active or Closed
	HasPassword bool   // whether the web-service password is set
	Created     time.Time
	Closed      time.Time // zero while active
}

// An Orderer is a person whom a client has authorised to order and receive
// certificates (N13, N14).
type Orderer struct {
	ID          string // per-…
	Realm       Realm
	Client      string
	Name        string
	Email       string
	Mobile      string // E.164, such as +4512345678
	Language    string // en, da, nb, sv, fi, de, fr or it
	Active      bool
	AddedBy     string // name of the principal
	Added       time.Time
	Deactivated time.Time // zero while active
}

// An Operator is a person who signs in.
type Operator struct {
	ID           string // op-…
	Email        string
	Name         string
	Title        string
	Language     string
	Theme        string // "light", "dark" or empty for the browser's choice
	Muted        bool   // A200: no mail about what other operators do
	Status       Status // Invited, Active or Disabled
	SecondFactor bool   // has at least one confirmed
	Created      time.Time
	LastLogin    time.Time // zero when never
}

// A ServiceAccount is a system that calls the API. It cannot sign in to the
// pages (A210, D2).
type ServiceAccount struct {
	ID      string // sa-…
	Name    string
	Realm   Realm  // empty: every realm
	Client  string // empty: every client of the realm
	Ends    time.Time
	Status  Status // Active or Disabled
	Created time.Time
}

// A Token is an API token without its secret.
type Token struct {
	ID       string // tok-…
	Owner    string // an operator or service account
	Name     string
	Hint     string // the secret's last six characters, to tell tokens apart
	Enabled  bool
	Ends     time.Time // zero: no end
	LastUsed time.Time // zero: never; exact to a minute
	Created  time.Time
}

// TokenInfo says which token a call was made with.
type TokenInfo struct {
	ID, Name string
	Ends     time.Time // zero: no end
}

// A Role is a named set of permissions.
type Role struct {
	ID          string
	Name        string
	Description string
	BuiltIn     bool // comes with the product and cannot be changed
	Permissions []Permission
}

// A Grant gives a role to a principal, over a client, a realm or everything.
type Grant struct {
	ID        string // grt-…
	Principal string
	Role      string
	Realm     Realm  // empty: everything
	Client    string // empty: every client of the realm
	GrantedBy string
	Granted   time.Time
}

// An Origin is where a call comes from. Address is an IP address without port.
type Origin struct {
	Address   string
	UserAgent string
}

// A Stage says how far a sign-in has come.
type Stage string

// The stages of a session. Only SignedIn carries rights.
const (
	NeedsSecondFactor Stage = "second-factor" // the password was right
	NeedsEnrolment    Stage = "enrolment"     // a second factor must be set up first
	SignedIn          Stage = "signed-in"
)

// A Session is a sign-in of an operator in one browser.
type Session struct {
	ID              string // ses-…; not the secret
	Operator        Operator
	Stage           Stage
	Created         time.Time
	LastSeen        time.Time // exact to a minute
	Expires         time.Time // whatever happens
	Reauthenticated time.Time // when the operator last proved who they are
	Origin          Origin
	scope           Scope
}

// Scope is what the operator may do. It is empty until [SignedIn].
func (s Session) Scope() Scope { return s.scope }

// A Login is a session with its secret, which the browser gets as a cookie.
type Login struct {
	Token   secret.Text
	Session Session
}

// A Passkey is a WebAuthn credential of an operator.
type Passkey struct {
	ID       string // pky-…
	Name     string
	Created  time.Time
	LastUsed time.Time // zero when never
}

// An Invitation lets one person choose a password once.
type Invitation struct {
	Operator Operator
	Token    secret.Text // for the link; stored as a hash only
	Expires  time.Time
}

// A List is one page of a list.
type List[T any] struct {
	Items []T
	Next  string // cursor of the next page; empty on the last
}
