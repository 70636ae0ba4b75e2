// Package housetest opens complete installations for tests: every part of
// package house over a database of the test's own, with a client, its service,
// an authorised person and an account that may order.
//
// [New] does it all for one test. [Found] and [Open] do it in steps and without
// a testing.TB, for processes that a test starts and kills. [Invariants] says
// what must be true of any database at rest, whatever happened before.
package housetest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Options choose what differs from a plain installation.
type Options struct {
	house.Options
	Configure func(*config.Config) // changes the settings before the house opens
}

// Facts are what somebody outside needs to know of a site. They can be written
// as JSON and read by another process.
type Facts struct {
	Client   string // id, in production
	Service  string // id of the service [ServiceName], in production
	Person   string // id of the authorised person
	Account  string // id of a service account that may order
	Token    string // of the account
	Password string // of the service, in production and in preprod
	Admin    string // password of the administrator [AdminEmail]
}

// Names and addresses of what every site has.
const (
	ServiceName = "demo"
	AdminEmail  = "admin@example.org"
	Email       = "person@demo.example" // of the authorised person
	Mobile      = "+4790000000"
)

// A Site is an open installation.
type Site struct {
	House *house.House
	Facts
}

// New makes an installation over an empty database and closes it when the test
// ends. Password hashing is cheap, mail and SMS stay in memory, ports are free.
func New(tb testing.TB, database string, o Options) *Site {
	tb.Helper()
	cfg := Config(tb, tb.TempDir(), database)
	if o.Configure != nil {
		o.Configure(cfg)
	}
	s, err := Found(context.Background(), cfg, o.Options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.House.Close(); err != nil {
			tb.Errorf("close the house: %v", err)
		}
	})
	return s
}

// Config is the configuration of a site in a directory, with ports that were
// free a moment ago.
func Config(tb testing.TB, dir, database string) *config.Config {
	tb.Helper()
	ports, err := FreePorts()
	if err != nil {
		tb.Fatal(err)
	}
	return Settings(dir, database, ports)
}

// Settings is the configuration of a site in a directory. The same arguments
// give the same site.
func Settings(dir, database string, ports [6]string) *config.Config {
	c := config.Default()
	c.Server.DataDir, c.Blob.Dir, c.Keys.Master.File = dir, dir+"/blobs", dir+"/master.key"
	c.Database.URL = secret.New(database)
	c.Server.Listen, c.Server.PublicURL = "127.0.0.1:"+ports[0], "https://localhost:"+ports[0]
	c.Server.HTTPListen, c.Server.PublicHTTPURL = "127.0.0.1:"+ports[1], "http://localhost:"+ports[1]
	environment := func(name, port string) config.Environment {
		return config.Environment{Hosts: []string{name + ".localhost"}, Listen: "127.0.0.1:" + port, PublicURL: "https://" + name + ".localhost:" + port}
	}
	c.Environment.Preprod, c.Environment.Production = environment("preprod", ports[2]), environment("production", ports[3])
	c.ClientAuth = config.ClientAuth{Host: "clientauth.localhost", Listen: "127.0.0.1:" + ports[4]}
	c.Metrics.Listen = "127.0.0.1:" + ports[5]
	c.Dev.Enabled = true
	return c
}

// FreePorts reserves and releases the ports of one site.
func FreePorts() (ports [6]string, err error) {
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports, err
		}
		defer l.Close() // not before all are known, or one would come twice
		if _, ports[i], err = net.SplitHostPort(l.Addr().String()); err != nil {
			return ports, err
		}
	}
	return ports, nil
}

func quick(o house.Options) house.Options {
	o.Quick = true
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Found makes an installation with everything in [Facts]. Close its house.
func Found(ctx context.Context, cfg *config.Config, o house.Options) (*Site, error) {
	admin := secret.NewPassword(16)
	h, _, err := house.Init(ctx, cfg, quick(o), house.Founding{
		Organisation: "Test", Country: "NO",
		Administrator: access.Administrator{Email: AdminEmail, Name: "Administrator", Language: "en", Password: admin},
	})
	if err != nil {
		return nil, err
	}
	s := &Site{House: h, Facts: Facts{Admin: admin.Reveal()}}
	if err := s.populate(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return s, nil
}

// Open opens an installation that [Found] has made. Close its house.
func Open(ctx context.Context, cfg *config.Config, o house.Options, f Facts) (*Site, error) {
	h, err := house.Open(ctx, cfg, quick(o))
	if err != nil {
		return nil, err
	}
	return &Site{House: h, Facts: f}, nil
}

// populate adds the client with its service and authorised person in both
// environments, and the account.
func (s *Site) populate(ctx context.Context) error {
	sys, dir := access.System("test"), s.House.Access
	word := secret.NewPassword(20)
	s.Password = word.Reveal()
	for _, realm := range []access.Realm{access.Preprod, access.Production} { // the last one stays in Facts
		client, err := dir.CreateClient(ctx, sys, realm, access.ClientFields{Name: "Demo Client", Country: "NO"})
		if err != nil {
			return err
		}
		service, err := dir.CreateService(ctx, sys, client.ID, ServiceName, access.ServiceFields{})
		if err != nil {
			return err
		}
		if err := dir.SetServicePassword(ctx, sys, service.ID, word); err != nil {
			return err
		}
		person, err := dir.AddOrderer(ctx, sys, client.ID, access.OrdererFields{Name: "Demo Person", Email: Email, Mobile: Mobile, Language: "en"})
		if err != nil {
			return err
		}
		s.Client, s.Service, s.Person = client.ID, service.ID, person.ID
	}
	account, err := dir.CreateAccount(ctx, sys, access.Production, "", access.AccountFields{Name: "Ordering system"})
	if err != nil {
		return err
	}
	s.Account = account.ID
	if _, err := dir.Grant(ctx, sys, account.ID, access.RoleIntegration, access.Production, ""); err != nil {
		return err
	}
	_, token, err := dir.CreateToken(ctx, sys, account.ID, access.TokenFields{Name: "test", Ends: s.House.Clock.Now().AddDate(5, 0, 0)})
	s.Token = token.Reveal()
	return err
}

// An Ahead is the machine's clock and a while: a restart after that while.
type Ahead time.Duration

// Now implements [clock.Clock].
func (a Ahead) Now() time.Time {
	return time.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(a))
}
