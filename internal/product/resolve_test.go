package product

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/dn"
)

// client is a product under test: TLS client with other fields.
func client(t testing.TB, fields string) *Product {
	t.Helper()
	return readyProduct(t, "tls-client", fields)
}

// codes are the codes and fields of all problems, sorted.
func codes(err error) []string {
	var r *Refusal
	if !errors.As(err, &r) {
		return nil
	}
	var out []string
	for _, p := range r.Problems {
		out = append(out, p.Code+" "+p.Field)
	}
	slices.Sort(out)
	return out
}

func expectCodes(t *testing.T, err error, want ...string) {
	t.Helper()
	if got := codes(err); !slices.Equal(got, want) {
		t.Errorf("problems %v, want %v (%v)", got, want, err)
	}
}

func fieldOf(t *testing.T, fields []Field, name string) Field {
	t.Helper()
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("%s is not in the preview", name)
	}
	return fields[i]
}

// A79, A80, A81: what each state does with what the request says.
func TestEveryStateOfAField(t *testing.T) {
	request := func(values ...string) Request {
		return Request{SPKI: spki("ec"), Fields: map[string][]string{"subject.CN": {"x"}, "subject.OU": values}}
	}
	fromCSR := request()
	fromCSR.CSR = &csr.Request{PublicKey: keys()["ec"].Public(), Name: dn.Name{{Type: dn.OU, Value: " sent "}, {Type: dn.OU, Value: "again"}, {Type: dn.L, Value: "not asked for"}}}
	for _, c := range []struct {
		name, rule string
		request    Request
		want       []string
		origin     Origin
		state      ShownState
		problems   []string
	}{
		{"fixed", `state = "fixed"` + "\n" + `values = ["a"]`, request(), []string{"a"}, OfProduct, ShownGreyed, nil},
		{"fixed and repeated", `state = "fixed"` + "\n" + `values = ["a"]`, request("a"), []string{"a"}, OfProduct, ShownGreyed, nil},
		{"fixed and contradicted", `state = "fixed"` + "\n" + `values = ["a"]`, request("b"), []string{"a"}, OfProduct, ShownGreyed, []string{"field.fixed subject.OU"}},
		{"hidden", `state = "hidden"` + "\n" + `values = ["a"]`, request(), []string{"a"}, OfProduct, ShownHidden, nil},
		{"hidden and contradicted", `state = "hidden"` + "\n" + `values = ["a"]`, request("b"), []string{"a"}, OfProduct, ShownHidden, []string{"field.fixed subject.OU"}},
		{"hidden, composed", `state = "hidden"` + "\n" + `values = ["unit {subject.CN} {{1}"]`, request(), []string{"unit x {1}"}, OfProduct, ShownHidden, nil},
		{"composed of nothing", `state = "hidden"` + "\n" + `values = ["unit {san.dns}"]`, request(), []string{}, OfProduct, ShownHidden, nil},
		{"absent", `state = "absent"`, request("b"), nil, "", "", []string{"field.not_in_product subject.OU"}},
		{"editable and empty", `state = "editable"`, request(" "), nil, OfNobody, ShownEditable, nil},
		{"editable and given", `state = "editable"`, request(" b ", "b"), []string{"b"}, OfRequest, ShownEditable, nil},
		{"mandatory and empty", `state = "editable"` + "\nmandatory = true", request(), nil, OfNobody, ShownEditable, []string{"field.missing subject.OU"}},
		{"default", `state = "editable"` + "\n" + `default = ["d"]` + "\nmandatory = true", request(), []string{"d"}, OfDefault, ShownEditable, nil},
		{"default, composed", `state = "editable"` + "\n" + `default = ["{subject.CN}"]`, request(), []string{"x"}, OfDefault, ShownEditable, nil},
		{"default and given", `state = "editable"` + "\n" + `default = ["d"]`, request("b"), []string{"b"}, OfRequest, ShownEditable, nil},
		{"pattern", `state = "editable"` + "\n" + `pattern = "a|b"`, request("ab"), []string{"ab"}, OfRequest, ShownEditable, []string{"field.value subject.OU"}},
		{"pattern that holds", `state = "editable"` + "\n" + `pattern = "a|b"`, request("b"), []string{"b"}, OfRequest, ShownEditable, nil},
		{"choice", `state = "editable"` + "\n" + `choices = ["a", "b"]`, request("c"), []string{"c"}, OfRequest, ShownEditable, []string{"field.value subject.OU"}},
		{"too many", `state = "editable"`, request("a", "b"), []string{"a", "b"}, OfRequest, ShownEditable, []string{"field.too_many subject.OU"}},
		{"two", `state = "editable"` + "\nmax = 2", request("a", "b"), []string{"a", "b"}, OfRequest, ShownEditable, nil},
		{"too long", `state = "editable"`, request(strings.Repeat("x", 65)), []string{strings.Repeat("x", 65)}, OfRequest, ShownEditable, []string{"field.value subject.OU"}},
		{"form only, request ignored", `state = "editable"`, fromCSR, nil, OfNobody, ShownEditable, nil},
		{"from the request", `state = "editable"` + "\nmax = 2\n" + `sources = ["csr"]`, fromCSR, []string{"sent", "again"}, OfCSR, ShownGreyed, nil},
		{"from the request only, but given", `state = "editable"` + "\n" + `sources = ["csr"]`, request("b"), nil, OfNobody, ShownGreyed, []string{"field.not_by_request subject.OU"}},
		{"by another spelling", `state = "editable"` + "\nmandatory = true", Request{SPKI: spki("ec"), SubjectDN: "organizationalunit=b, CN=x"}, []string{"b"}, OfRequest, ShownEditable, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule := c.rule
			if !strings.Contains(rule, "sources") {
				rule += "\nsources = []"
			}
			p := client(t, "[subject.OU]\n"+rule)
			fields, problems := p.Preview(c.request, now, nil)
			out, err := p.Resolve(c.request, now, nil)
			expectCodes(t, err, c.problems...)
			if (out != nil) != (len(c.problems) == 0) || len(problems) != len(c.problems) {
				t.Fatalf("%d problems in the preview, a profile: %v", len(problems), out != nil)
			}
			if c.state == "" {
				return
			}
			f := fieldOf(t, fields, "subject.OU")
			if !slices.Equal(f.Values, c.want) || f.Origin != c.origin || f.State != c.state {
				t.Errorf("got %+v", f)
			}
			if out != nil {
				name := must(dn.Parse(out.Subject))
				if got := name.Values(dn.OU); !slices.Equal(got, c.want) {
					t.Errorf("the certificate has %v", got)
				}
				if name.Value(dn.L) != "" {
					t.Error("an attribute of the request that the product does not have is in the certificate")
				}
			}
		})
	}
}

// A90: the contract's names of attributes in subjectDN, and every mistake at once.
func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	p := client(t, "")
	_, err := p.Resolve(Request{
		SubjectDN: "commonName=x,jobTitle2=y", Email: []string{"nobody"}, DNS: []DNSName{{Name: "-a.example.dk"}}, IP: []string{"10.0.0.1"},
		Fields: map[string][]string{"san.nothing": {"x"}, "subject.C": {"DNK"}}, Validity: 7, KeyGeneration: PKCS10,
	}, now, nil)
	expectCodes(t, err, "field.missing subject.CN", "field.not_in_product san.ip", "field.not_in_product san.nothing", "field.value san.dns",
		"field.value san.email", "field.value subject.C", "key.generation key_generation", "request.subject_dn subject_dn", "validity.not_offered validity")
	if f := fault.Of(err); f.Code != "product.refused" || !errors.Is(err, fault.Invalid) || !strings.Contains(f.Message, `"nobody"`) {
		t.Errorf("the summary is %+v", f)
	}
	_, err = p.Resolve(Request{}, now, nil)
	if f := fault.Of(err); f.Code != "field.missing" || f.Field != "subject.CN" {
		t.Errorf("a single problem is shown as %+v", f)
	}
}

func dv(t testing.TB, overrides string) *Product { return readyProduct(t, "tls-server-dv", overrides) }

// TLS BR 7.1.4.3, 4.2.2, 7.1.2.7.12, 3.2.2.6: names under public trust.
func TestNamesOfPublicServers(t *testing.T) {
	type r = Request
	names := func(all ...string) (out []DNSName) {
		for _, n := range all {
			out = append(out, DNSName{Name: n})
		}
		return out
	}
	for _, c := range []struct {
		name     string
		request  Request
		dns      []string
		cn       string
		problems []string
	}{
		{"duplicates and capitals", r{DNS: names("A.example.dk", "a.EXAMPLE.dk.", "b.example.dk")}, []string{"a.example.dk", "b.example.dk"}, "", nil},
		{"international", r{DNS: names("déjà.vu.com")}, []string{"xn--dj-kia8a.vu.com"}, "", nil},
		{"the base of a wildcard", r{DNS: []DNSName{{"*.sample.org", true, true}}}, []string{"*.sample.org", "sample.org"}, "", nil},
		{"www", r{DNS: []DNSName{{"sample.org", true, true}, {"www.sample.com", false, true}}}, []string{"sample.org", "www.sample.org", "www.sample.com"}, "", nil},
		{"a common name that is a name", r{DNS: names("a.example.dk"), SubjectDN: "CN=A.Example.dk"}, []string{"a.example.dk"}, "a.example.dk", nil},
		{"a common name alone", r{SubjectDN: "CN=www.example.dk"}, []string{"www.example.dk"}, "www.example.dk", nil},
		{"a common name in the request", r{CSR: &csr.Request{PublicKey: keys()["ec"].Public(), Name: dn.Name{{Type: dn.CN, Value: "www.example.dk"}, {Type: dn.O, Value: "ignored"}}}}, []string{"www.example.dk"}, "www.example.dk", nil},
		{"names in the request", r{CSR: &csr.Request{PublicKey: keys()["ec"].Public(), DNS: []string{"a.example.dk"}}}, []string{"a.example.dk"}, "", nil},
		{"names in the request and in the form", r{DNS: names("b.example.dk"), CSR: &csr.Request{PublicKey: keys()["ec"].Public(), DNS: []string{"a.example.dk"}}}, []string{"b.example.dk"}, "", nil},
		{"a common name that is another", r{DNS: names("a.example.dk"), SubjectDN: "CN=b.example.dk"}, nil, "", []string{"subject.cn_not_in_san subject.CN"}},
		{"a common name that is no name", r{DNS: names("a.example.dk"), SubjectDN: "CN=My server"}, nil, "", []string{"subject.cn_not_in_san subject.CN"}},
		{"an organisation", r{DNS: names("a.example.dk"), SubjectDN: "O=Example"}, nil, "", []string{"field.not_in_product subject.O"}},
		{"no name", r{}, nil, "", []string{"subject.empty subject"}},
		{"an internal name", r{DNS: names("server.local")}, nil, "", []string{"name.not_public san.dns"}},
		{"a bare host", r{DNS: names("server")}, nil, "", []string{"name.not_public san.dns"}},
		{"a registry", r{DNS: names("co.uk")}, nil, "", []string{"name.not_public san.dns"}},
		{"all of a registry", r{DNS: names("*.co.uk")}, nil, "", []string{"name.not_public san.dns"}},
		{"a top-level domain", r{DNS: names("*.com")}, nil, "", []string{"name.not_public san.dns"}},
		{"a private suffix", r{DNS: names("x.github.io", "*.github.io")}, []string{"x.github.io", "*.github.io"}, "", nil},
		{"a reverse zone", r{DNS: names("1.2.0.192.in-addr.arpa")}, nil, "", []string{"name.not_public san.dns"}},
		{"an underscore", r{DNS: names("a_b.example.dk")}, nil, "", []string{"name.not_public san.dns"}},
		{"an address as a name", r{DNS: names("192.0.2.1")}, nil, "", []string{"name.address san.dns"}},
		{"a star in the middle", r{DNS: names("a.*.example.dk")}, nil, "", []string{"field.value san.dns"}},
		{"punycode of nothing", r{DNS: names("xn--a.example.dk")}, nil, "", []string{"field.value san.dns"}},
		{"an empty label", r{DNS: names("a..example.dk")}, nil, "", []string{"field.value san.dns"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.request.SPKI = spki("ec")
			out, err := dv(t, "").Resolve(c.request, now, nil)
			expectCodes(t, err, c.problems...)
			if out != nil && (!slices.Equal(out.SAN.DNS, c.dns) || !slices.Equal(out.DomainNames, c.dns) || out.CommonName != c.cn) {
				t.Errorf("got %v, common name %q", out.SAN.DNS, out.CommonName)
			}
		})
	}
}

// A87: the rules are the product's, whatever its template says.
func TestRulesThatOverridesSwitch(t *testing.T) {
	request := Request{SPKI: spki("ec"), DNS: []DNSName{{Name: "*.example.dk"}}}
	_, err := dv(t, "[rules]\nwildcards = false").Resolve(request, now, nil)
	expectCodes(t, err, "name.wildcard san.dns")
	ip := dv(t, "[san.ip]\nstate = \"editable\"\nmax = 9")
	for address, bad := range map[string]bool{"10.0.0.1": true, "192.0.2.1": true, "100.64.0.1": true, "2001:db8::1": true, "fe80::1": true, "8.8.8.8": false, "2a00:1450::1": false} {
		_, err := ip.Resolve(Request{SPKI: spki("ec"), IP: []string{address}}, now, nil)
		if (err != nil) != bad {
			t.Errorf("%s: %v", address, err)
		}
	}
	// A common name that would be too long is left out, unless it must be there.
	long := Request{SPKI: spki("ec"), DNS: []DNSName{{Name: strings.Repeat("a", 60) + ".example.dk"}}}
	p := dv(t, "[subject.CN]\nstate = \"hidden\"\nsources = []\nvalues = [\"{san.dns}\"]")
	if out, err := p.Resolve(long, now, nil); err != nil || out.CommonName != "" {
		t.Errorf("%v, %v", out, err)
	}
	p = dv(t, "[subject.CN]\nstate = \"hidden\"\nmandatory = true\nsources = []\nvalues = [\"{san.dns}\"]")
	_, err = p.Resolve(long, now, nil)
	expectCodes(t, err, "field.value subject.CN")
}

// A33, rows 1 and 16: dated rules hold at order time.
func TestDatedRulesRefuseOrders(t *testing.T) {
	request := func(days int) Request {
		return Request{SPKI: spki("ec"), DNS: []DNSName{{Name: "example.dk"}}, Validity: days}
	}
	p := dv(t, "[validity]\nmax = 1000")
	for _, c := range []struct {
		at   time.Time
		days int
		ok   bool
	}{
		{on(2026, 3, 14), 398, true},
		{on(2026, 3, 14), 399, false},
		{on(2026, 3, 15), 200, true},
		{on(2026, 3, 15), 201, false},
		{on(2027, 3, 15), 100, true},
		{on(2027, 3, 15), 101, false},
		{on(2029, 3, 15), 47, true},
		{on(2029, 3, 15), 48, false},
	} {
		out, err := p.Resolve(request(c.days), c.at, nil)
		if (err == nil) != c.ok {
			t.Errorf("%d days on %s: %v", c.days, c.at.Format(time.DateOnly), err)
		}
		if out != nil {
			if got := out.NotAfter(c.at).Sub(c.at); got != time.Duration(c.days)*day-time.Second {
				t.Errorf("%d days became %v", c.days, got)
			}
		}
	}
	both := dv(t, "[extensions]\next_key_usage = [\"serverAuth\", \"clientAuth\"]")
	if _, err := both.Resolve(request(0), on(2027, 3, 14), nil); err != nil {
		t.Error(err)
	}
	_, err := both.Resolve(request(0), on(2027, 3, 15), nil)
	expectCodes(t, err, "rule.client_auth product")
}

func TestValidityUnitsCountBothEnds(t *testing.T) {
	from := time.Date(2024, time.January, 31, 10, 0, 0, 0, time.UTC)
	for unit, want := range map[Unit]string{
		Years: "2025-01-31T09:59:59Z", Months: "2024-02-29T09:59:59Z", Days: "2024-02-01T09:59:59Z",
		Hours: "2024-01-31T10:59:59Z", Minutes: "2024-01-31T10:00:59Z", Seconds: "2024-01-31T10:00:00Z",
	} {
		if got := unit.end(from, 1).Format(time.RFC3339); got != want {
			t.Errorf("1 %s ends %s, want %s", unit, got, want)
		}
	}
}

// A82: who makes the key, how long the certificate lives, and from when.
func TestTermsOfTheOrder(t *testing.T) {
	request := &csr.Request{PublicKey: keys()["ec"].Public()}
	base := Request{Fields: values("subject.CN", "x")}
	for _, c := range []struct {
		name, overrides string
		change          func(p *Product, r *Request)
		generation      Generation
		problems        []string
	}{
		{"a key made here", "", func(*Product, *Request) {}, PKCS12WithCAPIN, nil},
		{"a key made here, as asked", "", func(_ *Product, r *Request) { r.KeyGeneration = PKCS12 }, PKCS12WithCAPIN, nil},
		{"a key made in another way", "", func(_ *Product, r *Request) { r.KeyGeneration = GeneratedHSM }, "", []string{"key.generation key_generation"}},
		{"a request came", "", func(_ *Product, r *Request) { r.CSR = request }, PKCS10, nil},
		{"a request came against the word", "", func(_ *Product, r *Request) { r.CSR, r.KeyGeneration = request, PKCS12WithCAPIN }, "", []string{"key.generation key_generation"}},
		{"no request, and one is needed", "[key]\ngeneration = \"PKCS10\"", func(*Product, *Request) {}, "", []string{"csr.missing csr"}},
		{"a request, and none is taken", "[key]\ngeneration = \"PKCS12\"", func(_ *Product, r *Request) { r.CSR = request }, "", []string{"key.made_here csr"}},
		{"a key of a renewal", "[key]\ngeneration = \"PKCS12\"", func(_ *Product, r *Request) { r.SPKI = spki("rsa") }, PKCS10, nil},
		{"retired", "", func(p *Product, _ *Request) { p.Retired = true }, "", []string{"product.retired product"}},
		{"expired", "", func(p *Product, _ *Request) { p.Expires = now }, "", []string{"product.expired product"}},
		{"an option of validity", "", func(_ *Product, r *Request) { r.Validity = 3 }, PKCS12WithCAPIN, nil},
		{"no option of validity", "", func(_ *Product, r *Request) { r.Validity = 4 }, "", []string{"validity.not_offered validity"}},
		{"a later start", "", func(_ *Product, r *Request) { r.NotBefore = now.Add(day) }, "", []string{"validity.future not_before"}},
		{"a later start that is offered", "[validity]\nstart_days = 2", func(_ *Product, r *Request) { r.NotBefore = now.Add(day) }, PKCS12WithCAPIN, nil},
		{"a start in the past", "", func(_ *Product, r *Request) { r.NotBefore = now.Add(-72 * time.Hour) }, "", []string{"validity.past not_before"}},
		{"a bad scope", "", func(_ *Product, r *Request) { r.Extensions.Scope = "xyz" }, "", []string{"field.value ext.scope"}},
		{"a mistake in the product", "[subject.O]\npattern = \"(\"", func(*Product, *Request) {}, "", []string{"product.mistake subject.O"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, r := client(t, c.overrides), base
			c.change(p, &r)
			out, err := p.Resolve(r, now, nil)
			expectCodes(t, err, c.problems...)
			if out != nil && out.Generation != c.generation {
				t.Errorf("the key comes by %s", out.Generation)
			}
		})
	}
}

// A77: with a data source, a record is picked, fills fields and locks them.
func TestARecordFillsAndLocksFields(t *testing.T) {
	p := client(t, `
[data]
source = "staff"
[subject.CN]
sources = ["data"]
column = "name"
[subject.O]
sources = ["data", "form"]
column = "company"
[san.email]
sources = ["data"]
column = "mail"
`)
	rows := Rows{
		{"name": {"Åse"}, "company": {"Eksempel"}, "mail": {"aase@EXAMPLE.dk", "a@example.dk"}},
		{"name": {"Bo"}, "mail": {"bo@example.dk"}},
	}
	for _, c := range []struct {
		name     string
		request  Request
		data     Rows
		subject  string
		mail     []string
		problems []string
	}{
		{"the only record", Request{}, rows[:1], "CN=Åse,O=Eksempel", []string{"aase@example.dk", "a@example.dk"}, nil},
		{"picked by its name", Request{SubjectDN: "CN=Bo"}, rows, "CN=Bo", []string{"bo@example.dk"}, nil},
		{"a gap that the form fills", Request{SubjectDN: "CN=Bo,O=Mine"}, rows, "CN=Bo,O=Mine", []string{"bo@example.dk"}, nil},
		{"a value that a record has, under another name", Request{SubjectDN: "CN=Bo,O=Mine"}, rows[:1], "", nil, []string{"data.no_match data", "field.missing subject.CN", "field.not_by_request subject.CN"}},
		{"nobody", Request{SubjectDN: "CN=Carl"}, rows, "", nil, []string{"data.no_match data", "field.not_by_request subject.CN"}},
		{"nothing chosen", Request{}, nil, "", nil, []string{"data.missing data", "field.missing subject.CN"}},
		{"too much chosen", Request{}, rows, "", nil, []string{"data.ambiguous data", "field.missing subject.CN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := p.Resolve(c.request, now, c.data)
			if c.problems != nil {
				for _, want := range c.problems[:1] {
					if !slices.Contains(codes(err), want) {
						t.Errorf("problems %v, want %v", codes(err), want)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out.SubjectText != c.subject || !slices.Equal(out.SAN.Email, c.mail) {
				t.Errorf("got %s, %v", out.SubjectText, out.SAN.Email)
			}
			if f := fieldOf(t, out.Preview, "subject.CN"); f.Origin != OfData || f.State != ShownGreyed {
				t.Errorf("the name is %+v", f)
			}
		})
	}
}

// A84: a pasted request fills in what may be edited.
func TestAPastedRequestFillsTheForm(t *testing.T) {
	p := client(t, "[subject.O]\nstate = \"fixed\"\nsources = []\nvalues = [\"Fixed\"]\n[subject.C]\nchoices = [\"DK\"]")
	r := &csr.Request{
		Name: dn.Name{{Type: dn.C, Value: "SE"}, {Type: dn.O, Value: "Other"}, {Type: dn.OU, Value: "Unit"}, {Type: dn.CN, Value: "x"}, {Type: dn.L, Value: "y"}},
		DNS:  []string{"A.example.dk", "a.example.dk", "-bad-"},
	}
	want := map[string][]string{"subject.OU": {"Unit"}, "subject.CN": {"x"}, "san.dns": {"a.example.dk"}}
	if got := p.Prefill(r); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// A79, A81, A93: the form, with its greyed and mandatory fields.
func TestTheFormShowsWhatIsNotHidden(t *testing.T) {
	p := client(t, "[subject.O]\nstate = \"fixed\"\nsources = []\nvalues = [\"Fixed\"]\n[subject.OU]\nstate = \"hidden\"\nsources = []\nvalues = [\"Secret\"]\n[subject.C]\ndefault = [\"DK\"]\nchoices = [\"DK\", \"SE\"]\n[subject.CN]\nlabel = \"Who\"")
	var got []string
	for _, f := range p.Form() {
		got = append(got, fmt.Sprintf("%s|%s|%s|%v|%v", f.Name, f.Label, f.State, f.Mandatory, f.Default))
	}
	want := []string{
		"subject.C|Country|editable|false|[DK]", "subject.O|Organisation|greyed|false|[Fixed]", "subject.serialNumber|Serial number|editable|false|[]", "subject.CN|Who|editable|true|[]",
		"san.dns|Domain names|editable|false|[]", "san.email|E-mail addresses|editable|false|[]",
		"ext.role|Role|editable|false|[]", "ext.device_serial|Serial number of the device|editable|false|[]", "ext.scope|Scope|editable|false|[]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
}

func TestRareAlternativeNames(t *testing.T) {
	p := client(t, `
[san.directory_name]
state = "editable"
[san.registered_id]
state = "editable"
[san.smtp_utf8]
state = "editable"
[san.uri]
state = "editable"
[san."other:1.2.3.4"]
state = "editable"
`)
	r := Request{SPKI: spki("ec"), URI: []string{"https://Blåbær.dk:8443/a?b"}, Fields: values("subject.CN", "x", "san.directory_name", "CN=a,O=b", "san.registered_id", "1.2.3", "san.smtp_utf8", "åse@example.dk", "san.other:1.2.3.4", "æ")}
	out, err := p.Resolve(r, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := issue(t, out, "ec")
	shown := text(t, cert) + string(cert.Raw)
	for _, want := range []string{"URI:https://xn--blbr-roah.dk:8443/a?b", "DirName:/O=b/CN=a", "Registered ID:1.2.3", "SmtpUTF8Mailbox:", "\x0c\x0fåse@example.dk", "\x06\x03\x2a\x03\x04\xa0\x04\x0c\x02æ"} {
		if !strings.Contains(shown, want) {
			t.Errorf("openssl does not show %s:\n%s", want, shown)
		}
	}
	if !slices.Equal(out.Mailboxes, []string{"åse@example.dk"}) {
		t.Errorf("mailboxes %v", out.Mailboxes)
	}
	for field, bad := range map[string]string{"san.directory_name": "CN", "san.registered_id": "9.9", "san.smtp_utf8": "x", "san.uri": "http://[bad"} {
		r.Fields = values("subject.CN", "x", field, bad)
		_, err := p.Resolve(r, now, nil)
		expectCodes(t, err, "field.value "+field)
	}
}

// A15: the certificate names the policy of its realm.
func TestPoliciesFollowTheRealm(t *testing.T) {
	template := must(ReadyTemplate("eid-person"))
	p := must(template.Product("x", access.Preprod, "", "ca-1", nil))
	out, err := p.Resolve(samples()["eid-person"].request, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if shown := text(t, issue(t, out, "rsa")); !strings.Contains(shown, "Policy: 1.3.6.1.4.1.31313.2.4.6.1.3") {
		t.Errorf("openssl shows\n%s", shown)
	}
}

// The same request gives the same certificate content, prepared or not.
func TestResolveIsDeterministic(t *testing.T) {
	p := client(t, "")
	words := rapid.SampledFrom([]string{"x", "Å", "a@example.dk", "*.example.dk", "10.0.0.1", "", "DK", "CN=x"})
	rapid.Check(t, func(rt *rapid.T) {
		r := Request{SPKI: spki("ec"), SubjectDN: rapid.SampledFrom([]string{"", "CN=x", "O=y,CN=x", "bad"}).Draw(rt, "dn"), Fields: map[string][]string{}}
		for _, name := range []string{"subject.C", "subject.O", "subject.CN", "san.dns", "san.email", "SUBJECT.commonname", "x"} {
			if rapid.Bool().Draw(rt, name) {
				r.Fields[name] = rapid.SliceOfN(words, 0, 3).Draw(rt, name+" values")
			}
		}
		a, errA := p.Resolve(r, now, nil)
		bare := *p
		bare.plan = nil
		b, errB := bare.Resolve(r, now, nil)
		if !slices.Equal(codes(errA), codes(errB)) || (a == nil) != (b == nil) {
			rt.Fatalf("%v and %v", errA, errB)
		}
		if a != nil {
			a.NotAfter, b.NotAfter = nil, nil
			if !reflect.DeepEqual(a, b) {
				rt.Fatalf("%+v and %+v", a, b)
			}
		}
	})
}

func FuzzSubjectDN(f *testing.F) {
	p := client(f, "")
	for _, seed := range []string{"CN=x,O=y,C=DK", "commonname=#0c0161", `cn="a,b"+o=c`, "c=dnk,cn=\\C3\\A6"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := p.Resolve(Request{SPKI: spki("ec"), SubjectDN: text}, now, nil)
		if err != nil {
			if fault.Of(err).Kind != fault.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		if name, err := dn.Parse(out.Subject); err != nil || name.Value(dn.CN) == "" {
			t.Fatalf("%q became %x (%v)", text, out.Subject, err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	for _, c := range []struct {
		name string
		p    *Product
		r    Request
	}{
		{"client", client(b, ""), samples()["tls-client"].request},
		{"server", dv(b, ""), Request{SPKI: spki("ec"), DNS: []DNSName{{Name: "www.example.dk"}, {Name: "example.dk"}}}},
		{"sponsor", readyProduct(b, "smime-sponsor-strict", ""), samples()["smime-sponsor-strict"].request},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.p.Resolve(c.r, now, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
