package house

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/endpoint/caller"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/endpoint/ctlog"
	"github.com/sealwright/sealwright/internal/endpoint/sds"
	"github.com/sealwright/sealwright/internal/endpoint/tsa"
	"github.com/sealwright/sealwright/internal/endpoint/va"
)

// handlers are what the listeners serve.
type handlers struct {
	main       http.Handler // pages and API
	public     http.Handler // plain HTTP
	preprod    http.Handler
	production http.Handler
	clientAuth http.Handler

	productionTLS func(*tls.Config) *tls.Config
	clientAuthTLS func(*tls.Config) *tls.Config
	connContext   func(context.Context, net.Conn) context.Context
}

func (h *House) handlers() (*handlers, error) {
	verifier := clientcert.New(h.Authority, h.DB, h.Audit, h.Clock, h.Metrics.Registerer())
	h.work = append(h.work, verifier.Run)
	pages, err := h.pages()
	if err != nil {
		return nil, err
	}
	return &handlers{
		main:          h.machines(pages),
		public:        h.publicHandler(),
		preprod:       h.webServices(access.Preprod, verifier),
		production:    h.webServices(access.Production, verifier),
		clientAuth:    h.api(identify(verifier)),
		productionTLS: func(base *tls.Config) *tls.Config { return verifier.TLSConfig(base, string(access.Production)) },
		clientAuthTLS: func(base *tls.Config) *tls.Config { return verifier.TLSConfig(base, apicert.Realm) },
		connContext:   verifier.ConnContext,
	}, nil
}

// identify accepts API client certificates only.
func identify(v *clientcert.Verifier) caller.Identify {
	return func(ctx context.Context, state *tls.ConnectionState) (authority.Record, error) {
		id, err := v.Identify(ctx, state, clientcert.Want{Realm: apicert.Realm, Kind: apicert.Kind})
		return id.Record, err
	}
}

// api is the REST API; by is nil where callers show tokens.
func (h *House) api(by caller.Identify) http.Handler {
	return api.New(api.Deps{
		DB: h.DB, Access: h.Access, Orders: h.WSCerts, APICerts: h.APICerts, Authority: h.Authority, Audit: h.Audit,
		Outbox: h.Outbox, Queue: h.Queue, Idempotency: h.Idempotency, Version: h.version,
		Callers: caller.New(caller.Options{Directory: h.Access, Certificates: h.APICerts, Identify: by, Clock: h.Clock}),
	})
}

func (h *House) webServices(realm access.Realm, v *clientcert.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/doc/", sds.New(realm, h.Documents, h.Access, v))
	h.Health.Register(mux)
	return mux
}

// machines puts what only programs talk to beside the pages.
func (h *House) machines(pages http.Handler) http.Handler {
	stamps := tsa.New(h.Timestamps)
	logs := http.NotFoundHandler()
	if h.CTLog != nil {
		logs = ctlog.New(h.CTLog)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/tsa/"):
			stamps.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/ctlog/"):
			logs.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

// publicHandler serves what relying parties fetch without TLS, and sends
// everybody else to the pages.
func (h *House) publicHandler() http.Handler {
	published, stamps := va.New(h.Authority, h.Clock), tsa.New(h.Timestamps)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		area, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch area {
		case "ca", "crl", "ocsp":
			published.ServeHTTP(w, r)
		case "tsa":
			stamps.ServeHTTP(w, r)
		default:
			http.Redirect(w, r, h.Config.Server.PublicURL+"/", http.StatusFound)
		}
	})
}

// quietTLS logs the server's own errors, without the handshakes that scanners
// and impatient clients break off.
func quietTLS(l *slog.Logger) *log.Logger {
	return log.New(serverErrors{l}, "", 0)
}

type serverErrors struct{ log *slog.Logger }

func (s serverErrors) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	level := slog.LevelWarn
	if strings.Contains(text, "TLS handshake error") {
		level = slog.LevelDebug
	}
	s.log.Log(context.Background(), level, "http server", "error", text)
	return len(b), nil
}
