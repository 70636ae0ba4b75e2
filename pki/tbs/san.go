package tbs

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var oidUPN = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}

// The choices of GeneralName that are written here (RFC 5280, 4.2.1.6).
const (
	tagOtherName = cbasn1.Tag(0x80 | 0x20)
	tagEmail     = cbasn1.Tag(0x80 | 1)
	tagDNS       = cbasn1.Tag(0x80 | 2)
	tagURI       = cbasn1.Tag(0x80 | 6)
	tagIP        = cbasn1.Tag(0x80 | 7)
	tagDirectory = cbasn1.Tag(0x80 | 0x20 | 4)
	tagRegID     = cbasn1.Tag(0x80 | 8)
)

// A SAN is what a subject alternative name holds. Names are ASCII: domains in
// punycode, URLs percent-encoded.
type SAN struct {
	DNS   []string
	Email []string
	URI   []string
	IP    []net.IP
	UPN   []string // Microsoft user principal names, for smart-card logon; UTF-8

	DirectoryNames [][]byte // DER names
	RegisteredIDs  []asn1.ObjectIdentifier
	Other          []OtherName // any other form; see [SmtpUTF8Mailbox] and [NTDSReplication]
}

// An OtherName is a name of a form that its object identifier defines. Value is
// one DER element.
type OtherName struct {
	ID    asn1.ObjectIdentifier
	Value []byte
}

// Empty says whether there is no name at all.
func (s SAN) Empty() bool {
	return len(s.DNS)+len(s.Email)+len(s.URI)+len(s.IP)+len(s.UPN)+len(s.DirectoryNames)+len(s.RegisteredIDs)+len(s.Other) == 0
}

// SubjectAltName holds at least one name. It must be critical if the subject is
// empty. It checks the form of each name: characters, an "@", a URL scheme.
func SubjectAltName(san SAN, critical bool) (Extension, error) {
	if san.Empty() {
		return Extension{}, errors.New("tbs: subject alternative name without a name")
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addNames(b, san) })
	return extension(oidSubjectAltName, critical, b)
}

// addNames writes the GeneralNames without their SEQUENCE.
func addNames(b *cryptobyte.Builder, san SAN) {
	for _, name := range san.DNS {
		addIA5(b, tagDNS, "DNS name", name, checkDNS)
	}
	for _, address := range san.Email {
		addIA5(b, tagEmail, "e-mail address", address, checkEmail)
	}
	for _, uri := range san.URI {
		addURI(b, uri)
	}
	for _, ip := range san.IP {
		addIP(b, ip)
	}
	for _, upn := range san.UPN {
		addUPN(b, upn)
	}
	for _, name := range san.DirectoryNames {
		addDirectory(b, name)
	}
	for _, id := range san.RegisteredIDs {
		addRegisteredID(b, id)
	}
	for _, other := range san.Other {
		addOther(b, other)
	}
}

func addURI(b *cryptobyte.Builder, uri string) { addIA5(b, tagURI, "URI", uri, checkURI) }

func addIA5(b *cryptobyte.Builder, tag cbasn1.Tag, what, value string, valid func(string) bool) {
	for i := 0; i < len(value); i++ {
		if value[i] <= ' ' || value[i] >= 0x7f {
			b.SetError(fmt.Errorf("%s %q holds a space, a control or a non-ASCII character", what, value))
			return
		}
	}
	if !valid(value) {
		b.SetError(fmt.Errorf("%q is not a valid %s", value, what))
		return
	}
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
}

// checkDNS takes letters, digits, hyphens and underscores in labels of 1 to 63,
// 253 in all, and "*" as the whole leftmost label.
func checkDNS(name string) bool {
	if len(name) > 253 {
		return false
	}
	first := true
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return false
		}
		for i := 0; i < len(label); i++ {
			if !isDNSByte(label[i]) && !(first && label == "*") {
				return false
			}
		}
		first = false
	}
	return name != "*"
}

func isDNSByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func checkEmail(address string) bool {
	at := strings.LastIndexByte(address, '@')
	return at > 0 && len(address) <= 254 && address[at+1:] != "" && address[at+1] != '*' && checkDNS(address[at+1:])
}

// checkURI: an absolute URI (RFC 5280, 4.2.1.6), scheme first.
func checkURI(uri string) bool {
	colon := strings.IndexByte(uri, ':')
	if colon < 1 || colon == len(uri)-1 {
		return false
	}
	for i := 0; i < colon; i++ {
		c := uri[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		other := '0' <= uri[i] && uri[i] <= '9' || strings.IndexByte("+-.", uri[i]) >= 0
		if !letter && !(i > 0 && other) {
			return false
		}
	}
	return true
}

func addIP(b *cryptobyte.Builder, ip net.IP) {
	octets := ip.To4()
	if octets == nil {
		octets = ip.To16()
	}
	if octets == nil {
		b.SetError(fmt.Errorf("an IP address of %d octets", len(ip)))
		return
	}
	b.AddASN1(tagIP, func(b *cryptobyte.Builder) { b.AddBytes(octets) })
}

func addUPN(b *cryptobyte.Builder, upn string) {
	if upn == "" || !utf8.ValidString(upn) {
		b.SetError(fmt.Errorf("%q is not a valid user principal name", upn))
		return
	}
	b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidUPN)
		b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) { // value, explicit [0]
			b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(upn)) })
		})
	})
}

// addDirectory: a Name is a CHOICE, so its tag is explicit.
func addDirectory(b *cryptobyte.Builder, name []byte) {
	if !isSequence(name) || isEmptySequence(name) {
		b.SetError(errors.New("a directory name that is empty or not a DER name"))
		return
	}
	b.AddASN1(tagDirectory, func(b *cryptobyte.Builder) { b.AddBytes(name) })
}

func addRegisteredID(b *cryptobyte.Builder, id asn1.ObjectIdentifier) {
	var inner cryptobyte.Builder
	inner.AddASN1ObjectIdentifier(id)
	der, err := inner.Bytes()
	if err != nil {
		b.SetError(err)
		return
	}
	content := cryptobyte.String(der)
	var body cryptobyte.String
	content.ReadASN1(&body, cbasn1.OBJECT_IDENTIFIER) // what was just written
	b.AddASN1(tagRegID, func(b *cryptobyte.Builder) { b.AddBytes(body) })
}

func addOther(b *cryptobyte.Builder, other OtherName) {
	if !isElement(other.Value) {
		b.SetError(fmt.Errorf("the value of the other name %s is not one DER element", other.ID))
		return
	}
	b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(other.ID)
		b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) { b.AddBytes(other.Value) })
	})
}

// isElement tells whether der is exactly one DER element.
func isElement(der []byte) bool {
	input := cryptobyte.String(der)
	var element cryptobyte.String
	var tag cbasn1.Tag
	return input.ReadAnyASN1Element(&element, &tag) && input.Empty()
}

// SmtpUTF8Mailbox is an e-mail address whose local part is not ASCII (RFC 9598,
// 3): in the domain, international labels stand in punycode.
func SmtpUTF8Mailbox(address string) (OtherName, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || !utf8.ValidString(address) || !checkDNS(address[at+1:]) || address[at+1] == '*' {
		return OtherName{}, fmt.Errorf("tbs: %q is not a valid international e-mail address", address)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
	return OtherName{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}, Value: b.BytesOrPanic()}, nil
}
