package access

import (
	"context"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// TokenPrefix starts every API token, so that scanners of source code find one
// that was committed by mistake.
const TokenPrefix = "swt_"

// tokenLength is that of the prefix and 32 random bytes in base64url.
const tokenLength = len(TokenPrefix) + 43

// maxTokens bounds the tokens of one owner.
const maxTokens = 200

// TokenFields are what can be said about an API token.
type TokenFields struct {
	Name string
	Ends time.Time // zero: no end
}

func (t *TokenFields) check(now time.Time) error {
	var f form
	t.Name = f.name("name", t.Name)
	if !t.Ends.IsZero() && !t.Ends.After(now) {
		f.fail("ends", "token.ends", "The end date %s has passed.", t.Ends.Format(time.DateOnly))
	}
	return f.err
}

const tokenColumns = `id, hint, owner_id, name, enabled, ends_at, last_used_at, created_at`

func scanToken(r scanner) (t Token, err error) {
	var ends, used, created int64
	err = r.Scan(&t.ID, &t.Hint, &t.Owner, &t.Name, &t.Enabled, &ends, &used, &created)
	t.Ends, t.LastUsed, t.Created = store.Time(ends), store.Time(used), store.Time(created)
	return t, err
}

// CreateToken makes an API token and returns its secret, which is shown once.
// For oneself it needs token.own. For a service account it needs account.write,
// for another operator operator.write, and in both cases all the rights of the
// owner, because whoever sees the token can act as the owner (A209).
func (d *Directory) CreateToken(ctx context.Context, s Scope, owner string, f TokenFields) (Token, secret.Text, error) {
	now := d.Clock.Now()
	if err := f.check(now); err != nil {
		return Token{}, secret.Text{}, err
	}
	key := secret.New(TokenPrefix + secret.NewToken().Reveal())
	t := Token{
		ID: ident.New("tok"), Owner: owner, Name: f.Name, Hint: key.Reveal()[tokenLength-6:],
		Enabled: true, Ends: f.Ends, Created: now,
	}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		p, err := ownerFor(tx, s, owner, true)
		if err != nil {
			return err
		}
		if err := d.checkTokenEnd(p, f.Ends); err != nil {
			return err
		}
		var have int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_tokens WHERE owner_id = $1`, owner).Scan(&have); err != nil {
			return err
		}
		if have >= maxTokens {
			return fault.TooManyf(0, "token.limit", "%s already has %d API tokens.", p.name, have).WithNext("Delete those that are no longer used.")
		}
		if _, err := tx.Exec(`INSERT INTO access_tokens (id, hash, hint, owner_id, name, enabled, ends_at, created_at) VALUES ($1, $2, $3, $4, $5, TRUE, $6, $7)`,
			t.ID, secret.Hash(key.Reveal()), t.Hint, owner, t.Name, store.Micros(t.Ends), store.Micros(now)); err != nil {
			return err
		}
		return d.note(tx, "token.create", "token", t.ID, p.place(), "owner", owner, "name", t.Name, "ends", dateText(t.Ends))
	})
	if err != nil {
		return Token{}, secret.Text{}, err
	}
	return t, key, nil
}

func (p principal) place() place { return place{p.realm, p.client, ""} }

// checkTokenEnd keeps a token of a service account within the account's life.
func (d *Directory) checkTokenEnd(p principal, ends time.Time) error {
	if p.status != Active {
		return fault.Conflictf("token.owner", "%s is not active.", p.name)
	}
	if !p.ends.IsZero() && ends.After(p.ends) {
		return fault.Invalidf("token.ends", "The token cannot outlive the service account %s, which ends on %s.", p.name, p.ends.Format(time.DateOnly)).
			WithNext("Choose an earlier date, or extend the account first.").WithField("ends")
	}
	return nil
}

// ownerFor reads the owner of tokens that s may read or, with write, change.
func ownerFor(q store.Queryer, s Scope, owner string, write bool) (principal, error) {
	p, err := findPrincipal(q, owner)
	if err != nil {
		return principal{}, err
	}
	if s.principal.ID == owner {
		if err := s.RequireAnywhere(TokenOwn); err != nil {
			return principal{}, err
		}
		return p, nil
	}
	grants, err := loadGrants(q, owner)
	if err != nil {
		return principal{}, err
	}
	if err := mayManage(s, p, grants, write); err != nil {
		return principal{}, err
	}
	return p, nil
}

// mayManage decides about another principal: whether s may see it and, with
// write, whether s may take control of it.
func mayManage(s Scope, p principal, grants []grant, write bool) error {
	read, change := OperatorRead, OperatorWrite
	visible := touches(s, read, grants)
	allowed := reaches(s, change, grants)
	if p.kind == AccountKind {
		read, change = AccountRead, AccountWrite
		visible, allowed = s.Allows(read, p.realm, p.client), s.Allows(change, p.realm, p.client)
	}
	switch {
	case !visible && !allowed:
		return hidden()
	case write && !allowed:
		return s.forbidden(change)
	case write && !s.coversAll(grants):
		return exceeds()
	}
	return nil
}

// changeToken reads a token whose owner s may act for and lets fn change it.
func (d *Directory) changeToken(ctx context.Context, s Scope, id string, fn func(tx *store.Tx, t *Token, p principal) error) (Token, error) {
	var t Token
	err := d.update(ctx, s, func(tx *store.Tx) (err error) {
		if t, err = scanToken(tx.QueryRow(`SELECT `+tokenColumns+` FROM access_tokens WHERE id = $1`, id)); err != nil {
			return found(err)
		}
		p, err := ownerFor(tx, s, t.Owner, true)
		if err != nil {
			return err
		}
		return fn(tx, &t, p)
	})
	return t, err
}

// UpdateToken changes name and end date; it needs what CreateToken needs.
func (d *Directory) UpdateToken(ctx context.Context, s Scope, id string, f TokenFields) (Token, error) {
	if err := f.check(d.Clock.Now()); err != nil {
		return Token{}, err
	}
	return d.changeToken(ctx, s, id, func(tx *store.Tx, t *Token, p principal) error {
		if err := d.checkTokenEnd(p, f.Ends); err != nil {
			return err
		}
		var diff []string
		changed(&diff, "name", t.Name, f.Name)
		changed(&diff, "ends", dateText(t.Ends), dateText(f.Ends))
		t.Name, t.Ends = f.Name, f.Ends
		if _, err := tx.Exec(`UPDATE access_tokens SET name = $2, ends_at = $3 WHERE id = $1`, id, t.Name, store.Micros(t.Ends)); err != nil {
			return err
		}
		return d.note(tx, "token.update", "token", id, p.place(), append(diff, "owner", t.Owner)...)
	})
}

// SetTokenEnabled stops a token or lets it work again; it needs what
// CreateToken needs.
func (d *Directory) SetTokenEnabled(ctx context.Context, s Scope, id string, enabled bool) error {
	_, err := d.changeToken(ctx, s, id, func(tx *store.Tx, t *Token, p principal) error {
		action := "token.disable"
		if enabled {
			action = "token.enable"
		}
		if _, err := tx.Exec(`UPDATE access_tokens SET enabled = $2 WHERE id = $1`, id, enabled); err != nil {
			return err
		}
		return d.note(tx, action, "token", id, p.place(), "owner", t.Owner, "name", t.Name)
	})
	return err
}

// DeleteToken removes a token for good; it stops at once (A215). It needs what
// CreateToken needs.
func (d *Directory) DeleteToken(ctx context.Context, s Scope, id string) error {
	_, err := d.changeToken(ctx, s, id, func(tx *store.Tx, t *Token, p principal) error {
		if _, err := tx.Exec(`DELETE FROM access_tokens WHERE id = $1`, id); err != nil {
			return err
		}
		return d.note(tx, "token.delete", "token", id, p.place(), "owner", t.Owner, "name", t.Name)
	})
	return err
}

// Token reads one token, without its secret.
func (d *Directory) Token(ctx context.Context, s Scope, id string) (Token, error) {
	q := d.view(ctx)
	t, err := scanToken(q.QueryRow(`SELECT `+tokenColumns+` FROM access_tokens WHERE id = $1`, id))
	if err != nil {
		return Token{}, found(err)
	}
	if _, err := ownerFor(q, s, t.Owner, false); err != nil {
		return Token{}, err
	}
	return t, nil
}

// Tokens lists an owner's tokens by name: one's own with token.own, those of
// others with account.read or operator.read.
func (d *Directory) Tokens(ctx context.Context, s Scope, owner string, p store.Page) (List[Token], error) {
	q := d.view(ctx)
	if _, err := ownerFor(q, s, owner, false); err != nil {
		return List[Token]{}, err
	}
	sel := selection{from: `SELECT ` + tokenColumns + ` FROM access_tokens`, sort: "name", id: "id"}
	sel.where("owner_id =", owner)
	return page(q, sel, p, scanToken, func(t Token) (string, string) { return t.Name, t.ID })
}

// AuthenticateToken turns an API token into the scope of its owner. It is
// Unauthenticated when the token is unknown, disabled or past its end, or when
// its owner may not act; the info then still names a token that exists.
//
// What this node changes counts from the next call on, what another node
// changes within a second: for that long a token and its owner's rights are
// remembered. The time of last use is written later, by [Directory.Run].
func (d *Directory) AuthenticateToken(ctx context.Context, token secret.Text) (Scope, TokenInfo, error) {
	key := token.Reveal()
	if len(key) != tokenLength || !strings.HasPrefix(key, TokenPrefix) {
		return Scope{}, TokenInfo{}, unknownToken()
	}
	now, hash := d.Clock.Now(), secret.Hash(key)
	t, generation := d.tokens.get(hash, now)
	if t == nil {
		var err error
		if t, err = d.readToken(ctx, hash); err != nil {
			return Scope{}, TokenInfo{}, err
		}
		d.tokens.put(hash, t, now, generation)
	}
	info := TokenInfo{ID: t.id, Name: t.name, Ends: store.Time(t.ends)}
	switch {
	case !t.enabled:
		return Scope{}, info, fault.Unauthenticatedf("token.disabled", "The API token %q is disabled.", t.name).WithNext("Enable it, or use another.")
	case t.ends != 0 && store.Micros(now) >= t.ends:
		return Scope{}, info, fault.Unauthenticatedf("token.ended", "The API token %q ended on %s.", t.name, info.Ends.Format(time.DateOnly)).WithNext("Create a new one.")
	}
	if err := usable(t.status, store.Time(t.ownerEnds), now); err != nil {
		return Scope{}, info, err
	}
	d.used.token(t.id, t.used, store.Micros(now))
	return Scope{principal: t.owner, grants: t.grants}, info, nil
}

// readToken reads a token with its owner and the owner's rights: one indexed
// query while nobody's rights change.
func (d *Directory) readToken(ctx context.Context, hash string) (*knownToken, error) {
	// Plain types: the driver copies them without reflection.
	var t knownToken
	var kind, status string
	var version int64
	q := d.view(ctx)
	err := q.QueryRow(`SELECT t.id, t.name, t.enabled, t.ends_at, t.last_used_at, p.id, p.kind, p.name, p.status, p.ends_at, v.n
		FROM access_tokens t JOIN access_principals p ON p.id = t.owner_id JOIN access_version v ON v.id = 1 WHERE t.hash = $1`, hash).
		Scan(&t.id, &t.name, &t.enabled, &t.ends, &t.used, &t.owner.ID, &kind, &t.owner.Name, &status, &t.ownerEnds, &version)
	if err = found(err); err != nil {
		if fault.Of(err).Kind == fault.NotFound {
			err = unknownToken()
		}
		return nil, err
	}
	t.owner.Kind, t.status = PrincipalKind(kind), Status(status)
	t.grants, err = d.grantsOf(q, t.owner.ID, version)
	return &t, err
}

func unknownToken() error {
	return fault.Unauthenticatedf("token.unknown", "The API token is not known.").WithNext("Check that it was copied whole; a deleted token does not come back.")
}

// LatestTokenEnd tells how long an owner's API client certificate may live
// (D10): until the latest end among the owner's enabled tokens, and not beyond
// the end of a service account. limited is false when nothing ends. An owner
// without an enabled token gets a Conflict.
func LatestTokenEnd(q store.Queryer, owner string) (end time.Time, limited bool, err error) {
	var ownerEnds, tokens, endless, latest int64
	err = q.QueryRow(`SELECT p.ends_at, COUNT(t.id), COALESCE(SUM(CASE WHEN t.ends_at = 0 THEN 1 ELSE 0 END), 0), COALESCE(MAX(t.ends_at), 0)
		FROM access_principals p LEFT JOIN access_tokens t ON t.owner_id = p.id AND t.enabled WHERE p.id = $1 GROUP BY p.id, p.ends_at`, owner).
		Scan(&ownerEnds, &tokens, &endless, &latest)
	if err != nil {
		return time.Time{}, false, found(err)
	}
	if tokens == 0 {
		return time.Time{}, false, fault.Conflictf("token.none", "There is no enabled API token, and a certificate cannot outlive it.").
			WithNext("Create an API token first.")
	}
	if endless > 0 {
		latest = 0
	}
	if ownerEnds != 0 && (latest == 0 || ownerEnds < latest) {
		latest = ownerEnds
	}
	return store.Time(latest), latest != 0, nil
}
