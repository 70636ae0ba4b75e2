package domainval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
)

// A target is what one attempt tries to find.
type target struct {
	name    Name
	realm   access.Realm
	client  string
	methods []Method
	token   string // empty: methods with a random value are left out
	public  bool
	wide    bool // only what covers the names below will do
}

// An attempt is the outcome of looking for control by all methods that need
// nobody's help.
type attempt struct {
	shown  bool
	method Method
	at     string // the authority: the name that the evidence is for
	narrow bool   // the evidence is for that name alone, whatever the method allows
	text   string // for people: what was found, or what was not found where
	detail Detail
}

// Detail is what evidence rests on.
type Detail struct {
	Text          string                    `json:"text"`
	Found         string                    `json:"found,omitempty"` // where it was seen: a name or URL
	Seen          []perspective.Observation `json:"seen,omitempty"`  // by the primary perspective
	Corroboration *Corroboration            `json:"corroboration,omitempty"`
	Address       string                    `json:"address,omitempty"` // that a link was sent to
}

// automatic are the methods that attempt carries out, in the order in which it
// tries them.
var automatic = []Method{DNSTXT, PersistTXT, HTTPFile}

// attempt looks by each method that the target allows, until one shows control.
func (d *Desk) attempt(ctx context.Context, t target) attempt {
	now := d.clock.Now()
	failed := attempt{method: "none"}
	var texts []string
	for _, m := range automatic {
		if !slices.Contains(t.methods, m) || Allowed(m, t.name, t.public, now) != nil {
			continue
		}
		var a attempt
		switch {
		case m == PersistTXT:
			a = d.persistent(ctx, t)
		case t.token == "":
			continue
		case m == DNSTXT:
			a = d.txt(ctx, t)
		case m == HTTPFile:
			a = d.file(ctx, t)
		}
		if a.method = m; a.shown {
			return a
		}
		texts = append(texts, a.text)
		failed.method = m
		failed.detail.Seen = append(failed.detail.Seen, a.detail.Seen...)
		if a.detail.Corroboration != nil {
			failed.detail.Corroboration = a.detail.Corroboration
		}
	}
	failed.text = strings.Join(texts, " ")
	failed.detail.Text = failed.text
	return failed
}

// see asks the primary perspective and, when it is satisfied and the rules want
// it, the remote ones.
func (d *Desk) see(ctx context.Context, t target, q perspective.Question, j judge) (a attempt, v verdict) {
	q.Version, q.ID = perspective.Version, "primary"
	o, err := d.primary.Look(ctx, q)
	if err != nil {
		v = verdict{text: "The name cannot be looked at: " + err.Error() + "."}
		return attempt{text: v.text}, v
	}
	v = j(o)
	a = attempt{shown: v.ok, text: v.text, detail: Detail{Seen: []perspective.Observation{o}}}
	if v.ok && t.public && d.set.RequireMPIC {
		c := d.corroborate(ctx, q, j)
		a.detail.Corroboration = &c
		if !c.Met {
			a.shown, a.text = false, c.describe()
		}
	}
	a.detail.Text = a.text
	return a, v
}

// txt looks for the random value in TXT records: at the name and at its
// ancestors up to the base domain, at each also under the underscore label (TLS
// BR 3.2.2.4.7).
func (d *Desk) txt(ctx context.Context, t target) attempt {
	want := d.value(t.token)
	places := func(authority string) []string { return []string{authority, d.set.Label + "." + authority} }
	return d.search(ctx, t, t.name.Authorities(), places, func(o perspective.Observation) verdict {
		return judgeTexts(o, fmt.Sprintf("no TXT record with the value %s", want), func(text string) (bool, string) { return same(strings.TrimSpace(text), want), "" })
	})
}

// persistLabel is the label of persistent records (TLS BR 3.2.2.4.22).
const persistLabel = "_validation-persist"

// persistent looks for a record that covers what is below it, and otherwise for
// one at the very name that covers nothing else.
func (d *Desk) persistent(ctx context.Context, t target) attempt {
	now, account := d.clock.Now(), d.account(t.realm, t.client)
	look := func(authorities []string, wide bool) attempt {
		return d.search(ctx, t, authorities, func(authority string) []string { return []string{persistLabel + "." + authority} }, func(o perspective.Observation) verdict {
			return judgeTexts(o, "no persistent TXT record for this account", func(text string) (bool, string) {
				why := checkPersistent(text, d.set.Issuers, account, wide, now)
				return why == "", why
			})
		})
	}
	a := look(t.name.Authorities(), true)
	if a.shown || t.wide || t.name.Wildcard {
		return a
	}
	if b := look([]string{t.name.ASCII}, false); b.shown {
		b.narrow = true
		return b
	}
	return a
}

// search looks at the places of each authority until one satisfies the judge.
// The evidence is for the authority under which the record stood.
func (d *Desk) search(ctx context.Context, t target, authorities []string, places func(authority string) []string, j judge) attempt {
	var all attempt
	var missing []string
	what := ""
	for _, authority := range authorities {
		for _, name := range places(authority) {
			a, v := d.see(ctx, t, perspective.Question{Kind: perspective.TXT, Name: name}, j)
			if v.ok { // corroborated or not, this is where the record stands
				a.at, a.detail.Found = authority, name
				return a
			}
			all.detail.Seen = append(all.detail.Seen, a.detail.Seen...)
			if v.temporary {
				all.text += fmt.Sprintf("The DNS gave no answer for %s: %s ", name, v.text)
				continue
			}
			what = v.text
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		all.text += fmt.Sprintf("There is %s at %s.", what, strings.Join(missing, ", "))
	}
	all.text = strings.TrimSpace(all.text)
	all.detail.Text = all.text
	return all
}

// judgeTexts looks through the TXT records of an observation. accept says why
// it does not like one, if that is worth telling.
func judgeTexts(o perspective.Observation, missing string, accept func(text string) (ok bool, why string)) verdict {
	if len(o.Lookups) == 0 {
		return verdict{text: missing}
	}
	l := o.Lookups[0]
	if l.Failure != nil {
		return verdict{text: l.Failure.Text, temporary: true}
	}
	found, reason := false, ""
	for _, text := range l.Texts { // all of them: the time does not tell which one matched
		ok, why := accept(text)
		found = found || ok
		if reason == "" {
			reason = why
		}
	}
	switch {
	case found:
		return verdict{ok: true, text: "The TXT record was found at " + l.Name + ".", ttl: l.TTL}
	case reason != "":
		return verdict{text: missing + " (" + reason + ")"}
	}
	return verdict{text: missing}
}

// file looks for the random value in a file on the web server of the name
// itself (TLS BR 3.2.2.4.18, 3.2.2.5.1).
func (d *Desk) file(ctx context.Context, t target) attempt {
	want := d.value(t.token)
	q := perspective.Question{Kind: perspective.HTTP, Name: t.name.ASCII, Path: wellKnown + fileName(t.token)}
	a, _ := d.see(ctx, t, q, func(o perspective.Observation) verdict { return judgeFile(o, want) })
	a.at, a.detail.Found = t.name.ASCII, "http://"+t.name.ASCII+q.Path
	return a
}

func judgeFile(o perspective.Observation, want string) verdict {
	f := o.Fetch
	switch {
	case f == nil:
		return verdict{text: "The web server was not looked at.", temporary: true}
	case f.Failure != "":
		return verdict{text: f.Failure, temporary: true}
	case f.Status < 200 || f.Status > 299:
		return verdict{text: fmt.Sprintf("The web server answered with status %d instead of the file.", f.Status)}
	}
	found := false
	for line := range strings.Lines(string(f.Body)) {
		found = same(strings.TrimSpace(line), want) || found
	}
	if !found {
		return verdict{text: fmt.Sprintf("The file on the web server does not hold the value %s.", want)}
	}
	return verdict{ok: true, text: "The file was found on the web server."}
}
