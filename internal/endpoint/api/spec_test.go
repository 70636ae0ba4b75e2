package api_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A spec is the served description, read as plain JSON.
type spec struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Servers []struct{ URL string }
	Tags    []struct{ Name, Description string }
	Paths   map[string]map[string]*specOperation

	Components struct {
		Schemas         map[string]*schema
		SecuritySchemes map[string]struct{ Type string }
	}
}

type specOperation struct {
	OperationID, Summary, Description string
	Tags                              []string
	Parameters                        []struct {
		Name, In, Description string
		Required              bool
		Schema                *schema
	}
	RequestBody *struct {
		Required bool
		Content  map[string]media
	}
	Responses map[string]struct {
		Description string
		Content     map[string]media
	}
}

type media struct{ Schema *schema }

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Enum                 []any
	Required             []string
	Properties           map[string]*schema
	AdditionalProperties any
	Items                *schema
	Examples             []any
}

func readSpec(tb testing.TB, w *world) *spec {
	tb.Helper()
	a := w.caller(nil, nil).get("/openapi.json").want(200)
	if a.header.Get("Content-Type") != "application/openapi+json" {
		tb.Fatal(a.header)
	}
	var s spec
	check(tb, json.Unmarshal(a.body, &s))
	return &s
}

// fits says how a value differs from a schema of this description: those parts
// of JSON Schema that it uses.
func (s *spec) fits(x *schema, v any, at string) error {
	if name, ok := strings.CutPrefix(x.Ref, "#/components/schemas/"); ok {
		if x = s.Components.Schemas[name]; x == nil {
			return fmt.Errorf("%s: no schema %s", at, name)
		}
	}
	if x.Enum != nil && !slices.Contains(x.Enum, v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, x.Enum)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range x.Required {
			if _, ok := v[name]; !ok {
				return fmt.Errorf("%s: %s is missing", at, name)
			}
		}
		for name, member := range v {
			p := x.Properties[name]
			if p == nil {
				if closed, ok := x.AdditionalProperties.(bool); ok && !closed {
					return fmt.Errorf("%s: %s is not described", at, name)
				}
				continue
			}
			if err := s.fits(p, member, at+"."+name); err != nil {
				return err
			}
		}
		return typed(x, "object", at)
	case []any:
		for i, item := range v {
			if err := s.fits(x.Items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return typed(x, "array", at)
	case string:
		return typed(x, "string", at)
	case bool:
		return typed(x, "boolean", at)
	case float64:
		if x.Type == "integer" && v == float64(int64(v)) {
			return nil
		}
		return typed(x, "number", at)
	}
	return fmt.Errorf("%s: null", at)
}

func typed(x *schema, have, at string) error {
	if x.Type == nil || x.Type == have {
		return nil
	}
	return fmt.Errorf("%s: is %s and described as %v", at, have, x.Type)
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// find returns the operation that a request reaches.
func (s *spec) find(method, path string) *specOperation {
	path = strings.TrimPrefix(strings.SplitN(path, "?", 2)[0], api.Prefix)
	if op := s.Paths[path]; op != nil {
		return op[strings.ToLower(method)]
	}
	for template, ops := range s.Paths {
		if regexp.MustCompile("^" + parameter.ReplaceAllString(template, "[^/]+") + "$").MatchString(path) {
			return ops[strings.ToLower(method)]
		}
	}
	return nil
}

// documented says how an answer differs from its description.
func (s *spec) documented(method, path string, status int, h http.Header, body []byte) error {
	op := s.find(method, path)
	if op == nil {
		return nil // no operation, and tests that ask for one notice
	}
	r, ok := op.Responses[fmt.Sprint(status)]
	if !ok {
		return fmt.Errorf("%s does not describe the status %d", op.OperationID, status)
	}
	if len(body) == 0 {
		return nil
	}
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return err
	}
	m, ok := r.Content[t]
	if !ok {
		return fmt.Errorf("%s, status %d, does not describe the content type %s", op.OperationID, status, t)
	}
	if !strings.HasSuffix(t, "json") {
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	return s.fits(m.Schema, v, op.OperationID)
}

// The description says everything a program needs, and says nothing that is not
// so: the fixture holds every answer of every test in this package against it.
func TestTheDescriptionIsWholeAndConsistent(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), options{})
	s := readSpec(t, w)
	if s.OpenAPI != "3.1.0" || len(s.Servers) != 1 || s.Servers[0].URL != api.Prefix || s.Info.Title == "" || s.Info.Version == "" {
		t.Errorf("head: %+v", s)
	}
	for _, name := range []string{"token", "apiKey", "certificate"} {
		if s.Components.SecuritySchemes[name].Type == "" {
			t.Errorf("no security scheme %s", name)
		}
	}
	known := map[string]bool{}
	for _, tag := range s.Tags {
		known[tag.Name] = tag.Description != ""
	}
	ids := map[string]bool{}
	for path, ops := range s.Paths {
		for method, op := range ops {
			what := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 || !known[op.Tags[0]] {
				t.Errorf("%s: id %q, summary %q, tags %v", what, op.OperationID, op.Summary, op.Tags)
			}
			ids[op.OperationID] = true
			checkParameters(t, what, path, op)
			checkResponses(t, s, what, op)
			if (method == "post" || method == "put" || method == "patch") && op.RequestBody != nil && !op.RequestBody.Required {
				t.Errorf("%s: the body is not required", what)
			}
		}
	}
	for name, x := range s.Components.Schemas {
		checkSchema(t, s, name, x)
	}
	if len(ids) < 50 {
		t.Errorf("only %d operations", len(ids))
	}
	yaml := w.caller(nil, nil).get("/openapi.yaml").want(200)
	if !strings.Contains(string(yaml.body), "openapi: 3.1.0") {
		t.Error("no YAML")
	}
	// A page that would load scripts of others does not exist.
	for _, path := range []string{"/docs", "/schemas/Order.json", "/openapi-3.0.json"} {
		w.admin.get(path).fault(404, "request.path")
	}
}

func checkParameters(t *testing.T, what, path string, op *specOperation) {
	for _, p := range parameter.FindAllString(path, -1) {
		if !slices.ContainsFunc(op.Parameters, func(q struct {
			Name, In, Description string
			Required              bool
			Schema                *schema
		},
		) bool {
			return q.In == "path" && q.Required && "{"+q.Name+"}" == p && q.Description != ""
		}) {
			t.Errorf("%s: %s is not described", what, p)
		}
	}
}

func checkResponses(t *testing.T, s *spec, what string, op *specOperation) {
	good := 0
	for status, r := range op.Responses {
		if r.Description == "" {
			t.Errorf("%s: status %s has no description", what, status)
		}
		if status[0] == '2' {
			good++
			continue
		}
		if m, ok := r.Content["application/problem+json"]; !ok || m.Schema.Ref != "#/components/schemas/Problem" {
			t.Errorf("%s: status %s is no problem", what, status)
		}
	}
	for _, status := range []string{"401", "403", "429", "500", "503"} {
		if op.Responses[status].Description == "" {
			t.Errorf("%s: status %s is not described", what, status)
		}
	}
	if good == 0 {
		t.Errorf("%s: no success is described", what)
	}
}

func checkSchema(t *testing.T, s *spec, at string, x *schema) {
	if name, ok := strings.CutPrefix(x.Ref, "#/components/schemas/"); ok && s.Components.Schemas[name] == nil {
		t.Errorf("%s: %s does not exist", at, x.Ref)
	}
	for name, p := range x.Properties {
		if regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`).FindString(name) == "" {
			t.Errorf("%s: the name %s is not in camel case", at, name)
		}
		for _, e := range p.Examples {
			if err := s.fits(p, e, at+"."+name); err != nil {
				t.Errorf("example: %v", err)
			}
		}
		checkSchema(t, s, at+"."+name, p)
	}
	if x.Items != nil {
		checkSchema(t, s, at+"[]", x.Items)
	}
}

// Rule of the house 4: whatever belongs to one client cannot be read, changed or
// noticed by a caller of another: each operation of the description, called on
// the other's real objects, answers as it does for objects that do not exist.
func TestAnotherClientsObjectsDoNotExistForACaller(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, options{})
		s := readSpec(t, w)
		theirs := populate(t, w, w.north)
		for path, ops := range s.Paths {
			if strings.HasPrefix(path, "/me") || strings.HasPrefix(path, "/authorities") || !strings.Contains(path, "{") {
				continue // one's own, public, or a list, see below
			}
			for method, op := range ops {
				real := w.fill(t, path, theirs)
				for _, c := range []*visitor{w.south.manager, w.south.system} {
					body := s.sample(op)
					a := c.do(strings.ToUpper(method), api.Prefix+real, body)
					if a.status != 404 && a.status != 403 {
						t.Errorf("%s: status %d: %s", a.what, a.status, a.body)
					}
					for _, name := range []string{"North", "north", w.north.client.ID} {
						if strings.Contains(string(a.body), name) && !strings.Contains(string(a.body), "south manager lacks") {
							t.Errorf("%s: the answer names the other client: %s", a.what, a.body)
						}
					}
					ghost := c.do(strings.ToUpper(method), api.Prefix+parameter.ReplaceAllString(path, "ord-ghost"), body)
					if a.status != ghost.status || a.text("code") != ghost.text("code") || a.text("detail") != ghost.text("detail") && !strings.HasPrefix(path, "/jobs") {
						t.Errorf("%s: %d %s, but for an object that does not exist %d %s", a.what, a.status, a.body, ghost.status, ghost.body)
					}
				}
			}
		}
		for _, path := range []string{
			"/orders", "/orders?search=north", "/orders?client=" + w.north.client.ID, "/clients", "/accounts", "/accounts?client=" + w.north.client.ID,
			"/audit", "/audit?objectKind=order&objectId=" + theirs["orders"], "/outbox", "/me/tokens", "/me/api-certificates",
		} {
			if a := w.south.manager.get(path).want(200); strings.Contains(string(a.body), "north") || strings.Contains(string(a.body), w.north.client.ID) {
				t.Errorf("%s lists what is another client's: %s", path, a.body)
			}
		}
		for _, path := range []string{"/audit?client=", "/outbox?client="} {
			w.south.manager.get(path+w.north.client.ID).fault(404, "access.not_found")
		}
		w.south.manager.get("/outbox?realm=production").want(200)
		w.south.manager.get("/jobs").fault(403, "access.forbidden")
	})
}

// fill puts the other's objects into a path.
func (w *world) fill(t *testing.T, path string, objects map[string]string) string {
	t.Helper()
	area := strings.Split(path, "/")[1]
	return parameter.ReplaceAllStringFunc(path, func(p string) string {
		if p == "{id}" {
			p = area
		}
		id := objects[strings.Trim(p, "{}")]
		if id == "" {
			t.Fatalf("%s: no object for %s", path, p)
		}
		return id
	})
}

// sample is a body that fits what an operation takes.
func (s *spec) sample(op *specOperation) any {
	if op.RequestBody == nil {
		return nil
	}
	return s.value(op.RequestBody.Content["application/json"].Schema)
}

func (s *spec) value(x *schema) any {
	if name, ok := strings.CutPrefix(x.Ref, "#/components/schemas/"); ok {
		x = s.Components.Schemas[name]
	}
	switch {
	case len(x.Examples) > 0:
		return x.Examples[0]
	case len(x.Enum) > 0:
		return x.Enum[0]
	case x.Type == "object":
		out := map[string]any{}
		for _, name := range x.Required {
			out[name] = s.value(x.Properties[name])
		}
		return out
	case x.Type == "boolean":
		return false
	case x.Type == "integer":
		return 1
	}
	return "text"
}

// populate makes one object of each kind for a tenant, by area of the path and
// by parameter.
func populate(t *testing.T, w *world, x tenant) map[string]string {
	t.Helper()
	account := x.account.ID
	o := x.system.post("/orders", orderFor(x)).want(201)
	cert := x.system.post("/me/api-certificates", object{"nickname": "north", "ends": w.clock.Now().AddDate(0, 1, 0)}).want(201)
	entry := w.admin.get("/audit?objectKind=order&objectId=" + o.text("id")).want(200).items()[0]
	message := w.admin.get("/outbox?client=" + x.client.ID).want(200).items()[0]
	return map[string]string{
		"orders": o.text("id"), "clients": x.client.ID, "services": x.service.ID, "orderers": x.person.ID, "accounts": account,
		"audit": entry["id"].(string), "outbox": message["id"].(string), "jobs": "every-jobs.sweep",
		"token":       w.admin.get("/accounts/" + account + "/tokens").want(200).items()[0]["id"].(string),
		"grant":       w.admin.get("/accounts/" + account + "/grants").want(200).items()[0]["id"].(string),
		"certificate": cert.text("certificate", "id"),
	}
}
