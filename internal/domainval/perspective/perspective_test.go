package perspective_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// A zone answers from records in presentation form, and fails as told. The end to
// end tests of package domainval have a real resolver.
type zone struct {
	records []string
	fail    map[string]*resolver.Failure
	asked   []string
}

func (z *zone) Fresh(_ context.Context, name string, qtype uint16) (resolver.Answer, error) {
	name = dns.Fqdn(name)
	z.asked = append(z.asked, name+" "+dns.TypeToString[qtype])
	if f := z.fail[name]; f != nil {
		return resolver.Answer{}, f
	}
	a := resolver.Answer{Name: name, Owner: name, Security: resolver.Secure, TTL: 90 * time.Second}
	for _, text := range z.records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if rr.Header().Name == name && rr.Header().Rrtype == qtype {
			a.Records = append(a.Records, rr)
		}
	}
	return a, nil
}

var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, PlainHTTP: true}

func local(z *zone) *perspective.Local {
	return &perspective.Local{At: perspective.Place{Name: "here", Registry: "RIPE NCC"}, Resolver: z, Egress: loopback}
}

func look(t *testing.T, l *perspective.Local, q perspective.Question) perspective.Observation {
	t.Helper()
	q.Version, q.ID = perspective.Version, "1"
	o, err := l.Look(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTXTRecordsAreReadAsBytes(t *testing.T) {
	z := &zone{records: []string{`site.dk. TXT "one" "two"`, `site.dk. TXT "a\"b\\c\001\255;"`, `site.dk. CAA 0 issue "x"`}}
	o := look(t, local(z), perspective.Question{Kind: perspective.TXT, Name: "site.dk"})
	l := o.Lookups[0]
	if !slices.Equal(l.Texts, []string{"onetwo", "a\"b\\c\x01\xff;"}) || !l.Secure || l.TTL != 90*time.Second || l.Owner != "site.dk" || o.Perspective != "here" {
		t.Errorf("%+v", o)
	}
}

func TestCAAIsLookedForUpwards(t *testing.T) {
	z := &zone{records: []string{`site.dk. CAA 128 IssueWild "ca.dk; a=b"`, `dk. CAA 0 issue ";"`}}
	o := look(t, local(z), perspective.Question{Kind: perspective.CAA, Name: "a.b.site.dk"})
	if len(o.Lookups) != 3 || string(o.Lookups[2].CAA[0]) != "\x80\x09issuewildca.dk; a=b" {
		t.Errorf("%+v", o)
	}
	z.fail = map[string]*resolver.Failure{"b.site.dk.": {Kind: resolver.Bogus, Zone: "site.dk.", Text: "broken"}}
	o = look(t, local(z), perspective.Question{Kind: perspective.CAA, Name: "a.b.site.dk"})
	if len(o.Lookups) != 2 || o.Lookups[1].Failure.Kind != "bogus" || o.Lookups[1].Failure.Retried {
		t.Errorf("a failure was climbed over: %+v", o)
	}
}

// Rule 9: what may pass is asked twice, and our own side is looked at.
func TestFailuresAreRetriedAndPlaced(t *testing.T) {
	for _, c := range []struct {
		kind             resolver.Kind
		security         resolver.Security
		rootFails        bool
		retried, outside bool
	}{
		{resolver.ServFail, resolver.Insecure, false, true, true},
		{resolver.Timeout, resolver.Secure, false, true, true},
		{resolver.Timeout, resolver.Insecure, true, true, false},
		{resolver.Refused, resolver.Insecure, false, true, true},
		{resolver.Lame, resolver.Insecure, false, true, true},
		{resolver.Bogus, resolver.Secure, false, false, false},
		{resolver.Limit, resolver.Insecure, false, false, false},
		{resolver.Malformed, resolver.Insecure, false, false, false},
		{resolver.Loop, resolver.Insecure, false, false, false},
	} {
		z := &zone{fail: map[string]*resolver.Failure{"site.dk.": {Kind: c.kind, Text: "x", ZoneSecurity: c.security}}}
		if c.rootFails {
			z.fail["."] = &resolver.Failure{Kind: resolver.Timeout}
		}
		f := look(t, local(z), perspective.Question{Kind: perspective.CAA, Name: "site.dk"}).Lookups[0].Failure
		if f == nil || f.Retried != c.retried || f.Outside != c.outside || f.Insecure != (c.security == resolver.Insecure) || f.Kind != c.kind.String() {
			t.Errorf("%s: %+v after %q", c.kind, f, z.asked)
		}
	}
}

// A website is what the tests of fetching look at.
func website(t *testing.T) (l *perspective.Local, plain, secure string) {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := strings.TrimPrefix(r.URL.Path, "/.well-known/pki-validation/")
		status, to, _ := strings.Cut(file, "-")
		switch {
		case file == "big":
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
		case file == "full":
			_, _ = io.WriteString(w, strings.Repeat("x", 4096))
		case file == "hello":
			_, _ = io.WriteString(w, "hello from "+r.Host)
		case to != "":
			n, _ := strconv.Atoi(status)
			w.Header().Set("Location", map[string]string{
				"hello": "hello", "again": file, "secure": "https://www.site.dk:" + secure + "/.well-known/pki-validation/hello", "ftp": "ftp://site.dk/x", "ssh": "http://www.site.dk:22/", "ip": "http://127.0.0.1:" + plain + "/",
				"inside": "http://inside.dk:" + plain + "/", "nowhere": "", "strange": "http://", "user": "http://a:b@www.site.dk:" + plain + "/.well-known/pki-validation/hello#x",
			}[to])
			w.WriteHeader(n)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	first, second := httptest.NewServer(h), httptest.NewTLSServer(h)
	t.Cleanup(first.Close)
	t.Cleanup(second.Close)
	_, plain, _ = net.SplitHostPort(first.Listener.Addr().String())
	_, secure, _ = net.SplitHostPort(second.Listener.Addr().String())
	port := func(s string) uint16 { n, _ := strconv.ParseUint(s, 10, 16); return uint16(n) }
	z := &zone{records: []string{"www.site.dk. A 127.0.0.1", "six.site.dk. AAAA ::1", "six.site.dk. A 127.0.0.1", "inside.dk. A 10.0.0.1"}, fail: map[string]*resolver.Failure{"bogus.dk.": {Kind: resolver.Bogus, Text: "broken"}}}
	l = local(z)
	l.HTTPPort, l.HTTPSPort = port(plain), port(secure)
	return l, plain, secure
}

// BR 3.2.2.4.18: 2xx only, redirects 301, 302, 307, 308 within http and https and
// the ports of the web, a small file.
func TestFilesAreFetchedByTheRules(t *testing.T) {
	l, _, secure := website(t)
	for _, c := range []struct {
		name, host, file string
		status, hops     int
		body, failure    string
	}{
		{"the file", "www.site.dk", "hello", 200, 1, "hello from www.site.dk", ""},
		{"no file", "www.site.dk", "none", 404, 1, "", ""},
		{"a redirect 301", "www.site.dk", "301-hello", 200, 2, "hello from", ""},
		{"a redirect 302", "www.site.dk", "302-hello", 200, 2, "hello from", ""},
		{"a redirect 307", "www.site.dk", "307-hello", 200, 2, "hello from", ""},
		{"a redirect 308 to TLS, whatever the certificate", "www.site.dk", "308-secure", 200, 2, "hello from www.site.dk:" + secure, ""},
		{"a redirect 303 is not followed", "www.site.dk", "303-hello", 303, 1, "", ""},
		{"credentials in a redirect are dropped", "www.site.dk", "302-user", 200, 2, "hello", ""},
		{"a redirect for ever", "www.site.dk", "302-again", 0, 11, "", "more than 10 times"},
		{"a redirect to another scheme", "www.site.dk", "302-ftp", 0, 1, "", "only http and https"},
		{"a redirect to another port", "www.site.dk", "302-ssh", 0, 1, "", "ports 80 and 443"},
		{"a redirect to an address", "www.site.dk", "302-ip", 0, 1, "", "only names"},
		{"a redirect inside the network", "www.site.dk", "302-inside", 0, 2, "", "not on the public internet"},
		{"a redirect to nowhere", "www.site.dk", "302-nowhere", 0, 1, "", "no address"},
		{"a redirect to no host", "www.site.dk", "302-strange", 0, 1, "", "no address"},
		{"a file of 4096 bytes", "www.site.dk", "full", 200, 1, "xxx", ""},
		{"a file that is too large", "www.site.dk", "big", 200, 1, "", "larger than 4096"},
		{"IPv4 after IPv6 has failed", "six.site.dk", "hello", 200, 1, "hello from six", ""},
		{"an address itself", "127.0.0.1", "hello", 200, 1, "hello from 127.0.0.1", ""},
		{"a name inside the network", "inside.dk", "hello", 0, 1, "", "not on the public internet"},
		{"a name without an address", "none.dk", "hello", 0, 1, "", "no address in the DNS"},
		{"a name whose zone is broken", "bogus.dk", "hello", 0, 1, "", "broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := look(t, l, perspective.Question{Kind: perspective.HTTP, Name: c.host, Path: "/.well-known/pki-validation/" + c.file}).Fetch
			if f.Status != c.status || len(f.Hops) != c.hops || !strings.Contains(string(f.Body), c.body) || c.body == "" && len(f.Body) > 0 {
				t.Errorf("%+v, %q", f, f.Body)
			}
			if c.failure == "" && f.Failure != "" || !strings.Contains(f.Failure, c.failure) {
				t.Errorf("%q", f.Failure)
			}
		})
	}
}

// The address policy of the real thing: without the exception for tests, loopback is refused.
func TestFetchingStaysOffTheInside(t *testing.T) {
	l, _, _ := website(t)
	l.Egress = egress.Policy{}
	f := look(t, l, perspective.Question{Kind: perspective.HTTP, Name: "www.site.dk", Path: "/.well-known/pki-validation/hello"}).Fetch
	if f.Status != 0 || !strings.Contains(f.Failure, "loopback") {
		t.Errorf("%+v", f)
	}
}

func TestQuestionsThatAreNotAnswered(t *testing.T) {
	good := perspective.Question{Version: 1, ID: "1", Kind: perspective.HTTP, Name: "site.dk", Path: "/.well-known/pki-validation/x"}
	for name, change := range map[string]func(*perspective.Question){
		"another version": func(q *perspective.Question) { q.Version = 2 }, "no id": func(q *perspective.Question) { q.ID = "" }, "a long id": func(q *perspective.Question) { q.ID = strings.Repeat("x", 101) },
		"no name": func(q *perspective.Question) { q.Name = "" }, "a name with a path": func(q *perspective.Question) { q.Name = "site.dk/x" }, "a name in upper case": func(q *perspective.Question) { q.Name = "Site.dk" },
		"a name with a user": func(q *perspective.Question) { q.Name = "a@site.dk" }, "empty labels": func(q *perspective.Question) { q.Name = "a..dk" },
		"a path elsewhere": func(q *perspective.Question) { q.Path = "/admin" }, "a path upwards": func(q *perspective.Question) { q.Path = "/.well-known/../admin" }, "a path with a query": func(q *perspective.Question) { q.Path += "?a=b" },
		"no kind": func(q *perspective.Question) { q.Kind = "smtp" },
	} {
		q := good
		change(&q)
		z := &zone{}
		if o, err := local(z).Look(t.Context(), q); err == nil || len(z.asked) > 0 {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

const token = "correct-horse-battery-staple-0123456789"

// A remote perspective over TLS, as the command serves it.
func remote(t *testing.T, h http.Handler) *perspective.Remote {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	policy := loopback
	policy.Timeout, policy.MaxBody, policy.PlainHTTP = time.Second, 64<<10, false
	client := policy.Client(egress.Options{Roots: pool})
	t.Cleanup(client.CloseIdleConnections)
	return &perspective.Remote{At: perspective.Place{Name: "here"}, URL: s.URL, Token: secret.New(token), Client: client}
}

var quiet = slog.New(slog.DiscardHandler)

func TestARemoteSeesWhatItsLocalSees(t *testing.T) {
	l, _, _ := website(t)
	l.Resolver.(*zone).records = append(l.Resolver.(*zone).records, `site.dk. TXT "value"`, `site.dk. CAA 0 issue "ca.dk"`)
	r := remote(t, perspective.Handler(l, []string{secret.Hash("older"), secret.Hash(token)}, quiet))
	for _, q := range []perspective.Question{
		{Kind: perspective.TXT, Name: "site.dk"}, {Kind: perspective.CAA, Name: "a.site.dk"}, {Kind: perspective.HTTP, Name: "www.site.dk", Path: "/.well-known/pki-validation/302-hello"},
	} {
		far, err := r.Look(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		near := look(t, l, q)
		far.ID = near.ID
		a, _ := json.Marshal(far)
		b, _ := json.Marshal(near)
		if string(a) != string(b) {
			t.Errorf("far  %s\nnear %s", a, b)
		}
	}
}

func TestAHandlerKnowsItsCallers(t *testing.T) {
	h := perspective.Handler(local(&zone{}), []string{secret.Hash(token)}, quiet)
	question := `{"version":1,"id":"1","kind":"txt","name":"site.dk"}`
	for _, c := range []struct {
		name, method, auth, body string
		status                   int
	}{
		{"the right token", "POST", "Bearer " + token, question, 200},
		{"no token", "POST", "", question, 401},
		{"a wrong token", "POST", "Bearer x", question, 401},
		{"the hash itself", "POST", "Bearer " + secret.Hash(token), question, 401},
		{"another scheme", "POST", "Basic " + token, question, 401},
		{"another method", "GET", "Bearer " + token, "", 405},
		{"no question", "POST", "Bearer " + token, "", 400},
		{"another version", "POST", "Bearer " + token, strings.Replace(question, ":1", ":9", 1), 400},
		{"another thing", "POST", "Bearer " + token, strings.Replace(question, "txt", "any", 1), 400},
		{"a flood", "POST", "Bearer " + token, `{"id":"` + strings.Repeat("x", 5000) + `"}`, 413},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/", strings.NewReader(c.body))
		r.Header.Set("Authorization", c.auth)
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
}

// Rule 10: a remote that lies, babbles, hangs or is down gives an error and never an observation.
func TestARemoteThatIsNotAsItShouldBe(t *testing.T) {
	answer := func(change func(o *perspective.Observation)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var q perspective.Question
			_ = json.NewDecoder(r.Body).Decode(&q)
			o := perspective.Observation{Version: 1, ID: q.ID, Perspective: "here", Lookups: []perspective.Lookup{{Name: q.Name, Texts: []string{"value"}}}}
			change(&o)
			_ = json.NewEncoder(w).Encode(o)
		}
	}
	q := perspective.Question{Kind: perspective.TXT, Name: "site.dk"}
	if o, err := remote(t, answer(func(*perspective.Observation) {})).Look(t.Context(), q); err != nil || o.Lookups[0].Texts[0] != "value" {
		t.Fatalf("as it should be: %+v, %v", o, err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"answers another question": answer(func(o *perspective.Observation) { o.ID = "look-1" }),
		"is another one":           answer(func(o *perspective.Observation) { o.Perspective = "there" }),
		"speaks another version":   answer(func(o *perspective.Observation) { o.Version = 2 }),
		"tells of another name":    answer(func(o *perspective.Observation) { o.Lookups[0].Name = "other.dk" }),
		"has seen nothing":         answer(func(o *perspective.Observation) { o.Lookups = nil }),
		"answers a file":           answer(func(o *perspective.Observation) { o.Lookups, o.Fetch = nil, &perspective.Fetch{} }),
		"babbles":                  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"never stops": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"id":"`+strings.Repeat("x", 1<<20)+`"}`)
		},
		"does not know us": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"sends us elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.dk/", http.StatusTemporaryRedirect)
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done() // until the caller gives up
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := remote(t, h)
			if name == "hangs" {
				r.Client.Timeout = 50 * time.Millisecond
			}
			o, err := r.Look(t.Context(), q)
			if err == nil || fault.Of(err).Code != "perspective.unavailable" || len(o.Lookups) > 0 || o.Fetch != nil {
				t.Errorf("%+v, %v", o, err)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Error("the token stands in the error")
			}
		})
	}
	r := remote(t, answer(func(*perspective.Observation) {}))
	r.URL = strings.Replace(r.URL, "https:", "http:", 1)
	if _, err := r.Look(t.Context(), q); err == nil {
		t.Error("asked over a connection that is not encrypted")
	}
}

// Whatever a caller sends, the handler neither panics nor looks at what is no name.
func FuzzHandler(f *testing.F) {
	f.Add(`{"version":1,"id":"1","kind":"txt","name":"site.dk"}`)
	f.Add(`{"version":1,"id":"1","kind":"caa","name":"a.b.c"}`)
	f.Add(`{"version":1,"id":"1","kind":"txt","name":"..\u0000"}`)
	f.Add(`{"version":1,"id":"1","kind":"http","name":"127.0.0.1","path":"/.well-known/x"}`)
	f.Fuzz(func(t *testing.T, body string) {
		z := &zone{}
		l := local(z)
		l.Egress = egress.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
		h := perspective.Handler(l, []string{secret.Hash(token)}, quiet)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK && len(z.asked) > 0 || w.Code >= 500 {
			t.Fatalf("%d after %q", w.Code, z.asked)
		}
	})
}
