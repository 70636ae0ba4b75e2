package product_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/product"
)

type world struct {
	db       *store.DB
	audit    *audit.Log
	products *product.Products
}

func newWorld(db *store.DB) *world {
	c := clock.NewFake(time.Date(2026, time.September, 1, 0, 0, 0, 0, time.UTC))
	log := audit.New(db, c, nil, "log.example.com/audit")
	return &world{db, log, product.New(db, log, c)}
}

var system = access.System("test")

// as is a caller with rights in one client only.
func as(client string, ps ...access.Permission) access.Scope {
	return access.ForService(access.Service{ID: "svc-1", Realm: access.Production, Client: client, Name: "svc"}, ps...)
}

func draft(t *testing.T, name, client string) *product.Product {
	t.Helper()
	template, err := product.ReadyTemplate("tls-client")
	if err != nil {
		t.Fatal(err)
	}
	p, err := template.Product(name, access.Production, client, "ca-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) create(t *testing.T, name, client string) *product.Product {
	t.Helper()
	p, err := w.products.Create(t.Context(), system, draft(t, name, client), "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) actions(t *testing.T) []string {
	t.Helper()
	rows, err := w.db.View(t.Context()).Query(`SELECT action FROM audit_entries ORDER BY id`)
	out, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVersionsNeverChange(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		first := w.create(t, "One", "cli-1")
		if !strings.HasPrefix(first.ID, "pma-") || first.Version != 1 {
			t.Fatalf("%+v", first)
		}
		next := *first
		next.Name = "Two"
		next.Definition.Validity.Value = 2
		second, err := w.products.Change(ctx, system, first.ID, 1, &next, "longer")
		if err != nil || second.Version != 2 {
			t.Fatal(second, err)
		}
		if _, err := w.products.Change(ctx, system, first.ID, 1, &next, ""); fault.Of(err).Code != "product.changed" {
			t.Errorf("a change of an old version: %v", err)
		}
		current, err := w.products.Current(ctx, first.ID)
		if err != nil || current.Name != "Two" || current.Version != 2 {
			t.Errorf("current is %+v, %v", current, err)
		}
		// A new node has nothing in memory.
		for _, products := range []*product.Products{w.products, newWorld(db).products} {
			old, err := products.At(ctx, first.ID, 1)
			if err != nil || old.Name != "One" || old.Definition.Validity.Value != 1 {
				t.Errorf("version 1 is %+v, %v", old, err)
			}
			if d := product.Diff(first, old); len(d) != 0 {
				t.Errorf("version 1 changed: %v", d)
			}
		}
		if _, err := w.products.At(ctx, first.ID, 3); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
		versions, err := w.products.Versions(ctx, system, first.ID)
		if err != nil || len(versions) != 2 || versions[0].Version != 2 || versions[0].Note != "longer" || versions[0].Author != "test" {
			t.Errorf("versions %+v, %v", versions, err)
		}
		moved := *second
		moved.Client = "cli-2"
		if _, err := w.products.Change(ctx, system, first.ID, 2, &moved, ""); fault.Of(err).Code != "product.moved" {
			t.Error(err)
		}
		if got := w.actions(t); !slices.Equal(got, []string{"product.create", "product.change"}) {
			t.Errorf("audit %v", got)
		}
	})
}

func TestAProductWithErrorsIsNotStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(db)
		bad := draft(t, "", "cli-1")
		bad.Definition.Key.Generation = "X"
		_, err := w.products.Create(t.Context(), system, bad, "")
		var r *product.Refusal
		if !errors.As(err, &r) || len(r.Problems) != 2 || r.Problems[0].Field != "key.generation" || r.Problems[1].Field != "name" {
			t.Errorf("got %v", err)
		}
		if len(w.actions(t)) != 0 {
			t.Error("something was written")
		}
	})
}

func TestRetiredProductsTakeNoOrders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		p := w.create(t, "One", "cli-1")
		for range 2 {
			if err := w.products.Retire(ctx, system, p.ID, true); err != nil {
				t.Fatal(err)
			}
		}
		gone, err := w.products.For(ctx, access.Production, "cli-1", p.ID)
		if err != nil || !gone.Retired {
			t.Fatal(gone, err)
		}
		request := product.Request{Fields: map[string][]string{"subject.CN": {"x"}}}
		if _, err := gone.Resolve(request, time.Now(), nil); fault.Of(err).Code != "product.retired" {
			t.Error(err)
		}
		if list, _, err := w.products.List(ctx, system, product.Query{}); err != nil || len(list) != 0 {
			t.Errorf("the list shows %v, %v", list, err)
		}
		if list, _, err := w.products.List(ctx, system, product.Query{Retired: true}); err != nil || len(list) != 1 || !list[0].Retired {
			t.Errorf("the list of all shows %v, %v", list, err)
		}
		if err := w.products.Retire(ctx, system, p.ID, false); err != nil {
			t.Fatal(err)
		}
		back, err := w.products.Current(ctx, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := back.Resolve(request, time.Now(), nil); err != nil {
			t.Error(err)
		}
		if got := w.actions(t); !slices.Equal(got, []string{"product.create", "product.retire", "product.resume"}) {
			t.Errorf("audit %v", got)
		}
	})
}

// N9 for products: what belongs to another client does not exist.
func TestProductsOfOthersDoNotExist(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		mine, theirs, shared := w.create(t, "Mine", "cli-1"), w.create(t, "Theirs", "cli-2"), w.create(t, "Shared", "")
		hidden := func(name string, err error) {
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for id, ok := range map[string]bool{mine.ID: true, theirs.ID: false, shared.ID: true} {
			if _, err := w.products.For(ctx, access.Production, "cli-1", id); (err == nil) != ok {
				t.Errorf("%s: %v", id, err)
			}
		}
		_, err := w.products.For(ctx, access.Preprod, "cli-1", mine.ID)
		hidden("another realm", err)
		every := access.Permissions()
		_, err = w.products.Create(ctx, access.Scope{}, draft(t, "x", "cli-1"), "")
		if err == nil {
			t.Error("nobody creates a product")
		}
		// A scope of a service covers no client: it reads and writes no product.
		sc := as("cli-1", every...)
		_, err = w.products.Get(ctx, sc, theirs.ID)
		hidden("get", err)
		_, err = w.products.Version(ctx, sc, theirs.ID, 1)
		hidden("version", err)
		_, err = w.products.Versions(ctx, sc, theirs.ID)
		hidden("versions", err)
		_, err = w.products.Change(ctx, sc, theirs.ID, 1, theirs, "")
		hidden("change", err)
		hidden("retire", w.products.Retire(ctx, sc, theirs.ID, true))
		_, _, err = w.products.List(ctx, sc, product.Query{Realm: access.Production, Clients: []string{"cli-2"}})
		hidden("list", err)
		if list, _, err := w.products.List(ctx, sc, product.Query{}); err != nil || len(list) != 0 {
			t.Errorf("the list shows %v, %v", list, err)
		}
		list, _, err := w.products.List(ctx, system, product.Query{Realm: access.Production, Clients: []string{"cli-1"}})
		if err != nil || names(list) != "Mine Shared" {
			t.Errorf("the list of a client shows %s, %v", names(list), err)
		}
	})
}

// directory opens the accounts of people.
func (w *world) directory(t *testing.T) *access.Directory {
	t.Helper()
	dir, err := access.New(access.Options{
		DB: w.db, Clock: clock.NewFake(time.Now()), Audit: w.audit, Sealer: noSealer{}, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func newClient(t *testing.T, dir *access.Directory, name, number string) string {
	t.Helper()
	c, err := dir.CreateClient(t.Context(), system, access.Production, access.ClientFields{Name: name, Country: "DK", OrgNumber: number})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// operator is somebody with a role in one client.
func operator(t *testing.T, dir *access.Directory, name, role, client string) access.Scope {
	t.Helper()
	ctx := t.Context()
	account, err := dir.CreateAccount(ctx, system, access.Production, client, access.AccountFields{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Grant(ctx, system, account.ID, role, access.Production, client); err != nil {
		t.Fatal(err)
	}
	sc, err := dir.ScopeOf(ctx, account.ID)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// noSealer is no vault: nothing secret is stored here.
type noSealer struct{}

func (noSealer) Seal(_ string, p []byte) ([]byte, error) { return p, nil }
func (noSealer) Open(_ string, p []byte) ([]byte, error) { return p, nil }

// A39, A42, A71: an operator of a client orders that client's products and the
// shared ones, and an administrator of a client changes its own only.
func TestOperatorsSeeTheProductsOfTheirClients(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		dir := w.directory(t)
		north, south := newClient(t, dir, "North", "1"), newClient(t, dir, "South", "2")
		mine, theirs, shared := w.create(t, "Mine", north), w.create(t, "Theirs", south), w.create(t, "Shared", "")
		ra := operator(t, dir, "ra", access.RoleRAOperator, north)
		list, _, err := w.products.List(ctx, ra, product.Query{Realm: access.Production, Clients: []string{north}, Right: access.CertificateOrder})
		if err != nil || names(list) != "Mine Shared" {
			t.Errorf("an operator sees %q, %v", names(list), err)
		}
		if _, _, err := w.products.List(ctx, ra, product.Query{Realm: access.Production, Clients: []string{north, south}, Right: access.CertificateOrder}); !errors.Is(err, fault.NotFound) {
			t.Errorf("the products of another client: %v", err)
		}
		if list, _, err := w.products.List(ctx, ra, product.Query{Right: access.CertificateOrder}); err != nil || names(list) != "Mine" {
			t.Errorf("without a client an operator sees %q, %v", names(list), err)
		}
		admin := operator(t, dir, "admin", access.RoleAdministrator, north)
		for id, ok := range map[string]bool{mine.ID: true, theirs.ID: false, shared.ID: false} {
			if err := w.products.Retire(ctx, admin, id, true); (err == nil) != ok {
				t.Errorf("retire %s: %v", id, err)
			}
		}
		if _, err := w.products.Create(ctx, admin, draft(t, "New", ""), ""); err == nil {
			t.Error("an administrator of a client makes a shared product")
		}
	})
}

func names(list []*product.Product) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

// A71, A74, A75: a searchable list, by name and kind, page by page.
func TestListsAreSearchedAndPaged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		for i := range 7 {
			w.create(t, fmt.Sprintf("P%d Ærlig 100%%", i), "cli-1")
		}
		w.create(t, "Other", "cli-1")
		var got []string
		page := store.Page{Limit: 3}
		for {
			list, next, err := w.products.List(ctx, system, product.Query{Search: "ærlig TLS-client", Page: page})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				got = append(got, p.Name[:2])
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		if want := []string{"P0", "P1", "P2", "P3", "P4", "P5", "P6"}; !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		for search, want := range map[string]int{"100%": 7, "1_0": 0, "other": 1, `\`: 0, "": 8} {
			if list, _, err := w.products.List(ctx, system, product.Query{Search: search}); err != nil || len(list) != want {
				t.Errorf("%q finds %d (%v)", search, len(list), err)
			}
		}
		if list, _, err := w.products.List(ctx, system, product.Query{Authority: "ca-2"}); err != nil || len(list) != 0 {
			t.Errorf("another authority: %v, %v", list, err)
		}
		if _, _, err := w.products.List(ctx, system, product.Query{Page: store.Page{Cursor: store.Key{ID: "x"}.Cursor()}}); fault.Of(err).Code != "page.cursor" {
			t.Error(err)
		}
	})
}

func TestImportBringsBackWhatExportWrote(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		p := w.create(t, "One", "cli-1")
		for _, f := range []product.Format{product.TOML, product.JSON} {
			file, err := p.Export(f)
			if err != nil {
				t.Fatal(err)
			}
			again, err := w.products.Import(ctx, system, f, file)
			if err != nil || again.ID != p.ID {
				t.Fatal(again, err)
			}
			for _, c := range product.Diff(p, again) {
				if c.Path != "version" {
					t.Errorf("%+v", c)
				}
			}
		}
		file, err := p.Export(product.TOML)
		if err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(string(file), p.ID, "pma-00000000-0000-0000-0000-000000000001", 1)
		fresh, err := w.products.Import(ctx, system, product.TOML, []byte(other))
		if err != nil || fresh.Version != 1 || fresh.ID != "pma-00000000-0000-0000-0000-000000000001" {
			t.Errorf("%+v, %v", fresh, err)
		}
		if _, err := w.products.Import(ctx, system, product.TOML, []byte(strings.Replace(other, "pma-0", "x-0", 1))); fault.Of(err).Code != "product.id" {
			t.Error(err)
		}
	})
}

func TestTemplatesOfTheInstallation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, ctx := newWorld(db), t.Context()
		own, err := product.ReadyTemplate("tls-client")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.products.SaveTemplate(ctx, system, own); fault.Of(err).Code != "template.own" {
			t.Error(err)
		}
		own.Name = "our-client"
		for version := 1; version <= 2; version++ {
			own.Definition.Validity.Value = version
			saved, err := w.products.SaveTemplate(ctx, system, own)
			if err != nil || saved.Version != version {
				t.Fatal(saved, err)
			}
		}
		for version, value := range map[int]int{0: 2, 1: 1, 2: 2} {
			got, err := w.products.Template(ctx, system, "our-client", version)
			if err != nil || got.Definition.Validity.Value != value {
				t.Errorf("version %d: %+v, %v", version, got, err)
			}
		}
		if _, err := w.products.Template(ctx, system, "our-client", 3); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if got, err := w.products.Template(ctx, system, "tls-client", 0); err != nil || got.Name != "tls-client" {
			t.Error(got, err)
		}
		all, err := w.products.Templates(ctx, system)
		if err != nil || all[len(all)-1].Name != "our-client" || all[len(all)-1].Version != 2 {
			t.Errorf("%d templates, %v", len(all), err)
		}
		for name, err := range map[string]error{
			"list": second(w.products.Templates(ctx, access.Scope{})), "read": second(w.products.Template(ctx, access.Scope{}, "tls-client", 0)),
			"save": second(w.products.SaveTemplate(ctx, as("cli-1", access.ProductWrite), own)),
		} {
			if !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.Forbidden) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
