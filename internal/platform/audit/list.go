package audit

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Filter picks entries; what is set must all hold. The zero Filter picks
// nothing: say whose entries the reader may see.
type Filter struct {
	Clients    []string  // entries of these clients
	AllClients bool      // of every client, and those that belong to none
	Realm      string    //
	ObjectKind string    // together with ObjectID
	ObjectID   string    //
	Actor      string    // the id of who acted
	Action     string    // an action, or an area with its dot: "order."
	From, To   time.Time // at or after From, before To
	Result     Result    //
	// Correlation finds what one request did.
	Correlation string
}

const columns = `id, at, action, actor_kind, actor_id, actor_name, source, correlation, object_kind, object_id, realm, client, service, result, detail, COALESCE(leaf, -1)`

func scan(rows *store.Rows) (Stored, error) {
	s, detail, err := scanRaw(rows.Scan)
	if err != nil {
		return s, err
	}
	s.Entry.Detail, err = parseDetail(detail)
	if err != nil {
		return s, damaged("The detail of audit entry %s cannot be read.", s.ID)
	}
	return s, nil
}

func scanRaw(scan func(...any) error) (s Stored, detail string, err error) {
	o, e, at := &s.Origin, &s.Entry, int64(0)
	err = scan(&s.ID, &at, &e.Action, &o.Kind, &o.ID, &o.Name, &o.From, &o.Correlation, &e.ObjectKind, &e.ObjectID,
		&e.Realm, &e.Client, &e.Service, &e.Result, &detail, &s.Index)
	s.At = store.Time(at)
	return s, detail, err
}

// Get reads one entry.
func (l *Log) Get(q store.Queryer, id string) (Stored, error) {
	s, detail, err := scanRaw(q.QueryRow(`SELECT `+columns+` FROM audit_entries WHERE id = $1`, id).Scan)
	if errors.Is(err, store.ErrNotFound) {
		return s, fault.NotFoundf("audit.entry", "There is no audit entry %q.", id)
	}
	if err != nil {
		return s, err
	}
	if s.Entry.Detail, err = parseDetail(detail); err != nil {
		return s, damaged("The detail of audit entry %s cannot be read.", id)
	}
	return s, nil
}

// List gives a page of the entries that the filter picks, newest first, and the
// cursor of the next page, empty on the last. One index leads the search: the
// first that is set of Correlation, ObjectID, Actor, Result (other than OK),
// Action, Clients; otherwise time. The rest is filtered on the way.
func (l *Log) List(q store.Queryer, f Filter, page store.Page) (list []Stored, next string, err error) {
	if f.ObjectKind != "" && f.ObjectID == "" {
		return nil, "", fault.Invalidf("audit.object", "The audit log is searched by object kind only together with an object id.").
			WithNext("Search for actions that begin with %q instead.", f.ObjectKind+".").WithField("objectId")
	}
	key, resume, err := page.Key()
	if err != nil || !f.AllClients && len(f.Clients) == 0 {
		return nil, "", err
	}
	s := search{limit: page.Size() + 1}
	lead, values, err := s.lead(q, f)
	if err != nil || lead != "" && len(values) == 0 {
		return nil, "", err
	}
	if resume {
		s.where("(at, id) < (%s, %s)", key.Sort, key.ID)
	}
	s.filter(f, lead)
	rows, err := q.Query(s.query(lead, values), s.args...)
	list, err = store.Collect(rows, err, scan)
	if err != nil || len(list) < s.limit {
		return list, "", err
	}
	list = list[:len(list)-1]
	last := list[len(list)-1]
	return list, store.Key{Sort: store.Micros(last.At), ID: last.ID}.Cursor(), nil
}

// A search builds the statement of a list. The engines know little about how
// the rows are spread and would at times sort millions of them; so one column
// leads, through its index in the order of the list, and the other conditions
// are written as expressions, which no index serves.
type search struct {
	conditions []string
	args       []any
	limit      int
}

func (s *search) arg(v any) string {
	s.args = append(s.args, v)
	return fmt.Sprintf("$%d", len(s.args))
}

func (s *search) where(format string, values ...any) {
	marks := make([]any, len(values))
	for i, v := range values {
		marks[i] = s.arg(v)
	}
	s.conditions = append(s.conditions, fmt.Sprintf(format, marks...))
}

// mergeLimit is how many lists, each in order from its index, are merged.
const mergeLimit = 32

// lead picks the column that leads and the values it may have. With an empty
// column the time leads.
func (s *search) lead(q store.Queryer, f Filter) (column string, values []string, err error) {
	switch {
	case f.Correlation != "":
		return "correlation", []string{f.Correlation}, nil
	case f.ObjectID != "":
		s.where("object_kind = %s", f.ObjectKind)
		return "object_id", []string{f.ObjectID}, nil
	case f.Actor != "":
		return "actor_id", []string{f.Actor}, nil
	case f.Result != "" && f.Result != OK:
		s.conditions = append(s.conditions, "result <> 'ok'") // the index holds only these
		return "result", []string{string(f.Result)}, nil
	case strings.HasSuffix(f.Action, "."):
		if values, err = actions(q, f.Action); err != nil || len(values) <= mergeLimit {
			return "action", values, err
		}
	case f.Action != "":
		return "action", []string{f.Action}, nil
	case !f.AllClients && len(f.Clients) <= mergeLimit:
		return "client", slices.Compact(slices.Sorted(slices.Values(f.Clients))), nil
	}
	return "", nil, nil
}

// actions finds the actions that begin with a prefix, hopping from one to the
// next in the index: there are some hundreds, whatever the number of entries.
func actions(q store.Queryer, prefix string) ([]string, error) {
	rows, err := q.Query(`WITH RECURSIVE a (x) AS (
		SELECT MIN(action) FROM audit_entries WHERE leaf IS NOT NULL
		UNION ALL SELECT (SELECT MIN(action) FROM audit_entries WHERE leaf IS NOT NULL AND action > a.x) FROM a WHERE a.x IS NOT NULL)
		SELECT x FROM a WHERE x IS NOT NULL UNION SELECT action FROM audit_entries WHERE leaf IS NULL`)
	all, err := store.Collect(rows, err, func(r *store.Rows) (x string, err error) { return x, r.Scan(&x) })
	// The prefix is compared here: in SQL the database's language would decide.
	return slices.DeleteFunc(all, func(x string) bool { return !strings.HasPrefix(x, prefix) }), err
}

// filter adds the conditions on all columns but the one that leads.
func (s *search) filter(f Filter, lead string) {
	if f.Realm != "" {
		s.where("realm = %s", f.Realm)
	}
	if f.Actor != "" && lead != "actor_id" {
		s.where("actor_id || '' = %s", f.Actor)
	}
	if f.Result != "" && lead != "result" {
		s.where("result || '' = %s", string(f.Result))
	}
	switch {
	case f.Action == "" || lead == "action":
	case strings.HasSuffix(f.Action, "."):
		s.where("SUBSTR(action, 1, %s) = %s", utf8.RuneCountInString(f.Action), f.Action)
	default:
		s.where("action || '' = %s", f.Action)
	}
	if f.ObjectID != "" && lead != "object_id" {
		s.where("object_id || '' = %s", f.ObjectID)
	}
	if !f.From.IsZero() {
		s.where("at >= %s", store.Micros(f.From))
	}
	if !f.To.IsZero() {
		s.where("at < %s", store.Micros(f.To))
	}
	if !f.AllClients && lead != "client" {
		// Counts are rounded up to powers of two: few texts, so few prepared statements.
		marks := make([]string, 1<<bits.Len(uint(len(f.Clients)-1)))
		for i := range marks {
			marks[i] = s.arg(f.Clients[min(i, len(f.Clients)-1)])
		}
		s.conditions = append(s.conditions, "client || '' IN ("+strings.Join(marks, ", ")+")")
	}
}

// query merges lists that are each in order: one for each value of the leading
// column among the sequenced entries, through its index, and one of the entries
// that wait to be sequenced, which are few and in no index but that of waiting.
func (s *search) query(lead string, values []string) string {
	limit := s.arg(s.limit)
	one := func(conditions ...string) string {
		return `SELECT ` + columns + ` FROM audit_entries WHERE ` + strings.Join(append(conditions, s.conditions...), " AND ") + ` ORDER BY at DESC, id DESC LIMIT ` + limit
	}
	var parts []string
	waiting := []string{"leaf IS NULL"}
	if lead == "" {
		parts = append(parts, one("leaf IS NOT NULL"))
	} else {
		marks := make([]string, len(values))
		for i, v := range values {
			marks[i] = s.arg(v)
			parts = append(parts, one("leaf IS NOT NULL", lead+" = "+marks[i]))
		}
		waiting = append(waiting, lead+" IN ("+strings.Join(marks, ", ")+")")
	}
	parts = append(parts, one(waiting...))
	for i, p := range parts {
		parts[i] = fmt.Sprintf("SELECT * FROM (%s) AS part%d", p, i)
	}
	return `SELECT * FROM (` + strings.Join(parts, " UNION ALL ") + `) AS parts ORDER BY at DESC, id DESC LIMIT ` + limit
}
