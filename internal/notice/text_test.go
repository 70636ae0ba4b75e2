package notice_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A101 and the languages of the product: there is a text for every event in every
// language, each its own, and each passes the check that stored texts have to pass.
func TestThereIsABuiltInTextForEveryEventAndLanguage(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	for _, e := range notice.Events() {
		seen := map[string]notice.Language{}
		for _, l := range notice.Languages() {
			subject, body, err := w.desk.BuiltIn(e, l)
			w.check(err)
			if other, ok := seen[body]; ok {
				t.Errorf("%s is the same in %s and %s", e, l, other)
			}
			seen[body] = l
			p, err := w.desk.Preview(e, l, subject, body)
			if err != nil {
				t.Errorf("%s in %s: %v", e, l, err)
			}
			for _, bad := range []string{"{{", "}}", "<no value>", "\n\n\n", "  \n", "{secret}", "%!"} {
				if strings.Contains(p.Subject+p.Body, bad) {
					t.Errorf("%s in %s holds %q:\n%s\n%s", e, l, bad, p.Subject, p.Body)
				}
			}
			for line := range strings.Lines(p.Body) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > 130 {
					t.Errorf("%s in %s has a line of %d characters: %s", e, l, n, line)
				}
			}
			if e != notice.MailboxConfirmation && !strings.Contains(p.Subject, "example.com") {
				t.Errorf("%s in %s does not say in the subject what it is about: %q", e, l, p.Subject)
			}
		}
	}
}

// What every text says in full is read here once, in English.
func TestTheEnglishTextsReadWell(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	subject, body, err := w.desk.BuiltIn(notice.ExpiryReminder, notice.English)
	w.check(err)
	p, err := w.desk.Preview(notice.ExpiryReminder, notice.English, subject, body)
	w.check(err)
	want := `Hello (recipient),

this certificate ends in 30 days and has not been renewed.

  Certificate:    www.example.com
  Names:          www.example.com, example.com
  Serial number:  0198F2C4A1B2C3D4E5F60718293A4B5C
  Issued by:      Example Issuing CA 1
  Valid until:    2027-02-21 12:00 UTC
  Product:        TLS server
  Client:         Example Ltd
  Order:          ord-0198f2c4-0000-7000-8000-000000000000

What uses it stops working then. Renew it, or ignore this message if it is no
longer needed.

Details: https://pki.example.com/orders/ord-0198f2c4
Questions: pki@example.com
`
	if p.Subject != "www.example.com ends in 30 days" || p.Body != want {
		t.Errorf("%s\n%s", p.Subject, p.Body)
	}
	for days, want := range map[int]string{0: "www.example.com ends today", 1: "www.example.com ends tomorrow", -3: "www.example.com ends today"} {
		o := issued("kari@example.org")
		o.Event, o.Data.Days, o.ObjectID = notice.ExpiryReminder, days, "ord-"+want+string(rune('a'+days+3))
		w.send(o)
		if got := w.delivered()[0].Subject; got != want {
			t.Errorf("%d days: %q", days, got)
		}
	}
}

func TestLanguagesAreReadAsOthersWriteThem(t *testing.T) {
	for text, want := range map[string]notice.Language{
		"NEUTRAL": notice.English, "": notice.English, "EN": notice.English, "FR": notice.French, "DE": notice.German, "de-CH": notice.German,
		"no": notice.Norwegian, "nn-NO": notice.Norwegian, "nb": notice.Norwegian, " sv ": notice.Swedish, "zh": notice.English, "da\r\nX": notice.English,
	} {
		if got := notice.ParseLanguage(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func place(realm access.Realm, client, product string) notice.Place {
	return notice.Place{Realm: realm, Client: client, Product: product}
}

func (w *world) set(p notice.Place, l notice.Language, subject, body string) {
	w.t.Helper()
	w.check(w.desk.SetText(w.t.Context(), admin, notice.Text{Place: p, Event: notice.Issued, Language: l, Subject: subject, Body: body}))
}

// The nearest text wins: product, client, realm, installation, built in; in the
// recipient's language.
func TestTheNearestTextIsUsed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		n := 0
		subject := func(client, product string, l notice.Language) string {
			n++
			o := issued("kari@example.org")
			o.Client, o.Product, o.Round, o.Recipients[0].Language = client, product, string(rune('a'+n)), l
			if list := w.send(o); list[0].Note != "" {
				t.Errorf("%+v", list)
			}
			return w.delivered()[0].Subject
		}
		expect := func(client, product string, l notice.Language, want string) {
			t.Helper()
			if got := subject(client, product, l); got != want {
				t.Errorf("%s %s %s: %q, want %q", client, product, l, got, want)
			}
		}
		expect("cli-1", "pma-1", notice.English, "Certificate issued: www.example.com")
		w.set(place("", "", ""), notice.English, "installation {{.Name}}", "x")
		expect("cli-1", "pma-1", notice.English, "installation www.example.com")
		w.set(place(access.Production, "", ""), notice.English, "realm {{.Name}}", "x")
		w.set(place(access.Preprod, "", ""), notice.English, "other realm", "x")
		expect("cli-1", "pma-1", notice.English, "realm www.example.com")
		w.set(place(access.Production, "cli-1", ""), notice.English, "client", "x")
		w.set(place(access.Production, "cli-1", "pma-1"), notice.English, "product", "x")
		expect("cli-1", "pma-1", notice.English, "product")
		expect("cli-1", "pma-2", notice.English, "client")
		expect("cli-1", "", notice.English, "client")
		expect("cli-2", "pma-1", notice.English, "realm www.example.com")
		expect("cli-1", "pma-1", notice.German, "Zertifikat ausgestellt: www.example.com")
		w.set(place(access.Production, "cli-1", "pma-1"), notice.English, "product again", "x")
		expect("cli-1", "pma-1", notice.English, "product again")
		w.check(w.desk.DeleteText(t.Context(), admin, place(access.Production, "cli-1", "pma-1"), notice.Issued, notice.English))
		expect("cli-1", "pma-1", notice.English, "client")
		refused(t, w.desk.DeleteText(t.Context(), admin, place(access.Production, "cli-1", "pma-1"), notice.Issued, notice.English), "notice.no_text")
		list, _, err := w.desk.Texts(t.Context(), admin, "", "", store.Page{})
		if err != nil || len(list) != 4 {
			t.Errorf("%d texts, %v", len(list), err)
		}
		if acts := w.acts(); len(acts) != 7 || acts[0] != "notice.text" || acts[6] != "notice.text_delete" {
			t.Errorf("audited: %v", acts)
		}
	})
}

func TestATextIsChangedByWhoMay(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	one, two := w.client("One"), w.client("Two")
	product := w.officer(one, access.ProductWrite, access.ProductRead)
	settings := w.officer("", access.SettingsWrite, access.SettingsRead)
	for _, test := range []struct {
		name  string
		place notice.Place
		scope access.Scope
		kind  error // nil: allowed
	}{
		{"one's own client", place(access.Production, one, ""), product, nil},
		{"a product of it", place(access.Production, one, "pma-1"), product, nil},
		{"another client", place(access.Production, two, ""), product, fault.NotFound},
		{"the realm", place(access.Production, "", ""), product, fault.Forbidden},
		{"the installation", place("", "", ""), product, fault.Forbidden},
		{"the realm, by its settings", place(access.Production, "", ""), settings, nil},
		{"a client, by the realm's settings", place(access.Production, one, ""), settings, fault.Forbidden},
		{"another realm", place(access.Preprod, "", ""), settings, fault.NotFound},
		{"nobody", place(access.Production, one, ""), access.Scope{}, fault.NotFound},
	} {
		text := notice.Text{Place: test.place, Event: notice.Issued, Language: notice.English, Subject: "s", Body: "b"}
		if err := w.desk.SetText(t.Context(), test.scope, text); test.kind == nil && err != nil || test.kind != nil && !errors.Is(err, test.kind) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err := w.desk.DeleteText(t.Context(), test.scope, test.place, notice.Issued, notice.English); test.kind == nil && err != nil || test.kind != nil && !errors.Is(err, test.kind) {
			t.Errorf("deleting, %s: %v", test.name, err)
		}
	}
	for _, p := range []notice.Place{place(access.Production, one, ""), place(access.Production, one, "pma-1"), place(access.Production, two, ""), place(access.Production, "", ""), place("", "", "")} {
		w.set(p, notice.English, "s", "b")
	}
	for name, test := range map[string]struct {
		scope  access.Scope
		client string
		sees   int
	}{
		"a client's": {product, "", 2}, "a realm's": {settings, "", 1}, "everybody's": {admin, "", 5}, "those of a client": {admin, one, 2}, "nobody's": {access.Scope{}, "", 0},
	} {
		list, _, err := w.desk.Texts(t.Context(), test.scope, "", test.client, store.Page{})
		if err != nil || len(list) != test.sees {
			t.Errorf("%s: %d texts, %v", name, len(list), err)
		}
	}
	list, next, err := w.desk.Texts(t.Context(), admin, access.Production, "", store.Page{Limit: 3})
	if err != nil || len(list) != 3 || next == "" {
		t.Errorf("%d texts, %q, %v", len(list), next, err)
	}
	list, next, err = w.desk.Texts(t.Context(), admin, access.Production, "", store.Page{Limit: 3, Cursor: next})
	if err != nil || len(list) != 1 || next != "" {
		t.Errorf("then %d texts, %q, %v", len(list), next, err)
	}
}

// A text that would fail when it is needed, or give something away, is not stored.
func TestATextThatWouldFailIsRefused(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	for name, test := range map[string]struct {
		event         notice.Event
		subject, body string
		code          string
	}{
		"an unknown value":                     {notice.Issued, "s", "{{.Password}}", "notice.template"},
		"an unknown value that is rarely seen": {notice.Issued, "s", "b{{if .Reason}}{{.Reasons}}{{end}}", "notice.template"},
		"a value of a value":                   {notice.Issued, "s", "{{.Name.Length}}", "notice.template"},
		"a value inside with":                  {notice.Issued, "s", "b{{with .Reason}}{{.Name}}{{end}}", "notice.template"},
		"an open brace":                        {notice.Issued, "s", "{{.Name", "notice.template"},
		"an open condition":                    {notice.Issued, "s", "{{if .Name}}b", "notice.template"},
		"a loop":                               {notice.Issued, "s", "b{{range .Names}}x{{end}}", "notice.template"},
		"a loop over a number":                 {notice.Issued, "s", "b{{range 1000000000}}x{{end}}", "notice.template"},
		"a call of printf":                     {notice.Issued, "s", `b{{printf "%0999999d" 1}}`, "notice.template"},
		"a call of a function":                 {notice.Issued, "s", "b{{call .Name}}", "notice.template"},
		"a variable":                           {notice.Issued, "s", "b{{$x := .Name}}{{$x}}", "notice.template"},
		"a template in a template":             {notice.Issued, "s", `b{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`, "notice.template"},
		"the whole data":                       {notice.Issued, "s", "b{{$}}", "notice.template"},
		"a comparison of unlike things":        {notice.Issued, "s", "b{{if eq .Days .Name}}x{{end}}", "notice.template"},
		"a comparison that no sample reaches":  {notice.Issued, "s", `b{{if eq .Name "a"}}{{if lt .Days .Name}}x{{end}}{{end}}`, "notice.template"},
		"a fraction of a day":                  {notice.Issued, "s", `b{{if eq .Name "a"}}{{if lt .Days 1.0}}x{{end}}{{end}}`, "notice.template"},
		"a function without values":            {notice.Issued, "s", `b{{if eq .Name "a"}}{{if eq .Name}}x{{end}}{{end}}`, "notice.template"},
		"a value with a value":                 {notice.Issued, "s", `b{{if eq .Name "a"}}{{.Name .Name}}{{end}}`, "notice.template"},
		"a bar":                                {notice.Issued, "s", "b{{.Name | not}}", "notice.template"},
		"a subject of two lines":               {notice.Issued, "s\nBcc: x", "b", "notice.subject"},
		"no subject":                           {notice.Issued, "", "b", "notice.subject"},
		"a subject that may be empty":          {notice.Issued, "{{.Actor}}", "b", "notice.subject"},
		"no body":                              {notice.Issued, "s", "", "notice.body"},
		"a body that may be empty":             {notice.Issued, "s", "{{.Actor}}", "notice.body"},
		"a body that is too long":              {notice.Issued, "s", strings.Repeat("x", 20_001), "notice.body"},
		"no link where one must be":            {notice.RenewalLink, "s", "b", "notice.secret"},
		"a link that is sometimes left out":    {notice.RenewalLink, "s", "b{{if .Actor}}{{.Secret}}{{end}}", "notice.secret"},
		"the PIN in the subject":               {notice.P12PIN, "{{.Secret}}", "b {{.Secret}}", "notice.secret"},
		"a link where there is none":           {notice.Issued, "s", "b {secret}", "notice.secret"},
		"an unknown event":                     {"party", "s", "b", "notice.event"},
	} {
		t.Run(name, func(t *testing.T) {
			text := notice.Text{Place: place(access.Production, "", ""), Event: test.event, Language: notice.English, Subject: test.subject, Body: test.body}
			refused(t, w.desk.SetText(t.Context(), admin, text), test.code)
			_, err := w.desk.Preview(test.event, notice.English, test.subject, test.body)
			refused(t, err, test.code)
		})
	}
	refused(t, w.desk.SetText(t.Context(), admin, notice.Text{Event: notice.Issued, Language: "tlh", Subject: "s", Body: "b"}), "notice.language")
	for _, p := range []notice.Place{place("", "cli-1", ""), place(access.Production, "", "pma-1"), place("moon", "", "")} {
		refused(t, w.desk.SetText(t.Context(), admin, notice.Text{Place: p, Event: notice.Issued, Language: notice.English, Subject: "s", Body: "b"}), "notice.place")
	}
}

func TestTextsMayUseConditions(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	p, err := w.desk.Preview(notice.P12PIN, notice.English, "PIN{{with .Name}} of {{.}}{{end}}",
		"{{if and .Secret (gt .Days 7)}}Your PIN: {{.Secret}}\r\n\r\n\r\n\r\n{{else if .Secret}}PIN {{.Secret}}{{else}}Sent.{{end}}{{with .Actor}} by {{.}} for {{$.Client}}{{end}}")
	if err != nil || p.Subject != "PIN of www.example.com" || p.Body != "Your PIN: …\n\n by (who did it) for Example Ltd\n" {
		t.Errorf("%+v %v", p, err)
	}
}

// A stored text that stopped working (here, one that an older release accepted) gives
// way to the built-in one; the log says so, and the order goes on.
func TestABrokenTextGivesWayToTheBuiltInOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.check(db.Update(context.WithoutCancel(t.Context()), func(tx *store.Tx) error {
			for i, body := range []string{"{{.OldField}}", "without the link"} {
				event := []notice.Event{notice.Issued, notice.RenewalLink}[i]
				if _, err := tx.Exec(`INSERT INTO notice_texts (id, realm, client, product, event, language, subject, body, changed_by, changed_at) VALUES ($1, 'production', '', '', $2, 'en', 's', $3, '', 0)`,
					"ntx-"+string(event), string(event), body); err != nil {
					return err
				}
			}
			return nil
		}))
		o := issued("kari@example.org")
		list := w.send(o)
		if list[0].Outcome != notice.Queued || !strings.Contains(list[0].Note, "ntx-issued") || w.delivered()[0].Subject != "Certificate issued: www.example.com" {
			t.Errorf("%+v", list)
		}
		o.Event, o.Secret = notice.RenewalLink, secret.New("https://example.com/renew/1")
		list = w.send(o)
		if !strings.Contains(list[0].Note, "ntx-renewal-link") || !strings.Contains(w.delivered()[0].Body.Reveal(), "https://example.com/renew/1") {
			t.Errorf("%+v", list)
		}
	})
}
