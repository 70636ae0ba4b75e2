package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/caller"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// maxForm bounds what a form may send; the largest field is a certificate request.
const maxForm = 256 << 10

// recent is how long a proof of identity counts for acts that cannot be undone.
const recent = 10 * time.Minute

// A visit is one request together with who makes it.
type visit struct {
	c       *console
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // carries who acts, for the audit log
	session access.Session  // zero without one
	status  int             // of the page; 200 unless set
	back    string          // the page an act was started from, for coming back after a fresh proof

	clientNames map[string]access.Client
}

// serve runs a route for a request.
func (c *console) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v := &visit{c: c, w: w, r: r, ctx: r.Context()}
		err := v.identify()
		if err == nil {
			if done := v.admit(rt.level); done {
				return
			}
			if err = v.parse(); err == nil {
				err = rt.handle(v)
			}
		}
		if err != nil {
			v.fail(err)
		}
	})
}

// cookieName: the browser sends a __Host- cookie back over TLS to this host only,
// and takes it from nobody else.
const cookieName = "__Host-session"

// identify finds the session and notes in the context who acts and from where.
func (v *visit) identify() error {
	origin := audit.Origin{Kind: audit.Anonymous, From: caller.Address(v.r), Correlation: telemetry.Correlation(v.ctx)}
	if cookie, err := v.r.Cookie(cookieName); err == nil && cookie.Value != "" {
		s, err := v.c.Access.Session(v.ctx, secret.New(cookie.Value))
		switch {
		case errors.Is(err, fault.Unauthenticated):
			v.forget()
		case err != nil:
			return err
		default:
			v.session = s
			origin.Kind, origin.ID, origin.Name = audit.Operator, s.Operator.ID, s.Operator.Name
		}
	}
	v.ctx = audit.WithOrigin(v.ctx, origin)
	return nil
}

// admit sends whoever has not come far enough to the step that is missing. It
// tells whether it answered.
func (v *visit) admit(l level) (answered bool) {
	switch {
	case l == open, l == begun && v.session.ID != "", v.session.Stage == access.SignedIn:
		return false
	case v.r.Method != http.MethodGet && v.r.Method != http.MethodHead:
		v.fail(fault.Unauthenticatedf("session.ended", "You are not signed in any more; nothing was done.").WithNext("Sign in and do it again."))
		return true
	}
	v.goStage(v.session, v.r.URL.RequestURI())
	return true
}

// goStage leads to the page that a sign-in at this stage continues with.
func (v *visit) goStage(s access.Session, next string) {
	to := "/login"
	switch s.Stage {
	case access.SignedIn:
		v.redirect(local(next))
		return
	case access.NeedsSecondFactor:
		to = "/login/second"
	case access.NeedsEnrolment:
		to = "/factors/new"
	}
	v.redirect(withNext(to, next))
}

func (v *visit) parse() error {
	if v.r.Method != http.MethodPost {
		return nil
	}
	err := v.r.ParseForm()
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, "form.too_large", "The form is larger than %d kB.", maxForm>>10)
	}
	if err != nil {
		return fault.Invalidf("form.malformed", "The form could not be read.").WithCause(err)
	}
	return nil
}

// keep gives the browser the secret of a session.
func (v *visit) keep(l access.Login) {
	v.setCookie(l.Token.Reveal(), 0)
	v.session = l.Session
}

func (v *visit) forget() { v.setCookie("", -1) }

func (v *visit) setCookie(value string, age int) {
	http.SetCookie(v.w, &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (v *visit) scope() access.Scope { return v.session.Scope() }

func (v *visit) origin() access.Origin {
	return access.Origin{Address: caller.Address(v.r), UserAgent: v.r.UserAgent()}
}

func (v *visit) now() time.Time { return v.c.Clock.Now() }

func (v *visit) id() string { return v.r.PathValue("id") }

// field is what a form or the address says.
func (v *visit) field(name string) string { return strings.TrimSpace(v.r.FormValue(name)) }

func (v *visit) password(name string) secret.Text { return secret.New(v.r.PostFormValue(name)) }

func (v *visit) checked(name string) bool { return v.r.PostFormValue(name) != "" }

// local keeps a redirect on this host: anything else than a path becomes "/".
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return "/"
	}
	return next
}

// next is where the visitor wanted to go.
func (v *visit) next() string { return local(v.r.FormValue("next")) }

func withNext(path, next string) string {
	if next = local(next); next == "/" {
		return path
	}
	return path + "?" + url.Values{"next": {next}}.Encode()
}

func (v *visit) redirect(to string) { http.Redirect(v.w, v.r, to, http.StatusSeeOther) }

// done leads to a page that says what was done; see flashes.
func (v *visit) done(path, code string) error {
	v.redirect(path + "?" + url.Values{"done": {code}}.Encode())
	return nil
}

// render writes a page. It is built first, so that a fault gives a page of its own.
func (v *visit) render(page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(v.ctx, &b); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		v.w.WriteHeader(v.status)
	}
	_, _ = v.w.Write(b.Bytes()) // the visitor may be gone
	return nil
}

// download sends a file.
func (v *visit) download(name, contentType string, content []byte) error {
	v.w.Header().Set("Content-Type", contentType)
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+fileName(name)+`"`)
	v.w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = v.w.Write(content)
	return nil
}

// fileName keeps a name to what every system takes.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, name)
}

// fail answers with the error's page, or leads to what is missing.
func (v *visit) fail(err error) {
	f := fault.Of(err)
	if f.Kind == fault.Internal {
		telemetry.Logger(v.ctx).ErrorContext(v.ctx, "a page failed", "error", err, "route", v.r.Pattern)
	}
	if f.RetryAfter > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())+1))
	}
	if v.r.Header.Get("Accept") == "application/json" {
		fault.WriteProblem(v.w, err, telemetry.Correlation(v.ctx))
		return
	}
	if f.Code == "session.reauthenticate" {
		back := v.back
		if v.r.Method == http.MethodGet {
			back = v.r.URL.RequestURI()
		}
		v.redirect(withNext("/reauthenticate", back))
		return
	}
	v.status = f.Kind.Status()
	if err := v.errorPage(err); err != nil {
		fault.WriteText(v.w, err, telemetry.Correlation(v.ctx))
	}
}

// onForm tells whether an error belongs beside the fields of the form that was
// sent, and notes its status.
func (v *visit) onForm(err error) bool {
	f := fault.Of(err)
	switch {
	case err == nil, f.Code == "session.reauthenticate", strings.HasPrefix(f.Code, "session."):
		return false
	case f.Kind == fault.Invalid, f.Kind == fault.Conflict, f.Kind == fault.TooMany, f.Kind == fault.Unauthenticated, f.Kind == fault.Unavailable,
		f.Kind == fault.Forbidden && f.Field != "":
		v.status = f.Kind.Status()
		if f.RetryAfter > 0 {
			v.w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())+1))
		}
		return true
	}
	return false
}
