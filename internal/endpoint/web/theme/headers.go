package theme

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Policy is a Content-Security-Policy (W3C, level 3) as a value. Each field
// lists the sources of one directive; an empty list means 'none'. Derive a
// policy from [DefaultPolicy] with the With methods, which leave the original
// as it was.
type Policy struct {
	Script, Style, Image, Font, Connect, Worker, Frame []string
	FormAction, FrameAncestors                         []string
}

const self = "'self'"

// DefaultPolicy allows what our own pages do: files of this host and images in
// data URLs (QR codes). No inline script or style, no evaluation, no framing.
func DefaultPolicy() Policy {
	return Policy{
		Script: []string{self}, Style: []string{self}, Image: []string{self, "data:"},
		Font: []string{self}, Connect: []string{self}, FormAction: []string{self},
	}
}

// WithFormAction also lets forms lead to these origins: the way back to a
// relying party is a form that posts there, and redirects count as well.
func (p Policy) WithFormAction(origins ...string) Policy {
	p.FormAction = join(p.FormAction, origins)
	return p
}

// WithFrameAncestors lets pages of these origins frame this one.
func (p Policy) WithFrameAncestors(origins ...string) Policy {
	p.FrameAncestors = join(p.FrameAncestors, origins)
	return p
}

// WithWorker lets the page start workers from these sources, such as "'self'".
func (p Policy) WithWorker(sources ...string) Policy {
	p.Worker = join(p.Worker, sources)
	return p
}

// join appends to a copy and drops whatever would end a directive or a header:
// an origin that comes from configuration must not smuggle in a second one.
func join(have, more []string) []string {
	out := slices.Clone(have)
	for _, s := range more {
		if s != "" && !strings.ContainsAny(s, " \t\r\n;,") && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// String is the header's value.
func (p Policy) String() string {
	var b strings.Builder
	b.WriteString("default-src 'none'")
	for _, d := range []struct {
		name    string
		sources []string
		always  bool // not covered by default-src, or stated for the reader
	}{
		{"script-src", p.Script, true},
		{"style-src", p.Style, true},
		{"img-src", p.Image, true},
		{"font-src", p.Font, true},
		{"connect-src", p.Connect, true},
		{"worker-src", p.Worker, false},
		{"frame-src", p.Frame, false},
		{"form-action", p.FormAction, true},
		{"frame-ancestors", p.FrameAncestors, true},
		{"base-uri", nil, true},
	} {
		switch {
		case len(d.sources) > 0:
			b.WriteString("; " + d.name + " " + strings.Join(d.sources, " "))
		case d.always:
			b.WriteString("; " + d.name + " 'none'")
		}
	}
	return b.String()
}

// SetPolicy replaces the policy of one response. Call it before writing.
func SetPolicy(w http.ResponseWriter, p Policy) {
	w.Header().Set("Content-Security-Policy", p.String())
}

// Headers says which headers pages travel with.
type Headers struct {
	// Policy is the Content-Security-Policy of pages that do not set their own.
	Policy Policy
	// HSTS is how long browsers must insist on TLS (RFC 6797); zero sends no
	// such header.
	HSTS time.Duration
}

// SecurityHeaders sets the headers of [DefaultPolicy] without HSTS.
func SecurityHeaders(next http.Handler) http.Handler {
	return Headers{Policy: DefaultPolicy()}.Wrap(next)
}

// Wrap sets the headers before next runs, so that next can replace each.
//
// No referrer is sent because hand-over links are secrets in the address, and
// nothing is stored because pages show what only their reader may see.
func (s Headers) Wrap(next http.Handler) http.Handler {
	fixed := map[string]string{
		"Content-Security-Policy":      s.Policy.String(),
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Permissions-Policy":           "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), usb=(), browsing-topics=()",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
	}
	if s.HSTS > 0 {
		fixed["Strict-Transport-Security"] = "max-age=" + strconv.FormatInt(int64(s.HSTS/time.Second), 10)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, value := range fixed {
			h.Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
