package domainval

import (
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Method is a way to show control over a name. The text is stored.
type Method string

// The methods that this package carries out itself, and those whose results an
// ACME endpoint brings.
const (
	DNSTXT     Method = "dns-txt"             // a random value in a TXT record
	HTTPFile   Method = "http-file"           // a random value in a file on the web server
	EmailLink  Method = "email-link"          // a link sent to a constructed address of the domain
	PersistTXT Method = "dns-persist"         // a lasting TXT record that names issuer and account
	ACMEHTTP   Method = "acme-http-01"        // RFC 8555, section 8.3
	ACMEDNS    Method = "acme-dns-01"         // RFC 8555, section 8.4
	ACMEALPN   Method = "acme-tls-alpn-01"    // RFC 8737
	ACMELabel  Method = "acme-dns-account-01" // dns-account-01
	Mailbox    Method = "mailbox"             // a link sent to the mailbox itself (S/MIME)
	Trusted    Method = "trusted"             // an administrator's word; private trust only
)

// A Purpose says for what evidence is used, which decides how long it lasts.
type Purpose string

// The purposes.
const (
	ForServer Purpose = "server" // names and addresses of servers (TLS BR)
	ForMail   Purpose = "mail"   // mailboxes, by their domain or one by one (S/MIME BR)
)

// date is a day on which a rule begins or ends, at 00:00 UTC.
func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

const day = 24 * time.Hour

// A methodRule is what the Baseline Requirements say of a method.
type methodRule struct {
	method   Method
	section  string    // TLS BR, or S/MIME BR where it says so
	address  string    // section for IP addresses; empty if it does not serve them
	caa      string    // its label in CAA validationmethods (RFC 8657, section 4)
	ends     time.Time // from then on neither used nor relied on (public trust)
	subtree  bool      // shown once, it covers the names below
	wildcard bool      // suits wildcards (rule 7)
	network  bool      // looked at from several perspectives (rule 10)
}

// methodRules is the table of methods (rules 5 and 7). Methods that the
// requirements have ended for good have no row: what has no row is refused.
var methodRules = []methodRule{
	{method: DNSTXT, section: "3.2.2.4.7", caa: "ca-dns-txt", subtree: true, wildcard: true, network: true},
	{method: HTTPFile, section: "3.2.2.4.18", address: "3.2.2.5.1", caa: "ca-http-file", network: true},
	{method: EmailLink, section: "3.2.2.4.4", caa: "ca-email-link", ends: date(2028, 3, 15), subtree: true, wildcard: true},
	{method: PersistTXT, section: "3.2.2.4.22", caa: "ca-dns-persist", subtree: true, wildcard: true, network: true},
	{method: ACMEHTTP, section: "3.2.2.4.19", address: "3.2.2.5.6", caa: "http-01", network: true},
	{method: ACMEDNS, section: "3.2.2.4.7", caa: "dns-01", subtree: true, wildcard: true, network: true},
	{method: ACMEALPN, section: "3.2.2.4.20", address: "3.2.2.5.7", caa: "tls-alpn-01", network: true},
	{method: ACMELabel, section: "3.2.2.4.21", caa: "dns-account-01", subtree: true, wildcard: true, network: true},
	{method: Mailbox, section: "S/MIME BR 3.2.2.2", caa: "ca-mailbox"},
	{method: Trusted, section: "none", subtree: true, wildcard: true},
}

func ruleOf(m Method) (methodRule, bool) {
	i := slices.IndexFunc(methodRules, func(r methodRule) bool { return r.method == m })
	if i < 0 {
		return methodRule{}, false
	}
	return methodRules[i], true
}

// A step is a value that holds from a day on; a zero day means always.
type step[T any] struct {
	from  time.Time
	value T
}

// at gives the value that holds at t: that of the last step that has begun, or
// of the first.
func at[T any](steps []step[T], t time.Time) T {
	v := steps[0].value
	for _, s := range steps {
		if !t.Before(s.from) {
			v = s.value
		}
	}
	return v
}

var (
	// serverReuse: TLS BR 4.2.1 (rule 2).
	serverReuse = []step[time.Duration]{{value: 398 * day}, {date(2026, 3, 15), 200 * day}, {date(2027, 3, 15), 100 * day}, {date(2029, 3, 15), 10 * day}}
	// persistReuse: TLS BR 3.2.2.4.22 (rule 2).
	persistReuse = []step[time.Duration]{{value: 10 * day}}
	// mailDomainReuse and mailboxReuse: S/MIME BR 4.2.1 (rule 28).
	mailDomainReuse = []step[time.Duration]{{value: 398 * day}}
	mailboxReuse    = []step[time.Duration]{{value: 30 * day}}

	// remotePerspectives: TLS BR 3.2.2.9, how many remote ones are used at least (rule 10).
	remotePerspectives = []step[int]{{value: 0}, {date(2025, 3, 15), 2}, {date(2026, 3, 15), 3}, {date(2026, 6, 15), 4}, {date(2026, 12, 15), 5}}
	// registryRegions: TLS BR 3.2.2.9, in how many regions of Internet registries those stand that agree.
	registryRegions = []step[int]{{value: 1}, {date(2026, 3, 15), 2}}

	// ruleVersions are the requirements that this code was written after. It
	// applies the oldest of them to earlier times as well.
	ruleVersions = []step[string]{{date(2026, 3, 31), "TLS BR 2.2.6, S/MIME BR 1.0.10"}}
)

// Limits that have not changed with time.
const (
	TokenLife     = 30 * day       // of a random value (rule 4, A187), and of a validation (A192)
	MailTokenLife = 24 * time.Hour // of a random value sent to a mailbox (rule 28)
	caaLife       = 8 * time.Hour  // how long a CAA answer is relied on at most (rule 9)
)

// Reuse is how long evidence may be relied on by someone who issues at t.
func Reuse(m Method, p Purpose, t time.Time) time.Duration { return at(reuseSteps(m, p), t) }

func reuseSteps(m Method, p Purpose) []step[time.Duration] {
	switch {
	case m == Mailbox:
		return mailboxReuse
	case m == PersistTXT:
		return persistReuse
	case p == ForMail:
		return mailDomainReuse
	}
	return serverReuse
}

// ValidUntil is the moment up to which evidence obtained at a time may be
// relied on. It foresees the days on which the rules become shorter, and the
// end of the method itself, which counts for public trust only.
func ValidUntil(m Method, p Purpose, public bool, obtained time.Time) time.Time {
	if m == Trusted {
		return obtained.AddDate(100, 0, 0)
	}
	steps := reuseSteps(m, p)
	until := obtained.Add(at(steps, obtained))
	for _, s := range steps {
		if !s.from.After(obtained) || !s.from.Before(until) {
			continue
		}
		// From this day on the shorter window holds: what is older than it ends
		// on the day itself.
		until = later(s.from, obtained.Add(s.value))
	}
	if r, ok := ruleOf(m); ok && public && !r.ends.IsZero() && r.ends.Before(until) {
		until = later(r.ends, obtained)
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// RuleVersion names the requirements under which something is validated at t (rule 6).
func RuleVersion(t time.Time) string { return at(ruleVersions, t) }

// Section is the clause that describes a method for a kind of name.
func Section(m Method, address bool) string {
	r, _ := ruleOf(m)
	if address {
		return r.address
	}
	return r.section
}

// CAALabel is a method's name in CAA validationmethods (RFC 8657, section 4).
func CAALabel(m Method) string { r, _ := ruleOf(m); return r.caa }

// Allowed tells whether a method may be used at t for a name, with a fault of
// kind Invalid that says why not.
func Allowed(m Method, n Name, public bool, t time.Time) error {
	r, ok := ruleOf(m)
	switch {
	case !ok, m == Mailbox:
		return fault.Invalidf("domain.method", "%q is no method to show control over a domain.", m).WithField("methods")
	case public && m == Trusted:
		return fault.Invalidf("domain.method_private", "Publicly trusted certificates need a real check of %s; an administrator's word does not do.", n)
	case public && !r.ends.IsZero() && !t.Before(r.ends):
		return fault.Invalidf("domain.method_ended", "The method %s may not be used for publicly trusted certificates since %s.", m, r.ends.Format(time.DateOnly)).
			WithNext("Use a DNS record.")
	case n.IP.IsValid() && r.address == "":
		return fault.Invalidf("domain.method_address", "The method %s cannot show control over the IP address %s.", m, n).WithNext("Use a file on the web server.")
	case n.Wildcard && !r.wildcard:
		return fault.Invalidf("domain.method_wildcard", "The method %s cannot show control over the wildcard %s.", m, n).WithNext("Use a DNS record.")
	}
	return nil
}

// Quorum is the rule of TLS BR 3.2.2.9 for one attempt: how many remote
// perspectives must be used at t, how many of those that were used may
// disagree, and in how many registry regions the agreeing ones must stand.
func Quorum(t time.Time, used int) (required, misses, regions int) {
	switch required = at(remotePerspectives, t); {
	case used >= 6:
		misses = 2
	case used >= 2:
		misses = 1
	}
	return required, misses, at(registryRegions, t)
}
