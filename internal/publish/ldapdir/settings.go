// Package ldapdir publishes into LDAP directories (RFC 4511, RFC 4523): user
// certificates, CA certificates and CRLs, each into an attribute of an entry
// whose name is a template over what the certificate says of itself.
//
// [Settings] describe a directory as data; [Settings.Compile] checks them and
// gives the destination. Every value that comes out of a certificate is quoted
// by the type that holds it, so that no name can reach another entry than the
// template means.
package ldapdir

import (
	"crypto/x509"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// How the connection is protected.
const (
	LDAPS    = "ldaps"    // TLS from the first octet
	StartTLS = "starttls" // RFC 4511, section 4.14
	Plain    = "plain"    // nothing; the installation must allow it
)

// How a value gets into its attribute.
const (
	Add     = "add"     // beside the values that are there
	Replace = "replace" // in place of all values that are there
)

// The attributes of RFC 4523, section 2, in the transfer form that it demands.
const (
	userCertificate = "userCertificate;binary"
	caCertificate   = "cACertificate;binary"
	revocationList  = "certificateRevocationList;binary"
)

// Settings describe a directory. Empty fields take the defaults.
type Settings struct {
	Host       string `json:"host"`
	Port       int    `json:"port,omitempty"`     // 636 for ldaps, else 389
	Security   string `json:"security,omitempty"` // ldaps by default
	Roots      string `json:"roots,omitempty"`    // PEM certificates that the server's is verified against; empty: those of the system
	ServerName string `json:"server_name,omitempty"`
	BindDN     string `json:"bind_dn,omitempty"` // empty: anonymous

	Attribute string `json:"attribute,omitempty"`  // for user certificates; userCertificate;binary by default
	Mode      string `json:"mode,omitempty"`       // add by default
	WriteOnly bool   `json:"write_only,omitempty"` // the account may not read, so what was written is not looked at
	Timeout   int    `json:"timeout,omitempty"`    // seconds for connecting and for each request; 10
	MaxBytes  int    `json:"max_bytes,omitempty"`  // of one object; 16 MiB

	Certificates Entry `json:"certificates,omitzero"` // where certificates go; empty: nowhere
	Authorities  Entry `json:"authorities,omitzero"`  // where CA certificates and CRLs go; empty: nowhere
}

// An Entry says which directory entry a certificate belongs to, and how that
// entry is made when it does not exist.
type Entry struct {
	DN            string            `json:"dn"`                       // RFC 4514 text with facts, such as mail={mail},ou=people,dc=example
	ObjectClasses []string          `json:"object_classes,omitempty"` // of an entry that must be made; empty: never make one
	Attributes    map[string]string `json:"attributes,omitempty"`     // further attributes of such an entry, with facts
	Auxiliary     string            `json:"auxiliary,omitempty"`      // class to add to an existing entry that may not hold the attribute, such as pkiUser
}

// Limits and defaults of the settings.
const (
	defaultTimeout  = 10
	maxTimeout      = 120
	defaultMaxBytes = 16 << 20
	maxMaxBytes     = 64 << 20
	maxExtra        = 32
)

// A Directory is a destination whose settings were checked.
type Directory struct {
	set          Settings
	roots        *x509.CertPool
	certificates *entry
	authorities  *entry
}

// entry is an Entry in compiled form.
type entry struct {
	name       nameTemplate
	classes    []string
	attributes map[string]fact.Template
	auxiliary  string
}

var (
	hostName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:.]{2,45}$`)
	attribute = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]{0,63}|[0-9]+(\.[0-9]+){1,20})(;[A-Za-z0-9-]{1,32}){0,4}$`)
)

// Compile checks the settings. A fault of kind Invalid names the field, such as
// "ldap.host".
func (s Settings) Compile() (*Directory, error) {
	s.defaults()
	d := &Directory{set: s}
	var err error
	switch {
	case !hostName.MatchString(s.Host):
		return nil, invalid("host", "The host must be a name or an IP address, without a port.")
	case s.Port < 1 || s.Port > 65535:
		return nil, invalid("port", "The port must be between 1 and 65535.")
	case !slices.Contains([]string{LDAPS, StartTLS, Plain}, s.Security):
		return nil, invalid("security", "The security must be %s, %s or %s.", LDAPS, StartTLS, Plain)
	case s.Roots != "" && s.Security == Plain:
		return nil, invalid("roots", "Trusted certificates have no use without TLS.")
	case s.ServerName != "" && !hostName.MatchString(s.ServerName):
		return nil, invalid("server_name", "The server name must be a host name.")
	case s.Timeout < 1 || s.Timeout > maxTimeout:
		return nil, invalid("timeout", "The time-out must be between 1 and %d seconds.", maxTimeout)
	case s.MaxBytes < 1024 || s.MaxBytes > maxMaxBytes:
		return nil, invalid("max_bytes", "The size limit must be between 1 KiB and 64 MiB.")
	case s.Mode != Add && s.Mode != Replace:
		return nil, invalid("mode", "The mode must be %s or %s.", Add, Replace)
	}
	if err := checkAttribute(s.Attribute); err != nil {
		return nil, err
	}
	if s.BindDN != "" {
		if _, err := ldap.ParseDN(s.BindDN); err != nil {
			return nil, invalid("bind_dn", "The bind DN cannot be read: %v.", err)
		}
	}
	if s.Roots != "" {
		if d.roots = x509.NewCertPool(); !d.roots.AppendCertsFromPEM([]byte(s.Roots)) {
			return nil, invalid("roots", "There is no certificate in PEM form among the trusted ones.")
		}
	}
	if d.certificates, err = s.Certificates.compile("certificates"); err != nil {
		return nil, err
	}
	if d.authorities, err = s.Authorities.compile("authorities"); err != nil {
		return nil, err
	}
	if d.certificates == nil && d.authorities == nil {
		return nil, invalid("certificates.dn", "Neither certificates nor CA certificates have a place.").WithNext("Give a DN template for one of them.")
	}
	return d, nil
}

func (s *Settings) defaults() {
	if s.Security == "" {
		s.Security = LDAPS
	}
	if s.Port == 0 {
		s.Port = 389
		if s.Security == LDAPS {
			s.Port = 636
		}
	}
	if s.Attribute == "" {
		s.Attribute = userCertificate
	}
	if s.Mode == "" {
		s.Mode = Add
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = defaultMaxBytes
	}
}

// checkAttribute refuses what cannot hold a certificate. userSMIMECertificate
// looks as if it could, but holds a signed message (RFC 2798, section 2.8).
func checkAttribute(name string) error {
	switch base := baseName(name); {
	case !attribute.MatchString(name):
		return invalid("attribute", "The attribute %q is no name of an attribute.", name)
	case base == "usersmimecertificate":
		return invalid("attribute", "The attribute userSMIMECertificate holds signed messages, not certificates.").WithNext("Use %s.", userCertificate)
	case base == "objectclass":
		return invalid("attribute", "The attribute %s does not hold certificates.", name)
	}
	return nil
}

func (e Entry) compile(field string) (*entry, error) {
	if e.DN == "" {
		if len(e.ObjectClasses) > 0 || len(e.Attributes) > 0 || e.Auxiliary != "" {
			return nil, invalid(field+".dn", "The DN template is missing.")
		}
		return nil, nil
	}
	name, err := parseName(e.DN)
	if err != nil {
		return nil, invalid(field+".dn", "The DN template cannot be used: %v.", err)
	}
	c := &entry{name: name, classes: e.ObjectClasses, attributes: map[string]fact.Template{}, auxiliary: e.Auxiliary}
	if len(e.Attributes) > 0 && len(e.ObjectClasses) == 0 {
		return nil, invalid(field+".object_classes", "Attributes of a new entry need its object classes.")
	}
	if len(e.ObjectClasses) > maxExtra || len(e.Attributes) > maxExtra {
		return nil, invalid(field+".attributes", "A new entry has at most %d classes and %d attributes.", maxExtra, maxExtra)
	}
	for _, class := range e.ObjectClasses {
		if !attribute.MatchString(class) || strings.Contains(class, ";") {
			return nil, invalid(field+".object_classes", "The object class %q is no name of a class.", class)
		}
	}
	if e.Auxiliary != "" && (!attribute.MatchString(e.Auxiliary) || strings.Contains(e.Auxiliary, ";")) {
		return nil, invalid(field+".auxiliary", "The object class %q is no name of a class.", e.Auxiliary)
	}
	for attr, text := range e.Attributes {
		if !attribute.MatchString(attr) || baseName(attr) == "objectclass" {
			return nil, invalid(field+".attributes", "The attribute %q cannot be set.", attr)
		}
		t, err := fact.Parse(text)
		if err == nil && text == "" {
			return nil, invalid(field+".attributes", "The attribute %s has no value.", attr)
		}
		if err != nil {
			return nil, invalid(field+".attributes", "The value of %s cannot be used: %v.", attr, err)
		}
		c.attributes[attr] = t
	}
	return c, nil
}

func invalid(field, format string, args ...any) *fault.Fault {
	return fault.Invalidf("publisher.ldap", format, args...).WithField("ldap." + field)
}

// baseName is an attribute description without options, to compare by.
func baseName(attr string) string {
	base, _, _ := strings.Cut(strings.ToLower(attr), ";")
	return base
}

func (d *Directory) entryFor(k place.Kind) *entry {
	if k == place.Certificate {
		return d.certificates
	}
	return d.authorities
}

func (d *Directory) attributeFor(k place.Kind) string {
	switch k {
	case place.Authority:
		return caCertificate
	case place.CRL:
		return revocationList
	}
	return d.set.Attribute
}

// Takes implements [place.Destination].
func (d *Directory) Takes(k place.Kind) bool { return d.entryFor(k) != nil }

// Exclusive implements [place.Destination]. A CRL replaces the one before it.
func (d *Directory) Exclusive(k place.Kind) bool {
	return k == place.CRL || k == place.Certificate && d.set.Mode == Replace
}

// Place implements [place.Destination]: the attribute, a space, and the DN.
func (d *Directory) Place(o place.Object) (string, error) {
	e := d.entryFor(o.Kind)
	switch {
	case e == nil:
		return "", fault.Invalidf("publisher.kind", "The directory has no place for this kind of object (%s).", o.Kind)
	case len(o.DER) > d.set.MaxBytes:
		return "", fault.Invalidf("publisher.too_large", "The object has %d octets; the directory takes %d.", len(o.DER), d.set.MaxBytes)
	}
	name, err := e.name.fill(o.Facts)
	if err != nil {
		return "", err
	}
	return d.attributeFor(o.Kind) + " " + name, nil
}

func (d *Directory) address() string {
	return joinHostPort(d.set.Host, strconv.Itoa(d.set.Port))
}

func (d *Directory) timeout() time.Duration { return time.Duration(d.set.Timeout) * time.Second }
