package caa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Answer is what the DNS holds at one name.
type Answer struct {
	Records []Record
	TTL     time.Duration // how long the answer may be kept, also when it is empty
}

// A Lookup fetches the CAA records of a name, following aliases. No records and
// no error means that it is known that there are none; not to know is an error.
type Lookup func(ctx context.Context, name string) (Answer, error)

// A Request says for what permission is sought.
type Request struct {
	Domain   string   // in A-labels, without a trailing dot; a leading "*." is dropped and sets Wildcard
	Wildcard bool     // for the names below Domain
	Mail     bool     // for mailboxes at Domain (RFC 9495) instead of servers
	Issuers  []string // the names by which the authority goes; any of them in a record permits
	Account  string   // URI of the applicant's account (RFC 8657, section 3); empty where there is none
	Method   string   // label of the method that validated control (RFC 8657, section 4); empty where none did
}

// A Decision is the outcome, with what it rests on.
type Decision struct {
	Allowed      bool          `json:"allowed"`
	Why          string        `json:"why"`                    // one sentence for people
	RelevantName string        `json:"relevantName,omitempty"` // where the relevant set was found; empty if there is none
	Records      []Record      `json:"records,omitempty"`      // the relevant set
	Iodef        []string      `json:"iodef,omitempty"`        // where the owner wants violations reported
	Asked        []string      `json:"asked"`                  // the names that were looked up, in order
	TTL          time.Duration `json:"ttl"`                    // the shortest life of the answers used
}

// Climb lists the names that may hold the relevant set, nearest first: the
// domain and its parents up to the top-level domain (RFC 8659, section 3).
func Climb(domain string) []string {
	domain = strings.TrimSuffix(strings.TrimPrefix(lower(domain), "*."), ".")
	var names []string
	for domain != "" {
		names = append(names, domain)
		_, domain, _ = strings.Cut(domain, ".")
	}
	return names
}

// Decide finds the relevant record set and applies it. Any error of the look-up
// ends it and is returned: a failure is not permission, and whether a rule
// makes it one is for the caller to say.
func Decide(ctx context.Context, lookup Lookup, r Request) (Decision, error) {
	r.Wildcard = r.Wildcard || strings.HasPrefix(r.Domain, "*.")
	names := Climb(r.Domain)
	if len(names) == 0 {
		return Decision{}, errors.New("no domain to look for CAA records at")
	}
	d := Decision{TTL: -1}
	for _, name := range names {
		d.Asked = append(d.Asked, name)
		a, err := lookup(ctx, name)
		if err != nil {
			return Decision{}, fmt.Errorf("CAA records of %s: %w", name, err)
		}
		if d.TTL < 0 || a.TTL < d.TTL {
			d.TTL = a.TTL
		}
		if len(a.Records) > 0 {
			d.RelevantName, d.Records = name, a.Records
			d.Allowed, d.Why = apply(a.Records, r, name)
			break
		}
	}
	if d.RelevantName == "" {
		d.Allowed, d.Why = true, fmt.Sprintf("%s and the names above it have no CAA records.", names[0])
	}
	for _, rec := range d.Records {
		if rec.Tag == TagIodef {
			d.Iodef = append(d.Iodef, rec.Value)
		}
	}
	return d, nil
}

// apply decides by a set that is not empty.
func apply(set []Record, r Request, at string) (bool, string) {
	for _, rec := range set {
		if rec.Critical() && !known(rec.Tag) {
			return false, fmt.Sprintf("The CAA record %s at %s is marked critical, and we do not know what it asks.", rec, at)
		}
	}
	tag := governing(set, r)
	var reasons []string
	found := false
	for _, rec := range set {
		if rec.Tag != tag {
			continue
		}
		found = true
		why := refusal(rec, r)
		if why == "" {
			return true, fmt.Sprintf("The CAA record %s at %s permits it.", rec, at)
		}
		reasons = append(reasons, fmt.Sprintf("%s: %s", rec, why))
	}
	if !found {
		return true, fmt.Sprintf("The CAA records at %s do not restrict this kind of certificate.", at)
	}
	return false, fmt.Sprintf("The CAA records at %s do not permit it (%s).", at, strings.Join(reasons, "; "))
}

// governing is the tag whose records decide. A wildcard falls back to issue if
// there is no issuewild at all (RFC 8659, section 4.3); issuemail stands for
// itself (RFC 9495, section 4).
func governing(set []Record, r Request) string {
	switch {
	case r.Mail:
		return TagIssueMail
	case r.Wildcard && slices.ContainsFunc(set, func(rec Record) bool { return rec.Tag == TagIssueWild }):
		return TagIssueWild
	}
	return TagIssue
}

// refusal says why a record does not permit the request; empty when it does.
func refusal(rec Record, r Request) string {
	v, err := ParseValue(rec.Value)
	if err != nil {
		return "it is malformed, so it permits nobody: " + err.Error()
	}
	if v.Issuer == "" {
		return "it permits nobody"
	}
	if !slices.ContainsFunc(r.Issuers, func(i string) bool { return lower(strings.TrimSuffix(i, ".")) == v.Issuer }) {
		return "it names another issuer"
	}
	account, given, err := v.Param("accounturi")
	switch {
	case err != nil:
		return err.Error()
	case given && (r.Account == "" || account != r.Account): // RFC 8657, section 3: compared as it stands
		return "it asks for another account"
	}
	methods, given, err := v.Param("validationmethods")
	switch {
	case err != nil:
		return err.Error()
	case given && !validMethods(methods):
		return "its validationmethods are malformed"
	case given && (r.Method == "" || !slices.Contains(strings.Split(methods, ","), r.Method)):
		return "it does not allow the method by which control was shown"
	}
	return ""
}

// validMethods checks: value = [*(label ",") label], label = 1*(ALPHA / DIGIT / "-")
// (RFC 8657, section 4). The empty list is well-formed and allows no method.
func validMethods(s string) bool {
	if s == "" {
		return true
	}
	for label := range strings.SplitSeq(s, ",") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return r > 0x7e || !alphanumeric(byte(r)) && r != '-' }) {
			return false
		}
	}
	return true
}
