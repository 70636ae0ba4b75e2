package house_test

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/wscert"
)

// N17 to N21, D7, and the design's rule on secrets: after a whole flow with its
// mistakes, with everything logged, no secret stands in the log, in a table, or
// in an answer that refuses.
func TestNoSecretIsLoggedStoredOrAnswered(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var text locked
		log, err := telemetry.OpenLog(telemetry.LogOptions{Level: slog.LevelDebug, Output: &text})
		if err != nil {
			t.Fatal(err)
		}
		previous := slog.Default()
		slog.SetDefault(log.Logger)
		defer slog.SetDefault(previous)
		site := housetest.New(t, url, housetest.Options{Options: house.Options{Logger: log.Logger}})
		f := &flow{t: t, site: site, secrets: map[string]string{
			"API token": site.Token, "service password": site.Password, "administrator's password": site.Admin,
		}}
		f.order()
		waiting := storetest.Dump(t, site.House.DB) // link and one-time password have not left yet
		stop := site.Serve(t)
		f.pickUp()
		f.apiCertificate()
		f.mistakes()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(text.String(), `"route"`) || len(f.refusals) < 8 {
			t.Errorf("the log has no requests, or only %d were refused", len(f.refusals))
		}
		f.look("the log", text.String())
		for table, rows := range waiting {
			f.look("table "+table+", before the messages left,", rows)
		}
		for table, rows := range storetest.Dump(t, site.House.DB) {
			f.look("table "+table, rows)
		}
		for _, r := range f.refusals {
			f.look("an answer", r)
		}
	})
}

// A locked buffer takes the log of many goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A flow goes through the main job and keeps every secret that it meets.
type flow struct {
	t        *testing.T
	site     *housetest.Site
	placed   *wscert.Order
	token    string
	secrets  map[string]string
	refusals []string
}

// look fails the test if a secret stands in a text. The six digits of a one-time
// password may be part of a longer number by chance.
func (f *flow) look(where, text string) {
	f.t.Helper()
	for what, s := range f.secrets {
		if s == "" {
			f.t.Fatalf("the flow met no %s", what)
		}
		form := regexp.QuoteMeta(s)
		if len(s) == 6 {
			form = `\b` + form + `\b`
		}
		if at := regexp.MustCompile(form).FindStringIndex(text); at != nil {
			f.t.Errorf("%s holds the %s: %q", where, what, strings.ReplaceAll(text[max(0, at[0]-120):at[1]], s, "…"))
		}
	}
}

// refused keeps what a refusal says.
func (f *flow) refused(err error) {
	f.t.Helper()
	if err == nil {
		f.t.Error("a mistake was accepted")
		return
	}
	f.refusals = append(f.refusals, err.Error())
}

func (f *flow) order() {
	f.t.Helper()
	var err error
	f.placed, err = f.site.House.WSCerts.Create(f.t.Context(), access.System("test"), wscert.Request{
		Realm: access.Production, Service: housetest.ServiceName, ShortName: "secrets", Orderer: f.site.Person, Mode: wscert.Generate,
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *flow) pickUp() {
	f.t.Helper()
	ctx, h := f.t.Context(), f.site.House
	person := housetest.Recipient{Site: f.site, Order: f.placed.ID}
	token, code, err := person.Await(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	f.token = token
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	_, _, err = h.Handover.Enter(ctx, token, wrong)
	f.refused(err)
	session, _, err := h.Handover.Enter(ctx, token, code)
	if err != nil {
		f.t.Fatal(err)
	}
	_, _, err = h.Handover.Enter(ctx, token, code)
	f.refused(err)
	if _, _, err := person.Fetch(ctx, token, session.Reveal(), nil); err != nil {
		f.t.Fatal(err)
	}
	waitFor(f.t, "the password", func() bool { return person.Password() != "" })
	_, _, err = h.Handover.File(ctx, token, session.Reveal())
	f.refused(err)
	maps.Copy(f.secrets, map[string]string{"link": token, "one-time password": code, "session": session.Reveal(), "file password": person.Password()})
}

func (f *flow) apiCertificate() {
	f.t.Helper()
	_, password, err := f.site.House.APICerts.Create(f.t.Context(), access.System("test"), f.site.Account, apicert.Fields{
		Nickname: "secrets", Ends: f.site.House.Clock.Now().AddDate(1, 0, 0),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.secrets["password of the API client certificate"] = password.Reveal()
}

// mistakes sends secrets to where they are refused.
func (f *flow) mistakes() {
	f.t.Helper()
	caller, err := f.site.Caller(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	c := f.site.House.Config
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	api, preprod := c.Server.PublicURL+"/api/v1", c.Environment.Preprod.PublicURL
	for _, m := range []struct {
		method, address, body string
		change                func(*http.Request)
	}{
		{"GET", c.Server.PublicURL + "/pickup/" + f.token, "", nil},
		{"POST", c.Server.PublicURL + "/pickup/" + f.token + "/code", "code=" + f.secrets["one-time password"], nil},
		{"GET", c.Server.PublicURL + "/pickup/" + f.token + "/file", "", nil},
		{"GET", c.Server.PublicHTTPURL + "/crl/" + f.token, "", nil},
		{"GET", api + "/orders/" + f.token, "", bearer(f.site.Token)},
		{"GET", api + "/orders", "", bearer(f.site.Token + "x")},
		{"GET", api + "/orders", "", basic("x", f.site.Token)},
		{"POST", api + "/orders", `{"token":"` + f.site.Token + `"}`, bearer(f.site.Token)},
		{"POST", api + "/orders", `{"realm":"` + f.site.Password, bearer(f.site.Token)},
		{"GET", preprod + "/doc/demo/sds/" + f.token, "", basic("demo", f.site.Password)},
		{"GET", preprod + "/doc/demo/sds/x", "", basic(f.site.Password, "demo")},
		{"GET", preprod + "/doc/" + f.site.Password + "/sds/x", "", basic(f.site.Password, f.site.Password)},
		{"GET", c.Environment.Production.PublicURL + "/doc/demo/sds/x", "", basic("demo", f.site.Password)},
	} {
		req, err := http.NewRequestWithContext(f.t.Context(), m.method, m.address, strings.NewReader(m.body))
		if err != nil {
			f.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if strings.HasPrefix(m.body, "code=") {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if m.change != nil {
			m.change(req)
		}
		a, err := caller.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		if a.Status < 300 {
			f.t.Errorf("%s %s: %d", m.method, req.URL.Path, a.Status)
		}
		f.refusals = append(f.refusals, string(a.Body))
	}
	_, err = f.site.House.Access.Login(f.t.Context(), f.site.Admin, secret.New(housetest.AdminEmail), access.Origin{})
	f.refused(err)
	_, err = f.site.House.Access.Login(f.t.Context(), housetest.AdminEmail, secret.New(f.site.Token), access.Origin{})
	f.refused(err)
}
