package product

// Rules are the steps of an order and what they ask for (A86, A87).
type Rules struct {
	PublicTrust   bool          `json:"public_trust,omitempty"` // the rules of the CA/Browser Forum hold
	DomainControl DomainControl `json:"domain_control,omitempty"`
	Wildcards     bool          `json:"wildcards,omitempty"`
	CAA           bool          `json:"caa,omitempty"`
	Mailbox       bool          `json:"mailbox_control,omitempty"` // A91: the holder confirms by e-mail
	Lint          Linting       `json:"lint,omitzero"`
	CT            CT            `json:"ct,omitzero"`
	Issue         Approval      `json:"approval_issue,omitzero"`
	Revoke        Approval      `json:"approval_revoke,omitzero"`
	Renewal       Renewal       `json:"renewal,omitzero"`
	Publication   Publication   `json:"publication,omitzero"`
	Notify        Notifications `json:"notify,omitzero"`

	RevocationCode bool      `json:"revocation_code,omitempty"` // the holder gets a code to revoke with
	Documents      Documents `json:"documents,omitzero"`
	Escrow         bool      `json:"escrow,omitempty"` // keys made here are kept for recovery
	UniqueKey      UniqueKey `json:"unique_key,omitempty"`
	Hold           bool      `json:"hold,omitempty"` // certificateHold is possible
	API            bool      `json:"api,omitempty"`  // may be ordered by interface, not by page only
	Terms          bool      `json:"terms,omitempty"`
}

// DomainControl is how control over domain names is shown.
type DomainControl string

// The ways.
const (
	NoDomainControl DomainControl = ""
	DNSOrHTTP       DomainControl = "dns-http"
	EmailLink       DomainControl = "email-link" // BR 3.2.2.4.4; dies on 2028-03-15
)

// Linting is how lints are applied before and after signing.
type Linting struct {
	On      bool             `json:"on,omitempty"`
	Profile string           `json:"profile,omitempty"` // chosen by package lint; empty: by kind
	Levels  map[string]Level `json:"levels,omitempty"`  // by lint, instead of its own level
}

// A Level is what a lint's finding does.
type Level string

// The levels.
const (
	LevelError  Level = "error"
	LevelWarn   Level = "warn"
	LevelIgnore Level = "ignore"
)

// CT is certificate transparency. Policy names the set of logs in the
// configuration; empty is the default.
type CT struct {
	On     bool   `json:"on,omitempty"`
	Policy string `json:"policy,omitempty"`
}

// An Approval asks people before the order goes on (A76, A151).
type Approval struct {
	Count       int      `json:"count,omitempty"` // 0: none is needed
	Of          []string `json:"of,omitempty"`    // roles or operators; empty: whoever may approve
	FourEyes    bool     `json:"four_eyes,omitempty"`
	ExpireHours int      `json:"expire_hours,omitempty"` // 0: the installation's default
}

// Renewal is how a certificate is followed by the next (A163–A167).
type Renewal struct {
	Mode           RenewalMode `json:"mode,omitempty"`
	Count          int         `json:"count,omitempty"` // renewals allowed; 0: any number
	DaysBefore     int         `json:"days_before,omitempty"`
	RevokeOld      bool        `json:"revoke_old,omitempty"`
	RevokeOldAfter int         `json:"revoke_old_after_days,omitempty"`
}

// A RenewalMode says who begins a renewal.
type RenewalMode string

// The modes.
const (
	NoRenewal        RenewalMode = ""
	ManualRenewal    RenewalMode = "manual"
	AutomaticRenewal RenewalMode = "automatic"
)

// Publication is where certificates are published (A102–A104, A170).
type Publication struct {
	Publishers []string `json:"publishers,omitempty"` // names in the configuration
	Override   bool     `json:"override,omitempty"`   // the order may choose
	Default    bool     `json:"default,omitempty"`    // when the order does not
}

// Notifications are the e-mails that go out, and for which of them an order may
// name more recipients.
type Notifications struct {
	Issuance   bool     `json:"issuance,omitempty"`
	Revocation bool     `json:"revocation,omitempty"`
	Expiry     bool     `json:"expiry,omitempty"` // A101
	Additional []string `json:"additional,omitempty"`
}

// RecipientKinds are the values of [Notifications.Additional].
func RecipientKinds() []string {
	return []string{"issuance", "revocation", "renewal", "recovery", "domain", "domain-email-link", "authorization", "authorization-accepted", "authorization-rejected"}
}

// Documents are papers that come with an order (A156).
type Documents struct {
	Required   bool `json:"required,omitempty"`
	OnRegister bool `json:"on_register,omitempty"` // with the order itself
	PDF        bool `json:"pdf,omitempty"`
	Images     bool `json:"images,omitempty"`
}

// UniqueKey says whether a key that was certified may be certified again.
type UniqueKey string

// The rules on keys.
const (
	AnyKey      UniqueKey = ""       // yes
	KeyOfClient UniqueKey = "client" // for the same client only
	KeyOnce     UniqueKey = "once"   // never, renewal included
)
