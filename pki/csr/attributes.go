package csr

import (
	"encoding/asn1"
	"net"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidChallenge          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	oidExtensionRequest   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidMicrosoftExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 14}
	oidSubjectAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN                = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// Caps on what one request may ask for.
const (
	maxExtensions = 64
	maxNames      = 1000
)

// readAttributes reads the extension request and the challenge password; other
// attributes (Microsoft's client information and the like) are passed over.
func (r *Request) readAttributes(attributes cryptobyte.String) error {
	malformed := refuse(Malformed, "The attributes of the request are malformed.")
	seenChallenge, seenExtensions := false, false
	for !attributes.Empty() {
		var attribute, values cryptobyte.String
		var id asn1.ObjectIdentifier
		if !attributes.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&id) ||
			!attribute.ReadASN1(&values, cbasn1.SET) || !attribute.Empty() {
			return malformed
		}
		switch {
		case id.Equal(oidChallenge):
			challenge, err := dn.DirectoryString(values)
			if err != nil || seenChallenge {
				return refuse(Malformed, "The challenge password of the request is malformed.")
			}
			seenChallenge, r.Challenge = true, challenge
		case id.Equal(oidExtensionRequest), id.Equal(oidMicrosoftExtension):
			if values.Empty() { // some tools write the attribute without a value
				continue
			}
			if seenExtensions {
				return refuse(Malformed, "The request asks for extensions twice.")
			}
			seenExtensions = true
			if err := r.readExtensions(values); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Request) readExtensions(values cryptobyte.String) error {
	malformed := refuse(Malformed, "The extensions in the request are malformed.")
	var list cryptobyte.String
	if !values.ReadASN1(&list, cbasn1.SEQUENCE) || !values.Empty() {
		return malformed
	}
	for !list.Empty() {
		var body, value cryptobyte.String
		var e tbs.Extension
		if !list.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&e.ID) ||
			!body.ReadOptionalASN1Boolean(&e.Critical, cbasn1.BOOLEAN, false) ||
			!body.ReadASN1(&value, cbasn1.OCTET_STRING) || !body.Empty() {
			return malformed
		}
		e.Value = value
		for _, earlier := range r.Extensions {
			if earlier.ID.Equal(e.ID) {
				return refuse(Malformed, "The request asks for extension %s twice.", e.ID)
			}
		}
		if len(r.Extensions) == maxExtensions {
			return refuse(Malformed, "The request asks for more than %d extensions.", maxExtensions)
		}
		r.Extensions = append(r.Extensions, e)
		if e.ID.Equal(oidSubjectAltName) {
			if err := r.readNames(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// readNames reads GeneralNames (RFC 5280, 4.2.1.6).
func (r *Request) readNames(value cryptobyte.String) error {
	malformed := refuse(Malformed, "The subject alternative names in the request are malformed.")
	var names cryptobyte.String
	if !value.ReadASN1(&names, cbasn1.SEQUENCE) || !value.Empty() {
		return malformed
	}
	for count := 0; !names.Empty(); count++ {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&content, &tag) {
			return malformed
		}
		if count == maxNames {
			return refuse(Malformed, "The request asks for more than %d names.", maxNames)
		}
		if err := r.addName(tag, content); err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) addName(tag cbasn1.Tag, content cryptobyte.String) error {
	switch tag {
	case cbasn1.Tag(0).ContextSpecific().Constructed():
		if upn, ok := readUPN(content); ok {
			r.UPNs = append(r.UPNs, upn)
		}
	case cbasn1.Tag(1).ContextSpecific():
		return appendIA5(&r.Emails, content)
	case cbasn1.Tag(2).ContextSpecific():
		return appendIA5(&r.DNS, content)
	case cbasn1.Tag(6).ContextSpecific():
		return appendIA5(&r.URIs, content)
	case cbasn1.Tag(7).ContextSpecific():
		if len(content) != net.IPv4len && len(content) != net.IPv6len {
			return refuse(Malformed, "The request asks for an IP address of %d octets.", len(content))
		}
		r.IPs = append(r.IPs, net.IP(content))
	}
	return nil
}

// appendIA5 takes printable ASCII. A control character, NUL above all, only
// serves to show a person another name than a machine reads.
func appendIA5(names *[]string, content []byte) error {
	for _, c := range content {
		if c <= ' ' || c >= 0x7f {
			return refuse(Malformed, "The name %q in the request holds a space, a control or a non-ASCII character. Write international names in punycode.", content)
		}
	}
	if len(content) == 0 {
		return refuse(Malformed, "The request holds an empty subject alternative name.")
	}
	*names = append(*names, string(content))
	return nil
}

// readUPN reads Microsoft's user principal name from an OtherName.
func readUPN(content cryptobyte.String) (string, bool) {
	var id asn1.ObjectIdentifier
	var value cryptobyte.String
	if !content.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidUPN) ||
		!content.ReadASN1(&value, cbasn1.Tag(0).ContextSpecific().Constructed()) || !content.Empty() {
		return "", false
	}
	upn, err := dn.DirectoryString(value)
	return upn, err == nil
}
