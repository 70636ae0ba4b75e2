package console

import (
	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// Patterns lists the patterns of all pages and acts, by what they ask of the
// session, for tests that try every one.
func Patterns() (anybody, signedIn []string) {
	c := &console{Deps: Deps{Dev: new(outbox.Dev)}}
	for _, r := range c.routes() {
		if r.level == member {
			signedIn = append(signedIn, r.pattern)
		} else {
			anybody = append(anybody, r.pattern)
		}
	}
	return anybody, signedIn
}

// Local is how redirects are kept on this host.
func Local(next string) string { return local(next) }

// Defused is how texts are written into downloads.
func Defused(s string) string { return defused(s) }
