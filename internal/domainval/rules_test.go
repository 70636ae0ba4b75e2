package domainval_test

import (
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func on(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

const day = 24 * time.Hour

// Rules 2 and 28, each at both sides of the day on which it changes.
func TestReuseShrinksOnTheDaysOfTheRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		method domainval.Method
		use    domainval.Purpose
		at     time.Time
		days   int
	}{
		{"before 2026-03-15", domainval.DNSTXT, domainval.ForServer, on(2026, 3, 15).Add(-time.Microsecond), 398},
		{"on 2026-03-15", domainval.DNSTXT, domainval.ForServer, on(2026, 3, 15), 200},
		{"before 2027-03-15", domainval.HTTPFile, domainval.ForServer, on(2027, 3, 15).Add(-time.Microsecond), 200},
		{"on 2027-03-15", domainval.HTTPFile, domainval.ForServer, on(2027, 3, 15), 100},
		{"before 2029-03-15", domainval.DNSTXT, domainval.ForServer, on(2029, 3, 15).Add(-time.Microsecond), 100},
		{"on 2029-03-15", domainval.DNSTXT, domainval.ForServer, on(2029, 3, 15), 10},
		{"persistent records always 10 days", domainval.PersistTXT, domainval.ForServer, on(2026, 1, 1), 10},
		{"persistent records for mail as well", domainval.PersistTXT, domainval.ForMail, on(2026, 1, 1), 10},
		{"a domain for mail 398 days", domainval.DNSTXT, domainval.ForMail, on(2029, 6, 1), 398},
		{"a mailbox 30 days", domainval.Mailbox, domainval.ForMail, on(2026, 1, 1), 30},
	} {
		if got := domainval.Reuse(c.method, c.use, c.at); got != time.Duration(c.days)*day {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Rule 2: the end that is shown to people is the first moment at which the rule of
// that moment refuses, wherever between the days the evidence was obtained.
func TestValidUntilIsWhereReuseEnds(t *testing.T) {
	ends := map[domainval.Method]time.Time{domainval.EmailLink: on(2028, 3, 15)}
	for _, m := range []domainval.Method{domainval.DNSTXT, domainval.EmailLink, domainval.PersistTXT, domainval.Mailbox} {
		for _, p := range []domainval.Purpose{domainval.ForServer, domainval.ForMail} {
			for obtained := on(2025, 1, 1).Add(7 * time.Hour); obtained.Before(on(2030, 1, 1)); obtained = obtained.Add(11 * day) {
				want := obtained
				for want.Sub(obtained) < domainval.Reuse(m, p, want) && (ends[m].IsZero() || want.Before(ends[m])) {
					want = want.Add(time.Hour)
				}
				if got := domainval.ValidUntil(m, p, true, obtained); got.After(want) || want.Sub(got) >= time.Hour {
					t.Fatalf("%s for %s of %v: until %v, want %v", m, p, obtained, got, want)
				}
			}
		}
	}
	if got := domainval.ValidUntil(domainval.EmailLink, domainval.ForServer, false, on(2028, 3, 1)); got != on(2028, 3, 1).Add(100*day) {
		t.Errorf("the end of a method binds private trust: %v", got)
	}
}

// Rules 5 and 7: the end of e-mail, wildcards, IP addresses.
func TestMethodsAreAllowedByDateAndName(t *testing.T) {
	for _, c := range []struct {
		name   string
		method domainval.Method
		target string
		public bool
		at     time.Time
		code   string
	}{
		{"e-mail a moment before its end", domainval.EmailLink, "a.site.dk", true, on(2028, 3, 15).Add(-time.Microsecond), ""},
		{"e-mail at its end", domainval.EmailLink, "a.site.dk", true, on(2028, 3, 15), "domain.method_ended"},
		{"e-mail after its end in private", domainval.EmailLink, "a.site.dk", false, on(2028, 3, 15), ""},
		{"DNS after the end of e-mail", domainval.DNSTXT, "a.site.dk", true, on(2028, 3, 15), ""},
		{"a wildcard by DNS", domainval.DNSTXT, "*.site.dk", true, noon, ""},
		{"a wildcard by persistent record", domainval.PersistTXT, "*.site.dk", true, noon, ""},
		{"a wildcard by e-mail", domainval.EmailLink, "*.site.dk", true, noon, ""},
		{"a wildcard by file", domainval.HTTPFile, "*.site.dk", true, noon, "domain.method_wildcard"},
		{"a wildcard by file in private", domainval.HTTPFile, "*.site.dk", false, noon, "domain.method_wildcard"},
		{"a wildcard by ACME HTTP", domainval.ACMEHTTP, "*.site.dk", true, noon, "domain.method_wildcard"},
		{"a wildcard by ALPN", domainval.ACMEALPN, "*.site.dk", true, noon, "domain.method_wildcard"},
		{"an address by file", domainval.HTTPFile, "9.9.9.9", true, noon, ""},
		{"an address by DNS", domainval.DNSTXT, "9.9.9.9", true, noon, "domain.method_address"},
		{"an administrator's word in public", domainval.Trusted, "site.dk", true, noon, "domain.method_private"},
		{"an administrator's word in private", domainval.Trusted, "site.dk", false, noon, ""},
		{"a method that the rules have ended", "phone", "site.dk", true, noon, "domain.method"},
	} {
		n, err := domainval.ParseName(c.target)
		if err != nil {
			t.Fatal(err)
		}
		err = domainval.Allowed(c.method, n, c.public, c.at)
		if c.code == "" && err != nil || c.code != "" && (err == nil || fault.Of(err).Code != c.code) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Rule 10: how many remote perspectives, how many may disagree, how many regions.
func TestTheQuorumGrowsOnTheDaysOfTheRules(t *testing.T) {
	for _, c := range []struct {
		at       time.Time
		required int
		regions  int
	}{
		{on(2025, 3, 14), 0, 1},
		{on(2025, 3, 15), 2, 1},
		{on(2026, 3, 15).Add(-time.Microsecond), 2, 1},
		{on(2026, 3, 15), 3, 2},
		{on(2026, 6, 15).Add(-time.Microsecond), 3, 2},
		{on(2026, 6, 15), 4, 2},
		{on(2026, 12, 15).Add(-time.Microsecond), 4, 2},
		{on(2026, 12, 15), 5, 2},
	} {
		if required, _, regions := domainval.Quorum(c.at, 6); required != c.required || regions != c.regions {
			t.Errorf("at %v: %d perspectives in %d regions", c.at, required, regions)
		}
	}
	for used, want := range map[int]int{0: 0, 1: 0, 2: 1, 5: 1, 6: 2, 9: 2} {
		if _, misses, _ := domainval.Quorum(noon, used); misses != want {
			t.Errorf("of %d, %d may disagree", used, misses)
		}
	}
}

// Rule 6: the clause and the version that evidence names.
func TestEvidenceNamesClauseAndVersion(t *testing.T) {
	if v := domainval.RuleVersion(noon); v != "TLS BR 2.2.6, S/MIME BR 1.0.10" {
		t.Error(v)
	}
	for m, want := range map[domainval.Method][2]string{
		domainval.DNSTXT: {"3.2.2.4.7", ""}, domainval.HTTPFile: {"3.2.2.4.18", "3.2.2.5.1"}, domainval.EmailLink: {"3.2.2.4.4", ""},
		domainval.PersistTXT: {"3.2.2.4.22", ""}, domainval.ACMEALPN: {"3.2.2.4.20", "3.2.2.5.7"},
	} {
		if got := [2]string{domainval.Section(m, false), domainval.Section(m, true)}; got != want {
			t.Errorf("%s: %q", m, got)
		}
	}
}
