package domainval

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The states of a validation.
const (
	Pending   = "pending"   // waits for the random value to be published, or for a link to be followed
	Valid     = "valid"     // control was shown
	Expired   = "expired"   // nothing was shown within 30 days (A192)
	Cancelled = "cancelled" // the order ended otherwise
)

// An Order says what an order needs.
type Order struct {
	ID      string
	Realm   access.Realm
	Client  string
	Names   []string // domain names, wildcards, IP addresses
	Methods []Method // that the product offers; empty offers DNSTXT and HTTPFile
	Public  bool     // the rules of public trust hold
	Purpose Purpose  // empty is ForServer
}

// A Validation is what an order needs for one of its names.
type Validation struct {
	ID, Order string
	Realm     access.Realm
	Client    string
	Name      Name
	Public    bool
	Purpose   Purpose
	Methods   []Method // that may be used for this name
	State     string
	Token     string // random value, the same for all names of an order that were opened together
	Value     string // what to publish: prefix and token
	Evidence  string // what a valid one rests on
	Result    string // of the last look, for people
	Attempts  int
	Checked   time.Time
	NextCheck time.Time
	Created   time.Time
	Expires   time.Time // last day to show control
	Done      time.Time
}

// maxNames bounds an order.
const maxNames = 250

// Begin makes sure, in the order's transaction, that there is a validation for
// each name: valid at once where evidence is fresh enough (A182), pending
// otherwise. It is idempotent; what has run out since is opened again with a
// new random value. A name that the rules forbid is a fault of kind Invalid
// that names it.
func (d *Desk) Begin(tx *store.Tx, o Order) (Status, error) {
	if o.Purpose == "" {
		o.Purpose = ForServer
	}
	if len(o.Methods) == 0 {
		o.Methods = []Method{DNSTXT, HTTPFile}
	}
	if len(o.Names) > maxNames {
		return Status{}, fault.Invalidf("domain.count", "An order can hold %d names at most; these are %d.", maxNames, len(o.Names)).WithField("names")
	}
	now := d.clock.Now()
	var names []Name
	methods := map[Name][]Method{}
	for _, text := range o.Names {
		n, err := ParseName(text)
		if err != nil {
			return Status{}, err
		}
		if o.Public {
			if err := n.CheckPublic(); err != nil {
				return Status{}, err
			}
		}
		if methods[n] != nil {
			continue
		}
		if methods[n], err = d.offered(o, n, now); err != nil {
			return Status{}, err
		}
		names = append(names, n)
	}
	evidence, err := d.find(tx, o.Realm, o.Client, names, o.Purpose, o.Public)
	if err != nil {
		return Status{}, err
	}
	token := newToken()
	for _, n := range names {
		if len(methods[n]) == 0 && evidence[n].ID == "" {
			return Status{}, errNoMethod(o, n, now)
		}
		if err := d.open(tx, o, n, methods[n], evidence[n], token, now); err != nil {
			return Status{}, err
		}
	}
	return d.Status(tx, o.ID)
}

// offered narrows the product's methods to those that may be used for a name.
func (d *Desk) offered(o Order, n Name, now time.Time) ([]Method, error) {
	out := []Method{} // not nil: it marks the name as seen
	for _, m := range o.Methods {
		if _, ok := ruleOf(m); !ok || m == Mailbox || m == Trusted {
			return nil, fault.Invalidf("domain.method", "%q is no method to show control over a domain.", m).WithField("methods")
		}
		if Allowed(m, n, o.Public, now) == nil && !slices.Contains(out, m) && (m != PersistTXT || d.set.AccountURI != nil) {
			out = append(out, m)
		}
	}
	return out, nil
}

// errNoMethod says why no method is left.
func errNoMethod(o Order, n Name, now time.Time) error {
	for _, m := range o.Methods {
		if err := Allowed(m, n, o.Public, now); err != nil {
			return err
		}
	}
	return fault.Invalidf("domain.method", "The product offers no method to show control over %s.", n)
}

// open writes the row of a name, or opens one again that has ended or whose
// evidence has become too old.
func (d *Desk) open(tx *store.Tx, o Order, n Name, methods []Method, e Evidence, token string, now time.Time) error {
	state, done, next, ends := Pending, int64(0), store.Micros(now.Add(checkEvery)), store.Micros(now.Add(TokenLife))
	if e.ID != "" {
		state, done, next, token = Valid, store.Micros(now), 0, ""
	}
	list, err := json.Marshal(methods)
	if err != nil {
		return err
	}
	added, err := tx.Exec(`INSERT INTO domainval_validations (id, order_id, realm, client, name, unicode, public, purpose, methods, state, token, evidence, result,
			attempts, checked_at, next_check_at, created_at, expires_at, done_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', 0, 0, $13, $14, $15, $16) ON CONFLICT DO NOTHING`,
		ident.New("val"), o.ID, string(o.Realm), o.Client, n.String(), n.Unicode(), o.Public, string(o.Purpose), string(list), state, token, e.ID, next, store.Micros(now), ends, done)
	if err != nil || added > 0 {
		return err
	}
	// The row is there. What is pending stays, unless there is evidence now; what
	// is valid takes the evidence that was just found fit, or opens again.
	_, err = tx.Exec(`UPDATE domainval_validations SET state = $1, token = $2, evidence = $3, next_check_at = $4, created_at = $5, expires_at = $6, done_at = $7, public = $8, purpose = $9, methods = $10, result = ''
		WHERE order_id = $11 AND name = $12 AND (state <> 'pending' OR $1 = 'valid') AND NOT (state = 'valid' AND evidence = $3)`,
		state, token, e.ID, next, store.Micros(now), ends, done, o.Public, string(o.Purpose), string(list), o.ID, n.String())
	return err
}

// Cancel ends what is pending for an order that will not be issued.
func (d *Desk) Cancel(tx *store.Tx, order string) error {
	now := store.Micros(d.clock.Now())
	if _, err := tx.Exec(`UPDATE domainval_validations SET state = 'cancelled', done_at = $1, next_check_at = 0 WHERE order_id = $2 AND state = 'pending'`, now, order); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE domainval_mails SET state = 'cancelled', done_at = $1 WHERE order_id = $2 AND state = 'sent'`, now, order)
	return err
}

const validationColumns = `id, order_id, realm, client, name, public, purpose, methods, state, token, evidence, result, attempts, checked_at, next_check_at, created_at, expires_at, done_at`

func (d *Desk) scanValidation(r interface{ Scan(...any) error }, extra ...any) (Validation, error) {
	var v Validation
	var name, methods string
	var attempts, checked, next, created, expires, done int64
	dest := []any{&v.ID, &v.Order, &v.Realm, &v.Client, &name, &v.Public, &v.Purpose, &methods, &v.State, &v.Token, &v.Evidence, &v.Result, &attempts, &checked, &next, &created, &expires, &done}
	if err := r.Scan(append(dest, extra...)...); err != nil {
		return v, err
	}
	v.Attempts = int(attempts)
	v.Checked, v.NextCheck, v.Created, v.Expires, v.Done = store.Time(checked), store.Time(next), store.Time(created), store.Time(expires), store.Time(done)
	if v.Token != "" {
		v.Value = d.value(v.Token)
	}
	var err error
	if v.Name, err = ParseName(name); err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(methods), &v.Methods)
}

// settle marks the pending validations of the client that the evidence serves
// as valid, the one that led to it among them, and wakes their orders.
func (d *Desk) settle(tx *store.Tx, e Evidence) error {
	now := d.clock.Now()
	// A name holds no character that LIKE would take for a wildcard of its own.
	rows, err := tx.Query(`SELECT `+validationColumns+` FROM domainval_validations WHERE client = $1 AND realm = $2 AND state = 'pending' AND (name = $3 OR name LIKE $4)
		ORDER BY created_at LIMIT 5000`, e.Client, string(e.Realm), e.Name, "%."+e.Name)
	pending, err := store.Collect(rows, err, func(r *store.Rows) (Validation, error) { return d.scanValidation(r) })
	if err != nil {
		return err
	}
	var orders []string
	for _, v := range pending {
		if !d.usable(e, v.Name, v.Purpose, v.Public, now) {
			continue
		}
		n, err := tx.Exec(`UPDATE domainval_validations SET state = 'valid', evidence = $1, done_at = $2, next_check_at = 0, result = $3 WHERE id = $4 AND state = 'pending'`, e.ID, store.Micros(now), e.Detail.Text, v.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := d.noteValidation(tx, v, "validation.valid", audit.OK, map[string]string{"method": string(e.Method), "evidence": e.ID, "section": e.Section}); err != nil {
			return err
		}
		if !slices.Contains(orders, v.Order) {
			orders = append(orders, v.Order)
		}
	}
	return d.wake(tx, orders)
}

// wake calls OnDone for those orders that wait for nothing more, or for which
// something has failed.
func (d *Desk) wake(tx *store.Tx, orders []string) error {
	if len(orders) == 0 {
		return nil
	}
	var args []any
	var list []string
	for _, o := range orders {
		args = append(args, o)
		list = append(list, "$"+strconv.Itoa(len(args)))
	}
	in := strings.Join(list, ", ")
	rows, err := tx.Query(`SELECT order_id, SUM(CASE WHEN state IN ('pending', 'sent') THEN 1 ELSE 0 END), SUM(CASE WHEN state IN ('expired', 'refused') THEN 1 ELSE 0 END)
		FROM (SELECT order_id, state FROM domainval_validations WHERE order_id IN (`+in+`)
			UNION ALL SELECT order_id, state FROM domainval_mails WHERE kind = 'mailbox' AND order_id IN (`+in+`)) waiting GROUP BY order_id ORDER BY order_id`, args...)
	done, err := store.Collect(rows, err, func(r *store.Rows) (string, error) {
		var order string
		var open, failed int64
		if err := r.Scan(&order, &open, &failed); err != nil || open > 0 && failed == 0 {
			return "", err
		}
		return order, nil
	})
	if err != nil {
		return err
	}
	for _, order := range done {
		if order == "" {
			continue
		}
		if err := d.onDone(tx, order); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) noteValidation(tx *store.Tx, v Validation, action string, result audit.Result, detail map[string]string) error {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["name"], detail["order"] = v.Name.String(), v.Order
	return d.audit.Append(tx, audit.Entry{Action: action, ObjectKind: "validation", ObjectID: v.ID, Realm: string(v.Realm), Client: v.Client, Result: result, Detail: detail})
}

// errNoValidation is for rows that are not there.
func errNoValidation(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return access.NotFound()
	}
	return err
}
