package pickup

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/wscert"
)

// maxRequest bounds what a form may carry; a certificate request has 2 kB.
const maxRequest = 64 << 10

// A stage is where an open delivery stands, for the page and its script.
type stage string

const (
	stageCode    stage = "code"    // waits for the one-time password
	stageRequest stage = "request" // waits for the certificate request
	stageIssuing stage = "issuing" // the request is stored, its certificate not signed yet
	stageReady   stage = "ready"   // the file can be fetched
)

// page shows what can be done now.
func (h *handler) page(v *visit) {
	if v.delivery.State == handover.Open && v.strayed() {
		v.comeBack()
		return
	}
	v.now(http.StatusOK, nil)
}

// now shows the page of the delivery's stage with what went wrong on it.
func (v *visit) now(status int, failure error) {
	o, err := v.order()
	if err != nil {
		v.fail(err)
		return
	}
	at, err := v.stage(o)
	if err != nil {
		v.fail(err)
		return
	}
	switch at {
	case stageReady:
		v.show(status, v.filePage(o, failure))
	case stageRequest:
		v.show(status, v.requestPage(o, "", failure))
	case stageIssuing:
		v.show(status, v.issuingPage(o))
	default:
		v.show(status, v.codePage(o, "", failure))
	}
}

// order is what the delivery belongs to. The link has named it, and the page
// shows its names and dates only.
func (v *visit) order() (*wscert.Order, error) {
	return v.h.Orders.Get(v.ctx(), access.System("pickup"), v.delivery.OrderID)
}

func (v *visit) stage(o *wscert.Order) (stage, error) {
	d, err := v.h.Desk.Resume(v.ctx(), v.token, v.session)
	switch {
	case errors.Is(err, fault.Unauthenticated):
		return stageCode, nil
	case err != nil:
		return "", err
	}
	v.delivery = d
	switch {
	case d.FileSize > 0:
		return stageReady, nil
	case o.State == wscert.PendingCSR:
		return stageRequest, nil
	}
	return stageIssuing, nil
}

// enter takes the one-time password. What cannot be one costs no try.
func (h *handler) enter(v *visit) {
	typed, err := v.form("code")
	if err != nil {
		v.retryCode(typed, err)
		return
	}
	code := strings.Map(digitsOnly, typed)
	if len(code) != 6 || strings.ContainsFunc(code, func(r rune) bool { return r < '0' || r > '9' }) {
		v.retryCode(typed, fault.Invalidf("pickup.code_format", "A one-time password has six digits.").WithNext("Look at the latest SMS.").WithField("code"))
		return
	}
	session, d, err := h.Desk.Enter(v.ctx(), v.token, code)
	if d.ID != "" {
		v.delivery = d
	}
	if err != nil {
		v.retryCode(typed, err)
		return
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: CookieName, Value: session.Reveal(), Path: "/", MaxAge: int(h.Session.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	v.redirect("")
}

// digitsOnly drops the spaces and dashes that people put between digits.
func digitsOnly(r rune) rune {
	if unicode.IsSpace(r) || r == '-' {
		return -1
	}
	return r
}

func (v *visit) retryCode(typed string, failure error) {
	o, err := v.order()
	if err != nil {
		v.fail(err)
		return
	}
	v.retryAfter(failure)
	v.show(fault.Of(failure).Kind.Status(), v.codePage(o, typed, failure))
}

// resend sends another one-time password to the same number.
func (h *handler) resend(v *visit) {
	if _, err := h.Desk.NewCode(v.ctx(), v.token); err != nil {
		v.retryCode("", err)
		return
	}
	v.redirect("", "sent", "1")
}

// request takes the recipient's certificate request, typed or as a file.
func (h *handler) request(v *visit) {
	text, err := v.form("csr")
	if err == nil && strings.TrimSpace(text) == "" {
		err = fault.Invalidf("pickup.no_request", "There is no certificate request.").WithNext("Paste it, or choose the file.").WithField("csr")
	}
	if err == nil {
		_, err = h.Orders.SubmitCSR(v.ctx(), v.token, v.session, []byte(text))
	}
	f := fault.Of(err)
	switch {
	case err == nil, f.Code == "order.has_request", f.Code == "order.delayed":
		// In each case the page tells how it goes on.
		v.redirect("")
	case f.Kind == fault.Unauthenticated:
		v.now(f.Kind.Status(), err)
	default:
		v.retryRequest(text, err)
	}
}

func (v *visit) retryRequest(text string, failure error) {
	o, err := v.order()
	if err != nil {
		v.fail(err)
		return
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		text = "" // a binary file cannot be shown again
	}
	v.retryAfter(failure)
	v.show(fault.Of(failure).Kind.Status(), v.requestPage(o, text, failure))
}

// form reads one field of a form, typed or, for a certificate request, from an
// uploaded file.
func (v *visit) form(name string) (string, error) {
	r := v.r
	r.Body = http.MaxBytesReader(v.w, r.Body, maxRequest)
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		err = r.ParseMultipartForm(maxRequest)
	} else {
		err = r.ParseForm()
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", fault.New(fault.TooLarge, "pickup.too_large", "That is more than %d kB.", maxRequest>>10).WithField(name)
	case err != nil:
		return "", fault.Invalidf("pickup.form", "The form arrived damaged.").WithNext("Send it again.").WithCause(err)
	}
	if text := r.PostForm.Get(name); strings.TrimSpace(text) != "" || r.MultipartForm == nil {
		return text, nil
	}
	for _, field := range []string{name, name + "_file"} {
		if files := r.MultipartForm.File[field]; len(files) > 0 {
			file, err := files[0].Open()
			if err != nil {
				return "", err
			}
			defer file.Close()
			content, err := io.ReadAll(file)
			return string(content), err
		}
	}
	return "", nil
}

// progress is the answer to the page's script.
type progress struct {
	State string `json:"state"` // a stage, or "delivered"
	Sent  int64  `json:"sent"`
	Size  int64  `json:"size"`
}

// status tells the page's script how far it is.
func (h *handler) status(v *visit) {
	d, err := h.Desk.Resume(v.ctx(), v.token, v.session)
	if err != nil {
		fault.WriteProblem(v.w, err, v.correlation())
		return
	}
	v.delivery = d
	o, err := v.order()
	if err != nil {
		fault.WriteProblem(v.w, err, v.correlation())
		return
	}
	at, err := v.stage(o)
	if err != nil {
		fault.WriteProblem(v.w, err, v.correlation())
		return
	}
	v.json(http.StatusOK, progress{State: string(at), Sent: d.Sent, Size: d.FileSize})
}

func (v *visit) json(status int, body any) {
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_ = json.NewEncoder(v.w).Encode(body) // the caller may be gone; nobody is left to tell
}

// done is where "I have downloaded it" leads. A delivery that is over was
// answered before it came here, so this one is not.
func (h *handler) done(v *visit) {
	d, err := h.Desk.Resume(v.ctx(), v.token, v.session)
	if err != nil || d.FileSize == 0 {
		v.redirect("")
		return
	}
	v.delivery = d
	v.show(http.StatusConflict, v.notYetPage())
}
