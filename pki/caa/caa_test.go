package caa_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/caa"
)

// The hex is RDATA as `echo 'IN CAA …' | named-rrchecker -u` of BIND 9 writes it.
func TestParseReadsWhatBINDWrites(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		want      caa.Record
		critical  bool
	}{
		{"an issue record with a parameter", "000569737375656361312E6578616D706C652E6E65743B206163636F756E743D323330313233", caa.Record{Tag: "issue", Value: "ca1.example.net; account=230123"}, false},
		{"an unknown critical tag", "8003746273556E6B6E6F776E", caa.Record{Flags: 128, Tag: "tbs", Value: "Unknown"}, true},
		{"nobody may issue", "000569737375653B", caa.Record{Tag: "issue", Value: ";"}, false},
		{"a tag in upper case", "0009495353554557494C442525252525", caa.Record{Tag: "issuewild", Value: "%%%%%"}, false},
		{"iodef", "0005696F6465666D61696C746F3A7365637572697479406578616D706C652E636F6D", caa.Record{Tag: "iodef", Value: "mailto:security@example.com"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire, _ := hex.DecodeString(c.hex)
			got, err := caa.Parse(wire)
			if err != nil || got != c.want || got.Critical() != c.critical {
				t.Fatalf("%+v, %v", got, err)
			}
			if !strings.EqualFold(hex.EncodeToString(got.Encode()), hex.EncodeToString(bytes.Replace(wire, []byte("ISSUEWILD"), []byte("issuewild"), 1))) {
				t.Errorf("encoded as %x", got.Encode())
			}
		})
	}
	for name, wire := range map[string]string{"empty": "", "flags only": "00", "no tag": "0000", "tag beyond the end": "0005697373"} {
		b, _ := hex.DecodeString(wire)
		if r, err := caa.Parse(b); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestParseValueFollowsTheGrammar(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		";":                      "",
		" \t; ":                  "",
		"ca1.example.net":        "ca1.example.net",
		"CA1.Example.NET ;":      "ca1.example.net",
		" ca.test ; a=b ; C = d": "ca.test a=b c=d",
		"; a=":                   " a=",
		"ca.test; a=b=c:/?#[]@!": "ca.test a=b=c:/?#[]@!",
	} {
		v, err := caa.ParseValue(in)
		got := v.Issuer
		for _, p := range v.Params {
			got += " " + p.Tag + "=" + p.Value
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"%%%%%", "ca_1.test", "-ca.test", "ca.test.", "ca..test", "ca.test; a", "ca.test; a=b;", "ca.test; a=b c", "ca.test; =b", "ca.test; a=\x7f", "ca.test a=b", "ca.test; a=ø", "ca.test;" + strings.Repeat("a=b;", 200) + "a=b"} {
		if v, err := caa.ParseValue(in); err == nil {
			t.Errorf("%q was read as %+v", in, v)
		}
	}
}

type zone map[string][]string

// lookup answers from records in presentation form: flags, tag and value.
func (z zone) lookup(_ context.Context, name string) (caa.Answer, error) {
	a := caa.Answer{TTL: time.Hour}
	for _, text := range z[name] {
		if text == "SERVFAIL" {
			return a, errServFail
		}
		f := strings.SplitN(text, " ", 3)
		flags := uint8(0)
		if f[0] == "128" {
			flags = 128
		}
		r, err := caa.New(flags, f[1], []byte(f[2]))
		if err != nil {
			return a, err
		}
		a.Records = append(a.Records, r)
		a.TTL = 5 * time.Minute
	}
	return a, nil
}

var errServFail = errors.New("SERVFAIL")

const account = "https://ca.test/clients/1"

// A16, A35, rule 9: issue, issuewild, critical flag, tree climbing, RFC 8657; rule 28: issuemail.
func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name    string
		zone    zone
		req     caa.Request
		allowed bool
		at      string
		why     string
	}{
		{"without any record it is allowed", zone{}, caa.Request{Domain: "www.site.test"}, true, "", "no CAA"},
		{"our issuer is named", zone{"site.test": {"0 issue ca.test"}}, caa.Request{Domain: "www.site.test"}, true, "site.test", "permits"},
		{"our issuer is named in other letters", zone{"site.test": {"0 issue CA.Test"}}, caa.Request{Domain: "WWW.Site.test"}, true, "site.test", "permits"},
		{"another issuer is named", zone{"site.test": {"0 issue other.test"}}, caa.Request{Domain: "www.site.test"}, false, "site.test", "another issuer"},
		{"one of several names us", zone{"site.test": {"0 issue other.test", "0 issue ca.test"}}, caa.Request{Domain: "site.test"}, true, "site.test", ""},
		{"nobody may issue", zone{"site.test": {"0 issue ;"}}, caa.Request{Domain: "site.test"}, false, "site.test", "nobody"},
		{"the nearest set counts, not the one above", zone{"www.site.test": {"0 issue other.test"}, "site.test": {"0 issue ca.test"}}, caa.Request{Domain: "www.site.test"}, false, "www.site.test", ""},
		{"the set of the top-level domain counts", zone{"test": {"0 issue other.test"}}, caa.Request{Domain: "www.site.test"}, false, "test", ""},
		{"only iodef does not restrict", zone{"site.test": {"0 iodef mailto:a@site.test"}}, caa.Request{Domain: "site.test"}, true, "site.test", "do not restrict"},
		{"a malformed value permits nobody", zone{"site.test": {"0 issue %%%%%"}}, caa.Request{Domain: "site.test"}, false, "site.test", "malformed"},
		{"a malformed value beside a good one", zone{"site.test": {"0 issue %%%%%", "0 issue ca.test"}}, caa.Request{Domain: "site.test"}, true, "site.test", ""},
		{"an unknown tag", zone{"site.test": {"0 future x", "0 issue ca.test"}}, caa.Request{Domain: "site.test"}, true, "site.test", ""},
		{"an unknown critical tag beside our name", zone{"site.test": {"128 future x", "0 issue ca.test"}}, caa.Request{Domain: "site.test"}, false, "site.test", "critical"},
		{"a known tag that is critical", zone{"site.test": {"128 issue ca.test"}}, caa.Request{Domain: "site.test"}, true, "site.test", ""},
		{"a tag that is no word and critical", zone{"site.test": {"128 iss.ue ca.test", "0 issue ca.test"}}, caa.Request{Domain: "site.test"}, false, "site.test", "critical"},

		{"a wildcard falls back to issue", zone{"site.test": {"0 issue ca.test"}}, caa.Request{Domain: "*.site.test"}, true, "site.test", ""},
		{"a wildcard follows issuewild", zone{"site.test": {"0 issue ca.test", "0 issuewild other.test"}}, caa.Request{Domain: "*.site.test"}, false, "site.test", "another issuer"},
		{"issuewild alone permits the wildcard", zone{"site.test": {"0 issue ;", "0 issuewild ca.test"}}, caa.Request{Domain: "site.test", Wildcard: true}, true, "site.test", ""},
		{"issuewild says nothing of other names", zone{"site.test": {"0 issuewild ;"}}, caa.Request{Domain: "site.test"}, true, "site.test", "do not restrict"},

		{"mail ignores issue", zone{"site.test": {"0 issue ;"}}, caa.Request{Domain: "site.test", Mail: true}, true, "site.test", "do not restrict"},
		{"mail follows issuemail", zone{"site.test": {"0 issue ca.test", "0 issuemail other.test"}}, caa.Request{Domain: "site.test", Mail: true}, false, "site.test", "another issuer"},
		{"servers ignore issuemail", zone{"site.test": {"0 issuemail ;"}}, caa.Request{Domain: "site.test"}, true, "site.test", "do not restrict"},
		{"mail climbs", zone{"site.test": {"0 issuemail ca.test"}}, caa.Request{Domain: "mail.site.test", Mail: true}, true, "site.test", ""},

		{"the right account", zone{"site.test": {"0 issue ca.test; accounturi=" + account}}, caa.Request{Domain: "site.test", Account: account}, true, "site.test", ""},
		{"another account", zone{"site.test": {"0 issue ca.test; accounturi=https://ca.test/clients/2"}}, caa.Request{Domain: "site.test", Account: account}, false, "site.test", "another account"},
		{"an account in other letters is another", zone{"site.test": {"0 issue ca.test; accounturi=https://CA.test/clients/1"}}, caa.Request{Domain: "site.test", Account: account}, false, "site.test", "another account"},
		{"an account is asked for and there is none", zone{"site.test": {"0 issue ca.test; accounturi="}}, caa.Request{Domain: "site.test"}, false, "site.test", "another account"},
		{"an account twice", zone{"site.test": {"0 issue ca.test; accounturi=" + account + "; AccountURI=" + account}}, caa.Request{Domain: "site.test", Account: account}, false, "site.test", "twice"},
		{"the right method", zone{"site.test": {"0 issue ca.test; validationmethods=http-01,ca-dns-txt"}}, caa.Request{Domain: "site.test", Method: "ca-dns-txt"}, true, "site.test", ""},
		{"another method", zone{"site.test": {"0 issue ca.test; validationmethods=dns-01"}}, caa.Request{Domain: "site.test", Method: "ca-dns-txt"}, false, "site.test", "method"},
		{"no method at all", zone{"site.test": {"0 issue ca.test; validationmethods="}}, caa.Request{Domain: "site.test", Method: ""}, false, "site.test", "method"},
		{"malformed methods", zone{"site.test": {"0 issue ca.test; validationmethods=dns-01,,ca-dns-txt"}}, caa.Request{Domain: "site.test", Method: "ca-dns-txt"}, false, "site.test", "malformed"},
		{"a parameter that we do not know", zone{"site.test": {"0 issue ca.test; policy=ev"}}, caa.Request{Domain: "site.test"}, true, "site.test", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.req.Issuers = []string{"issuer.test", "ca.test"}
			d, err := caa.Decide(t.Context(), c.zone.lookup, c.req)
			if err != nil || d.Allowed != c.allowed || d.RelevantName != c.at || !strings.Contains(d.Why, c.why) {
				t.Errorf("%+v, %v", d, err)
			}
			if want := map[bool]time.Duration{true: time.Hour, false: 5 * time.Minute}[c.at == ""]; d.TTL != want {
				t.Errorf("TTL %v, want %v", d.TTL, want)
			}
		})
	}
}

// Rule 8: SERVFAIL is not permission, even if a set above would permit.
func TestAFailedLookupIsNotADecision(t *testing.T) {
	z := zone{"www.site.test": {"SERVFAIL"}, "site.test": {"0 issue ca.test"}}
	d, err := caa.Decide(t.Context(), z.lookup, caa.Request{Domain: "www.site.test", Issuers: []string{"ca.test"}})
	if !errors.Is(err, errServFail) || d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := caa.Decide(t.Context(), z.lookup, caa.Request{Domain: "."}); err == nil {
		t.Error("the root was decided on")
	}
	// Above the set that was found nobody is asked.
	z = zone{"site.test": {"0 issue ca.test", "0 iodef https://r.test/", "0 iodef mailto:x@r.test"}, "test": {"SERVFAIL"}}
	d, err = caa.Decide(t.Context(), z.lookup, caa.Request{Domain: "a.b.site.test.", Issuers: []string{"ca.test"}})
	if err != nil || !d.Allowed || !slices.Equal(d.Asked, []string{"a.b.site.test", "b.site.test", "site.test"}) {
		t.Errorf("%+v, %v", d, err)
	}
	if !slices.Equal(d.Iodef, []string{"https://r.test/", "mailto:x@r.test"}) {
		t.Errorf("iodef %q", d.Iodef)
	}
}

// A record that is read, written and read again is the same; whatever it holds, the
// decision never permits an issuer that the value does not name.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("\x00\x05issueca.test; accounturi=x; validationmethods=a,b"))
	f.Add([]byte("\x80\x03tbsUnknown"))
	f.Add([]byte("\x00\x09issuewild;"))
	f.Add(append([]byte("\x00\x54"), bytes.Repeat([]byte{0x97}, 90)...)) // not UTF-8: lower case must not lengthen it
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := caa.Parse(wire)
		if err != nil {
			return
		}
		again, err := caa.Parse(r.Encode())
		if err != nil || again != r {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
		look := func(context.Context, string) (caa.Answer, error) { return caa.Answer{Records: []caa.Record{r}}, nil }
		d, err := caa.Decide(t.Context(), look, caa.Request{Domain: "site.test", Issuers: []string{"ca.test"}})
		if err != nil {
			t.Fatal(err)
		}
		if d.Allowed && r.Tag == "issue" && !strings.Contains(strings.ToLower(r.Value), "ca.test") {
			t.Fatalf("%s permitted us", r)
		}
	})
}

// A value that is read and written out again reads the same.
func FuzzValue(f *testing.F) {
	f.Add(" ca.test ; a=b ; C = d")
	f.Add(";")
	f.Add("; a=")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := caa.ParseValue(s)
		if err != nil {
			return
		}
		out := v.Issuer
		for _, p := range v.Params {
			out += "; " + p.Tag + "=" + p.Value
		}
		again, err := caa.ParseValue(out)
		if err != nil || again.Issuer != v.Issuer || !slices.Equal(again.Params, v.Params) {
			t.Fatalf("%q gave %+v and then %+v, %v", s, v, again, err)
		}
	})
}
