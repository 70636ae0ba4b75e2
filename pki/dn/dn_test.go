package dn

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var example = Name{
	{C, "DK"},
	{ST, "Hovedstaden"},
	{L, "København"},
	{O, `Smith, "Sons" + Co; <x>\=#`},
	{OU, " # edge "},
	{DC, "example"},
	{SerialNumber, "PNODK-0101701234"},
	{GN, "Åse"},
	{SN, "Ødegård"},
	{OrganizationIdentifier, "NTRDK-12345678"},
	{UID, "u1"},
	{EmailAddress, "a@example.com"},
	{CN, "www.example.com"},
}

func mustDER(t testing.TB, n Name) []byte {
	t.Helper()
	der, err := n.DER()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func equal(a, b Name) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Type.Equal(b[i].Type) || a[i].Value != b[i].Value {
			return false
		}
	}
	return true
}

// opensslText is what openssl makes of a name.
func opensslText(t *testing.T, der []byte, options string) string {
	t.Helper()
	// A request of which only the subject matters: key and signature are dummies.
	path := filepath.Join(t.TempDir(), "req.der")
	info := sequence([]byte{2, 1, 0}, der, sequence(sequence([]byte{6, 3, 0x2b, 0x65, 0x70}), append([]byte{3, 33, 0}, make([]byte, 32)...)), []byte{0xa0, 0})
	request := sequence(info, sequence([]byte{6, 3, 0x2b, 0x65, 0x70}), append([]byte{3, 65, 0}, make([]byte, 64)...))
	if err := os.WriteFile(path, request, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "req", "-inform", "DER", "-in", path, "-noout", "-subject", "-nameopt", options).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(out), "subject="), "\n")
}

func sequence(parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	if len(body) < 128 {
		return append([]byte{0x30, byte(len(body))}, body...)
	}
	return append([]byte{0x30, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestTextAgreesWithOpenSSL(t *testing.T) {
	for _, n := range []Name{example, {{C, "DK"}, {CN, "x"}}, {{asn1.ObjectIdentifier{1, 2, 3, 4}, "odd"}, {CN, "x"}}, {}} {
		want := opensslText(t, mustDER(t, n), "RFC2253,-esc_msb,utf8")
		if got := n.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestEncodingAgreesWithStandardLibrary(t *testing.T) {
	n := Name{{C, "DK"}, {O, "Sørensen"}, {OU, "Drift & Støtte"}, {CN, "Åse"}, {SerialNumber, "42"}}
	var want pkix.RDNSequence
	for _, a := range n {
		value := any(a.Value)
		if !a.Type.Equal(C) && !a.Type.Equal(SerialNumber) {
			value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(a.Value)}
		}
		want = append(want, pkix.RelativeDistinguishedNameSET{{Type: a.Type, Value: value}})
	}
	wantDER, err := asn1.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustDER(t, n); !bytes.Equal(got, wantDER) {
		t.Errorf("got  %x\nwant %x", got, wantDER)
	}
}

func TestStringTypesFollowRFC5280(t *testing.T) {
	const printable, ia5, utf8 = 19, 22, 12
	for _, test := range []struct {
		id   asn1.ObjectIdentifier
		text string
		tag  byte
	}{
		{C, "DK", printable},
		{JurisdictionC, "DK", printable},
		{SerialNumber, "1", printable},
		{DNQualifier, "1", printable},
		{EmailAddress, "a@b", ia5},
		{DC, "com", ia5},
		{CN, "x", utf8},
		{O, "x", utf8},
		{asn1.ObjectIdentifier{1, 2, 3}, "x", utf8},
	} {
		der := mustDER(t, Name{{test.id, test.text}})
		if tag := der[len(der)-len(test.text)-2]; tag != test.tag {
			t.Errorf("%v is written with tag %d, want %d", test.id, tag, test.tag)
		}
	}
}

func TestDERRefusesWhatMayNotBeIssued(t *testing.T) {
	for _, test := range []struct {
		name string
		a    Attribute
		want string
	}{
		{"an empty value", Attribute{CN, ""}, "CN is empty"},
		{"a common name of 65 characters", Attribute{CN, strings.Repeat("ø", 65)}, "65 characters; X.520 allows 64"},
		{"an organisation of 65 characters", Attribute{O, strings.Repeat("o", 65)}, "allows 64"},
		{"a locality of 129 characters", Attribute{L, strings.Repeat("l", 129)}, "allows 128"},
		{"a country of three letters", Attribute{C, "DNK"}, "country code"},
		{"a country in small letters", Attribute{C, "dk"}, "country code"},
		{"an e-mail address beyond ASCII", Attribute{EmailAddress, "å@example.com"}, "not ASCII"},
		{"a serial number with an underscore", Attribute{SerialNumber, "a_b"}, "PrintableString"},
		{"a line break", Attribute{O, "a\nb"}, "control character U+000A"},
		{"a NUL", Attribute{CN, "a\x00b"}, "control character U+0000"},
		{"broken UTF-8", Attribute{CN, "a\xff"}, "not valid UTF-8"},
		{"an impossible OID", Attribute{asn1.ObjectIdentifier{9, 9}, "x"}, "invalid OID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Name{test.a}.DER()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	long := Attribute{OU, strings.Repeat("o", 78)}
	if long.Check() == nil || long.CheckLong() != nil {
		t.Error("the bound of an attribute holds, or does not, where it should not")
	}
	if _, err := (Name{long}).LongDER(); err != nil {
		t.Error(err)
	}
	if (Attribute{OU, strings.Repeat("o", ubName+1)}).CheckLong() == nil {
		t.Error("there is no end to a long attribute")
	}
	if _, err := make(Name, maxAttributes+1).DER(); err == nil {
		t.Error("a name of too many attributes is written")
	}
	if got := mustDER(t, Name{{CN, strings.Repeat("ø", 64)}}); len(got) < 128 {
		t.Error("64 characters of two octets each must be allowed")
	}
}

func TestParseReadsTheStringTypesOfTheField(t *testing.T) {
	for _, test := range []struct{ name, tag, value, want string }{
		{"UTF8String", "0c", "c3a6", "æ"},
		{"PrintableString", "13", "6162", "ab"},
		{"PrintableString with an at sign", "13", "6140", "a@"},
		{"IA5String", "16", "6140", "a@"},
		{"IA5String that holds UTF-8", "16", "c3a6", "æ"},
		{"T61String", "14", "e6f8e5", "æøå"},
		{"BMPString", "1e", "00e60142", "æł"},
		{"BMPString with surrogates", "1e", "d83ddd11", "🔑"},
		{"UniversalString", "1c", "0001f511", "🔑"},
		{"NumericString", "12", "3132", "12"},
		{"VisibleString", "1a", "6162", "ab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := Parse(attribute(t, test.tag, test.value))
			if err != nil || n.Value(CN) != test.want {
				t.Errorf("got %q, %v; want %q", n.Value(CN), err, test.want)
			}
		})
	}
}

// attribute is the DER of a name with one CN of the given tag and content.
func attribute(t *testing.T, tag, value string) []byte {
	t.Helper()
	content, err := hex.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	tagOctet, err := hex.DecodeString(tag)
	if err != nil {
		t.Fatal(err)
	}
	pair := sequence([]byte{6, 3, 0x55, 4, 3}, tagOctet, []byte{byte(len(content))}, content)
	return sequence(append([]byte{0x31, byte(len(pair))}, pair...))
}

func TestParseRefuses(t *testing.T) {
	for name, der := range map[string][]byte{
		"nothing":                    {},
		"something else":             {2, 1, 0},
		"trailing octets":            {0x30, 0, 0},
		"an empty RDN":               {0x30, 2, 0x31, 0},
		"a NUL in a name":            attribute(t, "0c", "610062"),
		"a NUL in a BMPString":       attribute(t, "1e", "00610000"),
		"half a character":           attribute(t, "1e", "006100"),
		"a UniversalString of 5":     attribute(t, "1c", "0000000000"),
		"broken UTF-8":               attribute(t, "0c", "c3"),
		"Latin-1 as PrintableString": attribute(t, "13", "e6"),
		"a number as a name":         attribute(t, "02", "01"),
		"too many attributes":        sequence(bytes.Repeat(attribute(t, "0c", "61")[2:], maxAttributes+1)),
	} {
		if n, err := Parse(der); err == nil {
			t.Errorf("%s is read as %v", name, n)
		}
	}
}

func TestMultiValuedRDNIsReadOneByOne(t *testing.T) {
	a := sequence([]byte{6, 3, 0x55, 4, 3, 0x0c, 1, 'x'})
	b := sequence([]byte{6, 3, 0x55, 4, 5, 0x13, 1, '1'})
	n, err := Parse(sequence(append([]byte{0x31, byte(len(a) + len(b))}, append(a, b...)...)))
	if err != nil || !equal(n, Name{{CN, "x"}, {SerialNumber, "1"}}) {
		t.Errorf("got %v, %v", n, err)
	}
}

func TestParseStringReads(t *testing.T) {
	for text, want := range map[string]Name{
		"":                         {},
		"CN=x,C=DK":                {{C, "DK"}, {CN, "x"}},
		" cn = x ,  c = DK ":       {{C, "DK"}, {CN, "x"}},
		`CN="Foo, Inc" , C=DK`:     {{C, "DK"}, {CN, "Foo, Inc"}},
		`CN=Foo\, Inc`:             {{CN, "Foo, Inc"}},
		`CN=\C3\A6`:                {{CN, "æ"}},
		`CN=x\20 `:                 {{CN, "x "}},
		`CN=a=b`:                   {{CN, "a=b"}},
		`2.5.4.3=x`:                {{CN, "x"}},
		`OID.2.5.4.3=#0C0161`:      {{CN, "a"}},
		`1.2.3.4=#0c0161`:          {{asn1.ObjectIdentifier{1, 2, 3, 4}, "a"}},
		`CN=x+serialNumber=1,C=DK`: {{C, "DK"}, {SerialNumber, "1"}, {CN, "x"}},
		`email=a@b,orgId=NTRDK-1,givenname=G,JOIC=DK`: {{JurisdictionC, "DK"}, {GN, "G"}, {OrganizationIdentifier, "NTRDK-1"}, {EmailAddress, "a@b"}},
	} {
		if got, err := ParseString(text); err != nil || !equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseStringSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"CN":                                 `expected a type and "="`,
		"x,CN=y":                             `position 1: expected a type`,
		"CN=x,":                              "ends with a separator",
		"CN=":                                "CN has no value",
		"CN=x,O=,C=DK":                       "O has no value",
		"foo=x":                              `unknown attribute type "foo"`,
		"1=x":                                "unknown attribute type",
		"3.1=x":                              "unknown attribute type",
		"1.02=x":                             "unknown attribute type",
		"CN=a;b":                             `';' must be written as \;`,
		`CN=a\`:                              "must be followed by",
		`CN=a\zz`:                            "must be followed by",
		`CN=\C3`:                             "not valid UTF-8",
		`CN=a\00`:                            "NUL",
		`CN="a`:                              "closing quote is missing",
		`CN="a" b`:                           `after the closing quote`,
		"CN=#zz":                             "hexadecimal",
		"CN=#0c02":                           "not one DER element",
		"CN=#020101":                         "not a string",
		"CN=\xff":                            "not valid UTF-8",
		strings.Repeat("CN=x,", 64) + "CN=x": "more than 64",
		strings.Repeat("x", maxText+1):       "the limit is",
	} {
		_, err := ParseString(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

// The contract's names of subject attributes, aliases and all, are read in any
// case.
func TestEveryNameOfTheContractIsKnown(t *testing.T) {
	for name := range strings.FieldsSeq(`c country o organization ou organizationalUnit t title cn commonName sn surName gn givenName
		i initials street streetAddress serialnumber l locality st state e email emailAddress dc uid generationQualifier generation
		description role joil joist joic orgId organizationIdentifier uniqueIdentifier name pseudonym postalAddress postalCode
		unstructuredaddress unstructuredname dn nameatbirth countryofcitizenship countryofresidence gender placeofbirth dateofbirth
		businesscategory telephonenumber scionisdasnumber tpmmanufacturer tpmmodel tpmversion`) {
		for _, text := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
			id, err := ParseType(text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if again, err := ParseType(TypeName(id)); err != nil || !again.Equal(id) {
				t.Errorf("%s became %s, which is read as %v (%v)", text, TypeName(id), again, err)
			}
		}
	}
}

func TestValuesThatAreNotStringsAreWrittenAndRead(t *testing.T) {
	birth, unique, address := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 1}, asn1.ObjectIdentifier{2, 5, 4, 45}, asn1.ObjectIdentifier{2, 5, 4, 16}
	n := Name{{birth, "1980-02-29"}, {unique, "ab-æ"}, {address, `Gade 1$9999 By\24$\5CHus`}}
	der := mustDER(t, n)
	back, err := Parse(der)
	if err != nil || !equal(n, back) {
		t.Errorf("read %v, %v", back, err)
	}
	foreign := sequence(
		set(sequence([]byte("\x06\x08\x2b\x06\x01\x05\x05\x07\x09\x01"), []byte("\x18\x0f19800229120000Z"))),
		set(sequence([]byte("\x06\x03\x55\x04\x2d"), []byte("\x03\x06\x00ab-æ"))),
		set(sequence([]byte("\x06\x03\x55\x04\x10"), sequence([]byte("\x0c\x06Gade 1\x0c\x089999 By$\x0c\x04\\Hus")))))
	if back, err := Parse(foreign); err != nil || !equal(n, back) {
		t.Errorf("the standards' own form is read as %v, %v", back, err)
	}
	if back, err := ParseString(n.String()); err != nil || !equal(n, back) {
		t.Errorf("text %s: read %v, %v", n, back, err)
	}
	for _, a := range []Attribute{{birth, "1981-02-29"}, {birth, "29.2.1980"}, {address, "a$$b"}, {address, "1$2$3$4$5$6$7"}, {address, strings.Repeat("x", 31)}} {
		if a.Check() == nil {
			t.Errorf("%v is accepted", a)
		}
	}
	if out := opensslText(t, der, "RFC2253,utf8"); out == "" {
		t.Error("openssl shows nothing")
	}
}

func set(pair []byte) []byte { return append([]byte{0x31, byte(len(pair))}, pair...) }

func anyName() *rapid.Generator[Name] {
	ids := []asn1.ObjectIdentifier{CN, O, OU, L, GN, UID, {1, 3, 6, 1, 4, 1, 99999, 1}, {2, 999, 3}}
	return rapid.Custom(func(t *rapid.T) Name {
		n := Name{}
		for range rapid.IntRange(0, 6).Draw(t, "attributes") {
			value := rapid.StringOfN(rapid.RuneFrom([]rune(" #\"+,;<>=\\aZ09.éøß漢🔑")), 1, 64, -1).Draw(t, "value")
			n = append(n, Attribute{rapid.SampledFrom(ids).Draw(t, "type"), value})
		}
		return n
	})
}

func TestNamesSurviveDERAndText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := anyName().Draw(t, "name")
		der, err := n.DER()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Parse(der); err != nil || !equal(n, back) {
			t.Fatalf("DER: %v became %v (%v)", n, back, err)
		}
		if back, err := ParseString(n.String()); err != nil || !equal(n, back) {
			t.Fatalf("text %s: %v became %v (%v)", n, n, back, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(mustDER(f, example))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		n, err := Parse(der)
		if err != nil {
			return
		}
		for _, a := range n {
			if a.Value == "" { // text cannot tell an empty value from a missing one
				return
			}
		}
		if back, err := ParseString(n.String()); err != nil || !equal(n, back) {
			t.Fatalf("text %s: %v became %v (%v)", n, n, back, err)
		}
	})
}

func FuzzParseString(f *testing.F) {
	for _, text := range []string{example.String(), `CN="a, b"+2.5.4.5=#1301 41`, `CN=\C3\A6 , C = DK`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseString(text)
		if err != nil {
			return
		}
		if back, err := ParseString(n.String()); err != nil || !equal(n, back) {
			t.Fatalf("text %s: %v became %v (%v)", n, n, back, err)
		}
	})
}

func BenchmarkDER(b *testing.B) {
	for b.Loop() {
		if _, err := example.DER(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	der := mustDER(b, example)
	for b.Loop() {
		if _, err := Parse(der); err != nil {
			b.Fatal(err)
		}
	}
}
