package notice

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// Data is what texts can say. Every field may be empty; texts leave out what is.
type Data struct {
	Name                string   // the certificate's common name, or whatever people call it
	Names               []string // alternative names
	Serial, Issuer      string
	NotBefore, NotAfter time.Time
	Days                int    // until NotAfter; for reminders
	Order               string // id
	Product, Client     string // names
	Actor               string // name of who approved, revoked, ordered …
	Reason              string // in words
	Domain, Token       string // for validation of domains; the token is no secret
	Where               string // a DNS name, path or directory
	Link                string // an address that needs a sign-in, without any secret
	Support             string // whom to ask
}

// fields is the data as templates see it. Each value is one line of harmless text, so
// that nothing that a stranger wrote into a request can end a header or pretend to be
// a paragraph of ours.
type fields struct {
	Recipient, Name, Names, Serial, Issuer, NotBefore, NotAfter string
	Order, Product, Client, Actor, Reason, Domain, Token, Where string
	Link, Support, Secret, Until                                string
	Days                                                        int
}

// fieldNames are what a template may name, and what the help for editors lists.
var fieldNames = []string{
	"Recipient", "Name", "Names", "Serial", "Issuer", "NotBefore", "NotAfter", "Order", "Product", "Client", "Actor", "Reason",
	"Domain", "Token", "Where", "Link", "Support", "Secret", "Until", "Days",
}

// Limits of what goes into a text, in characters.
const (
	maxValue = 300
	maxShown = 10 // alternative names
)

func (o *Occasion) fields(r Recipient) fields {
	d := o.Data
	f := fields{
		Recipient: plain(r.Name), Name: plain(d.Name), Names: nameList(d.Names), Serial: plain(d.Serial), Issuer: plain(d.Issuer),
		NotBefore: moment(d.NotBefore), NotAfter: moment(d.NotAfter), Order: plain(d.Order), Product: plain(d.Product), Client: plain(d.Client),
		Actor: plain(d.Actor), Reason: plain(d.Reason), Domain: plain(d.Domain), Token: plain(d.Token), Where: plain(d.Where),
		Link: plain(d.Link), Support: plain(d.Support), Until: moment(o.Until), Days: max(0, d.Days),
	}
	if !o.Secret.Empty() {
		f.Secret = outbox.Placeholder
	}
	// A certificate without a common name is called by what it has.
	for _, name := range append(d.Names, d.Domain, d.Order, o.ObjectID) {
		if f.Name == "" {
			f.Name = plain(name)
		}
	}
	if f.Names == f.Name {
		f.Names = ""
	}
	return f
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func nameList(names []string) string {
	var out []string
	for _, n := range names[:min(len(names), maxShown)] {
		if n = plain(n); n != "" {
			out = append(out, n)
		}
	}
	if len(names) > maxShown {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}

// plain makes one line of a value: no control characters or line separators, no marks
// that turn the direction of writing, no placeholder of the outbox.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsControl(c), c == '\u2028', c == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, c):
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "�"))
	s = strings.Join(strings.Fields(s), " ")
	return clip(strings.ReplaceAll(s, outbox.Placeholder, "{ secret }"), maxValue)
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// sample is what a preview shows.
func sample(e Event, l Language, now time.Time) fields {
	o := Occasion{
		Event: e, ObjectID: "ord-0198f2c4-0000-7000-8000-000000000000", Until: now.Add(7 * 24 * time.Hour),
		Data: Data{
			Name: "www.example.com", Names: []string{"www.example.com", "example.com"}, Serial: "0198F2C4A1B2C3D4E5F60718293A4B5C", Issuer: "Example Issuing CA 1",
			NotBefore: now, NotAfter: now.AddDate(0, 3, 0), Days: 30, Order: "ord-0198f2c4-0000-7000-8000-000000000000", Product: "TLS server", Client: "Example Ltd",
			Actor: "(who did it)", Reason: "…", Domain: "example.com", Token: "swiss-pki=CTvhWIvNCuEjIynG574gD5Jeopo", Where: "_acme-challenge.example.com",
			Link: "https://pki.example.com/orders/ord-0198f2c4", Support: "pki@example.com",
		},
	}
	f := o.fields(Recipient{Name: "(recipient)", Language: l})
	if events[e].secret != never {
		f.Secret = outbox.Placeholder
	}
	return f
}
