package apicert_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

type fixture struct {
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
	desk  *apicert.Desk
	dir   *access.Directory
	owner string       // a service account with a token that ends in a year
	self  access.Scope // its own scope
	token access.Token
}

var admin = access.System("test")

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, clock: clock.NewFake(noon)}
	master, err := keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key"))
	f.check(err)
	vault, err := keys.Open(t.Context(), db, master, f.clock)
	f.check(err)
	signer, err := keys.Generate(keys.Ed25519)
	f.check(err)
	log := audit.New(db, f.clock, signer, "test/audit")
	blobs, err := blob.NewFiles(t.TempDir(), vault)
	f.check(err)
	f.dir, err = access.New(access.Options{
		DB: db, Clock: f.clock, Audit: log, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	})
	f.check(err)
	ca := authority.New(db, vault, log, blobs, f.clock, clock.NewGuard(f.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
	_, err = ca.CreateRoot(t.Context(), authority.Spec{ID: "platform-root", Realm: apicert.Realm, Name: "Root", Org: "Test", Key: keys.P256, Years: 20})
	f.check(err)
	_, err = ca.CreateIssuing(t.Context(), authority.Spec{ID: "platform-api", Realm: apicert.Realm, Name: "API", Org: "Test", Purpose: authority.ClientAuth, Key: keys.RSA2048, Years: 10}, "platform-root")
	f.check(err)
	f.desk = &apicert.Desk{DB: db, Authority: ca, Vault: vault, Audit: log, Clock: f.clock}
	account, err := f.dir.CreateAccount(t.Context(), admin, access.Production, "", access.AccountFields{Name: "robot"})
	f.check(err)
	_, err = f.dir.Grant(t.Context(), admin, account.ID, access.RoleIntegration, access.Production, "")
	f.check(err)
	f.owner = account.ID
	f.token, _, err = f.dir.CreateToken(t.Context(), admin, f.owner, access.TokenFields{Name: "main", Ends: noon.AddDate(1, 0, 0)})
	f.check(err)
	f.self, err = f.dir.ScopeOf(t.Context(), f.owner)
	f.check(err)
	return f
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) create(fields apicert.Fields) (apicert.Certificate, secret.Text) {
	f.t.Helper()
	c, p, err := f.desk.Create(f.t.Context(), f.self, f.owner, fields)
	f.check(err)
	return c, p
}

func (f *fixture) fields() apicert.Fields {
	return apicert.Fields{Nickname: "build server", Ends: noon.AddDate(0, 6, 0)}
}

// D4, D7, D12, D13, D15, D16, D18: the password once, the file once, and it opens.
func TestAKeyFileCanBeHadOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c, word := f.create(f.fields())
		for table, text := range storetest.Dump(t, db) {
			if strings.Contains(text, word.Reveal()) {
				t.Errorf("D7: the password stands in table %s", table)
			}
		}
		var wg sync.WaitGroup
		files := make(chan []byte, 8)
		for range 8 {
			wg.Go(func() {
				if _, file, err := f.desk.Download(t.Context(), f.self, c.ID); err == nil {
					files <- file
				} else if !errors.Is(err, fault.Gone) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(files) != 1 {
			t.Fatalf("D16: %d downloads succeeded", len(files))
		}
		key, leaf, _, err := pkcs12.Decode(<-files, word.Reveal())
		f.check(err)
		if key == nil || leaf.Subject.CommonName != "build server" || !leaf.NotAfter.Equal(noon.AddDate(0, 6, 0)) {
			t.Errorf("%v until %v", leaf.Subject, leaf.NotAfter)
		}
		if leaf.SignatureAlgorithm != x509.SHA256WithRSA {
			t.Errorf("D13: signed with %v by default", leaf.SignatureAlgorithm)
		}
	})
}

func TestEncryptionAndHashCanBeChosen(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for _, c := range []struct {
		profile pkcs12.Profile
		hash    crypto.Hash
		want    x509.SignatureAlgorithm
	}{{pkcs12.Modern, crypto.SHA384, x509.SHA384WithRSA}, {pkcs12.Legacy, crypto.SHA512, x509.SHA512WithRSA}} {
		cert, word := f.create(apicert.Fields{Nickname: c.want.String(), Ends: noon.AddDate(0, 1, 0), Encryption: c.profile, Hash: c.hash})
		_, file, err := f.desk.Download(t.Context(), f.self, cert.ID)
		f.check(err)
		_, leaf, _, err := pkcs12.Decode(file, word.Reveal())
		f.check(err)
		if leaf.SignatureAlgorithm != c.want {
			t.Errorf("D12, D13: %v instead of %v", leaf.SignatureAlgorithm, c.want)
		}
	}
}

// D9, D10: what the form refuses, and the field it names.
func TestFieldsAreChecked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.create(f.fields())
		for name, c := range map[string]struct {
			change      func(*apicert.Fields)
			code, field string
		}{
			"nickname taken":            {func(x *apicert.Fields) { x.Nickname = " Build Server " }, "apicert.nickname_taken", "nickname"},
			"nickname with a slash":     {func(x *apicert.Fields) { x.Nickname = "a/b" }, "apicert.nickname", "nickname"},
			"nickname empty":            {func(x *apicert.Fields) { x.Nickname = "" }, "apicert.nickname", "nickname"},
			"end in the past":           {func(x *apicert.Fields) { x.Ends = noon.Add(-time.Second) }, "apicert.ends", "ends"},
			"end after that of token":   {func(x *apicert.Fields) { x.Ends = noon.AddDate(1, 0, 1) }, "apicert.ends", "ends"},
			"unknown encryption":        {func(x *apicert.Fields) { x.Encryption = "rot13" }, "apicert.encryption", "encryption"},
			"a hash that is not strong": {func(x *apicert.Fields) { x.Hash = crypto.SHA1 }, "apicert.hash", "hash"},
		} {
			fields := apicert.Fields{Nickname: "other", Ends: noon.AddDate(0, 1, 0)}
			c.change(&fields)
			_, _, err := f.desk.Create(t.Context(), f.self, f.owner, fields)
			if x := fault.Of(err); err == nil || x.Code != c.code || x.Field != c.field {
				t.Errorf("%s: %v", name, err)
			}
		}
		// D10: with a later token the later date is allowed.
		_, err := f.dir.UpdateToken(t.Context(), admin, f.token.ID, access.TokenFields{Name: "main", Ends: noon.AddDate(2, 0, 0)})
		f.check(err)
		f.create(apicert.Fields{Nickname: "longer", Ends: noon.AddDate(1, 6, 0)})
	})
}

// D6, contract: an expired, disabled or deleted certificate gives no rights, and neither
// does one whose owner is gone.
func TestACertificateStandsForItsOwnerWhileItMay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c, _ := f.create(f.fields())
		who := func() error {
			owner, _, err := f.desk.Owner(t.Context(), c.Authority, c.Serial)
			if err == nil && owner != f.owner {
				t.Fatalf("it stands for %s", owner)
			}
			return err
		}
		f.check(who())
		f.check(f.desk.SetEnabled(t.Context(), f.self, c.ID, false))
		if err := who(); fault.Of(err).Code != "apicert.disabled" {
			t.Errorf("disabled: %v", err)
		}
		f.check(f.desk.SetEnabled(t.Context(), f.self, c.ID, true))
		f.check(who())
		f.clock.Set(noon.AddDate(0, 6, 1))
		if err := who(); fault.Of(err).Code != "apicert.expired" {
			t.Errorf("D6: expired: %v", err)
		}
		f.clock.Set(noon)
		f.check(f.desk.Delete(t.Context(), f.self, c.ID))
		if err := who(); fault.Of(err).Code != "apicert.deleted" {
			t.Errorf("deleted: %v", err)
		}
		list, err := f.desk.List(t.Context(), f.self, f.owner)
		f.check(err)
		if len(list) != 0 {
			t.Errorf("a deleted certificate is listed")
		}
		f.create(f.fields()) // the nickname is free again
	})
}

func TestNobodyElseSeesOrTakesACertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c, _ := f.create(f.fields())
		account, err := f.dir.CreateAccount(t.Context(), admin, access.Production, "", access.AccountFields{Name: "stranger"})
		f.check(err)
		_, err = f.dir.Grant(t.Context(), admin, account.ID, access.RoleIntegration, access.Production, "")
		f.check(err)
		stranger, err := f.dir.ScopeOf(t.Context(), account.ID)
		f.check(err)
		_, _, download := f.desk.Download(t.Context(), stranger, c.ID)
		_, get := f.desk.Get(t.Context(), stranger, c.ID)
		_, list := f.desk.List(t.Context(), stranger, f.owner)
		_, _, create := f.desk.Create(t.Context(), stranger, f.owner, apicert.Fields{Nickname: "x", Ends: noon.AddDate(0, 1, 0)})
		for name, err := range map[string]error{
			"download": download, "get": get, "list": list, "create": create,
			"disable": f.desk.SetEnabled(t.Context(), stranger, c.ID, false), "delete": f.desk.Delete(t.Context(), stranger, c.ID),
		} {
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%s by a stranger: %v", name, err)
			}
		}
		if _, _, err := f.desk.Download(t.Context(), f.self, c.ID); err != nil {
			t.Errorf("the owner: %v", err)
		}
	})
}

func TestACrashWhileMakingLeavesNothingUsable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		crash := errors.New("crash")
		n := 0
		db.Interpose(func(update func() error) error {
			if n++; n == 2 {
				return crash
			}
			return update()
		})
		if _, _, err := f.desk.Create(t.Context(), f.self, f.owner, f.fields()); !errors.Is(err, crash) {
			t.Fatal(err)
		}
		db.Interpose(nil)
		f.clock.Advance(time.Hour)
		f.check(f.desk.Sweep(t.Context()))
		var open int64
		f.check(db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM certificates WHERE kind = 'api' AND status IN ('intent', 'valid')`).Scan(&open))
		if open != 0 {
			t.Errorf("%d certificates are left", open)
		}
		f.create(f.fields())
	})
}
