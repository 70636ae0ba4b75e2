package transparency

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

// A State says what a log is good for.
type State string

// The states, with the names that public log lists use.
const (
	Usable    State = "usable"    // takes submissions, and its SCTs count
	Qualified State = "qualified" // too new for old programs to know: its SCTs count, nothing is submitted
	ReadOnly  State = "readonly"  // its SCTs count, it takes no submissions
	Retired   State = "retired"   // SCTs from before Since count
)

// A Log is one row of a log list.
type Log struct {
	Name     string    `json:"name"`
	Operator string    `json:"operator"` // who runs it; logs of one operator count as one for diversity
	URL      string    `json:"url"`      // to which ct/v1/add-pre-chain is appended
	Key      []byte    `json:"key"`      // DER SubjectPublicKeyInfo
	Start    time.Time `json:"start"`    // takes certificates with NotAfter at Start or later …
	Limit    time.Time `json:"limit"`    // … and before Limit; the zero times are no bounds
	State    State     `json:"state"`
	Since    time.Time `json:"since"` // of the state; needed for Retired
}

// A known log is one whose row was checked.
type known struct {
	Log
	key ct.Key
}

// checkLogs reads the keys and refuses rows that cannot be meant.
func checkLogs(logs []Log) ([]*known, error) {
	var out []*known
	for _, l := range logs {
		k, err := checkLog(l)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o *known) bool { return o.key.ID() == k.key.ID() }) {
			return nil, fault.Invalidf("transparency.log_twice", "Two rows of the log list have the key of log %q.", l.Name)
		}
		out = append(out, k)
	}
	return out, nil
}

func checkLog(l Log) (*known, error) {
	if l.Name == "" || l.Operator == "" {
		return nil, fault.Invalidf("transparency.log_name", "A row of the log list has no name or no operator (name %q, operator %q).", l.Name, l.Operator)
	}
	key, err := ct.ParseKey(l.Key)
	if err != nil {
		return nil, fault.Invalidf("transparency.log_key", "The key of log %q cannot be used.", l.Name).
			WithNext("Give it as SubjectPublicKeyInfo: P-256, or RSA of at least 2048 bits.").WithCause(err)
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.Invalidf("transparency.log_url", "The address of log %q is not of the form https://host/path.", l.Name)
	}
	l.URL = strings.TrimSuffix(l.URL, "/") + "/"
	if !l.Start.IsZero() && !l.Limit.IsZero() && !l.Start.Before(l.Limit) {
		return nil, fault.Invalidf("transparency.log_interval", "The interval of log %q ends before it begins.", l.Name)
	}
	switch l.State {
	case Usable, Qualified, ReadOnly:
	case Retired:
		if l.Since.IsZero() {
			return nil, fault.Invalidf("transparency.log_since", "Log %q is retired, but the row does not say since when.", l.Name)
		}
	default:
		return nil, fault.Invalidf("transparency.log_state", "Log %q has the unknown state %q.", l.Name, l.State).
			WithNext("Use %s, %s, %s or %s.", Usable, Qualified, ReadOnly, Retired)
	}
	return &known{l, key}, nil
}

// takes tells whether certificates with this NotAfter may be submitted.
func (k *known) takes(notAfter time.Time) bool { return k.State == Usable && k.covers(notAfter) }

func (k *known) covers(notAfter time.Time) bool {
	return (k.Start.IsZero() || !notAfter.Before(k.Start)) && (k.Limit.IsZero() || notAfter.Before(k.Limit))
}

// counts tells whether programs accept an SCT of this log with this timestamp.
func (k *known) counts(t ct.SCT) bool {
	return k.State != Retired || ct.Time(t.Timestamp).Before(k.Since)
}
