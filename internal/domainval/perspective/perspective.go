// Package perspective looks at domain names from one place on the network: it
// fetches TXT and CAA records and files below /.well-known/ and tells what it
// saw (TLS Baseline Requirements, section 3.2.2.9).
//
// A [Local] looks from where the program runs. A [Remote] asks another
// installation of the program over HTTPS, which answers with a [Handler]
// around its own Local. Both give the same [Observation]: raw findings, never a
// verdict. Who looks is not told what is hoped for, so a perspective that wants
// to please has nothing to say yes to; the one who asked compares.
//
// The protocol is one POST of a [Question] as JSON, answered by an Observation,
// both with a version. The caller shows a bearer token, of which the remote
// keeps the SHA-256 only.
package perspective

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Version is the version of the protocol that this program speaks.
const Version = 1

// A Kind says what is looked at.
type Kind string

// The kinds of questions.
const (
	TXT  Kind = "txt"  // TXT records at Name
	CAA  Kind = "caa"  // CAA records at Name and upwards, up to the first that are found
	HTTP Kind = "http" // the file at Path on the server Name, which may be an IP address
)

// A Question asks for one look.
type Question struct {
	Version int    `json:"version"`
	ID      string `json:"id"` // chosen by the caller; the answer repeats it
	Kind    Kind   `json:"kind"`
	Name    string `json:"name"`           // A-labels in lower case, without a trailing dot
	Path    string `json:"path,omitempty"` // of HTTP: below /.well-known/
}

// An Observation is what was seen.
type Observation struct {
	Version     int      `json:"version"`
	ID          string   `json:"id"`
	Perspective string   `json:"perspective"` // name of who looked
	Lookups     []Lookup `json:"lookups,omitempty"`
	Fetch       *Fetch   `json:"fetch,omitempty"`
}

// A Lookup is the outcome of one question to the DNS.
type Lookup struct {
	Name    string        `json:"name"`
	Type    string        `json:"type"`
	Aliases []string      `json:"aliases,omitempty"` // passed on the way
	Owner   string        `json:"owner,omitempty"`   // at the end of the aliases
	Texts   []string      `json:"texts,omitempty"`   // of TXT: the strings of each record joined
	CAA     [][]byte      `json:"caa,omitempty"`     // of CAA: RDATA
	TTL     time.Duration `json:"ttl"`
	Secure  bool          `json:"secure"` // signed, down from the root
	Servers []string      `json:"servers,omitempty"`
	Failure *Failure      `json:"failure,omitempty"` // set when there is no answer
}

// A Failure is why the DNS gave no answer. It never means that there are no
// records.
type Failure struct {
	Kind     string `json:"kind"` // as the resolver names it: "servfail", "timeout", "bogus" …
	Text     string `json:"text"`
	Server   string `json:"server,omitempty"`
	Zone     string `json:"zone,omitempty"`
	Insecure bool   `json:"insecure"` // the zone is proven to be unsigned
	Retried  bool   `json:"retried"`  // it was asked twice at least
	Outside  bool   `json:"outside"`  // meanwhile the root answered: the fault is not on our side
}

// A Fetch is the outcome of fetching a file.
type Fetch struct {
	Hops    []Hop  `json:"hops"`              // the requests, in order
	Status  int    `json:"status"`            // of the last answer; 0 without one
	Body    []byte `json:"body,omitempty"`    // of the last answer
	Failure string `json:"failure,omitempty"` // a sentence for people
}

// A Hop is one request on the way to a file.
type Hop struct {
	URL     string `json:"url"`
	Address string `json:"address,omitempty"`
	Status  int    `json:"status,omitempty"`
}

// Registries are the five regional Internet registries whose service regions
// the requirements count.
func Registries() []string { return []string{"AFRINIC", "APNIC", "ARIN", "LACNIC", "RIPE NCC"} }

// A Place says where a perspective stands.
type Place struct {
	Name                string  `json:"name"`     // unique, such as "frankfurt-1"
	Registry            string  `json:"registry"` // one of Registries
	Latitude, Longitude float64 // of its resolver, in degrees
}

// MinDistance is how far two perspectives stand apart at least, in kilometres
// (TLS BR 3.2.2.9).
const MinDistance = 500

// Distance is the length of the great circle between two places in kilometres.
func Distance(a, b Place) float64 {
	const radius, rad = 6371.0, math.Pi / 180
	s1, s2 := math.Sin((b.Latitude-a.Latitude)*rad/2), math.Sin((b.Longitude-a.Longitude)*rad/2)
	h := s1*s1 + math.Cos(a.Latitude*rad)*math.Cos(b.Latitude*rad)*s2*s2
	return 2 * radius * math.Asin(math.Sqrt(min(1, h)))
}

// CheckPlaces tells whether the places can stand for distinct perspectives:
// names of their own, registries that exist, and 500 km between any two.
func CheckPlaces(places []Place) error {
	for i, p := range places {
		if strings.TrimSpace(p.Name) == "" {
			return fmt.Errorf("perspective %d has no name", i+1)
		}
		if !slices.Contains(Registries(), p.Registry) {
			return fmt.Errorf("perspective %q is in the region of %q, which is none of %s", p.Name, p.Registry, strings.Join(Registries(), ", "))
		}
		for _, q := range places[:i] {
			if p.Name == q.Name {
				return fmt.Errorf("two perspectives have the name %q", p.Name)
			}
			if d := Distance(p, q); d < MinDistance {
				return fmt.Errorf("perspectives %q and %q stand %.0f km apart; the rule is %d km at least", q.Name, p.Name, d, MinDistance)
			}
		}
	}
	return nil
}

// check tells whether a question is one that may be asked. It keeps a
// perspective from becoming a tool for other purposes.
func (q Question) check() error {
	switch {
	case q.Version != Version:
		return fmt.Errorf("version %d of the protocol is not spoken here, only %d", q.Version, Version)
	case q.ID == "" || len(q.ID) > 100:
		return fmt.Errorf("the question has no proper id")
	case !validHost(q.Name):
		return fmt.Errorf("%.100q is not a name to look at", q.Name)
	case q.Kind == HTTP && !validPath(q.Path):
		return fmt.Errorf("%.100q is not a path below /.well-known/", q.Path)
	case q.Kind != TXT && q.Kind != CAA && q.Kind != HTTP:
		return fmt.Errorf("%.20q is not a kind of question", q.Kind)
	}
	return nil
}

func validHost(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") == "" && !strings.Contains(s, "..")
}

func validPath(s string) bool {
	return strings.HasPrefix(s, "/.well-known/") && len(s) <= 200 && !strings.Contains(s, "..") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == ""
}
