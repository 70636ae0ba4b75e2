package house

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/web/pickup"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// A Listener is one address that the house serves.
type Listener struct {
	Name    string // what is there, for logs
	Address string // as it listens
	listen  string
	tls     *tls.Config // nil: plain HTTP
	server  *http.Server
	socket  net.Listener
}

// Serve listens on all addresses, runs the background work and returns when
// ctx ends and the requests under way are done. ready, if given, is called once
// everything listens.
func (h *House) Serve(ctx context.Context, ready func([]*Listener)) error {
	list, err := h.listeners()
	if err != nil {
		return err
	}
	for _, l := range list {
		if err := l.open(ctx); err != nil {
			for _, o := range list {
				o.close()
			}
			return err
		}
	}
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	claim, stopQueue := context.WithCancel(ctx)
	defer stopQueue()
	var running sync.WaitGroup
	running.Go(func() { h.background(work, claim) })
	failed := make(chan error, len(list))
	for _, l := range list {
		h.Logger.Info("listening", "what", l.Name, "address", l.Address)
		running.Go(func() {
			if err := l.server.Serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", l.Name, err)
			}
		})
	}
	if ready != nil {
		ready(list)
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	h.Health.Drain()
	stopQueue() // its jobs end in the time that requests have as well
	err = errors.Join(err, h.shutdown(ctx, list))
	stopWork()
	running.Wait()
	return errors.Join(err, h.Timestamps.Close(context.WithoutCancel(ctx)))
}

func (h *House) shutdown(ctx context.Context, list []*Listener) error {
	h.Logger.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Config.Limits.ShutdownTimeout)
	defer cancel()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, l := range list {
		wg.Go(func() {
			if errs[i] = l.server.Shutdown(grace); errs[i] != nil {
				errs[i] = errors.Join(errs[i], l.server.Close())
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// sequenceEvery is how long an audit entry may wait for its place in the tree.
const sequenceEvery = time.Second

// background runs the audit sequencer and the notes of last use, and the queue
// until claim ends.
func (h *House) background(ctx, claim context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Queue.Run(claim); err != nil {
			h.Logger.Error("the job queue stopped", "error", err)
		}
	})
	wg.Go(func() { h.Access.Run(ctx) })
	wg.Go(func() { h.presign(ctx) })
	for _, work := range h.work {
		wg.Go(func() { work(ctx) })
	}
	wg.Go(func() {
		tick := time.NewTicker(sequenceEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				h.sequence(ctx)
			}
		}
	})
	wg.Wait()
}

// presignEvery is how often a node signs OCSP answers ahead of their need. Each
// keeps its own: they are in memory.
const presignEvery = time.Minute

func (h *House) presign(ctx context.Context) {
	tick := time.NewTicker(presignEvery)
	defer tick.Stop()
	for {
		if err := h.Authority.PresignOCSP(ctx); err != nil && ctx.Err() == nil {
			h.Logger.Warn("OCSP answers could not be signed ahead", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listeners describes everything the configuration asks for.
func (h *House) listeners() ([]*Listener, error) {
	c := h.Config
	public, err := hostOf(c.Server.PublicURL)
	if err != nil {
		return nil, err
	}
	handlers, err := h.handlers()
	if err != nil {
		return nil, err
	}
	main := h.server(handlers.main)
	main.ConnContext = pickup.ConnContext
	list := []*Listener{
		{Name: "pages and API", listen: c.Server.Listen, tls: h.serverTLS(c.Server.TLS, public), server: main},
		{Name: "CRL, OCSP and CA certificates", listen: c.Server.HTTPListen, server: h.server(handlers.public)},
	}
	for _, e := range []struct {
		name    string
		env     config.Environment
		handler http.Handler
	}{{"preprod", c.Environment.Preprod, handlers.preprod}, {"production", c.Environment.Production, handlers.production}} {
		tlsConfig := h.serverTLS(e.env.TLS, e.env.Hosts...)
		server := h.server(e.handler)
		if e.name == "production" {
			tlsConfig, server.ConnContext = handlers.productionTLS(tlsConfig), handlers.connContext
		}
		server.ReadTimeout, server.WriteTimeout = 0, 0 // documents take as long as they take; see the document endpoint
		list = append(list, &Listener{Name: "web services of " + e.name, listen: e.env.Listen, tls: tlsConfig, server: server})
	}
	client := h.server(handlers.clientAuth)
	client.ConnContext = handlers.connContext
	list = append(list, &Listener{Name: "API with client certificates", listen: c.ClientAuth.Listen, tls: handlers.clientAuthTLS(h.serverTLS(config.TLS{}, c.ClientAuth.Host)), server: client})
	if c.Metrics.Listen != "" {
		list = append(list, &Listener{Name: "metrics", listen: c.Metrics.Listen, server: h.server(h.metricsMux())})
	}
	return list, nil
}

func hostOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return u.Hostname(), nil
}

func (h *House) serverTLS(files config.TLS, hosts ...string) *tls.Config {
	for _, always := range []string{"localhost", "127.0.0.1"} {
		if !slices.Contains(hosts, always) {
			hosts = append(hosts, always)
		}
	}
	return (&serverCertificate{h: h, files: files, hosts: hosts}).config()
}

// server wraps a handler in the layers that every endpoint has.
func (h *House) server(handler http.Handler) *http.Server {
	l := h.Config.Limits
	return &http.Server{
		Handler:           behindProxies(h.Config.Server.TrustedProxies, telemetry.Correlate(telemetry.AccessLog(h.Logger, h.Metrics.Observe(telemetry.Recover(h.Logger, handler))))),
		ReadHeaderTimeout: l.HeaderTimeout, IdleTimeout: l.IdleTimeout, MaxHeaderBytes: int(l.MaxHeaders),
		ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		ErrorLog: quietTLS(h.Logger),
	}
}

func (h *House) metricsMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.Metrics.Handler())
	h.Health.Register(mux)
	return mux
}

func (l *Listener) open(ctx context.Context) error {
	var lc net.ListenConfig
	socket, err := lc.Listen(ctx, "tcp", l.listen)
	if err != nil {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	l.Address = socket.Addr().String()
	if l.tls != nil {
		l.server.TLSConfig = l.tls
		socket = tls.NewListener(socket, l.tls)
	}
	l.socket = socket
	return nil
}

func (l *Listener) close() {
	if l.socket != nil {
		_ = l.socket.Close() // it has not served yet
	}
}

// AuditPublicKey is the key that the audit log's checkpoints are signed with.
func (h *House) AuditPublicKey(ctx context.Context) (ed25519.PublicKey, error) {
	signer, err := h.auditKey(ctx)
	if err != nil {
		return nil, err
	}
	key, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the audit key is a %T", signer.Public())
	}
	return key, nil
}

// WriteTrustAnchor writes the root of the installation's own servers to a file
// that clients can be given, and returns its path.
func (h *House) WriteTrustAnchor(ctx context.Context) (string, error) {
	pem, err := h.TrustAnchor(ctx)
	if err != nil {
		return "", err
	}
	path := h.dataFile("trust.pem")
	return path, os.WriteFile(path, pem, 0o644)
}
