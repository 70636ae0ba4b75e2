package audit_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// scatter records 120 entries, two of them at each moment, spread over clients,
// actors, actions and results.
func scatter(t *testing.T, db *store.DB) *audit.Log {
	l, c := newLog(db)
	actionNames := []string{"order.create", "order.approve", "login.password", "orders", "crl.sign"}
	for i := range 120 {
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Kind: audit.Operator, ID: fmt.Sprint("opr-", i%7), Correlation: fmt.Sprint("c", i/4)})
		e := audit.Entry{
			Action: actionNames[i%5], ObjectKind: []string{"order", "job"}[i%2], ObjectID: fmt.Sprint("o-", i%12), Realm: []string{"preprod", "production"}[i%2],
			Client: fmt.Sprint("cli-", i%40), Result: []audit.Result{audit.OK, audit.OK, audit.Refused, audit.Failed}[i%4], Detail: map[string]string{"i": fmt.Sprint(i)},
		}
		if i%40 == 0 {
			e.Client = ""
		}
		if err := l.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			c.Advance(time.Minute)
		}
		if i == 80 { // the rest waits to be sequenced
			if _, err := l.Sequence(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

func forty() (all []string) {
	for i := range 40 {
		all = append(all, fmt.Sprint("cli-", i))
	}
	return all
}

var filters = map[string]struct {
	filter audit.Filter
	index  string // that leads the search
	keep   func(audit.Stored) bool
}{
	"everything": {audit.Filter{AllClients: true}, "audit_by_time", func(audit.Stored) bool { return true }},
	"nobody":     {audit.Filter{}, "", func(audit.Stored) bool { return false }},
	"a client":   {audit.Filter{Clients: []string{"cli-3"}}, "audit_by_client", func(s audit.Stored) bool { return s.Entry.Client == "cli-3" }},
	"three clients": {audit.Filter{Clients: []string{"cli-3", "cli-4", "cli-3", "cli-39"}}, "audit_by_client", func(s audit.Stored) bool {
		return slices.Contains([]string{"cli-3", "cli-4", "cli-39"}, s.Entry.Client)
	}},
	"many clients":              {audit.Filter{Clients: forty()}, "audit_by_time", func(s audit.Stored) bool { return s.Entry.Client != "" }},
	"a realm":                   {audit.Filter{AllClients: true, Realm: "preprod"}, "audit_by_time", func(s audit.Stored) bool { return s.Entry.Realm == "preprod" }},
	"an object":                 {audit.Filter{AllClients: true, ObjectKind: "job", ObjectID: "o-3"}, "audit_by_object", func(s audit.Stored) bool { return s.Entry.ObjectKind == "job" && s.Entry.ObjectID == "o-3" }},
	"an object of another kind": {audit.Filter{AllClients: true, ObjectKind: "order", ObjectID: "o-3"}, "audit_by_object", func(s audit.Stored) bool { return false }},
	"an actor":                  {audit.Filter{AllClients: true, Actor: "opr-2"}, "audit_by_actor", func(s audit.Stored) bool { return s.Origin.ID == "opr-2" }},
	"an action":                 {audit.Filter{AllClients: true, Action: "crl.sign"}, "audit_by_action", func(s audit.Stored) bool { return s.Entry.Action == "crl.sign" }},
	"an area":                   {audit.Filter{AllClients: true, Action: "order."}, "audit_by_action", func(s audit.Stored) bool { return strings.HasPrefix(s.Entry.Action, "order.") }},
	"an unknown area":           {audit.Filter{AllClients: true, Action: "nothing."}, "", func(s audit.Stored) bool { return false }},
	"a result":                  {audit.Filter{AllClients: true, Result: audit.Failed}, "audit_by_trouble", func(s audit.Stored) bool { return s.Entry.Result == audit.Failed }},
	"what went well":            {audit.Filter{AllClients: true, Result: audit.OK}, "audit_by_time", func(s audit.Stored) bool { return s.Entry.Result == audit.OK }},
	"a request":                 {audit.Filter{AllClients: true, Correlation: "c7"}, "audit_by_correlation", func(s audit.Stored) bool { return s.Origin.Correlation == "c7" }},
	"an hour": {audit.Filter{AllClients: true, From: start.Add(10 * time.Minute), To: start.Add(40 * time.Minute)}, "audit_by_time", func(s audit.Stored) bool {
		return !s.At.Before(start.Add(10*time.Minute)) && s.At.Before(start.Add(40*time.Minute))
	}},
	"all at once": {audit.Filter{Clients: []string{"cli-2", "cli-22"}, Realm: "preprod", Actor: "opr-2", Action: "login.", Result: audit.Refused, To: start.Add(3 * time.Hour)}, "audit_by_actor", func(s audit.Stored) bool {
		return (s.Entry.Client == "cli-2" || s.Entry.Client == "cli-22") && s.Origin.ID == "opr-2" && s.Entry.Action == "login.password" && s.Entry.Result == audit.Refused
	}},
}

// House rules 3 and 4: lists are paged by key, newest first, miss nothing, show
// nothing twice, and never show what the filter does not allow.
func TestListsArePagedAndFiltered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := scatter(t, db)
		all := everything(t, db, l)
		if len(all) != 120 || !slices.IsSortedFunc(all, newestFirst) {
			t.Fatalf("%d entries, or not in order", len(all))
		}
		for name, c := range filters {
			var want, got []string
			for _, s := range all {
				if c.keep(s) {
					want = append(want, s.ID)
				}
			}
			page := store.Page{Limit: 7}
			for {
				list, next, err := l.List(db.View(t.Context()), c.filter, page)
				if err != nil || len(list) > 7 || next != "" && len(list) < 7 {
					t.Fatalf("%s: page of %d, %v", name, len(list), err)
				}
				for _, s := range list {
					got = append(got, s.ID)
				}
				if page.Cursor = next; next == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d entries, want %d", name, len(got), len(want))
			}
		}
		if _, _, err := l.List(db.View(t.Context()), audit.Filter{AllClients: true, ObjectKind: "order"}, store.Page{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a kind without an id: %v", err)
		}
		if _, _, err := l.List(db.View(t.Context()), audit.Filter{AllClients: true}, store.Page{Cursor: "x"}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a bad cursor: %v", err)
		}
	})
}

func newestFirst(a, b audit.Stored) int {
	if c := b.At.Compare(a.At); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}

// House rule 3: every list goes through an index that has the order of the
// list, whatever else is asked; nothing is sorted but the few rows of a merge.
func TestEveryListHasItsIndex(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	l := scatter(t, db)
	for name, c := range filters {
		spy := &explainer{Queryer: db.View(t.Context())}
		if _, _, err := l.List(spy, c.filter, store.Page{Limit: 5}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.index == "" {
			if spy.plan != "" {
				t.Errorf("%s: asked the database: %s", name, spy.plan)
			}
			continue
		}
		merged := strings.Contains(spy.plan, "COMPOUND") || strings.Contains(spy.plan, "UNION ALL")
		if !strings.Contains(spy.plan, c.index) || strings.Contains(spy.plan, "TEMP B-TREE") && !merged {
			t.Errorf("%s: plan\n%s", name, spy.plan)
		}
		for _, line := range strings.Split(spy.plan, "\n") {
			if strings.Contains(line, "audit_pending") {
				continue // the entries that wait to be sequenced
			}
			if strings.Contains(line, "audit_entries USING") && !strings.Contains(line, c.index+" ") && !strings.HasSuffix(line, c.index) {
				t.Errorf("%s: reads through another index: %s", name, line)
			}
		}
	}
}

// An explainer asks for the plan of the list before it is run.
type explainer struct {
	store.Queryer
	plan string
}

func (e *explainer) Query(query string, args ...any) (*store.Rows, error) {
	if strings.HasPrefix(query, "SELECT") {
		rows, err := e.Queryer.Query(`EXPLAIN QUERY PLAN `+query, args...)
		lines, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) {
			var id, parent, unused int
			return s, r.Scan(&id, &parent, &unused, &s)
		})
		if err != nil {
			return nil, err
		}
		e.plan = strings.Join(lines, "\n")
	}
	return e.Queryer.Query(query, args...)
}
