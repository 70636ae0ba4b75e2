package external

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Type is what lists that mix certificates call those of this package (A67).
const Type = "External certificate (imported)"

// A Certificate is one that was imported.
type Certificate struct {
	ID     string // ext-…
	Realm  access.Realm
	Client string

	SHA256, SHA1    string // fingerprints, lower-case hex
	Serial          string // lower-case hex without leading zeros
	CommonName      string // may be empty
	Subject, Issuer string // RFC 4514
	Names           []string
	Authority       bool
	KeyAlgorithm    string // "RSA", "P-256" …
	KeyBits         int    // 0 if not known
	Signature       string // algorithm
	NotBefore       time.Time
	NotAfter        time.Time
	Notes           []bundle.Note // what was found to be bad about it at import

	Fields
	Check       Check
	Successor   string // the certificate of the same names and client that ends last, if later than this one
	Creator     string // id of the principal who imported it
	CreatorName string
	Version     int64 // counts changes of Fields
	Created     time.Time
	Updated     time.Time

	identity string
}

// Title is what people call the certificate: its common name or else its first name.
func (c *Certificate) Title() string {
	switch {
	case c.CommonName != "":
		return c.CommonName
	case len(c.Names) > 0:
		return c.Names[0]
	case c.Subject != "":
		return c.Subject
	}
	return "serial number " + c.Serial
}

// Key is such as "RSA 2048" or "P-256".
func (c *Certificate) Key() string {
	return bundle.Key{Algorithm: c.KeyAlgorithm, Bits: c.KeyBits}.String()
}

// Expired tells whether the certificate is past its end.
func (c *Certificate) Expired(now time.Time) bool { return now.After(c.NotAfter) }

// A State says what a server was last found to show.
type State string

// The states of a look at a server.
const (
	Unchecked State = ""       // there is no address, or the first look is yet to come
	Same      State = "same"   // this certificate
	Newer     State = "newer"  // one for the same names that ends later
	Other     State = "other"  // another one
	Failed    State = "failed" // no certificate: Problem says why
)

// A Check is what came of looking at the server of a certificate.
type Check struct {
	State    State
	At       time.Time // of the last look
	Seen     time.Time // when the server last showed this certificate
	Shown    string    // SHA-256 of the certificate that it showed last
	ShownEnd time.Time // and the end of that one
	Problem  string    // what is not as it should be, for people
	Due      time.Time // of the next look; zero without an address
}

const columns = `c.id, c.realm, c.client, c.sha256, c.sha1, c.serial, c.cn, c.subject, c.issuer, c.names, c.identity, c.authority, c.key_algorithm, c.key_bits, c.signature,
	c.not_before, c.not_after, c.notes, c.owner, c.comment, c.recipients, c.address, c.check_due, c.check_state, c.checked_at, c.seen_at, c.shown, c.shown_end, c.problem,
	c.creator, c.creator_name, c.version, c.created_at, c.updated_at,
	COALESCE((SELECT n.id FROM external_certificates n WHERE n.client = c.client AND n.identity = c.identity AND n.not_after > c.not_after ORDER BY n.not_after DESC, n.id LIMIT 1), '')`

func scan(r interface{ Scan(...any) error }) (*Certificate, error) {
	var c Certificate
	var names, notes, recipients string
	var from, to, due, checked, seen, shownEnd, created, updated, bits int64
	err := r.Scan(&c.ID, &c.Realm, &c.Client, &c.SHA256, &c.SHA1, &c.Serial, &c.CommonName, &c.Subject, &c.Issuer, &names, &c.identity, &c.Authority, &c.KeyAlgorithm, &bits, &c.Signature,
		&from, &to, &notes, &c.Owner, &c.Comment, &recipients, &c.Address, &due, &c.Check.State, &checked, &seen, &c.Check.Shown, &shownEnd, &c.Check.Problem,
		&c.Creator, &c.CreatorName, &c.Version, &created, &updated, &c.Successor)
	if err != nil {
		return nil, err
	}
	for into, text := range map[any]string{&c.Names: names, &c.Notes: notes, &c.Recipients: recipients} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return nil, fmt.Errorf("external certificate %s: %w", c.ID, err)
		}
	}
	c.KeyBits, c.NotBefore, c.NotAfter, c.Created, c.Updated = int(bits), store.Time(from), store.Time(to), store.Time(created), store.Time(updated)
	c.Check.Due, c.Check.At, c.Check.Seen, c.Check.ShownEnd = store.Time(due), store.Time(checked), store.Time(seen), store.Time(shownEnd)
	return &c, nil
}

// list encodes a slice of strings or structs of strings, which always works.
func list[T any](values []T) string {
	b, _ := json.Marshal(append([]T{}, values...))
	return string(b)
}

// insert writes a new certificate with what belongs to it, and tells whether the
// client did not have it yet.
func insert(tx *store.Tx, c *Certificate, facts *bundle.Certificate, chain []*bundle.Certificate) (bool, error) {
	n, err := tx.Exec(`INSERT INTO external_certificates (id, realm, client, sha256, sha1, serial, cn, subject, issuer, names, identity, authority, key_algorithm, key_bits, signature,
			not_before, not_after, notes, owner, comment, recipients, address, check_due, check_state, checked_at, seen_at, shown, shown_end, problem, creator, creator_name, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, 1, $32, $32)
		ON CONFLICT (sha256, client) DO NOTHING`,
		c.ID, string(c.Realm), c.Client, c.SHA256, c.SHA1, c.Serial, c.CommonName, c.Subject, c.Issuer, list(c.Names), c.identity, c.Authority, c.KeyAlgorithm, c.KeyBits, c.Signature,
		store.Micros(c.NotBefore), store.Micros(c.NotAfter), list(c.Notes), c.Owner, c.Comment, list(c.Recipients), c.Address,
		store.Micros(c.Check.Due), string(c.Check.State), store.Micros(c.Check.At), store.Micros(c.Check.Seen), c.Check.Shown, store.Micros(c.Check.ShownEnd), c.Check.Problem,
		c.Creator, c.CreatorName, store.Micros(c.Created))
	if err != nil || n == 0 {
		return false, err
	}
	for place, one := range append([]*bundle.Certificate{facts}, chain...) {
		if _, err := tx.Exec(`INSERT INTO external_ders (certificate, place, der) VALUES ($1, $2, $3)`, c.ID, place, one.DER); err != nil {
			return false, err
		}
	}
	for _, name := range facts.SearchNames() {
		if _, err := tx.Exec(`INSERT INTO external_names (name, certificate) VALUES ($1, $2) ON CONFLICT (name, certificate) DO NOTHING`, name, c.ID); err != nil {
			return false, err
		}
	}
	return true, nil
}

// of fills in what the certificate says of itself.
func of(facts *bundle.Certificate) *Certificate {
	return &Certificate{
		SHA256: facts.SHA256, SHA1: facts.SHA1, Serial: facts.Serial, CommonName: facts.CommonName, Subject: facts.Subject, Issuer: facts.Issuer, Names: facts.Names,
		Authority: facts.Authority, KeyAlgorithm: facts.Key.Algorithm, KeyBits: facts.Key.Bits, Signature: facts.Signature,
		NotBefore: facts.NotBefore, NotAfter: facts.NotAfter, Notes: facts.Notes, identity: facts.Identity(),
	}
}
