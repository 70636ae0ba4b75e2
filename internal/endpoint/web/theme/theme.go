// Package theme is the look of every page: design tokens, style sheets, the
// one script, static files with content-hash addresses, the choice between
// light and dark, and the security headers that pages travel with.
//
// A server mounts [Handler] at "/static/" and [SwitchHandler] at [SwitchPath],
// and wraps its pages in [SecurityHeaders]. Pages link files by [URL] and are
// built from the components of package ui.
//
// The style sheet is Tabler's with our tokens on top (css/10-tokens.css).
// A graphical profile of a customer overrides those tokens, and nothing else,
// in a style sheet of its own.
package theme

import (
	"net/http"
	"net/url"
	"strings"
)

// A Choice is how a visitor wants pages to be lit.
type Choice string

// The choices. Auto follows the operating system.
const (
	Auto  Choice = ""
	Light Choice = "light"
	Dark  Choice = "dark"
)

// SwitchPath is where the theme form of every page posts to.
const SwitchPath = "/theme"

const (
	cookieName   = "sealwright-theme"
	cookieMaxAge = 365 * 24 * 3600 // seconds
)

func parseChoice(s string) Choice {
	switch c := Choice(s); c {
	case Light, Dark:
		return c
	}
	return Auto
}

// FromRequest reads the visitor's choice from the cookie; anything unknown is
// [Auto].
func FromRequest(r *http.Request) Choice {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return Auto
	}
	return parseChoice(c.Value)
}

// SwitchHandler keeps the choice posted to it: form field "theme" ("light",
// "dark", anything else for automatic), and "back", the local path to return
// to. A script that sends "Accept: application/json" is answered with 204.
func SwitchHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "Choose a theme with the form on a page.", http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		setCookie(w, r, parseChoice(r.PostFormValue("theme")))
		w.Header().Set("Cache-Control", "no-store")
		if r.Header.Get("Accept") == "application/json" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.Redirect(w, r, localPath(r.PostFormValue("back")), http.StatusSeeOther)
	})
}

func setCookie(w http.ResponseWriter, r *http.Request, c Choice) {
	cookie := &http.Cookie{
		Name: cookieName, Value: string(c), Path: "/", MaxAge: cookieMaxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
	}
	if c == Auto {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// localPath keeps a redirect on this host: "//host", "/\host" and addresses
// with a scheme lead elsewhere and become "/".
func localPath(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(back, "/") ||
		strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return "/"
	}
	return back
}
