package product

// Extensions are those that the product adds; the authority adds its own key
// identifier, the subject's, access information and CRL location.
type Extensions struct {
	KeyUsage []string `json:"key_usage,omitempty"` // names of RFC 5280, such as "digitalSignature"
	// KeyUsageRSA are added when the key is RSA: keyEncipherment has no meaning for
	// elliptic curves.
	KeyUsageRSA    []string `json:"key_usage_rsa,omitempty"`
	ExtKeyUsage    []string `json:"ext_key_usage,omitempty"` // names such as "serverAuth", or object identifiers
	CriticalEKU    bool     `json:"critical_ext_key_usage,omitempty"`
	NoConstraints  bool     `json:"no_basic_constraints,omitempty"` // leave basicConstraints out
	CA             bool     `json:"ca,omitempty"`
	PathLength     *int     `json:"path_length,omitempty"`
	NoSubjectKeyID bool     `json:"no_subject_key_id,omitempty"`
	CriticalSAN    bool     `json:"critical_san,omitempty"` // also critical when the subject is empty
	MustStaple     bool     `json:"must_staple,omitempty"`
	OCSPNoCheck    bool     `json:"ocsp_no_check,omitempty"`

	Policies            []Policy             `json:"policies,omitempty"`
	Qualified           *Qualified           `json:"qualified,omitempty"`
	Permitted           *Names               `json:"permitted,omitempty"` // name constraints
	Excluded            *Names               `json:"excluded,omitempty"`
	ApplicationPolicies []string             `json:"application_policies,omitempty"` // as ExtKeyUsage
	TemplateName        string               `json:"template_name,omitempty"`        // Microsoft template of version 1
	TemplateMajor       int                  `json:"template_major,omitempty"`       // version of Fields["template"]
	TemplateMinor       int                  `json:"template_minor,omitempty"`
	Custom              []CustomExt          `json:"custom,omitempty"`
	Fields              map[string]FieldRule `json:"fields,omitempty"` // sid, template, role, device_serial, scope
}

// A Policy is a certificate policy.
type Policy struct {
	OID     string `json:"oid"`
	Preprod string `json:"preprod,omitempty"` // instead of OID in the realm for testing
	CPS     string `json:"cps,omitempty"`
	Notice  string `json:"notice,omitempty"`
}

// Qualified is the content of the statements of qualified certificates (ETSI EN
// 319 412-5).
type Qualified struct {
	Compliance  bool     `json:"compliance,omitempty"`
	SSCD        bool     `json:"sscd,omitempty"`
	Types       []string `json:"types,omitempty"` // esign, eseal, web
	PDS         []PDS    `json:"pds,omitempty"`
	Retention   int      `json:"retention_years,omitempty"`
	Legislation []string `json:"legislation,omitempty"` // countries outside the EU
	Semantics   string   `json:"semantics,omitempty"`   // natural, legal
	Limit       *Limit   `json:"limit,omitempty"`
}

// A PDS is the address of a disclosure statement.
type PDS struct {
	URL      string `json:"url"`
	Language string `json:"language"`
}

// A Limit bounds the value of a transaction: Amount · 10^Exponent.
type Limit struct {
	Currency string `json:"currency"`
	Amount   int    `json:"amount"`
	Exponent int    `json:"exponent,omitempty"`
}

// Names is one side of name constraints.
type Names struct {
	DNS       []string `json:"dns,omitempty"`
	Email     []string `json:"email,omitempty"`
	URI       []string `json:"uri,omitempty"`
	IP        []string `json:"ip,omitempty"`        // CIDR
	Directory []string `json:"directory,omitempty"` // RFC 4514 text
}

// A CustomExt is any other extension: hexadecimal DER.
type CustomExt struct {
	OID      string `json:"oid"`
	Critical bool   `json:"critical,omitempty"`
	Value    string `json:"value"`
}
