package product

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/goodkey"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A Request is what the customer asked, whatever way it came.
type Request struct {
	CSR  *csr.Request // its proof of possession was checked; nil: there is none
	SPKI []byte       // DER key without a request, as a renewal brings it; nil: see CSR, or the key is made here

	SubjectDN string              // RFC 4514 text; names and aliases in any case
	Fields    map[string][]string // values by field name, such as "subject.O"
	DNS       []DNSName
	Email     []string
	UPN       []string
	IP        []string
	URI       []string

	Validity      int       // in the product's unit; 0: the product's own
	NotBefore     time.Time // zero: now
	Extensions    RequestExtensions
	KeyGeneration Generation // where the product leaves a choice; empty: by whether a key came
}

// A DNSName is a domain name, international or in punycode, and what goes with it.
type DNSName struct {
	Name     string
	WithBase bool // for *.example.com also example.com
	WithWWW  bool // for example.com also www.example.com
}

// RequestExtensions are the extensions that the RA interface can ask for; Fields
// of a [Request] can give them as well, as "ext.sid" and so on.
type RequestExtensions struct {
	MSSID         string
	MSTemplateOID string
	Role          string
	DeviceSerial  string
	Scope         string // hexadecimal
}

// A Row is one record of a data source: values by column, named in small letters.
type Row map[string][]string

// Rows are the records that a request may be made of; usually the one that was
// picked.
type Rows []Row

// A DataSource finds records (A77); the words are what the operator typed,
// parameters come from the product. See package source.
type DataSource interface {
	Find(ctx context.Context, parameters map[string]string, limit int) (Rows, error)
}

// A Profile is the content of a certificate, ready to be issued.
type Profile struct {
	Subject     []byte // DER
	SubjectText string // RFC 4514
	CommonName  string
	SAN         tbs.SAN
	// Extensions are all but those that tell of the authority, and the subject's key
	// identifier, which SubjectKeyID asks for.
	Extensions   []tbs.Extension
	SubjectKeyID bool

	NotBefore time.Time // zero: as the authority does
	NotAfter  func(notBefore time.Time) time.Time

	DomainNames, Mailboxes, IPs []string // in the certificate, each once; to be validated if the rules say so

	Key        goodkey.Policy
	Generation Generation // decided; PKCS10 when the key came with the order
	Search     []string   // lower-case parts of names, to be found by
	Preview    []Field
}

// A Field is one line of the form or preview.
type Field struct {
	Name   string
	Label  string
	Values []string
	Origin Origin
	State  ShownState
}

// An Origin is where a value came from.
type Origin string

// The origins.
const (
	OfProduct Origin = "product"
	OfDefault Origin = "default"
	OfRequest Origin = "request"
	OfCSR     Origin = "csr"
	OfData    Origin = "data"
	OfNobody  Origin = "" // there is no value
)

// A ShownState is how a form shows a field (A79–A81).
type ShownState string

// The states.
const (
	ShownEditable ShownState = "editable"
	ShownGreyed   ShownState = "greyed"
	ShownHidden   ShownState = "hidden"
)

// A Refusal is every reason for which a request cannot become a certificate,
// each a fault of kind Invalid with the name of its field. The first is found by
// [fault.Of] when it is alone; otherwise that finds a summary with the code
// "product.refused".
type Refusal struct {
	Problems []*fault.Fault
}

// Error joins the messages.
func (r *Refusal) Error() string { return r.summary().Error() }

func (r *Refusal) summary() *fault.Fault {
	if len(r.Problems) == 1 {
		return r.Problems[0]
	}
	texts := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		texts[i] = p.Message
	}
	return fault.Invalidf("product.refused", "%s", strings.Join(texts, " "))
}

// Unwrap shows the summary first, then each problem.
func (r *Refusal) Unwrap() []error {
	out := make([]error, 0, len(r.Problems)+1)
	out = append(out, r.summary())
	for _, p := range r.Problems {
		out = append(out, p)
	}
	return out
}

// Prefill gives what a pasted request would put into the product's editable
// fields (A84), for a form; values that the form then sends count as typed.
func (p *Product) Prefill(r *csr.Request) map[string][]string {
	l := p.prepared()
	out := map[string][]string{}
	for i := range l.fields {
		f := &l.fields[i]
		if f.rule.State != Editable {
			continue
		}
		var values []string
		for _, v := range fromCSR(r, f) {
			if text, err := f.normalise(v); err == nil && f.refuses(text) == "" && !slices.Contains(values, text) {
				values = append(values, text)
			}
		}
		if len(values) > 0 {
			out[f.name] = values[:min(len(values), f.max)]
		}
	}
	return out
}

// fromCSR are the request's values for a field.
func fromCSR(r *csr.Request, f *planned) []string {
	if f.section == sectionSubject {
		return r.Name.Values(f.id)
	}
	switch f.name {
	case "san.dns":
		return r.DNS
	case "san.email":
		return r.Emails
	case "san.uri":
		return r.URIs
	case "san.upn":
		return r.UPNs
	case "san.ip":
		out := make([]string, len(r.IPs))
		for i, ip := range r.IPs {
			out[i] = ip.String()
		}
		return out
	}
	return nil
}

// csrHas tells whether requests have such a field at all.
func (f *planned) csrHas() bool {
	return f.section == sectionSubject || slices.Contains([]string{"san.dns", "san.email", "san.uri", "san.upn", "san.ip"}, f.name)
}

// keyIsRSA tells the algorithm of the key that will be certified.
func (r *Request) keyIsRSA(k Key) bool {
	switch {
	case r.CSR != nil:
		return isRSA(r.CSR.PublicKey)
	case r.SPKI != nil:
		return spkiIsRSA(r.SPKI)
	}
	return len(k.Types) > 0 && k.Types[0].RSABits() > 0
}
