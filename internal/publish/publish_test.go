package publish_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

const attribute = "userCertificate;binary"

// A19, A103, A170, A171, A173: issued, published into several places, revoked,
// removed; every step stands in the history.
func TestACertificateIsPublishedAndRemovedWhenRevoked(t *testing.T) {
	dir, ssh := publishtest.StartDirectory(t), publishtest.StartSSH(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ldap, file := f.create(f.directory(dir)), f.create(f.files("{serial}.cer"))
		remote := f.create(publish.Fields{Name: "Remote", Key: secret.New(ssh.Key), Internal: []string{"127.0.0.1", "::1"}, Settings: publish.Settings{SFTP: &sftpdir.Settings{
			Host: "localhost", Port: ssh.Port, User: ssh.User, HostKeys: []string{ssh.HostKey}, Directory: ssh.Folder, Timeout: 5, Names: filedir.Names{Certificates: "{order}-{field.unit}.pem", Format: filedir.PEM},
		}}})
		it := f.item("ord-1", "second@example.org", ldap.ID, file.ID, remote.ID)
		it.Facts = map[string]string{"unit": "R&D"}
		f.enqueue(it)
		f.enqueue(it) // twice is once
		f.drain()
		entry := "mail=second@example.org," + publishtest.People
		if !dir.Holds(entry, attribute, it.Certificate) {
			t.Fatal("not in the directory")
		}
		files, _ := filepath.Glob(filepath.Join(f.base, "*.cer"))
		uploaded, err := os.ReadFile(filepath.Join(ssh.Folder, "ord-1-R%26D.pem"))
		if len(files) != 1 || err != nil || !strings.HasPrefix(string(uploaded), "-----BEGIN CERTIFICATE") {
			t.Fatalf("files %q, %v", files, err)
		}
		sum, list, err := f.Status(t.Context(), system, realm, f.north.ID, "ord-1")
		f.must(err)
		if sum != publish.AllPublished || len(list) != 3 || list[0].Place != attribute+" "+entry || list[0].PublisherName != "Directory" || list[0].Attempts != 1 {
			t.Fatalf("%s %+v", sum, list)
		}
		if !slices.Equal(f.told, []string{"ord-1 published", "ord-1 published", "ord-1 published"}) || f.audited("publish.done") != 3 {
			t.Fatalf("told %q", f.told)
		}

		f.remove("ord-1")
		f.remove("ord-1")
		f.drain()
		if _, exists := dir.Certificates(entry, attribute); exists {
			t.Fatal("still in the directory")
		}
		files, _ = filepath.Glob(filepath.Join(f.base, "*"))
		uploads, _ := filepath.Glob(filepath.Join(ssh.Folder, "*"))
		if len(files)+len(uploads) != 0 {
			t.Fatalf("left behind: %q %q", files, uploads)
		}
		if sum, _, err = f.Status(t.Context(), system, realm, f.north.ID, "ord-1"); err != nil || sum != publish.NotPublished || f.audited("publish.removed") != 3 {
			t.Fatal(sum, err)
		}
		want := map[publish.EventKind]int{publish.Queued: 3, publish.Done: 3, publish.RemovalQueued: 3, publish.Gone: 3}
		got := map[publish.EventKind]int{}
		for _, e := range f.history("ord-1") {
			got[e]++
		}
		for k, n := range want {
			if got[k] != n || len(got) != len(want) {
				t.Fatalf("history %v", got)
			}
		}
		if len(f.told) != 6 || f.told[5] != "ord-1 removed" {
			t.Fatalf("told %q", f.told)
		}
	})
}

// A48, A133, A153, A172, RA operations 26 and 27: by hand, and refused when it is so already.
func TestPublishingByHand(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.files("{serial}"))
		ra := f.operator("ra", access.RoleRAOperator, realm, f.north.ID)
		it := f.item("ord-1", "", p.ID)
		ctx := t.Context()
		f.want(f.Unpublish(ctx, ra, realm, f.north.ID, "ord-1"), fault.Conflict, "publish.not_published")
		f.want(f.Publish(ctx, ra, f.item("ord-1", "")), fault.Conflict, "publish.none")
		f.must(f.Publish(ctx, ra, it))
		f.want(f.Publish(ctx, ra, it), fault.Conflict, "publish.already")
		f.drain()
		f.want(f.Publish(ctx, ra, it), fault.Conflict, "publish.already")
		f.wantState("ord-1", publish.Published)
		f.must(f.Unpublish(ctx, ra, realm, f.north.ID, "ord-1"))
		f.want(f.Unpublish(ctx, ra, realm, f.north.ID, "ord-1"), fault.Conflict, "publish.not_published")
		f.drain()
		f.wantState("ord-1", publish.Removed)
		f.want(f.Unpublish(ctx, ra, realm, f.north.ID, "ord-1"), fault.Conflict, "publish.not_published")
		f.must(f.Publish(ctx, ra, it))
		// Changed one's mind before anything was done.
		f.must(f.Unpublish(ctx, ra, realm, f.north.ID, "ord-1"))
		f.drain()
		f.wantState("ord-1", publish.Removed)
		f.must(f.Publish(ctx, ra, it))
		f.drain()
		f.wantState("ord-1", publish.Published)
		list, _, err := f.History(ctx, ra, realm, f.north.ID, "ord-1", store.Page{})
		f.must(err)
		if list[0].Actor != "ra" || list[1].Actor == "ra" || f.audited("publish.request") != 3 || f.audited("publish.withdraw") != 2 {
			t.Fatalf("%+v", list)
		}

		// A certificate that waits and was never tried simply does not go.
		f.enqueue(f.item("ord-2", "", p.ID))
		f.remove("ord-2")
		f.wantState("ord-2", publish.Removed)
		f.wantHistory("ord-2", publish.Queued, publish.RemovalQueued, publish.Gone)
		f.remove("ord-3") // nothing is known of it

		// Nor does one that was given up come back once it is revoked.
		named := f.files("{mail}")
		named.Name = "By mail"
		f.enqueue(f.item("ord-4", "", f.create(named).ID))
		f.drain()
		f.wantState("ord-4", publish.Failed)
		f.remove("ord-4")
		f.wantState("ord-4", publish.Removed)
		f.want(f.Resend(ctx, ra, realm, f.north.ID, "ord-4"), fault.Conflict, "publish.not_failed")
	})
}

func TestNobodyActsOrLooksAcrossClients(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.files("{serial}"))
		it := f.enqueue(f.item("ord-1", "", p.ID))
		f.drain()
		ctx, south := t.Context(), f.operator("south", access.RoleAdministrator, realm, f.south.ID)
		orderer := f.operator("orderer", access.RoleOrdererSelf, realm, f.north.ID)
		f.want(f.Publish(ctx, south, it), fault.NotFound, "")
		f.want(f.Unpublish(ctx, south, realm, f.north.ID, "ord-1"), fault.NotFound, "")
		f.want(f.Unpublish(ctx, south, realm, f.south.ID, "ord-1"), fault.NotFound, "")
		f.want(f.Resend(ctx, south, realm, f.south.ID, "ord-1"), fault.NotFound, "")
		f.want(f.Unpublish(ctx, orderer, realm, f.north.ID, "ord-1"), fault.Forbidden, "")
		f.want(f.Publish(ctx, orderer, it), fault.Forbidden, "")
		_, _, err := f.Status(ctx, south, realm, f.south.ID, "ord-1")
		f.want(err, fault.NotFound, "")
		_, _, err = f.History(ctx, south, realm, f.south.ID, "ord-1", store.Page{})
		f.want(err, fault.NotFound, "")
		_, _, err = f.History(ctx, south, realm, f.north.ID, "ord-1", store.Page{})
		f.want(err, fault.NotFound, "")

		// Publishers of one client do not serve another.
		own := f.directoryOf(f.south.ID)
		theirs := f.item("ord-2", "", own.ID)
		err = db.Update(ctx, func(tx *store.Tx) error { return f.Queue(tx, theirs) })
		f.want(err, fault.Invalid, "publisher.unknown")
		f.want(f.Check(db.View(ctx), realm, f.north.ID, []string{own.ID}), fault.Invalid, "publisher.unknown")
		f.must(f.Check(db.View(ctx), realm, f.south.ID, []string{own.ID, p.ID}))
		f.want(f.Check(db.View(ctx), access.Preprod, f.south.ID, []string{own.ID}), fault.Invalid, "publisher.unknown")
		list, _, err := f.List(ctx, south, publish.Query{})
		f.must(err)
		if len(list) != 1 || list[0].ID != own.ID {
			t.Fatalf("South sees %+v", list)
		}
		_, err = f.Get(ctx, south, p.ID)
		if err == nil {
			t.Fatal("South reads the realm's publisher")
		}
		_, err = f.Get(ctx, orderer, own.ID)
		f.want(err, fault.NotFound, "")
	})
}

// directoryOf makes a harmless publisher of one client.
func (f *fixture) directoryOf(client string) publish.Publisher {
	f.t.Helper()
	p, err := f.Create(f.t.Context(), system, realm, client, publish.Fields{Name: "Own", Settings: publish.Settings{LDAP: &ldapdir.Settings{
		Host: "ldap.example.org", Certificates: ldapdir.Entry{DN: "cn={cn},dc=example"},
	}}})
	f.must(err)
	return p
}

func TestSummariesOfManyOrders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.files("{serial}"))
		for _, o := range []string{"ord-1", "ord-2", "ord-3"} {
			f.enqueue(f.item(o, "", p.ID))
		}
		f.drain()
		f.remove("ord-2")
		f.remove("ord-3")
		f.drain()
		f.enqueue(f.item("ord-3", "", p.ID))
		got, err := f.Summarise(db.View(t.Context()), []string{"ord-1", "ord-2", "ord-3", "ord-4", "ord-5"})
		f.must(err)
		if len(got) != 2 || got["ord-1"] != publish.AllPublished || got["ord-3"] != publish.UnderWay {
			t.Fatalf("%v", got)
		}
	})
}

func TestTheHistoryIsPaged(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	p := f.create(f.files("{serial}"))
	it := f.item("ord-1", "", p.ID)
	for range 3 {
		f.enqueue(it)
		f.drain()
		f.remove("ord-1")
		f.drain()
	}
	want := f.history("ord-1")
	var got []publish.EventKind
	for cursor := ""; ; {
		list, next, err := f.History(t.Context(), system, realm, f.north.ID, "ord-1", store.Page{Limit: 5, Cursor: cursor})
		f.must(err)
		for _, e := range list {
			got = append(got, e.Event)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if len(got) != 12 || !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// A certificate that lacks what the template asks for never gets there, and
// that is known at once.
func TestAMissingFactFailsAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.files("{mail}"))
		f.enqueue(f.item("ord-1", "", p.ID))
		f.drain()
		f.wantState("ord-1", publish.Failed)
		f.wantHistory("ord-1", publish.Queued, publish.GaveUp)
		_, list, err := f.Status(t.Context(), system, realm, f.north.ID, "ord-1")
		f.must(err)
		if !strings.Contains(list[0].LastError, "no mail") || !slices.Equal(f.told, []string{"ord-1 failed"}) {
			t.Fatalf("%q, told %q", list[0].LastError, f.told)
		}
		// The template is mended, and the certificate sent again.
		_, err = f.Update(t.Context(), system, p.ID, f.files("{mail|serial}"))
		f.must(err)
		ra := f.operator("ra", access.RoleRAOperator, realm, f.north.ID)
		f.must(f.Resend(t.Context(), ra, realm, f.north.ID, "ord-1"))
		f.drain()
		f.wantState("ord-1", publish.Published)
		f.want(f.Resend(t.Context(), ra, realm, f.north.ID, "ord-1"), fault.Conflict, "publish.not_failed")
	})
}
