package access

import (
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A52, A208, A214, A215: a token works at once, can be stopped, and is gone
// when deleted.
func TestTheLifeOfAToken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		op, s := w.operator("ra", RoleRAOperator, Production, w.north.ID)
		_, _, err := w.CreateToken(w.ctx, s, op.ID, TokenFields{Name: "old", Ends: w.clock.Now()})
		w.want(err, fault.Invalid, "token.ends")
		tok, key, err := w.CreateToken(w.ctx, s, op.ID, TokenFields{Name: "script", Ends: w.clock.Now().Add(48 * time.Hour)})
		w.must(err)
		if k := key.Reveal(); !strings.HasPrefix(k, "swt_") || len(k) != 47 || tok.Hint != k[41:] {
			t.Errorf("token %d characters, hint %s", len(k), tok.Hint)
		}
		scope, info, err := w.AuthenticateToken(w.ctx, key)
		w.must(err)
		if scope.Principal() != s.Principal() || info != (TokenInfo{tok.ID, "script", tok.Ends}) || !scope.Allows(CertificateRevoke, Production, w.north.ID) {
			t.Errorf("scope of %+v by %+v", scope.Principal(), info)
		}
		for name, bad := range map[string]string{
			"empty": "", "without prefix": key.Reveal()[4:], "another": TokenPrefix + secret.NewToken().Reveal(),
			"with a blank": key.Reveal() + " ", "another case": strings.ToUpper(key.Reveal()),
		} {
			if _, _, err := w.AuthenticateToken(w.ctx, secret.New(bad)); fault.Of(err).Code != "token.unknown" {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.must(w.SetTokenEnabled(w.ctx, s, tok.ID, false))
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "token.disabled")
		w.must(w.SetTokenEnabled(w.ctx, s, tok.ID, true))
		w.clock.Advance(48 * time.Hour)
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "token.ended")
		_, err = w.UpdateToken(w.ctx, s, tok.ID, TokenFields{Name: "script"})
		w.must(err)
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.must(err)
		w.must(w.DeleteToken(w.ctx, s, tok.ID))
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "token.unknown")
		if n := w.audited("token.disable") + w.audited("token.enable") + w.audited("token.update") + w.audited("token.delete"); n != 4 {
			t.Errorf("%d audit entries for four changes", n)
		}
	})
}

// A208, A209: without token.own nobody makes a token for oneself; a higher role
// may make one for a user without the permission.
func TestWhoMayCreateTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		op, s := w.operator("auditor", RoleAuditor, Production, w.north.ID)
		_, _, err := w.CreateToken(w.ctx, s, op.ID, TokenFields{Name: "mine"})
		w.want(err, fault.Forbidden, "access.forbidden")
		_, _, err = w.CreateToken(w.ctx, w.root, op.ID, TokenFields{Name: "made for you"})
		w.must(err)
		l, err := w.Tokens(w.ctx, w.root, op.ID, store.Page{})
		w.must(err)
		if names(l.Items, func(t Token) string { return t.Name }) != "[made for you]" {
			t.Errorf("tokens %+v", l.Items)
		}
	})
}

// The time of last use is exact to a minute and costs the request no write.
func TestLastUseIsWrittenLater(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		tok, key, err := w.CreateToken(w.ctx, w.root, w.root.Principal().ID, TokenFields{Name: "t"})
		w.must(err)
		used := func() time.Time {
			got, err := w.Token(w.ctx, w.root, tok.ID)
			w.must(err)
			return got.LastUsed
		}
		use := func() {
			_, _, err := w.AuthenticateToken(w.ctx, key)
			w.must(err)
		}
		first := w.clock.Now()
		use()
		if !used().IsZero() {
			t.Error("written in the request")
		}
		w.must(w.Flush(w.ctx))
		if !used().Equal(first) {
			t.Errorf("used at %v, want %v", used(), first)
		}
		w.clock.Advance(59 * time.Second)
		use()
		w.must(w.Flush(w.ctx))
		if !used().Equal(first) {
			t.Error("written twice in a minute")
		}
		w.clock.Advance(time.Second)
		use()
		w.must(w.Flush(w.ctx))
		if !used().Equal(w.clock.Now()) {
			t.Error("not written after a minute")
		}
	})
}

// D10: a certificate does not outlive the API token, nor a service account.
func TestLatestTokenEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		now := w.clock.Now()
		day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
		none := time.Time{}
		for i, c := range []struct {
			name    string
			account time.Time
			tokens  []time.Time
			want    time.Time
		}{
			{"one token", none, []time.Time{day(10)}, day(10)},
			{"the later of two", none, []time.Time{day(10), day(20)}, day(20)},
			{"one without end", none, []time.Time{day(10), none}, none},
			{"the account ends first", day(5), []time.Time{day(5)}, day(5)},
			{"a token without end on an account with one", day(5), []time.Time{none}, day(5)},
		} {
			a, err := w.CreateAccount(w.ctx, w.root, Production, w.north.ID, AccountFields{Name: "robot " + string(rune('a'+i)), Ends: c.account})
			w.must(err)
			_, _, err = LatestTokenEnd(db.View(w.ctx), a.ID)
			w.want(err, fault.Conflict, "token.none")
			for _, ends := range c.tokens {
				_, _, err := w.CreateToken(w.ctx, w.root, a.ID, TokenFields{Name: "t", Ends: ends})
				w.must(err)
			}
			off, _, err := w.CreateToken(w.ctx, w.root, a.ID, TokenFields{Name: "disabled"})
			w.must(err)
			w.must(w.SetTokenEnabled(w.ctx, w.root, off.ID, false))
			end, limited, err := LatestTokenEnd(db.View(w.ctx), a.ID)
			if err != nil || !end.Equal(c.want) || limited == c.want.IsZero() {
				t.Errorf("%s: %v, %v, %v", c.name, end, limited, err)
			}
		}
		_, _, err := LatestTokenEnd(db.View(w.ctx), "nobody")
		w.want(err, fault.NotFound, "")
	})
}

func BenchmarkAuthenticateToken(b *testing.B) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			w := newWorld(b, storetest.Open(b, url(b)))
			a, _ := w.account("robot", RoleIntegration, Production, w.north.ID)
			_, key, err := w.CreateToken(w.ctx, w.root, a.ID, TokenFields{Name: "t"})
			w.must(err)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := w.AuthenticateToken(w.ctx, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A disabled token ends at once on the node where it was disabled, and within a
// second on every other.
func TestADisabledTokenEndsEverywhereWithinASecond(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		account, _ := w.account("robot", RoleIntegration, Production, w.north.ID)
		token, key, err := w.CreateToken(w.ctx, w.root, account.ID, TokenFields{Name: "main"})
		w.must(err)
		other := newNode(t, w)
		for name, d := range map[string]*Directory{"this node": w.Directory, "the other node": other} {
			if _, _, err := d.AuthenticateToken(w.ctx, key); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		w.must(w.SetTokenEnabled(w.ctx, w.root, token.ID, false))
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "token.disabled")
		w.clock.Advance(time.Second)
		_, _, err = other.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "token.disabled")
	})
}
