// Package fact reads what certificates say of themselves and fills it into
// templates, so that an administrator can describe where a certificate goes
// without writing a program.
//
// A [Template] is text with facts in braces: "{mail}", "{mail|cn}" for the
// first one that the certificate has, "{field.department}" for what the order
// said, and "{{" for a brace. Filling gives a plain value and leaves quoting to
// the caller, who knows whether it becomes part of a directory name or a path.
package fact

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sealwright/sealwright/pki/dn"
)

// A Set maps the names of facts to their values. A fact that the certificate
// does not have is absent; no value is empty.
type Set map[string]string

// subject maps facts to attributes of the subject's name.
var subject = map[string]asn1.ObjectIdentifier{
	"cn": dn.CN, "sn": dn.SN, "givenname": dn.GN, "serialnumber": dn.SerialNumber, "uid": dn.UID,
	"o": dn.O, "ou": dn.OU, "l": dn.L, "st": dn.ST, "c": dn.C, "orgid": dn.OrganizationIdentifier,
	"pseudonym": dn.Pseudonym, "title": dn.Title,
}

// others are the facts that do not stand in the subject's name alone.
var others = []string{"mail", "dns", "serial", "fingerprint", "order"}

// FieldPrefix leads the facts that the order gave and no certificate holds.
const FieldPrefix = "field."

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Names lists the facts that a template may use besides fields of the order,
// in alphabetical order: attributes of the subject by their usual short names
// (serialnumber is the subject's), mail (the first e-mail address), dns (the
// first DNS name), serial (of the certificate) and fingerprint (SHA-256), both
// in lower-case hexadecimal, and order (its reference).
func Names() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for n := range maps.Keys(subject) {
			if !yield(n) {
				return
			}
		}
		for _, n := range others {
			if !yield(n) {
				return
			}
		}
	})
}

// Known tells whether a template may use the fact.
func Known(name string) bool {
	if field, ok := strings.CutPrefix(name, FieldPrefix); ok {
		return fieldName.MatchString(field)
	}
	_, ok := subject[name]
	return ok || slices.Contains(others, name)
}

// Of reads the facts of a certificate, in DER. Only the first of several values
// counts. A certificate that cannot be read is an error.
func Of(der []byte) (Set, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	name, err := dn.Parse(c.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("read the subject of the certificate: %w", err)
	}
	s := Set{}
	for fact, id := range subject {
		s.put(fact, name.Value(id))
	}
	s.put("mail", name.Value(dn.EmailAddress))
	if len(c.EmailAddresses) > 0 {
		s.put("mail", c.EmailAddresses[0])
	}
	if len(c.DNSNames) > 0 {
		s.put("dns", c.DNSNames[0])
	}
	s.put("serial", hex.EncodeToString(c.SerialNumber.Bytes()))
	print := sha256.Sum256(der)
	s.put("fingerprint", hex.EncodeToString(print[:]))
	return s, nil
}

// Add puts the order's reference and its fields beside the certificate's own
// facts. Fields whose names are no names of facts are left out.
func (s Set) Add(order string, fields map[string]string) {
	s.put("order", order)
	for name, value := range fields {
		if fieldName.MatchString(name) {
			s.put(FieldPrefix+name, value)
		}
	}
}

func (s Set) put(name, value string) {
	if value != "" && utf8.ValidString(value) {
		s[name] = value
	}
}
