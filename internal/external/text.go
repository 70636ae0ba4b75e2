package external

import (
	"fmt"
	"strings"

	"github.com/sealwright/sealwright/internal/external/bundle"
)

const (
	maxTitle = 80 // characters of a name in a subject
	maxNames = 10 // of a certificate in a text
)

// reminder is the message that a certificate ends in some days.
func reminder(c *Certificate, days int) (subject, body string) {
	when := "in " + plural(days, "day")
	switch days {
	case 0:
		when = "today"
	case 1:
		when = "tomorrow"
	}
	name := short(c.Title())
	subject = fmt.Sprintf("Certificate %s expires %s", name, when)
	var b strings.Builder
	fmt.Fprintf(&b, "The certificate %s,\nwhich another authority issued, expires %s: on %s UTC.\n\n", name, when, c.NotAfter.Format("2 January 2006 15:04"))
	b.WriteString("Have a new one issued and put it to use before that. When it is imported as\nwell, these reminders end; if this one is no longer used, delete it there.\n\n")
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-15s%s\n", label+":", value)
		}
	}
	line("Names", someNames(c.Names))
	line("Issuer", c.Issuer)
	line("Serial number", c.Serial)
	line("SHA-256", c.SHA256)
	line("Owner", c.Owner)
	line("Comment", strings.ReplaceAll(c.Comment, "\n", "\n"+strings.Repeat(" ", 15)))
	line("Server", c.Address)
	if c.Check.Problem != "" {
		fmt.Fprintf(&b, "\nAt the last look at the server, on %s UTC: %s\n", c.Check.At.Format("2 January 15:04"), c.Check.Problem)
	}
	return subject, b.String()
}

func someNames(names []string) string {
	if len(names) > maxNames {
		return strings.Join(names[:maxNames], ", ") + fmt.Sprintf(" and %d more", len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

// shows says what a server shows instead of what was expected.
func shows(what string, c *bundle.Certificate) string {
	return fmt.Sprintf("The server shows %s: %s, serial number %s, issued by %s, until %s.",
		what, short(of(c).Title()), c.Serial, short(c.Issuer), c.NotAfter.Format("2 January 2006"))
}

func short(s string) string {
	count := 0
	for i := range s {
		if count++; count > maxTitle {
			return s[:i] + "…"
		}
	}
	return s
}
