package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func perspectiveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "perspective", Short: "Look at domain names from another place of the network", Args: cobra.NoArgs,
		Long: `Run a remote perspective: it looks up DNS records and fetches validation files for
another installation, and says what it sees (TLS Baseline Requirements, 3.2.2.9). It needs
no database and holds no state. Perspectives stand 500 km apart at least.

  there$ sealwright perspective token --out token
  there$ sealwright perspective --listen :8450 --tls-cert tls.pem --tls-key tls.key --token-hash-file hashes \
           --name frankfurt-1 --registry "RIPE NCC" --lat 50.1 --lon 8.7

The installation names it in the JSON file of validation.perspectives:

  [{"name": "frankfurt-1", "registry": "RIPE NCC", "Latitude": 50.1, "Longitude": 8.7,
    "url": "https://frankfurt-1.example.com:8450/", "tokenFile": "/etc/sealwright/frankfurt-1.token"}]`,
	}
	f := cmd.Flags()
	var o perspectiveOptions
	f.StringVar(&o.listen, "listen", ":8450", "address to listen on")
	f.StringVar(&o.cert, "tls-cert", "", "PEM file with the TLS certificate and its chain; it is read again when it changes (required)")
	f.StringVar(&o.key, "tls-key", "", "PEM file with its private key (required)")
	f.StringVar(&o.hashes, "token-hash-file", "", "file with the hashes of the tokens that callers may show, one on each line (required)")
	f.StringVar(&o.at.Name, "name", "", "its name, as the installation knows it (required)")
	f.StringVar(&o.at.Registry, "registry", "", "Internet registry in whose region it stands: "+strings.Join(perspective.Registries(), ", ")+" (required)")
	f.Float64Var(&o.at.Latitude, "lat", 0, "latitude in degrees (required)")
	f.Float64Var(&o.at.Longitude, "lon", 0, "longitude in degrees (required)")
	f.StringSliceVar(&o.hints, "dns-hints", nil, "addresses of root name servers; those of IANA by default")
	f.StringSliceVar(&o.allow, "allow", nil, "private ranges that may be looked at, such as 10.0.0.0/8")
	choose(cmd, "registry", perspective.Registries()...)
	required(cmd, "tls-cert", "tls-key", "token-hash-file", "name", "registry", "lat", "lon")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.serve(cmd.Context(), slog.Default()) }
	cmd.AddCommand(perspectiveToken())
	return cmd
}

type perspectiveOptions struct {
	listen, cert, key, hashes string
	at                        perspective.Place
	hints, allow              []string
}

// stopTime is how long looks under way may take when the command is told to stop.
const stopTime = 20 * time.Second

func (o *perspectiveOptions) serve(ctx context.Context, log *slog.Logger) error {
	if err := perspective.CheckPlaces([]perspective.Place{o.at}); err != nil {
		return err
	}
	local, err := o.local()
	if err != nil {
		return err
	}
	hashes, err := readHashes(o.hashes)
	if err != nil {
		return err
	}
	files := &pair{cert: o.cert, key: o.key, log: log}
	if _, err := files.get(nil); err != nil {
		return err
	}
	server := &http.Server{
		Handler: perspective.Handler(local, hashes, log), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: files.get},
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	log.Info("listening", "what", "perspective "+o.at.Name, "address", socket.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(socket, "", "") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return server.Shutdown(grace)
}

// local is what looks.
func (o *perspectiveOptions) local() (*perspective.Local, error) {
	var hints []netip.Addr
	for _, text := range o.hints {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fault.Invalidf("perspective.hints", "--dns-hints: %q is not an IP address.", text)
		}
		hints = append(hints, a)
	}
	var policy egress.Policy
	for _, text := range o.allow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fault.Invalidf("perspective.allow", "--allow: %q is not a range such as 10.0.0.0/8.", text)
		}
		policy.Allow = append(policy.Allow, p)
	}
	servers := func(a netip.Addr) bool { return policy.Check(netip.AddrPortFrom(a, 53)) == nil }
	return &perspective.Local{At: o.at, Resolver: resolver.New(resolver.Options{Hints: hints, Allow: servers}), Egress: policy}, nil
}

// readHashes reads the hashes of tokens: one on each line, and lines with "#"
// first are skipped.
func readHashes(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(line) != len(secret.Hash("")) {
			return nil, fault.Invalidf("perspective.hash", "%s holds a line that is no hash of a token.", file).WithNext("Make one with: sealwright perspective token")
		}
		out = append(out, line)
	}
	if len(out) == 0 {
		return nil, fault.Invalidf("perspective.hash", "%s holds no hash of a token.", file).WithNext("Make one with: sealwright perspective token")
	}
	return out, nil
}

// A pair is a certificate and key in files, which are read again when they change.
type pair struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time
}

func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := os.Stat(p.cert)
	if err == nil && p.current != nil && info.ModTime().Equal(p.changed) {
		return p.current, nil
	}
	var c tls.Certificate
	if err == nil {
		c, err = tls.LoadX509KeyPair(p.cert, p.key)
	}
	switch {
	case err == nil:
		p.current, p.changed = &c, info.ModTime()
	case p.current == nil:
		return nil, fault.Invalidf("perspective.tls", "The TLS certificate %s cannot be used with the key %s.", p.cert, p.key).WithCause(err)
	default: // half-written files: keep what works
		p.log.Error("the TLS certificate cannot be read again", "file", p.cert, "error", err)
	}
	return p.current, nil
}

func perspectiveToken() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Make a token for a perspective and print its hash", Args: cobra.NoArgs,
		Example: "  sealwright perspective token --out token >> hashes",
		Long: `Make a token. It goes to a file for the installation that asks; its hash, which is
printed, goes into the file of --token-hash-file.`,
	}
	out := cmd.Flags().String("out", "", "file to write the token to, which must not exist yet (required)")
	required(cmd, "out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		token := secret.NewToken().Reveal()
		f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(token + "\n")
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), secret.Hash(token))
		return nil
	}
	return cmd
}
