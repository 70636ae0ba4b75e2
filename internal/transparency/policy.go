package transparency

import (
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Policy says how many SCTs a certificate needs. The zero Policy is that of
// the browsers: two SCTs for a lifetime of at most 180 days, else three, from
// logs of at least two operators.
type Policy struct {
	ShortLifetime time.Duration // zero is 180 days
	Short         int           // SCTs up to that lifetime; zero is 2
	Long          int           // SCTs beyond it; zero is 3
	Operators     int           // different operators; zero is 2
	Final         int           // logs that must take a final certificate that has its SCTs; zero is 1
}

const day = 24 * time.Hour

func (p Policy) filled() (Policy, error) {
	if p.ShortLifetime < 0 || p.Short < 0 || p.Long < 0 || p.Operators < 0 || p.Final < 0 {
		return p, fault.Invalidf("transparency.policy", "The numbers of the transparency policy must not be negative.")
	}
	for _, f := range []struct {
		value    *int
		standard int
	}{{&p.Short, 2}, {&p.Long, 3}, {&p.Operators, 2}, {&p.Final, 1}} {
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	if p.ShortLifetime == 0 {
		p.ShortLifetime = 180 * day
	}
	return p, nil
}

// need is what a certificate of these dates needs. NotAfter is part of the
// lifetime (RFC 5280, section 4.1.2.5), hence the second.
func (p Policy) need(notBefore, notAfter time.Time) need {
	n := need{p.Short, p.Operators}
	if notAfter.Sub(notBefore)+time.Second > p.ShortLifetime {
		n.logs = p.Long
	}
	n.logs = max(n.logs, n.operators)
	return n
}

// A need is a number of logs and of different operators among them.
type need struct{ logs, operators int }

// complete picks, in order, from candidates what the logs in base lack to
// fulfil the need, and no more. It is false if that is not enough; then the
// picked ones are still worth having.
func (n need) complete(base, candidates []*known) (pick []*known, fulfilled bool) {
	operators := map[string]bool{}
	for _, l := range base {
		operators[l.Operator] = true
	}
	for _, c := range candidates {
		logs, others := n.logs-len(base)-len(pick), n.operators-len(operators)
		if logs <= 0 && others <= 0 {
			return pick, true
		}
		// The last places are kept for the operators that are still missing.
		if operators[c.Operator] && logs <= others {
			continue
		}
		operators[c.Operator] = true
		pick = append(pick, c)
	}
	return pick, len(base)+len(pick) >= n.logs && len(operators) >= n.operators
}
