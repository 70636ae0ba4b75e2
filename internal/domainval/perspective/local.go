package perspective

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/pki/caa"
)

// A Resolver asks the servers of a name now, without a cache for the answer.
// [resolver.Resolver] is one.
type Resolver interface {
	Fresh(ctx context.Context, name string, qtype uint16) (resolver.Answer, error)
}

// A Local looks from where the program runs. Its methods may be called from any
// goroutine.
type Local struct {
	At       Place
	Resolver Resolver
	Egress   egress.Policy // addresses that may be connected to; its ports are set here
	// HTTPPort and HTTPSPort are the ports of web servers, 80 and 443 when zero.
	// Others are for tests: they are not Authorized Ports.
	HTTPPort, HTTPSPort uint16
}

// Place says where it stands.
func (l *Local) Place() Place { return l.At }

// Look answers a question. The error is for a question that may not be asked;
// what goes wrong on the network is part of the observation.
func (l *Local) Look(ctx context.Context, q Question) (Observation, error) {
	if err := q.check(); err != nil {
		return Observation{}, err
	}
	o := Observation{Version: Version, ID: q.ID, Perspective: l.At.Name}
	switch q.Kind {
	case TXT:
		o.Lookups = []Lookup{l.lookup(ctx, q.Name, dns.TypeTXT)}
	case CAA:
		for _, name := range caa.Climb(q.Name) {
			found := l.lookup(ctx, name, dns.TypeCAA)
			o.Lookups = append(o.Lookups, found)
			if found.Failure != nil || len(found.CAA) > 0 {
				break
			}
		}
	case HTTP:
		o.Fetch = l.fetch(ctx, q.Name, q.Path)
	}
	return o, nil
}

// lookup asks once, and once more if the first failure may pass.
func (l *Local) lookup(ctx context.Context, name string, qtype uint16) Lookup {
	out := Lookup{Name: name, Type: dns.TypeToString[qtype]}
	a, err := l.Resolver.Fresh(ctx, name, qtype)
	retried := false
	if err != nil && transient(err) && ctx.Err() == nil {
		retried = true
		a, err = l.Resolver.Fresh(ctx, name, qtype)
	}
	if err != nil {
		out.Failure = describe(err)
		out.Failure.Retried = retried
		if retried {
			_, rootErr := l.Resolver.Fresh(ctx, ".", dns.TypeSOA)
			out.Failure.Outside = rootErr == nil
		}
		return out
	}
	out.Owner, out.TTL, out.Secure, out.Servers = strings.TrimSuffix(a.Owner, "."), a.TTL.Round(time.Second), a.Security == resolver.Secure, a.Servers
	for _, alias := range a.Aliases {
		out.Aliases = append(out.Aliases, strings.TrimSuffix(alias, "."))
	}
	for _, rr := range a.Records {
		switch rr := rr.(type) {
		case *dns.TXT:
			out.Texts = append(out.Texts, unescape(strings.Join(rr.Txt, "")))
		case *dns.CAA:
			rec, err := caa.New(rr.Flag, rr.Tag, []byte(rr.Value))
			if err != nil { // a record that cannot be read is no permission
				out.Failure = &Failure{Kind: "malformed", Text: fmt.Sprintf("A CAA record of %s cannot be read: %v.", name, err)}
				return out
			}
			out.CAA = append(out.CAA, rec.Encode())
		}
	}
	return out
}

// transient tells whether asking again may help. A broken signature stays broken.
func transient(err error) bool {
	var f *resolver.Failure
	if !errors.As(err, &f) {
		return true
	}
	switch f.Kind {
	case resolver.Timeout, resolver.ServFail, resolver.Refused, resolver.Lame:
		return true
	}
	return false
}

func describe(err error) *Failure {
	var f *resolver.Failure
	if !errors.As(err, &f) {
		return &Failure{Kind: "unknown", Text: err.Error()}
	}
	return &Failure{Kind: f.Kind.String(), Text: f.Text, Server: f.Server, Zone: strings.TrimSuffix(f.Zone, "."), Insecure: f.ZoneSecurity == resolver.Insecure}
}

// unescape undoes the presentation form in which package dns keeps TXT strings
// (RFC 1035, section 5.1).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) && digits(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')*100 + (s[i+2]-'0')*10 + s[i+3] - '0')
			i += 3
			continue
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }
