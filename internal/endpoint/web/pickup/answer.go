package pickup

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

func (v *visit) correlation() string { return telemetry.Correlation(v.ctx()) }

// show answers with a page.
func (v *visit) show(status int, page templ.Component) {
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.words.Tag)
	h.Add("Vary", "Cookie, Accept, Accept-Language")
	v.w.WriteHeader(status)
	ctx := ui.WithTexts(v.ctx(), v.words.UI)
	if err := page.Render(ctx, v.w); err != nil && ctx.Err() == nil {
		telemetry.Logger(ctx).ErrorContext(ctx, "a hand-over page broke off", "error", err)
	}
}

// fail answers with what went wrong: a page for browsers, text for programs.
func (v *visit) fail(err error) {
	f := fault.Of(err)
	if f.Kind == fault.Internal && v.ctx().Err() == nil {
		telemetry.Logger(v.ctx()).ErrorContext(v.ctx(), "a hand-over failed", "error", err)
	}
	if !strings.Contains(v.r.Header.Get("Accept"), "text/html") {
		fault.WriteText(v.w, err, v.correlation())
		return
	}
	v.retryAfter(err)
	v.show(f.Kind.Status(), v.errorPage(f))
}

func (v *visit) retryAfter(err error) {
	if after := fault.Of(err).RetryAfter; after > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
}

// href is an address below the link, with the language that was asked for.
func (v *visit) href(sub string, query ...string) string {
	q := url.Values{}
	if v.chosen {
		q.Set("lang", v.words.Tag)
	}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	address := "/pickup/" + url.PathEscape(v.token) + sub
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return address
}

// redirect leads from a form back to a page.
func (v *visit) redirect(sub string, query ...string) {
	v.w.Header().Set("Location", v.href(sub, query...))
	v.w.WriteHeader(http.StatusSeeOther)
}

// explain puts a fault into the words of the page, for ui to show at its field.
func (v *visit) explain(err error) ui.Errors {
	if err == nil {
		return nil
	}
	f := *fault.Of(err)
	f.Message, f.Next = v.words.fault(&f, v.delivery.TriesLeft)
	return ui.ErrorsOf(&f)
}

// bare is the frame of every page.
func (v *visit) bare(title, lead string) ui.BareProps {
	p := ui.BareProps{
		Title: title, Lead: lead, Lang: v.words.Tag, Theme: theme.FromRequest(v.r), Path: v.href(""),
		Version: v.h.Version, Correlation: v.correlation(), Profile: v.h.Profile, Footer: languages(v),
	}
	switch v.delivery.Realm {
	case string(ui.Preprod):
		p.Environment = ui.Preprod
	case string(ui.Production):
		p.Environment = ui.Production
	}
	return p
}

// live adds the script that notices when the page is out of date.
func (v *visit) live(p ui.BareProps) ui.BareProps {
	p.Modules = []string{v.h.assets.URL("pickup.js")}
	return p
}

// ending is the part of a mobile number that tells the owner which it is.
func ending(mobile string) string {
	if len(mobile) < 3 {
		return mobile
	}
	return mobile[len(mobile)-3:]
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64) + " kB"
}

// command fetches the file on another machine: -C resumes what is there, and
// the cookie is that of this session.
func (v *visit) command(d handover.Delivery) string {
	return "curl --fail --continue-at - --output '" + quoted(d.FileName) + "' \\\n  --cookie '" + CookieName + "=" + quoted(v.session) + "' \\\n  '" + quoted(v.h.BaseURL+"/pickup/"+url.PathEscape(v.token)+"/file") + "'"
}

// quoted makes a text fit between single quotes of a POSIX shell.
func quoted(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }

// inLanguage is the address of the page in another language.
func (v *visit) inLanguage(tag string) string { return v.href("", "lang", tag) }
