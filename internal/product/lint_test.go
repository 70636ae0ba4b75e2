package product

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// finds tells whether there is such a finding at a path.
func finds(all []Finding, severity Severity, code, path string) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Severity == severity && f.Code == code && f.Path == path })
}

// A32, A33: every rule refuses what it should, at its place (rows 1, 7, 13, 15–18, 28, 29, 31).
func TestLintFindsEachMistake(t *testing.T) {
	for _, c := range []struct {
		name, template, overrides string
		severity                  Severity
		code, path                string
	}{
		{"an unknown attribute", "tls-client", "[subject.foo]\nstate = \"editable\"", Error, "field.unknown", "subject.foo"},
		{"an unknown name", "tls-client", "[san.foo]\nstate = \"editable\"", Error, "field.unknown", "san.foo"},
		{"an unknown extension", "tls-client", "[extensions.fields.foo]\nstate = \"editable\"", Error, "field.unknown", "extensions.fields.foo"},
		{"an unknown state", "tls-client", "[subject.O]\nstate = \"foo\"", Error, "field.state", "subject.O.state"},
		{"a broken pattern", "tls-client", "[subject.O]\npattern = \"(\"", Error, "field.pattern", "subject.O"},
		{"an anchored pattern", "tls-client", "[subject.O]\npattern = \"^a$\"", Warning, "field.pattern", "subject.O.pattern"},
		{"fixed to nothing", "tls-client", "[subject.O]\nstate = \"fixed\"\nsources = []", Error, "field.no_value", "subject.O.values"},
		{"fixed with sources", "tls-client", "[subject.O]\nstate = \"fixed\"\nvalues = [\"x\"]", Error, "field.state", "subject.O"},
		{"a default outside the choices", "tls-client", "[subject.O]\nchoices = [\"a\"]\ndefault = [\"b\"]", Error, "field.value", "subject.O.default.0"},
		{"a default that breaks the pattern", "tls-client", "[subject.O]\npattern = \"a\"\ndefault = [\"b\"]", Error, "field.value", "subject.O.default.0"},
		{"a choice in another form", "tls-client", "[subject.C]\nchoices = [\"dk\"]", Error, "field.value", "subject.C.choices.0"},
		{"a choice that cannot be", "tls-client", "[subject.C]\nchoices = [\"DNK\"]", Error, "field.value", "subject.C.choices.0"},
		{"a placeholder of nothing", "tls-client", "[subject.O]\ndefault = [\"{x}\"]", Error, "field.placeholder", "subject.O.default"},
		{"a chain of placeholders", "tls-client", "[subject.O]\ndefault = [\"{subject.OU}\"]\n[subject.OU]\ndefault = [\"{subject.CN}\"]", Error, "field.placeholder", "subject.O.default"},
		{"an open placeholder", "tls-client", "[subject.O]\ndefault = [\"{subject.CN\"]", Error, "field.placeholder", "subject.O.default"},
		{"more values than fit", "tls-client", "[subject.O]\ndefault = [\"a\", \"b\"]", Error, "field.max", "subject.O.max"},
		{"a source that is none", "tls-client", "[subject.O]\nsources = [\"x\"]", Error, "field.source", "subject.O.sources"},
		{"a request for a role", "tls-client", "[extensions.fields.role]\nsources = [\"csr\"]", Error, "field.source", "extensions.fields.role.sources"},
		{"data without a source", "tls-client", "[subject.O]\nsources = [\"data\"]\ncolumn = \"x\"", Error, "field.column", "data.source"},
		{"data without a column", "tls-client", "[subject.O]\nsources = [\"data\"]\n[data]\nsource = \"x\"", Error, "field.column", "subject.O.column"},
		{"an overlong unit in public", "smime-mailbox-strict", "[subject.CN]\nlong = true", Error, "field.long", "subject.CN.long"},
		{"no key type", "tls-client", "[key]\ntypes = []", Error, "key.types", "key.types"},
		{"an unknown key type", "tls-client", "[key]\ntypes = [\"RSA\"]", Error, "key.type", "key.types.0"},
		{"a curve of the interface that is not certified", "tls-client", "[key]\ntypes = [\"EC_brainpool256r1\"]", Error, "key.unsupported", "key.types.0"},
		{"an unknown generation", "tls-client", "[key]\ngeneration = \"X\"", Error, "key.generation", "key.generation"},
		{"escrow of the customer's key", "tls-server-dv", "[rules]\nescrow = true", Error, "key.escrow", "rules.escrow"},
		{"escrow of a key with the holder's PIN", "smime-mailbox-strict", "[rules]\nescrow = true", Error, "key.escrow", "rules.escrow"},
		{"a PIN link to nobody", "tls-client", "[key]\ngeneration = \"PKCS12withPIN\"", Error, "key.pin_mail", "san.email"},
		{"no validity", "tls-client", "[validity]\nvalue = 0", Error, "validity.value", "validity"},
		{"two centuries", "tls-client", "[validity]\noptions = [200]", Error, "validity.value", "validity"},
		{"an unknown unit", "tls-client", "[validity]\nunit = \"WEEKS\"", Error, "validity.unit", "validity.unit"},
		{"row 1: a validity that is too long", "tls-server-dv", "[validity]\nmax = 201", Warning, "validity.too_long", "validity"},
		{"row 1: a validity that will be", "tls-server-dv", "[validity]\nmax = 101", Warning, "validity.too_long", "validity"},
		{"row 28: a validity of S/MIME", "smime-mailbox-strict", "[validity]\noptions = [3]", Warning, "validity.too_long", "validity"},
		{"a usage that does not fit", "tls-client", "[extensions]\nkey_usage = [\"keyEncipherment\"]", Error, "usage.inconsistent", "extensions.ext_key_usage.0"},
		{"an unknown usage", "tls-client", "[extensions]\nkey_usage = [\"sign\"]", Error, "extension.key_usage", "extensions.key_usage"},
		{"an unknown purpose", "tls-client", "[extensions]\next_key_usage = [\"client\"]", Error, "extension.purpose", "extensions.ext_key_usage"},
		{"an authority", "tls-client", "[extensions]\nca = true", Error, "usage.ca", "extensions.ca"},
		{"certificates signed by a leaf", "tls-client", "[extensions]\nkey_usage = [\"digitalSignature\", \"keyCertSign\"]", Error, "usage.ca", "extensions.key_usage"},
		{"name constraints of a leaf", "tls-client", "[extensions.permitted]\ndns = [\"example.dk\"]", Error, "usage.ca", "extensions"},
		{"a broken extension", "tls-client", "[[extensions.custom]]\noid = \"1.2.3\"\nvalue = \"05\"", Error, "extension.value", "extensions.custom.0"},
		{"a broken policy", "tls-client", "[[extensions.policies]]\noid = \"x\"", Error, "extension.policy", "extensions.policies.0"},
		{"row 15: a server key made here", "tls-server-dv", "[key]\ngeneration = \"PKCS12\"", Error, "key.tls_made_here", "key.generation"},
		{"row 15: a key of any purpose made here", "smime-mailbox-multipurpose", "[extensions]\next_key_usage = [\"emailProtection\", \"any\"]", Error, "key.tls_made_here", "key.generation"},
		{"row 16: both purposes", "tls-server-dv", "[extensions]\next_key_usage = [\"serverAuth\", \"clientAuth\"]", Warning, "tls.client_auth", "extensions.ext_key_usage"},
		{"row 16: another purpose", "tls-server-dv", "[extensions]\next_key_usage = [\"serverAuth\", \"emailProtection\"]", Error, "tls.purpose", "extensions.ext_key_usage"},
		{"row 17: the policy of another class", "tls-server-dv", "[[extensions.policies]]\noid = \"2.23.140.1.2.2\"", Error, "tls.policy", "extensions.policies"},
		{"row 17: two policies", "tls-server-dv", "[[extensions.policies]]\noid = \"2.23.140.1.2.1\"\n[[extensions.policies]]\noid = \"2.23.140.1.1\"", Error, "tls.policy", "extensions.policies"},
		{"row 17: a unit", "tls-server-ov", "[subject.OU]\nstate = \"editable\"", Error, "tls.subject", "subject.OU"},
		{"row 17: an organisation nobody validates", "tls-server-dv", "[subject.O]\nstate = \"editable\"", Error, "tls.subject", "subject.O"},
		{"row 17: no organisation", "tls-server-ov", "[subject.O]\nmandatory = false", Error, "tls.subject", "subject.O"},
		{"row 17: a common name", "tls-server-dv", "", Warning, "tls.common_name", "subject.CN"},
		{"row 17: e-mail addresses", "tls-server-dv", "[san.email]\nstate = \"editable\"", Error, "tls.san", "san.email"},
		{"row 17: no class", "tls-server-dv", "class = \"\"", Error, "tls.class", "class"},
		{"no control of domains", "tls-server-dv", "[rules]\ndomain_control = \"\"", Error, "tls.rule", "rules.domain_control"},
		{"no CAA", "tls-server-dv", "[rules]\ncaa = false", Error, "tls.rule", "rules.caa"},
		{"no linting", "tls-server-dv", "[rules]\nlint = {on = false}", Error, "tls.rule", "rules.lint"},
		{"no transparency", "tls-server-dv", "[rules]\nct = {on = false}", Warning, "tls.ct", "rules.ct"},
		{"hold", "tls-server-dv", "[rules]\nhold = true", Error, "tls.hold", "rules.hold"},
		{"row 13: Ed25519", "tls-server-dv", "[key]\ntypes = [\"Ed25519\"]", Error, "key.public", "key.types.0"},
		{"keyEncipherment of any key", "tls-server-dv", "[extensions]\nkey_usage = [\"digitalSignature\", \"keyEncipherment\"]", Error, "tls.key_usage", "extensions.key_usage"},
		{"control by e-mail", "tls-server-dv", "[rules]\ndomain_control = \"email-link\"", Warning, "rule.email_link", "rules.domain_control"},
		{"row 28: strict with another purpose", "smime-mailbox-strict", "[extensions]\next_key_usage = [\"emailProtection\", \"clientAuth\"]", Error, "smime.purpose", "extensions.ext_key_usage"},
		{"row 28: the policy of another generation", "smime-mailbox-strict", "strict = false", Error, "smime.policy", "extensions.policies"},
		{"row 28: no mailbox", "smime-mailbox-strict", "[san.email]\nmandatory = false", Error, "smime.mailbox", "san.email"},
		{"row 28: nobody checks the mailbox", "smime-mailbox-strict", "[rules]\nmailbox_control = false", Error, "smime.rule", "rules.mailbox_control"},
		{"row 28: a name that nobody validated", "smime-mailbox-strict", "[subject.O]\nstate = \"editable\"", Error, "smime.subject", "subject.O"},
		{"row 28: no person", "smime-sponsor-strict", "[subject.GN]\nmandatory = false", Error, "smime.subject", "subject.GN"},
		{"row 31: no purpose", "qualified-person", "[extensions.qualified]\ntypes = [\"eseal\"]", Error, "qualified.type", "extensions.qualified.types"},
		{"row 31: no disclosure statement", "qualified-person", "[extensions.qualified]\npds = []", Error, "qualified.pds", "extensions.qualified.pds"},
		{"row 31: a device that is a file", "qualified-person", "[key]\ngeneration = \"PKCS12\"", Error, "qualified.sscd", "extensions.qualified.sscd"},
		{"row 31: no surname", "qualified-person", "[subject.SN]\nmandatory = false", Error, "qualified.subject", "subject.GN"},
		{"code keys in files", "code-signing", "[rules]\npublic_trust = true\n[key]\ngeneration = \"PKCS12\"", Error, "code.hardware", "key.generation"},
		{"small code keys", "code-signing", "[rules]\npublic_trust = true\n[key]\ntypes = [\"RSA_2048\"]", Error, "code.key", "key.types.0"},
		{"time stamps and more", "time-stamping", "[extensions]\next_key_usage = [\"timeStamping\", \"clientAuth\"]", Error, "usage.purpose", "extensions.ext_key_usage"},
		{"a responder that is checked", "ocsp-responder", "[extensions]\nocsp_no_check = false", Warning, "ocsp.no_check", "extensions.ocsp_no_check"},
		{"a controller in public", "domain-controller", "[rules]\npublic_trust = true", Error, "dc.public", "rules.public_trust"},
		{"logon without an account", "smartcard-logon", "[san.upn]\nstate = \"absent\"", Error, "logon.name", "san.upn"},
		{"an eID without a role", "eid-person", "[extensions]\npolicies = []", Error, "eid.policy", "extensions.policies"},
		{"an approval by nobody", "tls-client", "[rules.approval_issue]\nfour_eyes = true", Error, "rule.approval", "rules.approval_issue.count"},
		{"a renewal without a date", "tls-client", "[rules.renewal]\nmode = \"manual\"", Error, "rule.renewal", "rules.renewal.days_before"},
		{"a renewal before the beginning", "tls-client", "[rules.renewal]\nmode = \"manual\"\ndays_before = 366", Error, "rule.renewal", "rules.renewal.days_before"},
		{"a renewal that nobody hears of", "ocsp-responder", "[rules.renewal]\nmode = \"manual\"\ndays_before = 5", Warning, "rule.renewal_recipient", "rules.renewal"},
		{"publication nowhere", "tls-client", "[rules.publication]\ndefault = true", Error, "rule.publication", "rules.publication.publishers"},
		{"documents in no form", "tls-client", "[rules.documents]\nrequired = true", Error, "rule.documents", "rules.documents"},
		{"documents at once that are not needed", "tls-client", "[rules.documents]\non_register = true\npdf = true", Error, "rule.documents", "rules.documents.on_register"},
		{"recipients of nothing", "tls-client", "[rules.notify]\nadditional = [\"x\"]", Error, "rule.recipients", "rules.notify.additional.0"},
		{"a lint without a level", "tls-client", "[rules.lint]\nlevels = {x = \"fatal\"}", Error, "rule.lint", "rules.lint.levels.x"},
		{"an unknown rule on keys", "tls-client", "[rules]\nunique_key = \"x\"", Error, "rule.unique_key", "rules.unique_key"},
		{"an unknown kind", "tls-client", "kind = \"x\"", Error, "product.kind", "kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := readyProduct(t, c.template, c.overrides).Lint(now)
			if !finds(all, c.severity, c.code, c.path) {
				t.Errorf("not found; there is %+v", all)
			}
		})
	}
}

func TestLintOfTheProductItself(t *testing.T) {
	all := (&Product{Expires: now}).Lint(now)
	for _, want := range []string{"name product.name", "realm product.realm", "authority product.authority", "kind product.kind", "subject product.nameless", "expires product.expired"} {
		if !slices.ContainsFunc(all, func(f Finding) bool { return f.Path+" "+f.Code == want }) {
			t.Errorf("%s is not found", want)
		}
	}
}

// Warnings become errors on their day.
func TestLintFollowsTheCalendar(t *testing.T) {
	p := dv(t, "[extensions]\next_key_usage = [\"serverAuth\", \"clientAuth\"]")
	if all := p.Lint(on(2027, time.March, 15)); !finds(all, Error, "tls.client_auth", "extensions.ext_key_usage") {
		t.Error("both purposes after their day")
	}
	p = dv(t, "[rules]\ndomain_control = \"email-link\"")
	if all := p.Lint(on(2028, time.March, 15)); !finds(all, Error, "rule.email_link", "rules.domain_control") {
		t.Error("control by e-mail after its day")
	}
	p = dv(t, "[validity]\nvalue = 47\nmax = 47")
	if all := p.Lint(now); slices.ContainsFunc(all, func(f Finding) bool { return f.Code == "validity.too_long" }) {
		t.Errorf("a validity that outlives the calendar: %+v", all)
	}
}

func TestLintIsStable(t *testing.T) {
	p := readyProduct(t, "tls-server-dv", "class = \"ov\"\n[rules]\ncaa = false\nlint = {on = false, levels = {a = \"x\", b = \"y\"}}\n[subject.foo]\nstate = \"x\"\n[san.bar]\nstate = \"y\"")
	first := p.Lint(now)
	if len(first) < 8 || !slices.IsSortedFunc(first, func(a, b Finding) int { return strings.Compare(a.Path, b.Path) }) {
		t.Fatalf("%+v", first)
	}
	for range 20 {
		if again := p.Lint(now); !slices.Equal(first, again) {
			t.Fatalf("%+v became %+v", first, again)
		}
	}
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	a := dv(t, "")
	b := dv(t, "[validity]\nvalue = 47\n[subject.CN]\nstate = \"absent\"\n[[extensions.policies]]\noid = \"2.23.140.1.2.1\"\ncps = \"https://example.dk\"")
	b.Name = "Other"
	got := map[string]string{}
	for _, c := range Diff(a, b) {
		got[c.Path] = c.From + " → " + c.To
	}
	want := map[string]string{
		"name": `"Product tls-server-dv" → "Other"`, "definition.validity.value": "90 → 47", "definition.extensions.policies.0.cps": ` → "https://example.dk"`,
		"definition.subject.CN.state": `"editable" → `, "definition.subject.CN.sources": `["form","csr"] → `, "definition.subject.CN.hint": `"Leave it empty: browsers read the domain names only." → `,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if d := Diff(a, a); len(d) != 0 {
		t.Errorf("a product differs from itself: %v", d)
	}
	if o := b.Overrides(must(ReadyTemplate("tls-server-dv"))); len(o) != 5 {
		t.Errorf("overrides %v", o)
	}
}
