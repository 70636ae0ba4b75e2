// Package demo makes a small installation to try things out with, and plays the
// product's main job against it from the outside.
package demo

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// A Place is where a site lives.
type Place struct {
	Dir      string
	Database string // empty: SQLite in Dir
	Port     int    // of the pages; the others follow. 0: free ports
}

// Logins are what a person or program needs to use the site. They are kept in
// the data directory, readable by its owner only: this is for trying out.
type Logins struct {
	Admin, Password     string // operator
	Second, SecondWord  string // another operator, who may approve
	Token               string // of a service account that may order certificates
	Preprod, Production string // web-service passwords of the service demo
	Other               string // web-service password of another client's service, in production
	Orderer             string // id of the authorised person
	Client              string // id of the demo client
}

// A Site is a development installation.
type Site struct {
	House  *house.House
	Logins Logins
	roots  *x509.CertPool
}

// Open opens the site, and makes it if there is none.
func Open(ctx context.Context, p Place, o house.Options) (*Site, error) {
	cfg, err := configure(p)
	if err != nil {
		return nil, err
	}
	s := &Site{roots: x509.NewCertPool()}
	made, err := s.readLogins(p.Dir)
	if err != nil {
		return nil, err
	}
	if made {
		s.House, err = house.Open(ctx, cfg, o)
	} else {
		err = s.make(ctx, cfg, o, p.Dir)
	}
	if err != nil {
		return nil, err
	}
	anchor, err := s.House.TrustAnchor(ctx)
	if err != nil {
		return nil, errors.Join(err, s.House.Close())
	}
	s.roots.AppendCertsFromPEM(anchor)
	return s, nil
}

// configure writes a configuration that a person can read and change, and
// loads it as the server would.
func configure(p Place) (*config.Config, error) {
	path := filepath.Join(p.Dir, "sealwright.toml")
	if _, err := os.Stat(path); err == nil && p.Port != 0 {
		return config.Load(path, nil)
	}
	ports, err := choosePorts(p.Port)
	if err != nil {
		return nil, err
	}
	database := ""
	if p.Database != "" {
		database = fmt.Sprintf("\n[database]\nurl = %q\n", p.Database)
	}
	text := fmt.Sprintf(`# A development installation on this machine. See: sealwright config example
[server]
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
listen = "127.0.0.1:%d"
%s
[dev]
enabled = true
`, p.Dir, ports[0], ports[1], ports[0], ports[1], ports[4], ports[2], ports[2], ports[3], ports[3], ports[5], database)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path, nil)
}

// choosePorts gives the six ports of a site: those from first on, or free ones.
func choosePorts(first int) ([6]int, error) {
	var ports [6]int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // it only reserved a number
		}
	}()
	for i := range ports {
		if first != 0 {
			ports[i] = first + i
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports, err
		}
		held = append(held, l)
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

func loginsFile(dir string) string { return filepath.Join(dir, "logins.json") }

func (s *Site) readLogins(dir string) (found bool, err error) {
	b, err := os.ReadFile(loginsFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, &s.Logins)
}

// make founds the installation and everything the play needs.
func (s *Site) make(ctx context.Context, cfg *config.Config, o house.Options, dir string) error {
	l := &s.Logins
	l.Admin, l.Password = "admin@localhost.localdomain", secret.NewPassword(16).Reveal()
	l.Preprod, l.Production, l.Other = "Bond007", secret.NewPassword(20).Reveal(), secret.NewPassword(20).Reveal()
	h, _, err := house.Init(ctx, cfg, o, house.Founding{
		Organisation: "Sealwright Demo", Country: "NO",
		Administrator: access.Administrator{Email: l.Admin, Name: "Administrator", Language: "en", Password: secret.New(l.Password)},
	})
	if err != nil {
		return err
	}
	s.House = h
	if err := s.populate(ctx); err != nil {
		return errors.Join(err, h.Close())
	}
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	if _, err := h.WriteTrustAnchor(ctx); err != nil {
		return err
	}
	return os.WriteFile(loginsFile(dir), append(b, '\n'), 0o600)
}

// populate adds a client with the service demo in both environments, another
// client, an authorised person and a service account.
func (s *Site) populate(ctx context.Context) error {
	sys, dir, l := access.System("demo"), s.House.Access, &s.Logins
	for _, realm := range access.Realms() {
		client, err := dir.CreateClient(ctx, sys, realm, access.ClientFields{Name: "Demo Client", Country: "NO"})
		if err != nil {
			return err
		}
		service, err := dir.CreateService(ctx, sys, client.ID, "demo", access.ServiceFields{})
		if err != nil {
			return err
		}
		password := l.Preprod
		if realm == access.Production {
			password, l.Client = l.Production, client.ID
		}
		if err := dir.SetServicePassword(ctx, sys, service.ID, secret.New(password)); err != nil {
			return err
		}
		person, err := dir.AddOrderer(ctx, sys, client.ID, access.OrdererFields{Name: "Demo Person", Email: "person@demo.example", Mobile: "+4790000000", Language: "en"})
		if err != nil {
			return err
		}
		l.Orderer = person.ID // of production, the last
	}
	if err := s.populateOther(ctx, sys); err != nil {
		return err
	}
	return s.populateAccount(ctx, sys)
}

func (s *Site) populateOther(ctx context.Context, sys access.Scope) error {
	other, err := s.House.Access.CreateClient(ctx, sys, access.Production, access.ClientFields{Name: "Other Client", Country: "SE"})
	if err != nil {
		return err
	}
	service, err := s.House.Access.CreateService(ctx, sys, other.ID, "other", access.ServiceFields{})
	if err != nil {
		return err
	}
	if _, err := s.House.Access.AddOrderer(ctx, sys, other.ID, access.OrdererFields{Name: "Other Person", Email: "person@other.example", Mobile: "+4690000000", Language: "en"}); err != nil {
		return err
	}
	return s.House.Access.SetServicePassword(ctx, sys, service.ID, secret.New(s.Logins.Other))
}

func (s *Site) populateAccount(ctx context.Context, sys access.Scope) error {
	dir := s.House.Access
	account, err := dir.CreateAccount(ctx, sys, access.Production, "", access.AccountFields{Name: "Demo ordering system"})
	if err != nil {
		return err
	}
	if _, err := dir.Grant(ctx, sys, account.ID, access.RoleIntegration, access.Production, ""); err != nil {
		return err
	}
	_, token, err := dir.CreateToken(ctx, sys, account.ID, access.TokenFields{Name: "demo", Ends: s.House.Clock.Now().Add(365 * 24 * time.Hour)})
	s.Logins.Token = token.Reveal()
	return err
}

// Print says where things are and how to get in.
func (s *Site) Print(out io.Writer) {
	c := s.House.Config
	line := func(what, value string) { fmt.Fprintf(out, "  %-28s %s\n", what, value) }
	fmt.Fprintln(out)
	line("Pages", c.Server.PublicURL)
	line("  log in as", s.Logins.Admin+"  "+s.Logins.Password)
	line("  outgoing mail and SMS", c.Server.PublicURL+"/outbox")
	line("API", c.Server.PublicURL+"/api/v1/openapi.json")
	line("  token", s.Logins.Token)
	line("Web services, preprod", c.Environment.Preprod.PublicURL+"/doc/demo/sds   (demo / Bond007)")
	line("Web services, production", c.Environment.Production.PublicURL+"/doc/demo/sds   (demo / "+s.Logins.Production+", with client certificate)")
	line("CRL, OCSP, CA certificates", c.Server.PublicHTTPURL)
	line("Clients trust", filepath.Join(c.Server.DataDir, "trust.pem"))
	line("Log", filepath.Join(c.Server.DataDir, "sealwright.log"))
	fmt.Fprintln(out, strings.Repeat("-", 72))
}
