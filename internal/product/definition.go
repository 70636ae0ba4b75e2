package product

// A Definition decides every field of a certificate and every step of its order.
type Definition struct {
	Kind  Kind  `json:"kind"`
	Class Class `json:"class,omitempty"` // of the validation, where the kind has classes
	// Strict tells the strict generation of S/MIME from the multipurpose one.
	Strict bool `json:"strict,omitempty"`

	// Subject holds the attributes by their RFC 4514 name ("CN"), SAN the
	// alternative names by [SANKinds]. What is not listed is absent.
	Subject map[string]FieldRule `json:"subject,omitempty"`
	SAN     map[string]FieldRule `json:"san,omitempty"`
	// SubjectOrder is the order of attributes in the name; what it leaves out
	// follows in the usual order, from country to common name.
	SubjectOrder []string `json:"subject_order,omitempty"`

	Extensions Extensions `json:"extensions"`
	Key        Key        `json:"key"`
	Validity   Validity   `json:"validity"`
	Data       Data       `json:"data,omitzero"`
	Rules      Rules      `json:"rules"`
}

// A Kind is what a certificate is for. It selects the rules of [Product.Lint].
type Kind string

// The kinds.
const (
	TLSServer        Kind = "tls-server"
	TLSClient        Kind = "tls-client"
	SMIME            Kind = "smime"
	DocumentSigning  Kind = "document-signing"
	DocumentSealing  Kind = "document-sealing"
	QualifiedPerson  Kind = "qualified-person"
	QualifiedSeal    Kind = "qualified-seal"
	CodeSigning      Kind = "code-signing"
	TimeStamping     Kind = "time-stamping"
	OCSPResponder    Kind = "ocsp-responder"
	DomainController Kind = "domain-controller" // A14
	SmartCardLogon   Kind = "smartcard-logon"
	EIDPerson        Kind = "eid-person"   // POCES
	EIDEmployee      Kind = "eid-employee" // MOCES
	EIDCompany       Kind = "eid-company"  // VOCES
	EIDFunction      Kind = "eid-function" // FOCES
	Other            Kind = "other"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		TLSServer, TLSClient, SMIME, DocumentSigning, DocumentSealing, QualifiedPerson, QualifiedSeal, CodeSigning, TimeStamping,
		OCSPResponder, DomainController, SmartCardLogon, EIDPerson, EIDEmployee, EIDCompany, EIDFunction, Other,
	}
}

// A Class is how much of the subject was validated.
type Class string

// The classes: of TLS, then of S/MIME.
const (
	DV           Class = "dv"
	OV           Class = "ov"
	IV           Class = "iv"
	EV           Class = "ev"
	Mailbox      Class = "mailbox"
	Organisation Class = "organisation"
	Sponsor      Class = "sponsor"
	Individual   Class = "individual"
)

// A FieldRule is the policy for one field of subject, alternative name or
// extension.
type FieldRule struct {
	State State `json:"state"`
	// Values are those of a fixed or hidden field. {subject.O}, {san.dns} or the
	// name of any other field stands for its first value; {{ is a brace.
	Values    []string `json:"values,omitempty"`
	Default   []string `json:"default,omitempty"` // of an editable field that nobody filled in; placeholders as in Values
	Mandatory bool     `json:"mandatory,omitempty"`
	Pattern   string   `json:"pattern,omitempty"` // RE2 that the whole value matches
	Choices   []string `json:"choices,omitempty"` // the only values that are possible
	Max       int      `json:"max,omitempty"`     // values; 0 is 1
	Long      bool     `json:"long,omitempty"`    // beyond the bound of RFC 5280, as the key-card eID does; private trust only
	Sources   []Source `json:"sources,omitempty"` // of an editable field; empty: the form
	Column    string   `json:"column,omitempty"`  // of the data source
	Label     string   `json:"label,omitempty"`
	Hint      string   `json:"hint,omitempty"`
}

// A State is who decides a field (A79–A81).
type State string

// The states. A field that a definition does not list is absent.
const (
	Fixed    State = "fixed"    // set by the product and shown
	Hidden   State = "hidden"   // set by the product and not shown, but in the certificate
	Editable State = "editable" // given by the request
	Absent   State = "absent"   // not there; for overrides
)

// A Source is where the value of an editable field may come from.
type Source string

// The sources, the strongest first: a value from a data source is locked.
const (
	FromData Source = "data" // the chosen record of the product's data source
	FromForm Source = "form" // what the request says, by form or API
	FromCSR  Source = "csr"  // the certificate request
)

// The kinds of alternative name; "other:" and an object identifier is a
// UTF8String of any other form.
const (
	sanDNS       = "dns"
	sanEmail     = "email"
	sanURI       = "uri"
	sanIP        = "ip"
	sanUPN       = "upn"
	sanDirectory = "directory_name" // RFC 4514 text
	sanRegID     = "registered_id"  // object identifier
	sanGUID      = "guid"           // of a domain controller's account
	sanIntlEmail = "smtp_utf8"      // RFC 9598
	sanOther     = "other:"
)

// SANKinds lists the keys of [Definition.SAN].
func SANKinds() []string {
	return []string{sanDNS, sanEmail, sanURI, sanIP, sanUPN, sanDirectory, sanRegID, sanGUID, sanIntlEmail}
}

// The extensions whose value a request may give: Microsoft's security identifier
// and template, and the three private ones of the RA interface.
const (
	extSID      = "sid"
	extTemplate = "template"
	extRole     = "role"
	extSerial   = "device_serial"
	extScope    = "scope" // hexadecimal
)

func extensionFields() []string { return []string{extSID, extTemplate, extRole, extSerial, extScope} }

// Data is the product's data source (A77). With one, an order must name one of
// its records.
type Data struct {
	Source string `json:"source,omitempty"` // its name in the configuration
	// Parameters are given to the source's query beside what the operator types.
	Parameters map[string]string `json:"parameters,omitempty"`
}
