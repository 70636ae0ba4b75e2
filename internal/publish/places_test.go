package publish_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

// Where a file can be at one place only, the certificate that was queued last
// stands there, whatever the order of attempts.
func TestTheNewerCertificateWinsAPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.files("{mail}.cer"))
		content := func(want publish.Item) {
			t.Helper()
			raw, err := os.ReadFile(filepath.Join(f.base, "fifth@example.org.cer"))
			if err != nil || string(raw) != string(want.Certificate) {
				t.Fatalf("another certificate is there, %v", err)
			}
		}
		older := f.enqueue(f.item("ord-1", "fifth@example.org", p.ID))
		f.drain()
		content(older)
		f.clock.Advance(time.Hour)
		newer := f.enqueue(f.item("ord-2", "fifth@example.org", p.ID))
		f.drain()
		content(newer)
		f.wantState("ord-1", publish.Replaced)
		f.wantHistory("ord-1", publish.Queued, publish.Done, publish.Superseded)
		f.remove("ord-1")
		f.drain()
		content(newer)
		f.wantState("ord-2", publish.Published)

		// An older one that comes late does not push the newer one out.
		if err := os.Rename(f.base, f.base+"-away"); err != nil {
			t.Fatal(err)
		}
		f.enqueue(f.item("ord-3", "fifth@example.org", p.ID))
		f.drain()
		f.wantState("ord-3", publish.Waiting)
		if err := os.Rename(f.base+"-away", f.base); err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(time.Minute)
		newest := f.item("ord-4", "fifth@example.org", p.ID)
		f.update(func(tx *store.Tx) error {
			// Due before the other one, as after a longer pause of that one.
			return errors.Join(f.Queue(tx, newest), exec(tx, `UPDATE publish_items SET due_at = 0 WHERE object = 'ord-4'`))
		})
		f.drain()
		content(newest)
		f.wantState("ord-4", publish.Published)
		f.wantState("ord-3", publish.Replaced)
	})
}

func exec(tx *store.Tx, statement string) error {
	_, err := tx.Exec(statement)
	return err
}

// Objects of authorities: each CRL takes the place of the one before, and only
// publishers of the whole realm with a place for them take part.
func TestAuthoritiesArePublishedToo(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ldap := f.directory(dir)
		ldap.Settings.LDAP.Authorities = ldapdir.Entry{DN: "cn={cn},ou=authorities,dc=example,dc=org", ObjectClasses: []string{"applicationProcess", "pkiCA"}}
		f.create(ldap)
		files := f.files("")
		files.Settings.File.Names = filedir.Names{Authorities: "{cn}.cer", CRLs: "{cn}.crl"}
		f.create(files)
		other := f.files("{serial}")
		other.Name = "Certificates only"
		f.create(other)
		var crl []byte
		for n := range int64(3) {
			crl = f.ca.CRL(t, n)
			f.update(func(tx *store.Tx) error {
				return errors.Join(f.QueueAuthority(tx, publish.AuthorityItem{Authority: "ca-1", Realm: realm, Certificate: f.ca.DER}),
					f.QueueAuthority(tx, publish.AuthorityItem{Authority: "ca-1", Realm: realm, Certificate: f.ca.DER, CRL: crl}))
			})
			f.later(time.Hour)
		}
		entry := "cn=Issuer,ou=authorities," + publishtest.Base
		if values, _ := dir.Certificates(entry, "certificateRevocationList;binary"); len(values) != 1 || values[0] != string(crl) {
			t.Fatalf("%d lists", len(values))
		}
		if values, _ := dir.Certificates(entry, "cACertificate;binary"); len(values) != 1 {
			t.Fatalf("%d CA certificates", len(values))
		}
		for name, want := range map[string][]byte{"Issuer.cer": f.ca.DER, "Issuer.crl": crl} {
			if raw, err := os.ReadFile(filepath.Join(f.base, name)); err != nil || string(raw) != string(want) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if len(f.told) != 0 {
			t.Fatalf("an order was told: %q", f.told)
		}
		var events int64
		count := func() int64 {
			f.must(db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM publish_events`).Scan(&events))
			return events
		}
		if count() != 4*4 { // two kinds at two places: the certificate once, the list three times, queued and done
			t.Fatalf("%d events", events)
		}
		f.clock.Advance(91 * 24 * time.Hour)
		f.must(f.Sweep(t.Context()))
		if count() != 0 {
			t.Fatalf("%d events after the sweep", events)
		}
		dir.Modify("dn: " + entry + "\nchangetype: delete\n")
	})
}
