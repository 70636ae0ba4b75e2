// Package sds is session data storage: the REST interface through which a
// service uploads, fetches and deletes temporary documents (contracts,
// document-services section 2).
//
//	POST   /doc/{service}/sds        201, the body is the document's id
//	GET    /doc/{service}/sds/{id}   200 or 206, the bytes with their content type
//	HEAD   /doc/{service}/sds/{id}
//	DELETE /doc/{service}/sds/{id}   204
//
// Callers send the service's name and password with HTTP Basic; outside of the
// test environment the connection must also carry a client certificate that was
// issued for that very service (N2, N4, N9). Both are checked before the first
// byte of a body is read, so a client that sends "Expect: 100-continue" learns
// of a refusal without having sent its document.
//
// Bytes are streamed in both directions; memory does not grow with the
// document. Errors are plain text for people, with a correlation id.
package sds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/document"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// handler serves one realm.
type handler struct {
	realm        access.Realm
	documents    *document.Store
	directory    *access.Directory
	certificates *clientcert.Verifier
}

// New returns the handler of a realm. Only preprod goes without client
// certificates: there the verifier is not used, and a certificate that a caller
// sends is ignored. A missing verifier elsewhere is a defect and panics.
func New(realm access.Realm, documents *document.Store, directory *access.Directory, certificates *clientcert.Verifier) http.Handler {
	h := &handler{realm: realm, documents: documents, directory: directory, certificates: certificates}
	if h.mutual() && certificates == nil {
		panic("sds: the realm " + string(realm) + " needs a verifier of client certificates")
	}
	mux := http.NewServeMux()
	mux.Handle("POST /doc/{service}/sds", h.on(h.post))
	mux.Handle("POST /doc/{service}/sds/{$}", h.on(h.post))
	mux.Handle("GET /doc/{service}/sds/{id}", h.on(h.get))
	mux.Handle("DELETE /doc/{service}/sds/{id}", h.on(h.delete))
	return mux
}

// mutual tells whether callers need a client certificate (N1, N4).
func (h *handler) mutual() bool { return h.realm != access.Preprod }

// A call is an authenticated request.
type call struct {
	ctx     context.Context
	service access.Service
	scope   access.Scope
}

// on authenticates before it calls, and answers the errors of both.
func (h *handler) on(serve func(http.ResponseWriter, *http.Request, call) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		c, err := h.authenticate(r)
		if err == nil {
			err = serve(w, r, c)
		}
		if err != nil {
			h.refuse(w, r, err)
		}
	})
}

func (h *handler) authenticate(r *http.Request) (call, error) {
	origin := originOf(r)
	ctx := audit.WithOrigin(r.Context(), origin)
	name := r.PathValue("service")
	var id clientcert.Identity
	if h.mutual() {
		// The certificate comes first: without a good one there is no guessing at passwords.
		var err error
		if id, err = h.certificates.Identify(ctx, r.TLS, clientcert.Want{Realm: string(h.realm), Kind: clientcert.WebService}); err != nil {
			return call{}, err
		}
		if err := h.certificates.RequireServiceName(ctx, id, name); err != nil {
			return call{}, err
		}
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return call{}, fault.Unauthenticatedf("sds.credentials", "This call needs the service's name and password.").WithNext("Send them with HTTP Basic.")
	}
	if !strings.EqualFold(user, name) {
		return call{}, fault.Forbiddenf("sds.other_service", "The user name is not that of the service in the address.").
			WithNext("Use the service's own name and password.")
	}
	service, scope, err := h.directory.VerifyServicePassword(ctx, h.realm, name, secret.New(password), access.Origin{Address: origin.From, UserAgent: r.UserAgent()})
	if err != nil {
		return call{}, err
	}
	origin.Kind, origin.ID, origin.Name = string(access.ServiceKind), service.ID, service.Name
	if h.mutual() {
		if err := h.certificates.RequireService(ctx, id, service); err != nil {
			return call{}, err
		}
		// Of a customer with several clients, the certificate tells which it was (N10).
		origin.Kind, origin.ID, origin.Name = audit.Certificate, id.Reference(), id.CommonName
	}
	return call{audit.WithOrigin(r.Context(), origin), service, scope}, nil
}

// originOf is where the call comes from; a layer outside that knows better,
// behind a proxy, has put it into the context.
func originOf(r *http.Request) audit.Origin {
	from := audit.OriginOf(r.Context()).From
	if from == "" {
		var err error
		if from, _, err = net.SplitHostPort(r.RemoteAddr); err != nil {
			from = r.RemoteAddr
		}
	}
	return audit.Origin{Kind: audit.Anonymous, From: from, Correlation: telemetry.Correlation(r.Context())}
}

func (h *handler) post(w http.ResponseWriter, r *http.Request, c call) error {
	limit := h.documents.MaxSize()
	if r.ContentLength > limit {
		return fault.New(fault.TooLarge, "sds.too_large", "The document has %d bytes; the limit is %d.", r.ContentLength, limit)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return fault.Invalidf("sds.encoding", "The document came with a content encoding, which would be lost.").WithNext("Send the bytes of the document as they are.")
	}
	body := newUpload(w, r)
	d, err := h.documents.Put(c.ctx, c.scope, c.service, r.Header.Get("Content-Type"), body)
	if err != nil {
		return body.explain(err)
	}
	header := w.Header()
	header.Set("Location", "/doc/"+c.service.Name+"/sds/"+d.ID)
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(d.ID)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	// No line end: some clients take the whole body for the id.
	_, _ = io.WriteString(w, d.ID) // the document is stored, whether or not the caller is still there
	return nil
}

func (h *handler) get(w http.ResponseWriter, r *http.Request, c call) error {
	d, content, err := h.documents.Open(c.ctx, c.scope, c.service, r.PathValue("id"))
	if err != nil {
		return err
	}
	defer content.Close()
	header := w.Header()
	header.Set("Content-Type", d.ContentType)
	header.Set("ETag", fmt.Sprintf(`"%x"`, d.SHA256))
	// A browser that is led here neither shows nor runs what a stranger uploaded.
	header.Set("Content-Disposition", "attachment")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Cache-Control", "private, no-store")
	out := newDownload(w, content)
	http.ServeContent(w, r, "", d.Created, out)
	out.finish(c.ctx)
	return nil
}

func (h *handler) delete(w http.ResponseWriter, r *http.Request, c call) error {
	if err := h.documents.Delete(c.ctx, c.scope, c.service, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// refuse answers with text that a client can show to a person.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	ctx := r.Context()
	switch f := fault.Of(err); f.Kind {
	case fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Basic realm="Sealwright `+string(h.realm)+`", charset="UTF-8"`)
	case fault.Internal, fault.Unavailable:
		telemetry.Logger(ctx).ErrorContext(ctx, "session data storage failed", "error", err)
	}
	dismiss(w, r)
	fault.WriteText(w, err, telemetry.Correlation(ctx))
}

// gone tells whether err means that the sender is not there any more.
func gone(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// slow tells whether err is that of a deadline.
func slow(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
