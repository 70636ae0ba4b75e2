package bench

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/demo"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// A Site tells where an installation of the product is and how to get in. It
// is what the product's process prints when it is ready.
type Site struct {
	Pages      string // base addresses
	Preprod    string
	Production string
	Trust      string // PEM, of its TLS certificates
	Issuer     string // PEM, of the production authority for client certificates
	Logins     demo.Logins
	Approver   string // token of an account that may approve
}

// issuerID is the authority that issues client certificates in production.
const issuerID = "production-clients-1"

// A plan is what an installation for a benchmark looks like.
type plan struct {
	dir      string
	database string // empty: SQLite in dir
	approval bool   // orders wait for a second account
	messages bool   // mail and SMS are kept in memory and printed as lines
}

// openSite opens the installation in the plan's directory, or makes it, with
// the defaults of a fresh one: durable store, audit, and a log in a file.
func openSite(ctx context.Context, p plan) (*demo.Site, *telemetry.Log, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := p.configure(); err != nil {
		return nil, nil, err
	}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Level: slog.LevelInfo, Format: "json", File: filepath.Join(p.dir, "sealwright.log")})
	if err != nil {
		return nil, nil, err
	}
	// Any port but 0 makes the demo keep the configuration that is there.
	s, err := demo.Open(ctx, demo.Place{Dir: p.dir, Database: p.database, Port: 1}, house.Options{Logger: log.Logger, Version: "bench"})
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return s, log, nil
}

// configure writes the configuration once: a server that is started again has
// to be found where it was.
func (p plan) configure() error {
	path := filepath.Join(p.dir, "sealwright.toml")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	database := ""
	if p.database != "" {
		database = fmt.Sprintf("[database]\nurl = %q\n", p.database)
	}
	text := fmt.Sprintf(`[server]
data_dir = %q
listen = "127.0.0.1:%d"
http_listen = "127.0.0.1:%d"
public_url = "https://localhost:%d"
public_http_url = "http://localhost:%d"
[clientauth]
host = "clientauth.localhost"
listen = "127.0.0.1:%d"
[environment.preprod]
hosts = ["preprod.localhost"]
listen = "127.0.0.1:%d"
public_url = "https://preprod.localhost:%d"
[environment.production]
hosts = ["production.localhost"]
listen = "127.0.0.1:%d"
public_url = "https://production.localhost:%d"
[metrics]
listen = ""
[certificate]
approval = %t
[dev]
enabled = %t
%s`, p.dir, ports[0], ports[1], ports[0], ports[1], ports[2], ports[3], ports[3], ports[4], ports[4], p.approval, p.messages, database)
	return os.WriteFile(path, []byte(text), 0o600)
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until the last is known
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// describe tells callers what they need; the approver's account is made once.
func describe(ctx context.Context, p plan, s *demo.Site) (Site, error) {
	c := s.House.Config
	d := Site{Pages: c.Server.PublicURL, Preprod: c.Environment.Preprod.PublicURL, Production: c.Environment.Production.PublicURL, Logins: s.Logins}
	trust, err := s.House.TrustAnchor(ctx)
	if err != nil {
		return d, err
	}
	issuer, err := s.House.Authority.Get(ctx, issuerID)
	if err != nil {
		return d, err
	}
	d.Trust, d.Issuer = string(trust), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.DER}))
	d.Approver, err = approver(ctx, p, s)
	return d, err
}

func approver(ctx context.Context, p plan, s *demo.Site) (string, error) {
	if !p.approval {
		return "", nil
	}
	file := filepath.Join(p.dir, "approver.json")
	var token string
	if b, err := os.ReadFile(file); err == nil {
		return token, json.Unmarshal(b, &token)
	}
	dir, sys := s.House.Access, access.System("bench")
	account, err := dir.CreateAccount(ctx, sys, access.Production, "", access.AccountFields{Name: "Approving system"})
	if err != nil {
		return "", err
	}
	if _, err := dir.Grant(ctx, sys, account.ID, access.RoleRAOperator, access.Production, ""); err != nil {
		return "", err
	}
	_, text, err := dir.CreateToken(ctx, sys, account.ID, access.TokenFields{Name: "bench", Ends: s.House.Clock.Now().Add(30 * 24 * time.Hour)})
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(text.Reveal())
	if err != nil {
		return "", err
	}
	return text.Reveal(), os.WriteFile(file, b, 0o600)
}
