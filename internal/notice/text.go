package notice

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Place is for whom a text is: the installation, a realm, a client of it, or a
// product of that client. What comes later is empty where the text is for all of them.
type Place struct {
	Realm           access.Realm
	Client, Product string // ids
}

func (p Place) check() error {
	if p.Realm != "" && !p.Realm.Valid() || p.Client != "" && p.Realm == "" || p.Product != "" && p.Client == "" || len(p.Client)+len(p.Product) > 200 {
		return fault.Invalidf("notice.place", "A text is for the installation, a realm, a client of a realm or a product of a client.")
	}
	return nil
}

// covers counts how exactly a text's place fits an occasion, or gives -1.
func (p Place) covers(o Occasion) int {
	n := 0
	for _, c := range []struct{ mine, theirs string }{{string(p.Realm), string(o.Realm)}, {p.Client, o.Client}, {p.Product, o.Product}} {
		switch c.mine {
		case "":
		case c.theirs:
			n++
		default:
			return -1
		}
	}
	return n
}

// A Text replaces a built-in one.
type Text struct {
	ID            string // ntx-…
	Place         Place
	Event         Event
	Language      Language
	Subject, Body string
	By            string
	At            time.Time
}

func checkEvent(e Event) error {
	if _, ok := events[e]; !ok {
		return fault.Invalidf("notice.event", "There is no event %q.", clip(string(e), 40)).WithField("event")
	}
	return nil
}

func checkLanguage(l Language) error {
	if !slices.Contains(Languages(), l) {
		return fault.Invalidf("notice.language", "There are no texts in %q.", clip(string(l), 40)).WithField("language")
	}
	return nil
}

// require asks for the permission that a text of a place needs.
func require(s access.Scope, p Place, realm, client access.Permission) error {
	if p.Client != "" {
		return s.Require(client, p.Realm, p.Client)
	}
	return s.Require(realm, p.Realm, "")
}

// SetText stores a text, in place of an earlier one for the same place, event and
// language. It needs product.write for a client, settings.write above. Faults of kind
// Invalid: "notice.template" (does not compile, or names what there is not),
// "notice.secret", "notice.subject", "notice.body", "notice.place", "notice.event" and
// "notice.language".
func (d *Desk) SetText(ctx context.Context, s access.Scope, t Text) error {
	if err := errors.Join(t.Place.check(), checkEvent(t.Event), checkLanguage(t.Language)); err != nil {
		return err
	}
	if err := require(s, t.Place, access.SettingsWrite, access.ProductWrite); err != nil {
		return err
	}
	t.Body = strings.ReplaceAll(t.Body, "\r\n", "\n") // as browsers send it
	if _, err := checkText(t.Event, t.Language, t.Subject, t.Body); err != nil {
		return err
	}
	return d.update(ctx, s, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO notice_texts (id, realm, client, product, event, language, subject, body, changed_by, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (event, language, realm, client, product) DO UPDATE SET subject = excluded.subject, body = excluded.body, changed_by = excluded.changed_by, changed_at = excluded.changed_at`,
			ident.New("ntx"), string(t.Place.Realm), t.Place.Client, t.Place.Product, string(t.Event), string(t.Language), t.Subject, t.Body, madeBy(tx), store.Micros(d.clock.Now()))
		if err != nil {
			return err
		}
		return d.noteText(tx, "notice.text", t.Place, t.Event, t.Language)
	})
}

// DeleteText goes back to the next text: that of the client, the realm, or the
// built-in one. It needs what [Desk.SetText] needs.
func (d *Desk) DeleteText(ctx context.Context, s access.Scope, p Place, e Event, l Language) error {
	if err := require(s, p, access.SettingsWrite, access.ProductWrite); err != nil {
		return err
	}
	return d.update(ctx, s, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM notice_texts WHERE event = $1 AND language = $2 AND realm = $3 AND client = $4 AND product = $5`,
			string(e), string(l), string(p.Realm), p.Client, p.Product)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NotFoundf("notice.no_text", "There is no such text; the built-in one is in use.")
		}
		return d.noteText(tx, "notice.text_delete", p, e, l)
	})
}

func (d *Desk) noteText(tx *store.Tx, action string, p Place, e Event, l Language) error {
	return d.audit.Append(tx, audit.Entry{
		Action: action, ObjectKind: "notice-text", ObjectID: string(e) + "/" + string(l), Realm: string(p.Realm), Client: p.Client,
		Detail: map[string]string{"product": p.Product},
	})
}

const textColumns = `id, realm, client, product, event, language, subject, body, changed_by, changed_at`

func scanText(r interface{ Scan(...any) error }) (t Text, err error) {
	var at int64
	err = r.Scan(&t.ID, &t.Place.Realm, &t.Place.Client, &t.Place.Product, &t.Event, &t.Language, &t.Subject, &t.Body, &t.By, &at)
	t.At = store.Time(at)
	return t, err
}

// Texts lists the stored texts of a realm and client (empty: of everything that the
// caller may see), by id, and the cursor of the next page. It needs product.read for
// texts of clients, settings.read above.
func (d *Desk) Texts(ctx context.Context, s access.Scope, realm access.Realm, client string, p store.Page) ([]Text, string, error) {
	after, resume, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	ofClients, args := s.Filter(access.ProductRead, "realm", "client", nil)
	above, args := s.Filter(access.SettingsRead, "realm", "client", args)
	where := "(client <> '' AND " + ofClients + " OR client = '' AND " + above + ")"
	add := func(comparison string, v any) {
		args = append(args, v)
		where += " AND " + comparison + " $" + strconv.Itoa(len(args))
	}
	if realm != "" {
		add("realm =", string(realm))
	}
	if client != "" {
		add("client =", client)
	}
	if resume {
		add("id >", after.ID)
	}
	size := p.Size()
	args = append(args, size+1)
	rows, err := d.db.View(ctx).Query(`SELECT `+textColumns+` FROM notice_texts WHERE `+where+` ORDER BY id LIMIT $`+strconv.Itoa(len(args))+` + 0`, args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Text, error) { return scanText(r) })
	if err != nil || len(list) <= size {
		return list, "", err
	}
	return list[:size], store.Key{ID: list[size-1].ID}.Cursor(), nil
}

// overrides reads the stored texts that fit an occasion in any language, the best
// first: one query for all recipients.
func (d *Desk) overrides(q store.Queryer, o Occasion) ([]Text, error) {
	rows, err := q.Query(`SELECT `+textColumns+` FROM notice_texts WHERE event = $1 AND realm IN ('', $2) AND client IN ('', $3) AND product IN ('', $4)`,
		string(o.Event), string(o.Realm), o.Client, o.Product)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Text, error) { return scanText(r) })
	list = slices.DeleteFunc(list, func(t Text) bool { return t.Place.covers(o) < 0 })
	slices.SortStableFunc(list, func(a, b Text) int { return b.Place.covers(o) - a.Place.covers(o) })
	return list, err
}

// render makes the e-mail for a recipient. A stored text that no longer works gives
// way to the built-in one, and the note says so.
func (d *Desk) render(o Occasion, overrides []Text, r Recipient) (subject, body, note string) {
	f := o.fields(r)
	for _, t := range overrides {
		if t.Language != r.Language {
			continue
		}
		c, err := compile(t.Subject, t.Body)
		if err == nil {
			subject, body, err = c.render(f)
		}
		if err == nil && subject != "" && strings.Contains(body, outbox.Placeholder) == !o.Secret.Empty() {
			return subject, body, ""
		}
		note = "the stored text " + t.ID + " could not be used; the built-in one was sent"
		break
	}
	subject, body, err := d.texts[textKey{o.Event, r.Language}].render(f)
	if err != nil {
		return string(o.Event), f.Name + "\n" + f.Secret, note // unreachable: a test renders every built-in text
	}
	return subject, body, note
}

// A Preview is a text with sample data, as a recipient would see it.
type Preview struct{ Subject, Body string }

// Preview checks a text as [Desk.SetText] does and shows it with sample data, the
// secret as "…".
func (d *Desk) Preview(e Event, l Language, subject, body string) (Preview, error) {
	if err := errors.Join(checkEvent(e), checkLanguage(l)); err != nil {
		return Preview{}, err
	}
	c, err := checkText(e, l, subject, strings.ReplaceAll(body, "\r\n", "\n"))
	if err != nil {
		return Preview{}, err
	}
	s, b, err := c.render(sample(e, l, d.clock.Now()))
	return Preview{s, strings.ReplaceAll(b, outbox.Placeholder, "…")}, err
}

// BuiltIn gives the source of a built-in text, to be copied and changed.
func (d *Desk) BuiltIn(e Event, l Language) (subject, body string, err error) {
	if err := errors.Join(checkEvent(e), checkLanguage(l)); err != nil {
		return "", "", err
	}
	c := d.texts[textKey{e, l}]
	return c.subjectSrc, c.bodySrc, nil
}

// Fields names the values that a text can hold, for the help of an editor.
func Fields() []string { return slices.Clone(fieldNames) }
