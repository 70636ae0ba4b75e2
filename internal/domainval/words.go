package domainval

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Words are what a person reads about a state: what it is, and what to do next.
type Words struct{ State, Next string }

const dayFormat = "2 January 2006"

// Words says how a domain stands.
func (x Domain) Words(now time.Time) Words {
	switch status := x.Status(now); {
	case x.Trusted && !now.Before(x.ValidUntil):
		return Words{"Trusted on an administrator's word, for certificates that are not publicly trusted.", "Nothing for those. For publicly trusted certificates, publish the TXT record and validate."}
	case status == DomainValid && x.tokenLives(now):
		return Words{
			"Validated until " + x.ValidUntil.Format(dayFormat) + ". A new random value waits to be published, to prolong it.",
			fmt.Sprintf("Publish the TXT record %q at %s before %s.", x.Value, x.Unicode, x.TokenExpires.Format(dayFormat)),
		}
	case status == DomainValid:
		return Words{
			"Validated until " + x.ValidUntil.Format(dayFormat) + ". Certificates for this domain and all names below it need no further check.",
			"Nothing now. Before that day, generate a new validation token and publish it.",
		}
	case status == DomainPending:
		return Words{withResult("The TXT record has not been found yet.", x.Result), fmt.Sprintf(
			"Publish a TXT record with the value %q at %s. We look every hour until %s; with \"Validate domain ownership\" we look at once.", x.Value, x.Unicode, x.TokenExpires.Format(dayFormat),
		)}
	case status == DomainExpired:
		return Words{"The validation ran out on " + x.ValidUntil.Format(dayFormat) + ".", "Generate a new validation token and publish it."}
	case x.Token == "":
		return Words{"Not validated: the random value was deleted.", "Generate a new validation token and publish it."}
	}
	return Words{withResult("Not validated: the random value ran out on "+x.TokenExpires.Format(dayFormat)+" without being found.", x.Result), "Generate a new validation token and publish it."}
}

func withResult(text, result string) string {
	if result == "" {
		return text
	}
	return text + " The last look found: " + result
}

// Words says how a validation stands.
func (v Validation) Words() Words {
	name := v.Name.Unicode()
	switch v.State {
	case Pending:
		return Words{withResult("We wait for proof that you control "+name+".", v.Result), "Do one of the things listed below before " + v.Expires.Format(dayFormat) + ". We look every hour; with \"Check now\" we look at once."}
	case Valid:
		return Words{"Control over " + name + " is proven.", "Nothing."}
	case Stale:
		return Words{"Control over " + name + " was proven, but that is too long ago by today's rules, or was withdrawn.", "Start the order again: it opens a new validation."}
	case Expired:
		return Words{withResult("Control over "+name+" was not shown within 30 days.", v.Result), "Order again, and publish the new value."}
	}
	return Words{"The order ended before control over " + name + " was shown.", "Nothing."}
}

// Words says how a mail stands.
func (m Mail) Words(now time.Time) Words {
	switch {
	case m.State == MailSent && !now.Before(m.LinkUntil):
		return Words{"The link to " + m.Address + " ran out on " + m.LinkUntil.Format(dayFormat) + " unused.", "Send a new link, or ask the recipient to look into the folder for unwanted mail first."}
	case m.State == MailSent:
		return Words{"A link was sent to " + m.Address + ".", "The recipient opens it before " + m.LinkUntil.Format(dayFormat+" 15:04") + " UTC and confirms. A new one can be sent if it got lost."}
	case m.State == MailConfirmed:
		return Words{m.Address + " is confirmed.", "Nothing."}
	case m.State == MailRefused:
		return Words{"The recipient at " + m.Address + " refused.", "Speak with the recipient; then order again."}
	case m.State == MailExpired:
		return Words{"Nobody confirmed " + m.Address + " within 30 days.", "Order again."}
	case m.State == Stale:
		return Words{m.Address + " was confirmed, but that is too long ago by today's rules.", "Start the order again: it sends a new link."}
	}
	return Words{"The order ended before " + m.Address + " was confirmed.", "Nothing."}
}

// Instructions say what to do to show control: any one of them suffices (A184,
// A189). What is empty is not possible for this name.
type Instructions struct {
	TXTNames     []string // a TXT record at one of these; the first is the shortest way, those further on cover more
	TXTValue     string
	FileURL      string // a file there
	FileContent  string
	PersistName  string // a lasting TXT record there
	PersistValue string
	Addresses    []string // a link sent to one of these
}

// InstructionsFor gives the instructions of a pending validation.
func (d *Desk) InstructionsFor(v Validation) Instructions {
	now := d.clock.Now()
	can := func(m Method) bool { return slices.Contains(v.Methods, m) && Allowed(m, v.Name, v.Public, now) == nil }
	var in Instructions
	if can(DNSTXT) {
		in.TXTNames, in.TXTValue = d.txtNames(v.Name), v.Value
	}
	if can(HTTPFile) {
		host := v.Name.ASCII
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		in.FileURL, in.FileContent = "http://"+host+wellKnown+fileName(v.Token), v.Value
	}
	if can(PersistTXT) {
		in.PersistName, in.PersistValue = d.persistRecord(v.Name, v)
	}
	if can(EmailLink) {
		in.Addresses = Addresses(v.Name)
	}
	return in
}

// DomainInstructions gives the instructions of a client's domain.
func (d *Desk) DomainInstructions(x Domain) Instructions {
	n := Name{ASCII: x.Name}
	in := Instructions{TXTValue: x.Value}
	if x.Value != "" {
		in.TXTNames = d.txtNames(n)[:2]
	}
	if d.set.AccountURI != nil && len(d.set.Issuers) > 0 {
		in.PersistName, in.PersistValue = persistLabel+"."+x.Name, persistentValue(d.set.Issuers[0], d.account(x.Realm, x.Client), true)
	}
	return in
}

func (d *Desk) txtNames(n Name) []string {
	var out []string
	for _, a := range n.Authorities() {
		out = append(out, a, d.set.Label+"."+a)
	}
	return out
}

func (d *Desk) persistRecord(n Name, v Validation) (name, value string) {
	if d.set.AccountURI == nil || len(d.set.Issuers) == 0 {
		return "", ""
	}
	return persistLabel + "." + n.ASCII, persistentValue(d.set.Issuers[0], d.account(v.Realm, v.Client), n.Wildcard)
}
