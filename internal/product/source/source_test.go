package source_test

import (
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/product/source"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

// people fills a database of each engine and gives its address.
func people(t *testing.T, fn func(t *testing.T, address string)) {
	for name, open := range map[string]func() (driver, dsn, address string){
		"sqlite": func() (string, string, string) {
			path := filepath.Join(t.TempDir(), "people.db")
			return "sqlite", path, "sqlite:" + path
		},
		"postgres": func() (string, string, string) {
			url := storetest.Postgres(t)
			return "pgx", url, url
		},
	} {
		t.Run(name, func(t *testing.T) {
			driver, dsn, address := open()
			db, err := sql.Open(driver, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range []string{
				`CREATE TABLE people (name TEXT, mail TEXT, unit TEXT, number INTEGER, born DATE)`,
				`INSERT INTO people VALUES ('Åse', 'aase@example.dk` + "\n" + `a@example.dk', 'Drift', 1, '1980-02-29'), ('Bo', 'bo@example.dk', NULL, 2, NULL), ('O''Neil', 'o@example.dk', 'Drift', 3, NULL)`,
			} {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			fn(t, address)
		})
	}
}

func openSQL(t *testing.T, address, query string) *source.SQL {
	t.Helper()
	s, err := source.OpenSQL(source.SQLSettings{Address: secret.New(address), Query: query})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func find(t *testing.T, s product.DataSource, parameters map[string]string, limit int) product.Rows {
	t.Helper()
	rows, err := s.Find(t.Context(), parameters, limit)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A77: rows of a database, found by bound parameters.
func TestADatabaseFindsRecords(t *testing.T) {
	people(t, func(t *testing.T, address string) {
		s := openSQL(t, address, `SELECT name AS "Name", mail, unit, number FROM people /* :no */ WHERE (name = :name OR :name = '') AND unit = :unit -- ':x'
			ORDER BY number;`)
		want := product.Rows{{"name": {"Åse"}, "mail": {"aase@example.dk", "a@example.dk"}, "unit": {"Drift"}, "number": {"1"}}}
		if got := find(t, s, map[string]string{"name": "Åse", "unit": "Drift"}, 0); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v", got)
		}
		for name, n := range map[string]int{"": 2, "O'Neil": 1, "x' OR 'a' = 'a": 0, "'; DROP TABLE people; --": 0} {
			if got := find(t, s, map[string]string{"name": name, "unit": "Drift"}, 0); len(got) != n {
				t.Errorf("%q finds %v", name, got)
			}
		}
		if got := find(t, s, map[string]string{"unit": "Drift"}, 1); len(got) != 1 {
			t.Errorf("the limit lets %d through", len(got))
		}
		if got := find(t, openSQL(t, address, `SELECT name, unit FROM people WHERE name = 'Bo'`), nil, 0); !reflect.DeepEqual(got, product.Rows{{"name": {"Bo"}}}) {
			t.Errorf("a missing value is %v", got)
		}
		if got := find(t, openSQL(t, address, `SELECT born FROM people WHERE name = 'Åse'`), nil, 0); !reflect.DeepEqual(got, product.Rows{{"born": {"1980-02-29"}}}) {
			t.Errorf("a day is %v", got)
		}
	})
}

// A query cannot write, whatever it says.
func TestADatabaseIsOnlyRead(t *testing.T) {
	people(t, func(t *testing.T, address string) {
		if strings.HasPrefix(address, "postgres") {
			for _, query := range []string{`WITH x AS (DELETE FROM people RETURNING name) SELECT name FROM x`, `SELECT set_config('transaction_read_only', 'off', false), lo_creat(-1)::text`} {
				if rows, err := openSQL(t, address, query).Find(t.Context(), nil, 0); !errors.Is(err, fault.Unavailable) {
					t.Errorf("%s gives %v, %v", query, rows, err)
				}
			}
		}
		for _, query := range []string{`DELETE FROM people`, `SELECT 1; DELETE FROM people`, `SELECT 'x`, `SELECT 1 /*`, `SELECT $1`, ``} {
			if _, err := source.OpenSQL(source.SQLSettings{Address: secret.New(address), Query: query}); fault.Of(err).Code != "source.settings" {
				t.Errorf("%q: %v", query, err)
			}
		}
		if got := find(t, openSQL(t, address, `SELECT name FROM people`), nil, 0); len(got) != 3 {
			t.Errorf("%d people are left", len(got))
		}
		_, err := openSQL(t, address, `SELECT name FROM nowhere`).Find(t.Context(), nil, 0)
		if f := fault.Of(err); f.Kind != fault.Unavailable || strings.Contains(f.Message, "nowhere") {
			t.Errorf("a broken query is shown as %+v", f)
		}
	})
}

func TestAddressesThatLeadNowhere(t *testing.T) {
	for _, address := range []string{"sqlite:" + t.TempDir() + "/none.db", "postgres://user:hunter2@host:port/x", "mysql://x"} {
		_, err := source.OpenSQL(source.SQLSettings{Address: secret.New(address), Query: `SELECT 1`})
		if fault.Of(err).Code != "source.settings" && !strings.HasPrefix(address, "mysql") || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
	_, err := openSQL(t, "postgres://127.0.0.1:"+fmt.Sprint(publishtest.FreePort(t))+"/x", `SELECT 1`).Find(t.Context(), nil, 0)
	if !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func directory(t *testing.T) (*publishtest.Directory, source.LDAPSettings) {
	t.Helper()
	d := publishtest.StartDirectory(t)
	d.Modify(`dn: mail=bo@example.org,ou=people,dc=example,dc=org
changetype: add
objectClass: inetOrgPerson
cn: Bo *
cn: Bo Bentsen
sn:: w5hkZWfDpXJk
mail: bo@example.org
mail: b@example.org
`)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(d.CA.PEM))
	return d, source.LDAPSettings{
		URL: fmt.Sprintf("ldap://127.0.0.1:%d", d.Port), Roots: roots, BindDN: publishtest.BindDN, Password: secret.New(publishtest.Password), Base: publishtest.Base,
		Filter: "(&(objectClass=inetOrgPerson)(cn={name}))", Attributes: []string{"cn", "sn", "mail"},
	}
}

func openLDAP(t *testing.T, s source.LDAPSettings) *source.LDAP {
	t.Helper()
	l, err := source.NewLDAP(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A77: entries of OpenLDAP, over StartTLS and TLS, found by escaped parameters.
func TestADirectoryFindsRecords(t *testing.T) {
	d, s := directory(t)
	secure := s
	secure.URL = fmt.Sprintf("ldaps://127.0.0.1:%d", d.TLSPort)
	anonymous := s
	anonymous.BindDN = ""
	for name, s := range map[string]source.LDAPSettings{"StartTLS": s, "TLS": secure, "anonymous": anonymous} {
		rows := find(t, openLDAP(t, s), map[string]string{"name": "bo bentsen"}, 5)
		want := product.Row{"dn": {"mail=bo@example.org,ou=people,dc=example,dc=org"}, "cn": {"Bo *", "Bo Bentsen"}, "sn": {"Ødegård"}, "mail": {"bo@example.org", "b@example.org"}}
		if len(rows) != 1 {
			t.Fatalf("%s: %v", name, rows)
		}
		for _, values := range rows[0] {
			slices.Sort(values)
		}
		for _, values := range want {
			slices.Sort(values)
		}
		if !reflect.DeepEqual(rows[0], want) {
			t.Errorf("%s: got %v", name, rows[0])
		}
	}
	l := openLDAP(t, s)
	for name, n := range map[string]int{"*": 0, "Bo *": 1, "*)(objectClass=*": 0, "": 0, "First Person": 1} {
		if rows := find(t, l, map[string]string{"name": name}, 5); len(rows) != n {
			t.Errorf("%q finds %v", name, rows)
		}
	}
	s.Filter = "(objectClass=inetOrgPerson)"
	if rows := find(t, openLDAP(t, s), nil, 1); len(rows) != 1 {
		t.Errorf("the limit lets %v through", rows)
	}
}

func TestADirectoryThatCannotBeTrustedOrReached(t *testing.T) {
	d, s := directory(t)
	untrusted := s
	untrusted.Roots = x509.NewCertPool()
	wrong := s
	wrong.Password = secret.New("wrong")
	gone := s
	gone.URL = fmt.Sprintf("ldap://127.0.0.1:%d", publishtest.FreePort(t))
	for name, s := range map[string]source.LDAPSettings{"untrusted": untrusted, "a wrong password": wrong, "nobody there": gone} {
		if rows, err := openLDAP(t, s).Find(t.Context(), nil, 0); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
	}
	d.Down()
	if _, err := openLDAP(t, s).Find(t.Context(), nil, 0); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	for name, change := range map[string]func(*source.LDAPSettings){
		"an address of the web": func(s *source.LDAPSettings) { s.URL = "https://example.dk" },
		"no host":               func(s *source.LDAPSettings) { s.URL = "ldap://" },
		"no base":               func(s *source.LDAPSettings) { s.Base = "" },
		"a base that is none":   func(s *source.LDAPSettings) { s.Base = "x" },
		"no attribute":          func(s *source.LDAPSettings) { s.Attributes = nil },
		"a broken filter":       func(s *source.LDAPSettings) { s.Filter = "(cn=" },
		"an open parameter":     func(s *source.LDAPSettings) { s.Filter = "(cn={x)" },
	} {
		bad := s
		change(&bad)
		if _, err := source.NewLDAP(bad); fault.Of(err).Code != "source.settings" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A77, A79: a record of the directory fills a form and locks it.
func TestARecordOfTheDirectoryBecomesACertificate(t *testing.T) {
	_, s := directory(t)
	template, err := product.ReadyTemplate("tls-client")
	if err != nil {
		t.Fatal(err)
	}
	p, err := template.Product("Staff", access.Production, "cli-1", "ca-1", []byte(`
[data]
source = "directory"
[subject.CN]
sources = ["data"]
column = "CN"
[san.email]
sources = ["data"]
column = "mail"
`))
	if err != nil {
		t.Fatal(err)
	}
	rows := find(t, openLDAP(t, s), map[string]string{"name": "First Person"}, 5)
	out, err := p.Resolve(product.Request{}, p.Expires, rows)
	if err != nil {
		t.Fatal(err)
	}
	if out.SubjectText != "CN=First Person" || !slices.Equal(out.SAN.Email, []string{"first@example.org"}) {
		t.Errorf("got %s, %v", out.SubjectText, out.SAN.Email)
	}
	if _, err := p.Resolve(product.Request{SubjectDN: "CN=Somebody else"}, p.Expires, rows); err == nil {
		t.Error("the record's name can be changed")
	}
}
