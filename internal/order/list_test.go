package order_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// operator is the scope of somebody who works for one client.
func (b *bench) operator(name string, c access.Client) access.Scope {
	b.t.Helper()
	ctx := context.Background()
	a := must(b.people.CreateAccount(ctx, b.scope, c.Realm, c.ID, access.AccountFields{Name: name}))(b.t)
	must(b.people.Grant(ctx, b.scope, a.ID, access.RoleRAOperator, c.Realm, c.ID))(b.t)
	return must(b.people.ScopeOf(ctx, a.ID))(b.t)
}

// all lists the ids that a filter picks, page by page, and finds doubles.
func (b *bench) all(s access.Scope, f order.Filter, size int) (ids []string) {
	b.t.Helper()
	page := store.Page{Limit: size}
	for {
		list, next := must2(b.engine.List(context.Background(), s, f, page))(b.t)
		for _, o := range list {
			if slices.Contains(ids, o.ID) {
				b.t.Errorf("%s is listed twice by %+v", o.ID, f)
			}
			ids = append(ids, o.ID)
		}
		if next == "" {
			return ids
		}
		if len(list) != size {
			b.t.Errorf("a page of %d with another behind it, of %d wanted", len(list), size)
		}
		page.Cursor = next
	}
}

// A shop is a few orders of every kind.
type shop struct {
	*bench
	plain, owned, pending, revoked, other *order.Order
	second                                access.Client
}

func newShop(t *testing.T, db *store.DB) *shop {
	b := newBench(t, db, options{})
	s := &shop{bench: b, second: must(b.people.CreateClient(t.Context(), b.scope, access.Production, access.ClientFields{Name: "Bar AS", Country: "NO"}))(t)}
	p := b.product("tls-server-private", "")
	approved := b.product("tls-server-private", `rules = { approval_issue = { count = 1 } }`)
	s.plain = b.create(b.server(p, "www.foo.example", "*.shop.foo.example"))
	r := b.server(p, "mail.bar.example")
	r.Owner, r.Tags, r.Origin = "Kari", []string{"red", "blue", "red"}, order.FromACME
	b.clock.Advance(24 * time.Hour)
	s.owned = b.create(r)
	b.clock.Advance(24 * time.Hour)
	s.pending = b.create(b.server(approved, "new.foo.example"))
	r = b.server(p, "old.foo.example")
	r.Tags, r.Validity = []string{"red"}, 100
	s.revoked = b.create(r)
	if _, _, err := b.engine.Revoke(t.Context(), b.scope, s.revoked.ID, order.Revocation{Reason: authority.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	r = b.server(p, "www.foo.example")
	r.Client = s.second.ID
	s.other = b.create(r)
	return s
}

// A43, A44, A122, A123, A124, A125, A127, A128, A129, A130: every filter, and what a search finds.
func TestListsAndSearches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newShop(t, db)
		p, day := s.plain.Product, 24*time.Hour
		serial := strings.ToUpper(s.plain.Serial)
		var colons []string
		for i := 0; i < len(serial); i += 2 {
			colons = append(colons, serial[i:i+2])
		}
		everything := []*order.Order{s.other, s.revoked, s.pending, s.owned, s.plain}
		search := func(text string) order.Filter { return order.Filter{Search: text} }
		for name, tt := range map[string]struct {
			filter order.Filter
			want   []*order.Order
		}{
			"nothing said, the newest first": {order.Filter{}, everything},
			"by environment":                 {order.Filter{Realm: access.Production}, everything},
			"by another environment":         {order.Filter{Realm: access.Preprod}, nil},
			"by client":                      {order.Filter{Clients: []string{s.second.ID}}, []*order.Order{s.other}},
			"by clients":                     {order.Filter{Clients: []string{s.second.ID, s.client.ID}}, everything},
			"by product":                     {order.Filter{Products: []string{p}}, []*order.Order{s.other, s.revoked, s.owned, s.plain}},
			"by state":                       {order.Filter{States: []order.State{order.Issued}}, []*order.Order{s.other, s.owned, s.plain}},
			"by states":                      {order.Filter{States: []order.State{order.PendingAuth, order.Revoked}}, []*order.Order{s.revoked, s.pending}},
			"by states, issued among them":   {order.Filter{States: []order.State{order.Issued, order.Revoked}}, []*order.Order{s.other, s.revoked, s.owned, s.plain}},
			"by reason":                      {order.Filter{Reasons: []authority.Reason{authority.KeyCompromise}}, []*order.Order{s.revoked}},
			"by another reason":              {order.Filter{Reasons: []authority.Reason{authority.Superseded}}, nil},
			"by origin":                      {order.Filter{Origin: order.FromACME}, []*order.Order{s.owned}},
			"by owner":                       {order.Filter{Owner: "Kari"}, []*order.Order{s.owned}},
			"by tag":                         {order.Filter{Tags: []string{"red"}}, []*order.Order{s.revoked, s.owned}},
			"by tags":                        {order.Filter{Tags: []string{"red", "blue"}}, []*order.Order{s.owned}},
			"by tag and name":                {order.Filter{Tags: []string{"red"}, Search: "old"}, []*order.Order{s.revoked}},
			"by tag and beginning":           {order.Filter{Tags: []string{"red"}, From: noon.Add(2*day - time.Hour)}, []*order.Order{s.revoked}},
			"by beginning":                   {order.Filter{From: noon.Add(day - time.Hour), To: noon.Add(day + time.Hour)}, []*order.Order{s.owned}},
			"from a beginning":               {order.Filter{From: noon.Add(day - time.Hour)}, []*order.Order{s.other, s.revoked, s.pending, s.owned}},
			"by end, the soonest first":      {order.Filter{EndBy: noon.Add(500 * day)}, []*order.Order{s.plain, s.owned, s.other}},
			"by end, bounded":                {order.Filter{EndFrom: noon.Add(397*day + time.Hour), EndBy: noon.Add(500 * day)}, []*order.Order{s.owned, s.other}},
			"an order id":                    {search(s.owned.ID), []*order.Order{s.owned}},
			"an order id in capitals":        {search(strings.ToUpper(s.owned.ID)), []*order.Order{s.owned}},
			"an order id of nobody":          {search("ord-00000000-0000-0000-0000-000000000000"), nil},
			"a serial number":                {search(s.plain.Serial), []*order.Order{s.plain}},
			"a serial number in capitals":    {search(serial), []*order.Order{s.plain}},
			"one with colons":                {search(strings.Join(colons, ":")), []*order.Order{s.plain}},
			"one with spaces":                {search(" " + strings.Join(colons, " ") + " "), []*order.Order{s.plain}},
			"one with 0x":                    {search("0x" + s.plain.Serial), []*order.Order{s.plain}},
			"one without its leading zero":   {search(strings.TrimPrefix(s.plain.Serial, "0")), []*order.Order{s.plain}},
			"one padded to 40 digits":        {search(strings.Repeat("0", 40-len(serial)) + serial), []*order.Order{s.plain}},
			"a serial number of nobody":      {search("ff" + s.plain.Serial[2:]), nil},
			"a name":                         {search("mail.bar.example"), []*order.Order{s.owned}},
			"a name in capitals":             {search("MAIL.Bar.example"), []*order.Order{s.owned}},
			"the beginning of a name":        {search("mail.b"), []*order.Order{s.owned}},
			"the beginning and a star":       {search("mail.b*"), []*order.Order{s.owned}},
			"the domain above":               {search("bar.example"), []*order.Order{s.owned}},
			"the domain above, in several":   {search("foo.example"), []*order.Order{s.plain, s.pending, s.revoked, s.other}},
			"all below a domain":             {search("*.foo.example"), []*order.Order{s.plain, s.pending, s.revoked, s.other}},
			"a wildcard of a certificate":    {search("*.shop.foo.example"), []*order.Order{s.plain}},
			"an attribute of the subject":    {search("foo asa"), []*order.Order{s.plain, s.owned, s.pending, s.revoked, s.other}},
			"what is in no name":             {search("nothing"), nil},
			"the last label alone":           {search("example"), nil},
			"what is no text":                {search("foo\x00\xff"), []*order.Order{s.plain, s.owned, s.pending, s.revoked, s.other}},
			"a name and a state":             {order.Filter{Search: "foo.example", States: []order.State{order.Revoked}}, []*order.Order{s.revoked}},
		} {
			for _, size := range []int{1, 2, 50} {
				var want []string
				for _, o := range tt.want {
					want = append(want, o.ID)
				}
				if got := s.all(s.scope, tt.filter, size); !slices.Equal(got, want) {
					t.Errorf("%s, %d a page: %v, want %v", name, size, got, want)
				}
			}
		}
		if _, _, err := s.engine.List(t.Context(), s.scope, order.Filter{}, store.Page{Cursor: "?"}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a bad cursor: %v", err)
		}
	})
}

// An order with several names that fit is listed once, however small the pages.
func TestOrderWithManyNamesIsFoundOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", "")
		var want []string
		for i := range 4 {
			o := b.create(b.server(p, fmt.Sprintf("a%d.foo.example", i), "b.foo.example", "c.foo.example", fmt.Sprintf("foo%d.example", i)))
			want = append(want, o.ID)
		}
		for _, text := range []string{"a", "b", "f", "*", "c.f", "foo"} {
			for _, size := range []int{1, 2, 3, 10} {
				got := b.all(b.scope, order.Filter{Search: text}, size)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%q, %d a page: %v", text, size, got)
				}
			}
		}
	})
}

// A53, rule 4 of the house: what belongs to one client does not exist for another.
func TestClientsDoNotSeeEachOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newShop(t, db)
		ctx, north, south := t.Context(), s.operator("north", s.client), s.operator("south", s.second)
		if got := s.all(south, order.Filter{}, 2); !slices.Equal(got, []string{s.other.ID}) {
			t.Errorf("the other sees %v", got)
		}
		if got := s.all(north, order.Filter{}, 2); len(got) != 4 || slices.Contains(got, s.other.ID) {
			t.Errorf("one sees %v", got)
		}
		for _, f := range []order.Filter{{Search: s.plain.ID}, {Search: s.plain.Serial}, {Search: "mail.bar"}, {Clients: []string{s.client.ID}}, {Tags: []string{"red"}}, {Owner: "Kari"}, {EndFrom: noon, Clients: []string{s.client.ID}}} {
			if got := s.all(south, f, 10); len(got) != 0 {
				t.Errorf("%+v finds %v", f, got)
			}
		}
		if got := s.all(south, order.Filter{Search: "foo"}, 1); !slices.Equal(got, []string{s.other.ID}) {
			t.Errorf("a search finds %v", got)
		}
		e, id := s.engine, s.plain.ID
		approval := must(e.ApprovalsOf(ctx, s.pending))(t)[0].ID
		for name, try := range map[string]func() error{
			"get":      func() error { _, err := e.Get(ctx, south, id); return err },
			"revoke":   func() error { _, _, err := e.Revoke(ctx, south, id, order.Revocation{}); return err },
			"release":  func() error { _, err := e.Release(ctx, south, id, ""); return err },
			"cancel":   func() error { _, err := e.Cancel(ctx, south, s.pending.ID, ""); return err },
			"retry":    func() error { _, err := e.Retry(ctx, south, s.pending.ID); return err },
			"renew":    func() error { _, err := e.Renew(ctx, south, id, nil); return err },
			"amend":    func() error { _, err := e.Amend(ctx, south, s.pending.ID, order.Asked{}); return err },
			"bring":    func() error { _, err := e.SubmitCSR(ctx, south, id, nil); return err },
			"recover":  func() error { _, err := e.AskRecovery(ctx, south, id, ""); return err },
			"approval": func() error { _, err := e.Approval(ctx, south, approval); return err },
			"decide":   func() error { _, err := e.Decide(ctx, south, approval, true, ""); return err },
			"tags":     func() error { return e.SetTags(ctx, south, id, nil) },
			"owner":    func() error { _, err := e.SetOwner(ctx, south, id, "x"); return err },
			"comment":  func() error { return e.AddComment(ctx, south, id, "x") },
			"add":      func() error { _, err := e.AddRecipients(ctx, south, id, nil); return err },
			"remove":   func() error { _, err := e.RemoveRecipients(ctx, south, id, nil); return err },
			"create": func() error {
				_, err := e.Create(ctx, south, s.server(must(s.products.Current(ctx, s.plain.Product))(t), "x.foo.example"))
				return err
			},
		} {
			if err := try(); !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, _ := must2(e.Approvals(ctx, south, store.Page{}))(t); len(list) != 0 {
			t.Errorf("the other may decide on %+v", list)
		}
		if list, _ := must2(e.Approvals(ctx, north, store.Page{}))(t); len(list) != 1 {
			t.Errorf("one may decide on %+v", list)
		}
		for who, scope := range map[string]access.Scope{"one": north, "the other": south} {
			for _, u := range must(e.Usage(ctx, scope, noon, noon.AddDate(0, 0, 3)))(t) {
				if (u.Client == s.client.ID) != (who == "one") {
					t.Errorf("%s sees the usage %+v", who, u)
				}
			}
		}
	})
}

// A27: what was used is counted by day, client and product.
func TestUsage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newShop(t, db)
		sum := map[string]int64{}
		for _, u := range must(s.engine.Usage(t.Context(), s.scope, noon, noon.AddDate(0, 0, 3)))(t) {
			sum[fmt.Sprint(u.Event, " ", u.Day.Day(), " ", u.Client == s.client.ID)] += u.Count
		}
		if want := map[string]int64{"issued 21 true": 1, "issued 22 true": 1, "issued 23 true": 1, "revoked 23 true": 1, "issued 23 false": 1}; fmt.Sprint(sum) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", sum, want)
		}
	})
}

// A98, A99, A157, A159, A169, A174: comments, tags, owner and additional recipients.
func TestWhatIsNotedOnAnOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		ctx, e := t.Context(), b.engine
		r := b.server(b.product("tls-server-private", ""), "www.foo.example")
		r.Comment, r.Tags = "urgent", []string{" b ", "a", "a"}
		first := order.Recipient{Kind: "issuance", Email: "a@foo.example", Language: "DE"}
		r.Recipients = []order.Recipient{first}
		o := b.create(r)
		if r.Tags[0] != " b " {
			t.Errorf("the caller's tags are %q", r.Tags)
		}
		if err := e.AddComment(ctx, b.other, o.ID, " seen "); err != nil {
			t.Fatal(err)
		}
		if err := e.AddComment(ctx, b.other, o.ID, " "); !errors.Is(err, fault.Invalid) {
			t.Errorf("an empty comment: %v", err)
		}
		if list := must(e.Comments(ctx, o))(t); len(list) != 2 || list[0].Text != "urgent" || list[0].Name != "test" || list[1].Text != "seen" || list[1].Name != "second" {
			t.Errorf("comments %+v", list)
		}
		if tags := must(e.Tags(ctx, o.ID))(t)[o.ID]; !slices.Equal(tags, []string{"a", "b"}) {
			t.Errorf("tags %q", tags)
		}
		if err := e.SetTags(ctx, b.scope, o.ID, []string{"c"}); err != nil {
			t.Fatal(err)
		}
		if tags := must(e.Tags(ctx, o.ID))(t)[o.ID]; !slices.Equal(tags, []string{"c"}) {
			t.Errorf("tags %q", tags)
		}
		must(e.SetOwner(ctx, b.scope, o.ID, " Kari "))(t)
		if got := b.get(o.ID); got.Owner != "Kari" {
			t.Errorf("owner %q", got.Owner)
		}
		second := order.Recipient{Kind: "renewal", Email: "a@foo.example"}
		if added := must(e.AddRecipients(ctx, b.scope, o.ID, []order.Recipient{first, second, second}))(t); !slices.Equal(added, []order.Recipient{second}) {
			t.Errorf("added %+v", added)
		}
		unknown := order.Recipient{Kind: "issuance", Email: "b@foo.example"}
		if removed := must(e.RemoveRecipients(ctx, b.scope, o.ID, []order.Recipient{unknown, first}))(t); !slices.Equal(removed, []order.Recipient{first}) {
			t.Errorf("removed %+v", removed)
		}
		if list := must(e.Recipients(ctx, o))(t); !slices.Equal(list, []order.Recipient{second}) {
			t.Errorf("recipients %+v", list)
		}
		if _, err := e.AddRecipients(ctx, b.scope, o.ID, []order.Recipient{{Kind: "recovery", Email: "a@foo.example"}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a kind that the product does not take: %v", err)
		}
		b.invariants()
	})
}

// Many certificates are revoked by a search, each with its result.
func TestRevocationOfMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p, asked := b.product("tls-server-private", ""), b.product("tls-server-private", `rules = { approval_revoke = { count = 1 } }`)
		for i := range 5 {
			b.create(b.server(p, fmt.Sprintf("w%d.foo.example", i)))
		}
		b.create(b.server(asked, "w9.foo.example"))
		kept := b.create(b.server(p, "w1.bar.example"))
		var done, opened int
		revoke := func(report func(order.BulkResult) bool) {
			if err := b.engine.RevokeMany(t.Context(), b.scope, order.Filter{Search: "foo.example"}, order.Revocation{Reason: authority.CessationOfOperation}, report); err != nil {
				t.Fatal(err)
			}
		}
		revoke(func(order.BulkResult) bool { done++; return done < 2 })
		if n := b.count(`SELECT COUNT(*) FROM orders WHERE state = 'REVOKED'`); n != 2 || done != 2 {
			t.Errorf("told to stop after 2, it revoked %d", n)
		}
		revoke(func(r order.BulkResult) bool {
			switch {
			case r.Done:
				done++
			case r.Asked != "":
				opened++
			default:
				t.Errorf("%+v", r)
			}
			return true
		})
		if done != 5 || opened != 1 || b.get(kept.ID).State != order.Issued {
			t.Errorf("%d revoked, %d asked for, the other is %s", done, opened, b.get(kept.ID).State)
		}
		b.invariants()
	})
}

// Every certificate with a compromised key goes, and no other, be its key found
// under the same tag.
func TestRevocationByKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", "")
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		spki := must(x509.MarshalPKIXPublicKey(key.Public()))(t)
		r := b.server(p, "www.foo.example")
		r.CSR = csrFor(t, key, "www.foo.example")
		first, second, other := b.create(r), b.create(r), b.create(b.server(p, "other.foo.example"))
		held := b.create(r)
		if _, _, err := b.engine.Revoke(t.Context(), b.scope, held.ID, order.Revocation{Reason: authority.Superseded}); err != nil {
			t.Fatal(err)
		}
		tag := sha256.Sum256(spki)
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO order_keys (spki, order_id, client) VALUES ($1, $2, $3)`, tag[:16], other.ID, other.Client)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r2 := order.Revocation{Reason: authority.KeyCompromise, By: authority.RoleOperator}
		if n := must(b.engine.RevokeKey(t.Context(), bytes.Clone(spki), r2, "proof"))(t); n != 3 {
			t.Errorf("%d were revoked", n)
		}
		if n := must(b.engine.RevokeKey(t.Context(), spki, r2, "proof"))(t); n != 0 {
			t.Errorf("%d were revoked again", n)
		}
		for _, o := range []*order.Order{first, second, held} {
			if got := b.get(o.ID); got.State != order.Revoked || got.Reason != authority.KeyCompromise {
				t.Errorf("%s is %s for %s", o.ID, got.State, got.Reason)
			}
		}
		if got := b.get(other.ID); got.State != order.Issued {
			t.Errorf("a certificate with another key is %s", got.State)
		}
		b.invariants()
	})
}

// Any order that waits can be cancelled, and does nothing afterwards.
func TestCancelInEveryState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{logs: 2, token: true})
		waiting := map[order.State]func() *order.Order{
			order.PreValidation: func() *order.Order {
				b.domains.pending = true
				return b.create(b.server(b.product("tls-server-private", `rules = { domain_control = "dns-http" }`), "www.foo.example"))
			},
			order.PendingAuth: func() *order.Order {
				return b.create(b.server(b.product("tls-server-private", `rules = { approval_issue = { count = 1 } }`), "www.foo.example"))
			},
			order.KeyValidation: func() *order.Order { return b.create(b.mailbox(b.product("tls-server-private", withPIN))) },
			order.PreIssue: func() *order.Order {
				b.logs.down.Store(503)
				return b.create(b.server(b.product("tls-server-private", withCT), "www.foo.example"))
			},
			order.Issue: func() *order.Order {
				b.token.down.Store(true)
				return b.create(b.server(b.product("tls-server-private", ""), "www.foo.example"))
			},
			order.PendingCSR: func() *order.Order {
				b.token.down.Store(false)
				o := b.nearEnd(b.server(b.product("tls-server-private", renewing), "www.foo.example"))
				return must(b.engine.Renew(t.Context(), b.scope, o.ID, nil))(t)
			},
			order.New: func() *order.Order {
				r := b.server(b.product("tls-server-private", ""), "www.foo.example")
				r.Later = true
				return b.create(r)
			},
		}
		for _, state := range []order.State{order.PreValidation, order.PendingAuth, order.KeyValidation, order.PreIssue, order.Issue, order.PendingCSR, order.New} {
			o := waiting[state]()
			if o.State != state {
				t.Errorf("it is %s instead of %s: %s", o.State, state, o.Problem)
				continue
			}
			got := must(b.engine.Cancel(t.Context(), b.scope, o.ID, "not needed"))(t)
			if got.State != order.Failed || !strings.Contains(got.Problem, "Cancelled by test") || !got.Due().IsZero() {
				t.Errorf("%s: it is %s (%s), due %s", state, got.State, got.Problem, got.Due())
			}
			if (o.Serial != "") != (got.RevokedAt.Unix() > 0) {
				t.Errorf("%s: with serial number %q it was revoked at %s", state, o.Serial, got.RevokedAt)
			}
			if _, err := b.engine.Cancel(t.Context(), b.scope, o.ID, ""); !errors.Is(err, fault.Conflict) {
				t.Errorf("%s: cancelled twice: %v", state, err)
			}
			for _, a := range must(b.engine.ApprovalsOf(t.Context(), o))(t) {
				if _, err := b.engine.Decide(t.Context(), b.other, a.ID, true, ""); !errors.Is(err, fault.Conflict) {
					t.Errorf("%s: it was approved afterwards: %v", state, err)
				}
			}
		}
		b.token.down.Store(false)
		b.logs.down.Store(0)
		b.domains.pending = false
		b.settle()
		if n := b.count(`SELECT COUNT(*) FROM orders WHERE state NOT IN ('FAILED', 'ISSUED')`); n != 0 || b.count(`SELECT COUNT(*) FROM orders WHERE state = 'ISSUED'`) != 1 {
			t.Errorf("%d orders went on", n)
		}
		b.invariants()
		b.answers(t)
	})
}

// A suspended certificate that is released is good again, is published again and
// still has its key file.
func TestSuspensionAndRelease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		policy := must(b.ca.Policy(t.Context(), "production-general"))(t)
		policy.AllowHold = true
		if err := b.ca.SetPolicy(t.Context(), "production-general", policy); err != nil {
			t.Fatal(err)
		}
		p := b.product("tls-server-private", madeHereKey+`rules = { publication = { publishers = ["directory"], default = true } }`)
		o := b.create(b.madeHere(p, "www.foo.example"))
		if _, _, err := b.engine.Revoke(t.Context(), b.scope, o.ID, order.Revocation{Reason: authority.CertificateHold}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.Fetch(t.Context(), b.tokenOf(order.EventFileReady), goodPIN); !errors.Is(err, fault.Gone) {
			t.Errorf("fetched while suspended: %v", err)
		}
		got := must(b.engine.Release(t.Context(), b.scope, o.ID, "found again"))(t)
		if got.State != order.Issued || !got.RevokedAt.IsZero() || len(b.shelf.queued) != 2 || len(b.shelf.removed) != 1 {
			t.Errorf("%s since %s; published %d times, removed %v", got.State, got.RevokedAt, len(b.shelf.queued), b.shelf.removed)
		}
		must(b.engine.Fetch(t.Context(), b.tokenOf(order.EventFileReady), goodPIN))(t)
		if _, err := b.engine.Release(t.Context(), b.scope, o.ID, ""); !errors.Is(err, fault.Conflict) {
			t.Errorf("released twice: %v", err)
		}
		b.invariants()
	})
}
