package console

import (
	"net/url"
	"regexp"
)

var linkIn = regexp.MustCompile(`https?://[^\s<>"]+`)

// links finds the addresses in a text, so that they can be followed.
func links(text string) []string {
	var out []string
	for _, s := range linkIn.FindAllString(text, 5) {
		if _, err := url.Parse(s); err == nil {
			out = append(out, s)
		}
	}
	return out
}

func linkLabel(v *visit, i int) string {
	if i == 0 {
		return v.say("Follow the link")
	}
	return v.say("Follow link %d", i+1)
}
