package order_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/product"
)

var pdf = []byte("%PDF-1.7\n1 0 obj\n")

// A156: a product may ask for documents with the order, or before it goes on.
func TestProductAsksForDocuments(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { documents = { required = true, pdf = true } }`)
		r := b.server(p, "www.foo.example")
		r.Papers = []order.Paper{{Name: "extract.txt", Data: []byte("plain text")}}
		if _, err := b.engine.Create(t.Context(), b.scope, r); !errors.Is(err, fault.Invalid) {
			t.Errorf("a text for a PDF: %v", err)
		}
		r = b.server(p, "www.foo.example")
		o := b.create(r)
		if o.State != order.PendingAuth {
			t.Fatalf("without documents it is %s: %s", o.State, o.Problem)
		}
		b.drain()
		if got := b.get(o.ID); got.State != order.PendingAuth {
			t.Fatalf("it went on without documents: %s", got.State)
		}
		d := must(b.engine.AddDocument(t.Context(), b.scope, o.ID, order.Paper{Name: "extract.pdf", Data: pdf}))(t)
		b.drain()
		if got := b.get(o.ID); got.State != order.Issued {
			t.Fatalf("with documents it is %s: %s", got.State, got.Problem)
		}
		_, content, err := b.engine.OpenDocument(t.Context(), b.scope, o.ID, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		if got := must(io.ReadAll(content))(t); string(got) != string(pdf) || d.Type != "application/pdf" {
			t.Errorf("the %s reads %q", d.Type, got)
		}
		r = b.server(b.product("tls-server-private", `rules = { documents = { required = true, on_register = true, pdf = true } }`), "www.foo.example")
		if _, err := b.engine.Create(t.Context(), b.scope, r); !errors.Is(err, fault.Invalid) {
			t.Errorf("without the documents that come with the order: %v", err)
		}
		r.Papers = []order.Paper{{Name: "extract.pdf", Data: pdf}}
		if o := b.create(r); o.State != order.Issued || len(must(b.engine.Documents(t.Context(), o))(t)) != 1 {
			t.Errorf("with them it is %s: %s", o.State, o.Problem)
		}
		b.invariants()
	})
}

// The terms of a product are accepted with the order.
func TestTermsAreAccepted(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), options{})
	r := b.server(b.product("tls-server-private", `rules = { terms = true }`), "www.foo.example")
	if _, err := b.engine.Create(t.Context(), b.scope, r); !errors.Is(err, fault.Invalid) {
		t.Errorf("without accepting: %v", err)
	}
	r.Terms = true
	if o := b.create(r); o.State != order.Issued {
		t.Errorf("accepted, it is %s", o.State)
	}
}

// register plays a data source.
type register struct{ asked []map[string]string }

func (r *register) Find(_ context.Context, words map[string]string, _ int) (product.Rows, error) {
	r.asked = append(r.asked, words)
	if words["number"] != "42" {
		return nil, nil
	}
	return product.Rows{{"organisation": {"Registered AS"}, "city": {"Oslo"}}}, nil
}

// A77: a product may take its content from the records of a data source, and from
// nowhere else.
func TestContentComesFromTheDataSource(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		source := &register{}
		b := newBench(t, db, options{sources: map[string]product.DataSource{"register": source}})
		p := b.product("tls-server-private", `
data = { source = "register", parameters = { country = "NO" } }
[subject.O]
state = "editable"
sources = ["data"]
column = "organisation"
`)
		r := b.server(p, "www.foo.example")
		r.Lookup = map[string]string{"number": "42", "country": "SE"}
		o := b.create(r)
		if o.State != order.Issued {
			t.Fatalf("%s: %s", o.State, o.Problem)
		}
		if c := b.certificate(o); len(c.Subject.Organization) != 1 || c.Subject.Organization[0] != "Registered AS" {
			t.Errorf("the organisation is %v", c.Subject.Organization)
		}
		if got := source.asked[0]; got["country"] != "NO" || got["number"] != "42" {
			t.Errorf("the source was asked for %v", got)
		}
		r = b.server(p, "www.foo.example")
		r.Lookup = map[string]string{"number": "43"}
		if _, err := b.engine.Create(t.Context(), b.scope, r); !errors.Is(err, fault.Invalid) {
			t.Errorf("a record that is not there: %v", err)
		}
		b.invariants()
	})
}
