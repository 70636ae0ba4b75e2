package product

import (
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// profile builds the result of a request without problems.
func (w *work) profile() *Profile {
	d := &w.p.Definition
	out := &Profile{NotBefore: w.r.NotBefore, SubjectKeyID: !d.Extensions.NoSubjectKeyID, Key: w.l.key, Generation: PKCS10}
	if w.r.CSR == nil && w.r.SPKI == nil {
		out.Generation = d.Key.Generation.madeHere()
	}
	unit, n := d.Validity.Unit, w.duration()
	out.NotAfter = func(notBefore time.Time) time.Time { return unit.end(notBefore, n) }
	w.subject(out)
	w.names(out)
	if len(w.problems) > 0 {
		return nil
	}
	w.extensions(out)
	w.search(out)
	out.Preview = w.preview()
	return out
}

func (w *work) subject(out *Profile) {
	name := make(dn.Name, 0, 8)
	for i := range w.l.fields {
		if f := &w.l.fields[i]; f.section == sectionSubject {
			for _, v := range w.values[i].values {
				name = append(name, dn.Attribute{Type: f.id, Value: v})
			}
		}
	}
	der, err := name.LongDER() // the bounds were checked by field
	if err != nil {
		w.problem("subject", "subject.invalid", "The subject cannot be written: %s.", strings.TrimPrefix(err.Error(), "dn: "))
		return
	}
	out.Subject, out.SubjectText, out.CommonName = der, name.String(), name.Value(dn.CN)
}

// names fills the alternative names.
func (w *work) names(out *Profile) {
	for i := range w.l.fields {
		f, values := &w.l.fields[i], w.values[i].values
		if f.section != sectionSAN {
			continue
		}
		switch f.key {
		case sanDNS:
			out.SAN.DNS, out.DomainNames = values, slices.Clone(values)
		case sanEmail:
			out.SAN.Email = values
			out.Mailboxes = append(out.Mailboxes, values...)
		case sanURI:
			out.SAN.URI = values
		case sanUPN:
			out.SAN.UPN = values
		case sanIP:
			out.IPs = slices.Clone(values)
			for _, v := range values {
				out.SAN.IP = append(out.SAN.IP, net.ParseIP(v))
			}
		default:
			for _, v := range values {
				w.rareName(out, f, v)
			}
		}
	}
	if w.l.mail >= 0 { // a mailbox in the subject is one to be checked, too
		for _, v := range w.values[w.l.mail].values {
			if !slices.Contains(out.Mailboxes, v) {
				out.Mailboxes = append(out.Mailboxes, v)
			}
		}
	}
}

func (w *work) rareName(out *Profile, f *planned, value string) {
	bad := func(err error) {
		w.problem(f.name, "field.value", "%s: %q cannot be written: %v.", f.label, shorten(value), err)
	}
	other := func(name tbs.OtherName, err error) {
		if err != nil {
			bad(err)
			return
		}
		out.SAN.Other = append(out.SAN.Other, name)
	}
	switch f.key {
	case sanDirectory:
		name, err := dn.ParseString(value)
		if err == nil {
			var der []byte
			if der, err = name.DER(); err == nil {
				out.SAN.DirectoryNames = append(out.SAN.DirectoryNames, der)
			}
		}
		if err != nil {
			bad(err)
		}
	case sanRegID:
		id, ok := parseOID(value)
		if !ok {
			w.problem(f.name, "field.value", "%s: %q is not an object identifier.", f.label, shorten(value))
			return
		}
		out.SAN.RegisteredIDs = append(out.SAN.RegisteredIDs, id)
	case sanGUID:
		other(tbs.NTDSReplication(value))
	case sanIntlEmail:
		name, err := tbs.SmtpUTF8Mailbox(value)
		other(name, err)
		if err == nil {
			out.Mailboxes = append(out.Mailboxes, value)
		}
	default:
		other(tbs.OtherName{ID: f.id, Value: element(cbasn1.UTF8String, []byte(value))}, nil)
	}
}

// element is one DER element.
func element(tag cbasn1.Tag, content []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.BytesOrPanic() // values are at most maxValue long
}

// extensions joins what the plan has ready with what this request decides.
func (w *work) extensions(out *Profile) {
	list := make([]tbs.Extension, 0, len(w.l.before)+len(w.l.after)+4)
	usage := w.l.usage
	if w.r.keyIsRSA(w.p.Definition.Key) {
		usage = w.l.usageRSA
	}
	if usage.ID != nil {
		list = append(list, usage)
	}
	list = append(list, w.l.before...)
	empty := len(out.Subject) == 2
	switch {
	case !out.SAN.Empty():
		san, err := tbs.SubjectAltName(out.SAN, empty || w.p.Definition.Extensions.CriticalSAN)
		if err != nil {
			w.problem("san", "san.invalid", "The alternative names cannot be written: %s.", strings.TrimPrefix(err.Error(), "tbs: "))
			return
		}
		list = append(list, san)
	case empty:
		w.problem("subject", "subject.empty", "The certificate would name nobody.")
		return
	case w.p.Definition.Kind == TLSServer && w.p.Definition.Rules.PublicTrust:
		w.problem("san.dns", "san.missing", "A server certificate needs a domain name or an address.")
		return
	}
	list = append(list, w.l.after...)
	for i := range w.l.fields {
		if f := &w.l.fields[i]; f.section == sectionExt && len(w.values[i].values) > 0 {
			ext, err := w.requested(f.key, w.values[i].values[0])
			if err != nil {
				w.problem(f.name, "field.value", "%s: %v.", f.label, strings.TrimPrefix(err.Error(), "tbs: "))
				continue
			}
			list = append(list, ext)
		}
	}
	out.Extensions = list
}

// requested makes one of the extensions whose value the request gave. The
// private ones are those of the RA interface.
func (w *work) requested(key, value string) (tbs.Extension, error) {
	private := func(arc int, tag cbasn1.Tag, content []byte) (tbs.Extension, error) {
		return tbs.Custom([]int{1, 3, 6, 1, 4, 1, 43121, 1, 4, 2, 0, arc}, false, element(tag, content))
	}
	switch key {
	case extSID:
		return tbs.MicrosoftSID(value)
	case extTemplate:
		id, ok := parseOID(value)
		if !ok {
			return tbs.Extension{}, errNotOID
		}
		return tbs.MicrosoftTemplate(id, w.p.Definition.Extensions.TemplateMajor, w.p.Definition.Extensions.TemplateMinor)
	case extRole:
		return private(1, cbasn1.UTF8String, []byte(value))
	case extSerial:
		return private(2, cbasn1.UTF8String, []byte(value))
	}
	octets, err := hex.DecodeString(value)
	if err != nil {
		return tbs.Extension{}, errNotHex
	}
	return private(3, cbasn1.OCTET_STRING, octets)
}

// search collects the names that the certificate is found by.
func (w *work) search(out *Profile) {
	for i := range w.l.fields {
		if w.l.fields[i].section == sectionExt {
			continue
		}
		for _, v := range w.values[i].values {
			if v = strings.ToLower(v); !slices.Contains(out.Search, v) {
				out.Search = append(out.Search, v)
			}
		}
	}
}

func (w *work) preview() []Field {
	out := make([]Field, len(w.l.fields))
	for i := range w.l.fields {
		f, v := &w.l.fields[i], w.values[i]
		out[i] = Field{Name: f.name, Label: f.label, Values: v.values, Origin: v.origin, State: f.shown()}
		if v.locked {
			out[i].State = ShownGreyed
		}
	}
	return out
}

func (f *planned) shown() ShownState {
	switch f.rule.State {
	case Editable:
		if !f.form {
			return ShownGreyed
		}
		return ShownEditable
	case Hidden:
		return ShownHidden
	}
	return ShownGreyed
}

func isRSA(key crypto.PublicKey) bool {
	_, ok := key.(*rsa.PublicKey)
	return ok
}

// spkiIsRSA looks at the algorithm identifier only.
func spkiIsRSA(spki []byte) bool {
	in := cryptobyte.String(spki)
	var body, alg, id cryptobyte.String
	const rsaEncryption = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	return in.ReadASN1(&body, cbasn1.SEQUENCE) && body.ReadASN1(&alg, cbasn1.SEQUENCE) && alg.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) && string(id) == rsaEncryption
}
