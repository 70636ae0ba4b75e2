package access

import (
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// N14: the recipient must be recorded as authorised for that organisation.
func TestAuthorisedOrderer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		fields := OrdererFields{Name: "Contact at North", Email: "Contact@North.example", Mobile: "+45 12-34 56 78", Language: "da"}
		o, err := w.AddOrderer(w.ctx, w.root, w.north.ID, fields)
		w.must(err)
		if o.Mobile != "+4512345678" || o.Email != "contact@north.example" || o.AddedBy != "First Administrator" {
			t.Errorf("stored %+v", o)
		}
		_, err = w.AddOrderer(w.ctx, w.root, w.north.ID, fields)
		w.want(err, fault.Conflict, "orderer.exists")
		_, ra := w.operator("ra", RoleRAOperator, Production, w.north.ID)
		q := db.View(w.ctx)
		got, err := AuthorisedOrderer(q, ra, w.north.ID, o.ID)
		w.must(err)
		if got != o {
			t.Errorf("got %+v, want %+v", got, o)
		}
		_, err = AuthorisedOrderer(q, ra, w.south.ID, o.ID)
		w.want(err, fault.NotFound, "")
		_, south := w.operator("other", RoleRAOperator, Production, w.south.ID)
		_, err = AuthorisedOrderer(q, south, w.north.ID, o.ID)
		w.want(err, fault.NotFound, "")
		w.must(w.DeactivateOrderer(w.ctx, w.root, o.ID))
		_, err = AuthorisedOrderer(q, ra, w.north.ID, o.ID)
		w.want(err, fault.Forbidden, "orderer.inactive")
		_, err = w.AddOrderer(w.ctx, w.root, w.north.ID, fields)
		w.must(err) // the same person may be authorised anew
	})
}

// N13: malformed contact data is refused where it is entered, naming the field.
func TestOrdererFieldsAreChecked(t *testing.T) {
	good := OrdererFields{Name: "Contact", Email: "contact@example.com", Mobile: "+4512345678"}
	for _, c := range []struct {
		name, field string
		change      func(*OrdererFields)
	}{
		{"no name", "name", func(f *OrdererFields) { f.Name = "  " }},
		{"a name with a line break", "name", func(f *OrdererFields) { f.Name = "a\nb" }},
		{"no address", "email", func(f *OrdererFields) { f.Email = "" }},
		{"an address without a host", "email", func(f *OrdererFields) { f.Email = "contact" }},
		{"an address with a display name", "email", func(f *OrdererFields) { f.Email = "Contact <contact@example.com>" }},
		{"two addresses", "email", func(f *OrdererFields) { f.Email = "a@example.com, b@example.com" }},
		{"a header injection", "email", func(f *OrdererFields) { f.Email = "a@example.com\r\nBcc: b@example.com" }},
		{"a number without country", "mobile", func(f *OrdererFields) { f.Mobile = "12345678" }},
		{"a number with letters", "mobile", func(f *OrdererFields) { f.Mobile = "+45CALLME" }},
		{"a number of 16 digits", "mobile", func(f *OrdererFields) { f.Mobile = "+4512345678901234" }},
		{"a language that is not spoken", "language", func(f *OrdererFields) { f.Language = "xx" }},
	} {
		f := good
		c.change(&f)
		if err := f.check(); fault.Of(err).Field != c.field || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := good.check(); err != nil || good.Language != "en" {
		t.Errorf("good fields: %v, language %q", err, good.Language)
	}
}

// A53, rule 4 of the house: nobody reads or changes what belongs to another
// client, and cannot tell it from what does not exist.
func TestOneClientCannotReachAnother(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		orderer, err := w.AddOrderer(w.ctx, w.root, w.north.ID, OrdererFields{Name: "Contact", Email: "c@example.com", Mobile: "+4512345678"})
		w.must(err)
		northOp, _ := w.operator("north", RoleClientAdmin, Production, w.north.ID)
		account, _ := w.account("robot", RoleIntegration, Production, w.north.ID)
		token, _, err := w.CreateToken(w.ctx, w.root, account.ID, TokenFields{Name: "t"})
		w.must(err)
		_, south := w.operator("south", RoleClientAdmin, Production, w.south.ID)
		for name, call := range map[string]func() error{
			"read client": func() error { _, err := w.Client(w.ctx, south, w.north.ID); return err },
			"change client": func() error {
				_, err := w.UpdateClient(w.ctx, south, w.north.ID, ClientFields{Name: "x", Country: "DK"})
				return err
			},
			"close client":     func() error { return w.CloseClient(w.ctx, south, w.north.ID) },
			"read service":     func() error { _, err := w.Service(w.ctx, south, w.northSvc.ID); return err },
			"create service":   func() error { _, err := w.CreateService(w.ctx, south, w.north.ID, "mine", ServiceFields{}); return err },
			"change service":   func() error { _, err := w.UpdateService(w.ctx, south, w.northSvc.ID, ServiceFields{}); return err },
			"close service":    func() error { return w.CloseService(w.ctx, south, w.northSvc.ID) },
			"set its password": func() error { return w.SetServicePassword(w.ctx, south, w.northSvc.ID, secret.New(goodPassword)) },
			"read orderer":     func() error { _, err := w.Orderer(w.ctx, south, orderer.ID); return err },
			"add orderer": func() error {
				_, err := w.AddOrderer(w.ctx, south, w.north.ID, OrdererFields{Name: "x", Email: "x@example.com", Mobile: "+4512345678"})
				return err
			},
			"change orderer": func() error {
				_, err := w.UpdateOrderer(w.ctx, south, orderer.ID, OrdererFields{Name: "x", Email: "x@example.com", Mobile: "+4512345678"})
				return err
			},
			"end orderer":   func() error { return w.DeactivateOrderer(w.ctx, south, orderer.ID) },
			"read operator": func() error { _, err := w.Operator(w.ctx, south, northOp.ID); return err },
			"change operator": func() error {
				_, err := w.UpdateOperator(w.ctx, south, northOp.ID, OperatorFields{Email: "x@example.com", Name: "x"})
				return err
			},
			"disable operator": func() error { return w.DisableOperator(w.ctx, south, northOp.ID) },
			"reset operator":   func() error { _, err := w.ResetOperator(w.ctx, south, northOp.ID); return err },
			"read account":     func() error { _, err := w.Account(w.ctx, south, account.ID); return err },
			"create account": func() error {
				_, err := w.CreateAccount(w.ctx, south, Production, w.north.ID, AccountFields{Name: "x"})
				return err
			},
			"change account": func() error {
				_, err := w.UpdateAccount(w.ctx, south, account.ID, AccountFields{Name: "x"})
				return err
			},
			"disable account":   func() error { return w.DisableAccount(w.ctx, south, account.ID) },
			"list tokens":       func() error { _, err := w.Tokens(w.ctx, south, account.ID, store.Page{}); return err },
			"read token":        func() error { _, err := w.Token(w.ctx, south, token.ID); return err },
			"create token":      func() error { _, _, err := w.CreateToken(w.ctx, south, account.ID, TokenFields{Name: "x"}); return err },
			"token of operator": func() error { _, _, err := w.CreateToken(w.ctx, south, northOp.ID, TokenFields{Name: "x"}); return err },
			"disable token":     func() error { return w.SetTokenEnabled(w.ctx, south, token.ID, false) },
			"delete token":      func() error { return w.DeleteToken(w.ctx, south, token.ID) },
			"grant": func() error {
				_, err := w.Grant(w.ctx, south, northOp.ID, RoleRAOperator, Production, w.north.ID)
				return err
			},
		} {
			if err := call(); fault.Of(err).Code != "access.not_found" {
				t.Errorf("%s: %v", name, err)
			}
		}
		lists := map[string]func() (string, error){
			"clients": func() (string, error) {
				l, err := w.Clients(w.ctx, south, ClientQuery{})
				return names(l.Items, func(c Client) string { return c.Name }), err
			},
			"services": func() (string, error) {
				l, err := w.Services(w.ctx, south, ServiceQuery{Client: w.north.ID})
				return names(l.Items, func(v Service) string { return v.Name }), err
			},
			"orderers": func() (string, error) {
				l, err := w.Orderers(w.ctx, south, OrdererQuery{})
				return names(l.Items, func(o Orderer) string { return o.Name }), err
			},
			"operators": func() (string, error) {
				l, err := w.Operators(w.ctx, south, OperatorQuery{})
				return names(l.Items, func(o Operator) string { return o.Name }), err
			},
			"accounts": func() (string, error) {
				l, err := w.Accounts(w.ctx, south, AccountQuery{})
				return names(l.Items, func(a ServiceAccount) string { return a.Name }), err
			},
			"grants": func() (string, error) {
				l, err := w.Grants(w.ctx, south, northOp.ID)
				return names(l, func(g Grant) string { return g.Role }), err
			},
		}
		want := map[string]string{"clients": "[South]", "operators": "[Operator south]"}
		for name, list := range lists {
			got, err := list()
			if w := want[name]; err != nil || got != w && !(w == "" && got == "[]") {
				t.Errorf("list of %s: %s, %v", name, got, err)
			}
		}
	})
}

// An address that is accepted is one address, on one line, without a name.
func FuzzEmail(f *testing.F) {
	for _, s := range []string{"a@example.com", "a@example.com\r\nBcc: b@example.com", "\"a b\"@example.com", "A <a@example.com>", "ø@example.com", "a@[127.0.0.1]", "a@b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c form
		if got := c.email("email", s); c.err == nil && (strings.ContainsAny(got, "\r\n\x00 <>,\"") || !strings.Contains(got, "@")) {
			t.Errorf("%q was accepted as %q", s, got)
		}
	})
}

func TestListsArePagedByKeyAndSearched(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, n := range []string{"Alpha", "alpha", "Beta 100%", "Gamma_1", "Ærø"} { // two with the same key
			w.client(Production, n, "")
		}
		var got []string
		page := store.Page{Limit: 2}
		for range 10 {
			l, err := w.Clients(w.ctx, w.root, ClientQuery{Realm: Production, Page: page})
			w.must(err)
			for _, c := range l.Items {
				got = append(got, c.ID)
			}
			if page.Cursor = l.Next; page.Cursor == "" {
				break
			}
		}
		seen := map[string]bool{}
		for _, id := range got {
			seen[id] = true
		}
		if len(got) != 7 || len(seen) != 7 {
			t.Errorf("pages gave %d clients, %d different", len(got), len(seen))
		}
		for _, c := range []struct{ search, want string }{
			{"ALPH", "[Alpha alpha]"}, {"100%", "[Beta 100%]"}, {"%", "[Beta 100%]"}, {"a_1", "[Gamma_1]"}, {"ærø", "[Ærø]"}, {"\\", "[]"}, {"nobody\x00", "[]"},
		} {
			l, err := w.Clients(w.ctx, w.root, ClientQuery{Search: c.search})
			if got := names(l.Items, func(c Client) string { return c.Name }); err != nil || got != c.want {
				t.Errorf("search %q: %s, %v", c.search, got, err)
			}
		}
		_, err := w.Clients(w.ctx, w.root, ClientQuery{Page: store.Page{Cursor: store.Key{ID: "nonsense"}.Cursor()}})
		w.want(err, fault.Invalid, "page.cursor")
	})
}

func TestClosingAClientStopsAllThatIsUnderIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, secret.New(goodPassword)))
		_, _, err := w.VerifyServicePassword(w.ctx, Production, "north", secret.New(goodPassword), Origin{})
		w.must(err)
		account, _ := w.account("robot", RoleIntegration, Production, w.north.ID)
		_, key, err := w.CreateToken(w.ctx, w.root, account.ID, TokenFields{Name: "t"})
		w.must(err)
		w.must(w.CloseClient(w.ctx, w.root, w.north.ID))
		_, _, err = w.VerifyServicePassword(w.ctx, Production, "north", secret.New(goodPassword), Origin{})
		w.want(err, fault.Unauthenticated, "service.login")
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "access.disabled")
		w.want(w.EnableAccount(w.ctx, w.root, account.ID), fault.Conflict, "client.closed")
		_, err = w.CreateService(w.ctx, w.root, w.north.ID, "again", ServiceFields{})
		w.want(err, fault.Conflict, "client.closed")
		_, err = w.CreateService(w.ctx, w.root, w.south.ID, "north", ServiceFields{})
		w.want(err, fault.Conflict, "service.exists") // the name of a closed service stays taken
		_, err = w.CreateService(w.ctx, w.root, w.lab.ID, "north", ServiceFields{})
		w.must(err) // but only in its realm
	})
}

func TestClientAndServiceFields(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, name := range []string{"", "Upper", "with space", "ærø", "dot.dot", "a_b", "12345678901234567890123456789012345678901"} {
			_, err := w.CreateService(w.ctx, w.root, w.north.ID, name, ServiceFields{})
			w.want(err, fault.Invalid, "service.name")
		}
		_, err := w.CreateClient(w.ctx, w.root, Production, ClientFields{Name: "Twin", Country: "dk", OrgNumber: "1"})
		w.want(err, fault.Conflict, "client.exists")
		_, err = w.CreateClient(w.ctx, w.root, "staging", ClientFields{Name: "x", Country: "DK"})
		w.want(err, fault.Invalid, "realm.unknown")
		_, err = w.UpdateClient(w.ctx, w.root, w.south.ID, ClientFields{Name: "South", Country: "DK", OrgNumber: "1"})
		w.want(err, fault.Conflict, "client.exists")
		c, err := w.UpdateClient(w.ctx, w.root, w.south.ID, ClientFields{Name: "South & Sons", Country: "NO", OrgNumber: "1"})
		w.must(err)
		if again, err := w.Client(w.ctx, w.root, c.ID); err != nil || again != c {
			t.Errorf("read back %+v, %v; want %+v", again, err, c)
		}
		if n := w.audited("client.update"); n != 1 {
			t.Errorf("%d audit entries for one change", n)
		}
	})
}
