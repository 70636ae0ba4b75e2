package resolver

import (
	"fmt"
	"strings"
)

// A Kind says why a lookup failed.
type Kind uint8

// The kinds, in the order in which one is reported when servers fail
// differently: the last is the most telling.
const (
	Timeout   Kind = iota + 1 // no server answered in time, or none could be reached
	Malformed                 // replies or the name asked are not what the protocol allows
	Lame                      // the servers do not serve the zone delegated to them, or there are none
	Refused                   // the servers refuse to answer
	ServFail                  // the servers report a failure of their own
	Loop                      // aliases or name servers depend on themselves
	Limit                     // the answer costs more than one lookup may
	Bogus                     // DNSSEC proves that the answer is not the zone's
)

var kindNames = [...]string{"unknown", "timeout", "malformed", "lame", "refused", "servfail", "loop", "limit", "bogus"}

// String names the kind in one lower-case word, fit for logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// A Failure is why there is no answer. It never means that there are no
// records: a name without records is an [Answer].
type Failure struct {
	Kind   Kind
	Name   string // the name being resolved when it happened
	Zone   string // the zone whose servers, keys or data failed; may be empty
	Server string // the address of the server that failed last; may be empty
	Text   string // one sentence for people

	// ZoneSecurity is what is proven of Zone: Insecure when the chain of trust
	// provably ends at or above it, Secure when it reaches Zone, Unknown
	// otherwise. It is Secure as well when a zone that was passed on the way, by
	// an alias, is. Permission after a failed CAA lookup asks for Insecure (TLS
	// Baseline Requirements, section 3.2.2.8).
	ZoneSecurity Security
}

// Error gives all fields in one line.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "DNS %s: %s", f.Kind, f.Name)
	if f.Zone != "" {
		fmt.Fprintf(&b, " (zone %s, %s)", f.Zone, f.ZoneSecurity)
	}
	if f.Server != "" {
		fmt.Fprintf(&b, " from %s", f.Server)
	}
	return b.String() + ": " + f.Text
}

// in adds the zone at fault, unless a deeper one is known already.
func (f *Failure) in(name string, z *zone) *Failure {
	if f.Zone == "" {
		f.Name, f.Zone, f.ZoneSecurity = name, z.name, z.security
	}
	return f
}

// fail makes a failure whose place is added later.
func fail(kind Kind, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
