package publish_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
	"github.com/sealwright/sealwright/internal/publish/sftpdir"
)

// ldapFields are those of a directory on the public internet.
func ldapFields(name string) publish.Fields {
	return publish.Fields{Name: name, Password: secret.New("mallard-42-secret"), Settings: publish.Settings{LDAP: &ldapdir.Settings{
		Host: "ldap.example.org", BindDN: "cn=admin,dc=example", Certificates: ldapdir.Entry{DN: "mail={mail},dc=example"},
	}}}
}

func TestFieldsOfAPublisherAreChecked(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	private, public := publishtest.KeyPair(t)
	sftp := func() publish.Fields {
		return publish.Fields{Name: "S", Key: secret.New(private), Settings: publish.Settings{SFTP: &sftpdir.Settings{
			Host: "sftp.example.org", User: "ca", HostKeys: []string{public}, Directory: "in", Names: filedir.Names{Certificates: "{serial}"},
		}}}
	}
	cases := []struct {
		name, field string
		fields      func() publish.Fields
	}{
		{"no name", "name", func() publish.Fields { x := ldapFields(" "); return x }},
		{"a name with a line break", "name", func() publish.Fields { return ldapFields("a\nb") }},
		{"a name without end", "name", func() publish.Fields { return ldapFields(strings.Repeat("x", 121)) }},
		{"no settings", "kind", func() publish.Fields { x := ldapFields("x"); x.Settings = publish.Settings{}; return x }},
		{"settings of two kinds", "kind", func() publish.Fields {
			x := ldapFields("x")
			x.Settings.SFTP = sftp().Settings.SFTP
			return x
		}},
		{"a second to try", "give_up", func() publish.Fields { x := ldapFields("x"); x.GiveUp = time.Second; return x }},
		{"a year to try", "give_up", func() publish.Fields { x := ldapFields("x"); x.GiveUp = 9000 * time.Hour; return x }},
		{"a bind DN without password", "password", func() publish.Fields { x := ldapFields("x"); x.Password = secret.Text{}; return x }},
		{"a password without bind DN", "ldap.bind_dn", func() publish.Fields { x := ldapFields("x"); x.Settings.LDAP.BindDN = ""; return x }},
		{"a key for a directory", "key", func() publish.Fields { x := ldapFields("x"); x.Key = secret.New(private); return x }},
		{"bad LDAP settings", "ldap.host", func() publish.Fields { x := ldapFields("x"); x.Settings.LDAP.Host = "a b"; return x }},
		{"a password for a folder", "password", func() publish.Fields { x := f.files("{serial}"); x.Password = secret.New("x"); return x }},
		{"a folder that is not allowed", "file.directory", func() publish.Fields { x := f.files("{serial}"); x.Settings.File.Directory = "/etc"; return x }},
		{"SFTP without secret", "password", func() publish.Fields { x := sftp(); x.Key = secret.Text{}; return x }},
		{"a key that is none", "key", func() publish.Fields { x := sftp(); x.Key = secret.New("hello"); return x }},
		{"bad SFTP settings", "sftp.user", func() publish.Fields { x := sftp(); x.Settings.SFTP.User = ""; return x }},
		{"an internal range that is none", "internal", func() publish.Fields { x := ldapFields("x"); x.Internal = []string{"intranet"}; return x }},
		{"an internal range that is public", "internal", func() publish.Fields { x := ldapFields("x"); x.Internal = []string{"9.9.9.9"}; return x }},
		{"every address", "internal", func() publish.Fields { x := ldapFields("x"); x.Internal = []string{"0.0.0.0/0"}; return x }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.Create(t.Context(), system, realm, "", c.fields())
			f.want(err, fault.Invalid, "")
			if fault.Of(err).Field != c.field {
				t.Fatalf("field %q, want %q (%v)", fault.Of(err).Field, c.field, err)
			}
		})
	}
	if _, err := f.Create(t.Context(), system, "nowhere", "", ldapFields("x")); fault.Of(err).Field != "realm" {
		t.Fatal(err)
	}
	if _, err := f.Create(t.Context(), system, realm, "", sftp()); err != nil {
		t.Fatal(err)
	}
	strict := f.newNode(func(o *publish.Options) { o.PlainLDAP, o.Directories = false, nil })
	plain := ldapFields("x")
	plain.Settings.LDAP.Security = ldapdir.Plain
	_, err := strict.Create(t.Context(), system, realm, "", plain)
	if f.want(err, fault.Invalid, ""); fault.Of(err).Field != "ldap.security" {
		t.Fatal(err)
	}
	if _, err := f.Create(t.Context(), system, realm, "", plain); err != nil {
		t.Fatal(err)
	}
}

// Secrets go in and never come out: not in the database in clear, not in what
// is read, not in JSON, and not to another address than they were given for.
func TestSecretsOfAPublisherStayInside(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx := t.Context()
		p := f.create(ldapFields("Directory"))
		for table, text := range storetest.Dump(t, db) {
			if strings.Contains(text, "mallard-42") {
				t.Errorf("the password stands in table %s", table)
			}
		}
		got, err := f.Get(ctx, system, p.ID)
		f.must(err)
		if shown := fmt.Sprintf("%+v", got); strings.Contains(shown, "mallard") || !got.HasSecret {
			t.Fatal(shown)
		}
		if b, err := json.Marshal(got); err != nil || strings.Contains(string(b), "mallard") {
			t.Fatal(string(b), err)
		}
		sealed := func() string {
			var b []byte
			f.must(db.View(ctx).QueryRow(`SELECT secret FROM publish_publishers WHERE id = $1`, p.ID).Scan(&b))
			return string(b)
		}
		before := sealed()
		if _, err := f.vault.Open("publish.secret/pub-other", []byte(before)); err == nil {
			t.Fatal("the secret opens for another publisher")
		}

		same := ldapFields("Renamed")
		same.Password, same.Settings.LDAP.Certificates.DN = secret.Text{}, "cn={cn},dc=example"
		if _, err := f.Update(ctx, system, p.ID, same); err != nil || sealed() != before {
			t.Fatalf("a change of the name lost the secret: %v", err)
		}
		for name, change := range map[string]func(*ldapdir.Settings){
			"host": func(s *ldapdir.Settings) { s.Host = "evil.example.org" }, "port": func(s *ldapdir.Settings) { s.Port = 1636 },
			"security": func(s *ldapdir.Settings) { s.Security = ldapdir.Plain }, "roots": func(s *ldapdir.Settings) { s.Roots = f.ca.PEM },
			"server name": func(s *ldapdir.Settings) { s.ServerName = "evil.example.org" }, "account": func(s *ldapdir.Settings) { s.BindDN = "cn=x" },
		} {
			x := ldapFields("Directory")
			x.Password = secret.Text{}
			change(x.Settings.LDAP)
			if _, err := f.Update(ctx, system, p.ID, x); fault.Of(err).Field != "password" {
				t.Errorf("%s changed and the secret went along: %v", name, err)
			}
		}
		anonymous := ldapFields("Directory")
		anonymous.Password, anonymous.Settings.LDAP.BindDN = secret.Text{}, ""
		if row, err := f.Update(ctx, system, p.ID, anonymous); err != nil || row.HasSecret || sealed() != "" {
			t.Fatalf("without an account the secret stayed: %v", err)
		}
		_, err = f.Update(ctx, system, p.ID, f.files("{serial}"))
		f.want(err, fault.Invalid, "")
	})
}

// Whoever runs one client sets up what reaches public servers, and nothing that
// reaches into the installation.
func TestSensitivePublishersAreForTheInstallationsAdministrators(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx := t.Context()
		admin, ra := f.operator("admin", access.RoleAdministrator, realm, f.north.ID), f.operator("ra", access.RoleRAOperator, realm, "")
		own, err := f.Create(ctx, admin, realm, f.north.ID, ldapFields("Own"))
		f.must(err)
		_, err = f.Create(ctx, ra, realm, f.north.ID, ldapFields("RA"))
		f.want(err, fault.Forbidden, "")
		_, err = f.Create(ctx, admin, realm, f.south.ID, ldapFields("South"))
		f.want(err, fault.NotFound, "")
		_, err = f.Create(ctx, admin, realm, "", ldapFields("All"))
		f.want(err, fault.Forbidden, "")
		internal, plain := ldapFields("Internal"), ldapFields("Plain")
		internal.Internal, plain.Settings.LDAP.Security = []string{"10.0.0.0/24"}, ldapdir.Plain
		for _, x := range []publish.Fields{f.files("{serial}"), internal, plain} {
			_, err := f.Create(ctx, admin, realm, f.north.ID, x)
			f.want(err, fault.Forbidden, "publisher.sensitive")
			_, err = f.Update(ctx, admin, own.ID, x)
			f.want(err, fault.Forbidden, "publisher.sensitive")
		}
		// Nor does one who may not make such a publisher change or try one that is there.
		given, err := f.Create(ctx, system, realm, f.north.ID, internal)
		f.must(err)
		_, err = f.Update(ctx, admin, given.ID, ldapFields("Internal"))
		f.want(err, fault.Forbidden, "publisher.sensitive")
		f.want(f.Test(ctx, admin, given.ID), fault.Forbidden, "publisher.sensitive")
		if got, err := f.Get(ctx, admin, given.ID); err != nil || got.Internal[0] != "10.0.0.0/24" {
			t.Fatal(got, err)
		}
		f.want(f.SetEnabled(ctx, ra, own.ID, false), fault.Forbidden, "")
		f.want(f.Delete(ctx, ra, own.ID), fault.Forbidden, "")
		f.must(f.Delete(ctx, admin, own.ID))
		if f.audited("publisher.create") != 2 || f.audited("publisher.delete") != 1 {
			t.Fatal("the audit log is incomplete")
		}
	})
}

func TestPublishersAreListedByNameInPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx := t.Context()
		for _, n := range []string{"delta", "Alpha", "charlie", "Bravo 100%", "Écho"} {
			f.create(ldapFields(n))
		}
		_, err := f.Create(ctx, system, realm, "", ldapFields("ALPHA"))
		f.want(err, fault.Conflict, "publisher.exists")
		if _, err := f.Create(ctx, system, realm, f.north.ID, ldapFields("Alpha")); err != nil {
			t.Fatal(err)
		}
		var names []string
		for cursor := ""; ; {
			list, next, err := f.List(ctx, system, publish.Query{Realm: realm, Page: store.Page{Limit: 2, Cursor: cursor}})
			f.must(err)
			for _, p := range list {
				names = append(names, p.Name)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if got := strings.Join(names, ","); !strings.HasPrefix(got, "Alpha,Alpha,Bravo 100%,charlie,delta") || len(names) != 6 {
			t.Fatal(got)
		}
		if list, _, err := f.List(ctx, system, publish.Query{Search: "0%"}); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if list, _, err := f.List(ctx, system, publish.Query{Realm: access.Preprod}); err != nil || len(list) != 0 {
			t.Fatal(list, err)
		}
		other := f.create(ldapFields("foxtrot"))
		_, err = f.Update(ctx, system, other.ID, ldapFields("delta"))
		f.want(err, fault.Conflict, "publisher.exists")
	})
}

func TestAPublisherInUseIsNotDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx := t.Context()
		p := f.create(f.files("{serial}"))
		f.enqueue(f.item("ord-1", "", p.ID))
		f.want(f.Delete(ctx, system, p.ID), fault.Conflict, "publisher.in_use")
		f.drain()
		f.want(f.Delete(ctx, system, p.ID), fault.Conflict, "publisher.in_use")
		f.remove("ord-1")
		f.want(f.Delete(ctx, system, p.ID), fault.Conflict, "publisher.in_use")
		f.drain()
		f.InUse = func(store.Queryer, string) (string, error) { return "the product S/MIME", nil }
		if err := f.Delete(ctx, system, p.ID); !strings.Contains(fault.Of(err).Message, "the product S/MIME") {
			t.Fatal(err)
		}
		f.InUse = nil
		f.must(f.Delete(ctx, system, p.ID))
		f.want(f.Delete(ctx, system, p.ID), fault.NotFound, "")
		_, err := f.Get(ctx, system, p.ID)
		f.want(err, fault.NotFound, "")
		err = db.Update(ctx, func(tx *store.Tx) error { return f.Queue(tx, f.item("ord-2", "", p.ID)) })
		f.want(err, fault.Invalid, "publisher.unknown")
		f.wantHistory("ord-1", publish.Queued, publish.Done, publish.RemovalQueued, publish.Gone) // stays readable
		f.create(f.files("{serial}"))                                                             // its name is free again

		// What came in while it was deleted is ended by the sweep.
		f.update(func(tx *store.Tx) error { return exec(tx, `UPDATE publish_items SET state = 'waiting'`) })
		f.must(f.Sweep(ctx))
		f.must(f.Sweep(ctx))
		f.wantState("ord-1", publish.Failed)
	})
}

func TestADisabledPublisherKeepsItsWork(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx := t.Context()
		p := f.create(f.files("{serial}"))
		f.must(f.SetEnabled(ctx, system, p.ID, false))
		f.must(f.SetEnabled(ctx, system, p.ID, false))
		f.enqueue(f.item("ord-1", "", p.ID))
		f.later(30 * 24 * time.Hour)
		f.wantState("ord-1", publish.Waiting)
		f.must(f.SetEnabled(ctx, system, p.ID, true))
		f.drain()
		f.wantState("ord-1", publish.Published)
		if f.audited("publisher.disable") != 1 || f.audited("publisher.enable") != 1 {
			t.Fatal("the audit log is wrong")
		}
	})
}

func TestAPublisherCanBeTested(t *testing.T) {
	dir, ssh := publishtest.StartDirectory(t), publishtest.StartSSH(t)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	ctx := t.Context()
	ldap := f.create(f.directory(dir))
	file := f.create(f.files("{serial}"))
	remote := f.create(publish.Fields{Name: "Remote", Key: secret.New(ssh.Key), Internal: []string{"127.0.0.1", "::1"}, Settings: publish.Settings{SFTP: &sftpdir.Settings{
		Host: "localhost", Port: ssh.Port, User: ssh.User, HostKeys: []string{ssh.HostKey}, Directory: ssh.Folder, Timeout: 5, Names: filedir.Names{Certificates: "{serial}"},
	}}})
	for _, p := range []publish.Publisher{ldap, file, remote} {
		if err := f.Test(ctx, system, p.ID); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	wrong := f.directory(dir)
	wrong.Password = secret.New("not-the-password")
	_, err := f.Update(ctx, system, ldap.ID, wrong)
	f.must(err)
	err = f.Test(ctx, system, ldap.ID)
	f.want(err, fault.Unavailable, "publisher.test")
	if m := fault.Of(err).Message; !strings.Contains(m, "(49)") || strings.Contains(m, "not-the-password") {
		t.Fatal(m)
	}
	dir.Down()
	f.want(f.Test(ctx, system, ldap.ID), fault.Unavailable, "publisher.test")
	if f.audited("publisher.test") != 5 {
		t.Fatalf("%d tests in the audit log", f.audited("publisher.test"))
	}
}
