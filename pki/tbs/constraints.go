package tbs

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidTLSFeature      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
)

// Subtrees is one side of name constraints. DNS and Email hold domains without a
// leading dot in DNS; an address in Email means that mailbox; URI holds hosts, or
// domains with a leading dot; Directory holds DER names.
type Subtrees struct {
	DNS, Email, URI []string
	IP              []net.IPNet
	Directory       [][]byte
}

// Empty says whether the side constrains nothing.
func (s Subtrees) Empty() bool {
	return len(s.DNS)+len(s.Email)+len(s.URI)+len(s.IP)+len(s.Directory) == 0
}

// NameConstraints limits the names below a CA; it is critical (RFC 5280,
// 4.2.1.10). At least one side must hold something.
func NameConstraints(permitted, excluded Subtrees) (Extension, error) {
	if permitted.Empty() && excluded.Empty() {
		return Extension{}, errors.New("tbs: name constraints without a name")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i, s := range []Subtrees{permitted, excluded} {
			if !s.Empty() {
				b.AddASN1(cbasn1.Tag(i).ContextSpecific().Constructed(), s.add)
			}
		}
	})
	return extension(oidNameConstraints, true, &b)
}

func (s Subtrees) add(b *cryptobyte.Builder) {
	text := func(tag cbasn1.Tag, what string, values []string, valid func(string) bool) {
		for _, v := range values {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addIA5(b, tag, what, v, valid) })
		}
	}
	text(tagDNS, "domain", s.DNS, func(v string) bool { return v != "" && v[0] != '*' && checkDNS(v) })
	text(tagEmail, "mailbox or domain", s.Email, func(v string) bool { return checkEmail(v) || checkHost(v) })
	text(tagURI, "host", s.URI, checkHost)
	for _, n := range s.IP {
		addSubnet(b, n)
	}
	for _, name := range s.Directory {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addDirectory(b, name) })
	}
}

// checkHost takes a domain, or one with a leading dot for what is below it.
func checkHost(v string) bool {
	if v != "" && v[0] == '.' {
		v = v[1:]
	}
	return v != "" && v[0] != '*' && checkDNS(v)
}

func addSubnet(b *cryptobyte.Builder, n net.IPNet) {
	ip := n.IP.To4()
	if ip == nil {
		ip = n.IP.To16()
	}
	if ip == nil || len(n.Mask) != len(ip) {
		b.SetError(fmt.Errorf("%v is not a network", n))
		return
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tagIP, func(b *cryptobyte.Builder) {
			b.AddBytes(ip.Mask(n.Mask))
			b.AddBytes(n.Mask)
		})
	})
}

// MustStaple is the TLS feature extension that asks for a stapled OCSP answer
// (RFC 7633).
func MustStaple() Extension {
	return Extension{ID: oidTLSFeature, Value: []byte{0x30, 3, 2, 1, 5}}
}
