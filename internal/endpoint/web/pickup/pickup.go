// Package pickup serves the pages on which the authorised person fetches a
// client certificate (N17 to N23): the link from the e-mail, the one-time
// password from the SMS, the file once, and then what to do with it.
//
// [New] makes the handler for everything below /pickup/; [ConnContext] belongs
// into the http.Server in front of it, so that a download counts as done only
// when the other side has acknowledged its last byte.
//
//	GET  /pickup/{token}          the page: asks, offers, or says what next
//	POST /pickup/{token}/code     the one-time password; sets the session cookie
//	POST /pickup/{token}/resend   another one-time password
//	POST /pickup/{token}/request  the recipient's own certificate request
//	GET  /pickup/{token}/file     the file, whole or a range of it
//	GET  /pickup/{token}/status   how far it is, for the page's script
//	GET  /pickup/{token}/done     what to do with the file
//
// The rules are those of package handover; here they become pages. A link is a
// secret: it stands in no log, no referrer and no other site's history.
package pickup

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate -path .

import (
	"context"
	"embed"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/guide"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ratelimit"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/wscert"
)

// CookieName is the cookie of a browser that has given the one-time password.
const CookieName = "__Host-pickup"

// Links that do not exist are counted by address. Guessing one is hopeless
// anyway (256 bits); this keeps the attempts out of the database.
const (
	badLinks = 30               // are free
	badEvery = 20 * time.Second // for each further one
)

// Desk is where deliveries wait; [handover.Desk] is one.
type Desk interface {
	Find(ctx context.Context, token string) (handover.Delivery, error)
	Enter(ctx context.Context, token, code string) (secret.Text, handover.Delivery, error)
	NewCode(ctx context.Context, token string) (handover.Delivery, error)
	Resume(ctx context.Context, token, session string) (handover.Delivery, error)
	File(ctx context.Context, token, session string) ([]byte, handover.Delivery, error)
	Progress(ctx context.Context, x handover.Delivery, upto int64) error
}

// Orders knows what a delivery belongs to; [wscert.Engine] is one.
type Orders interface {
	Get(ctx context.Context, s access.Scope, id string) (*wscert.Order, error)
	SubmitCSR(ctx context.Context, token, session string, request []byte) (*wscert.Order, error)
	CompletePickup(ctx context.Context, d handover.Delivery, session string) error
}

// A Contact is whom to tell when a certificate is lost (N30). Empty fields are
// left out.
type Contact struct{ Name, Phone, Email, URL string }

// Deps are what the pages stand on.
type Deps struct {
	Desk    Desk
	Orders  Orders
	Clock   clock.Clock
	BaseURL string        // of these pages, as people use it: "https://sealwright.example.com"
	Session time.Duration // life of a session, as the desk's policy says; 30 minutes unless set
	Contact Contact
	// Guide says how the web services of a realm are reached: Host, Port and
	// TrustFile. The names of file, certificate and service are filled in here.
	Guide   func(realm access.Realm) guide.Params
	HSTS    time.Duration // see [theme.Headers]
	Version string
	Profile ui.Profile
}

type handler struct {
	Deps
	assets   *theme.Assets
	links    *ratelimit.Counter
	finished *finished
}

//go:embed static/*.js
var static embed.FS

// New makes the handler of everything below /pickup/. It is safe for many
// requests at once.
func New(d Deps) http.Handler {
	if d.Session == 0 {
		d.Session = handover.DefaultPolicy.Session
	}
	h := &handler{Deps: d, links: ratelimit.New(badEvery, badLinks), finished: newFinished(d.Clock), assets: mustAssets()}
	mux := http.NewServeMux()
	mux.Handle("GET /pickup/-/{hash}/{name}", h.assets)
	for pattern, serve := range map[string]func(*visit){
		"GET /pickup/{token}":          h.page,
		"POST /pickup/{token}/code":    h.enter,
		"POST /pickup/{token}/resend":  h.resend,
		"POST /pickup/{token}/request": h.request,
		"GET /pickup/{token}/file":     h.file,
		"GET /pickup/{token}/status":   h.status,
		"GET /pickup/{token}/done":     h.done,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if v, ok := h.visit(w, r); ok {
				serve(v)
			}
		})
	}
	for _, form := range []string{"code", "resend", "request"} {
		// The address of a form stays in the browser's bar when it is shown again.
		mux.HandleFunc("GET /pickup/{token}/"+form, func(w http.ResponseWriter, r *http.Request) { h.guest(w, r).redirect("") })
	}
	mux.HandleFunc("/pickup/", func(w http.ResponseWriter, r *http.Request) {
		v := h.guest(w, r)
		v.fail(fault.NotFoundf("handover.link", "This link leads nowhere: it may be mistyped or have been replaced by a newer one.").
			WithNext("Use the link in the latest e-mail, or ask the one who ordered the certificate to send a new one."))
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.guest(w, r).fail(fault.Forbiddenf("pickup.cross_site", "This form was sent from another site.").WithNext("Open the link from the e-mail and use the form there."))
	}))
	return theme.Headers{Policy: theme.DefaultPolicy(), HSTS: d.HSTS}.Wrap(noindex(guard.Handler(mux)))
}

func noindex(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Robots-Tag", "noindex")
		next.ServeHTTP(w, r)
	})
}

func mustAssets() *theme.Assets {
	files, err := fs.Sub(static, "static")
	if err == nil {
		var a *theme.Assets
		if a, err = theme.NewAssets("/pickup/-/", files); err == nil {
			return a
		}
	}
	panic("pickup: embedded files: " + err.Error())
}

// A visit is one request to a link.
type visit struct {
	h        *handler
	w        http.ResponseWriter
	r        *http.Request
	token    string
	delivery handover.Delivery
	session  string // of the cookie; not yet known to be good
	words    words
	chosen   bool // the language was asked for in the address
}

// guest begins a visit of which nothing is known yet.
func (h *handler) guest(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{h: h, w: w, token: r.PathValue("token")}
	v.words, v.chosen = wordsFor(r)
	if c, err := r.Cookie(CookieName); err == nil {
		v.session = c.Value
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	v.r = r.WithContext(audit.WithOrigin(r.Context(), audit.Origin{Kind: audit.Person, From: from, Correlation: telemetry.Correlation(r.Context())}))
	return v
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// visit finds the delivery behind a link. Whoever tries many links that do not
// exist is sent away before the next one is looked at.
func (h *handler) visit(w http.ResponseWriter, r *http.Request) (*visit, bool) {
	v := h.guest(w, r)
	from := audit.OriginOf(v.ctx()).From
	if wait := h.links.Wait(ratelimit.Subscriber(from), h.Clock.Now()); wait > 0 {
		v.fail(fault.TooManyf(wait, "pickup.guessing", "Too many links that do not exist were opened from your address.").WithNext("Wait some minutes and use the link in the latest e-mail."))
		return v, false
	}
	var err error
	v.delivery, err = h.Desk.Find(v.ctx(), v.token)
	if name := v.delivery.Recipient.Name; name != "" {
		o := audit.OriginOf(v.ctx())
		o.Name = name
		v.r = v.r.WithContext(audit.WithOrigin(v.ctx(), o))
	}
	if !v.chosen && v.delivery.Recipient.Language != "" {
		v.words = library(v.delivery.Recipient.Language)
	}
	switch {
	case err == nil:
		return v, true
	case fault.Of(err).Kind == fault.NotFound:
		h.links.Failed(ratelimit.Subscriber(from), h.Clock.Now())
	case fault.Of(err).Kind == fault.Gone:
		v.ended(err)
		return v, false
	}
	v.fail(err)
	return v, false
}

// ended answers a visit to a delivery that is over: with what to do next for
// the browser that fetched the file, else with what happened.
func (v *visit) ended(err error) {
	switch {
	case v.delivery.State != handover.Delivered:
		v.fail(err)
	case v.strayed():
		v.comeBack()
	case !v.h.finished.has(v.session, v.delivery.ID):
		v.fail(err)
	case v.r.Pattern == "GET /pickup/{token}/status":
		v.json(http.StatusOK, progress{State: "delivered", Sent: v.delivery.Sent, Size: v.delivery.FileSize})
	case v.r.Method == http.MethodGet && v.r.Pattern != "GET /pickup/{token}/file":
		o, failure := v.order()
		if failure != nil {
			v.fail(failure)
			return
		}
		v.show(http.StatusOK, v.donePage(o))
	default:
		v.fail(err)
	}
}

// strayed tells that the visitor came by a link on another site, such as a web
// mail, whose visits carry no strict cookie even if the browser has one.
func (v *visit) strayed() bool {
	return v.session == "" && v.r.Header.Get("Sec-Fetch-Site") == "cross-site" && v.r.Method == http.MethodGet && v.r.Pattern == "GET /pickup/{token}"
}

// comeBack makes the browser load the page again, from our own site this time.
func (v *visit) comeBack() {
	v.w.Header().Set("Refresh", "0")
	v.w.WriteHeader(http.StatusOK)
}
