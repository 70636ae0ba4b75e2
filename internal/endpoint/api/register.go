package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

func init() {
	// A setting of huma that exists once per process. Without it "Realm" would
	// pass for "realm", although it is an unknown field.
	huma.ValidateStrictCasing = true
}

// config describes the API as a whole. huma's own pages stay off: they load
// scripts from elsewhere.
func (s *server) config() huma.Config {
	format := huma.Format{Marshal: marshal, Unmarshal: json.Unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Sealwright API", Version: s.versionText(), Description: introduction},
			Servers: []*huma.Server{{URL: Prefix}},
			Tags:    tags,
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":       {Type: "http", Scheme: "bearer", BearerFormat: "swt_…", Description: "An API token."},
					"apiKey":      {Type: "apiKey", In: "header", Name: "x-api-key", Description: "An API token."},
					"certificate": {Type: "mutualTLS", Description: "An API client certificate, on the clientauth host. No token is needed beside it."},
				},
			},
			Security: []map[string][]string{{"token": {}}, {"apiKey": {}}, {"certificate": {}}},
		},
		Formats:                      map[string]huma.Format{typeJSON: format, "json": format},
		DefaultFormat:                typeJSON,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{translate},
	}
}

func (s *server) versionText() string {
	if s.Version == "" {
		return "1"
	}
	return s.Version
}

func marshal(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

const introduction = `Orders certificates and follows them, and runs clients, services, accounts and their credentials.

Call it with an API token (` + "`Authorization: Bearer swt_…` or `x-api-key: swt_…`" + `), or with an API client certificate on the clientauth host.

Times are RFC 3339 in UTC. Lists are paged: follow ` + "`next`, or the Link header with rel=\"next\"" + `, until it is absent.
A request to create an order may carry an Idempotency-Key; sent again within 48 hours it gives the same order.
Unknown fields and parameters are refused. Every refusal is a problem document (RFC 9457) whose code does not change.`

var tags = []*huma.Tag{
	{Name: "me", Description: "The caller, with the caller's API tokens and API client certificates."},
	{Name: "certificates", Description: "A certificate in one call, for a certificate request at hand."},
	{Name: "orders", Description: "Orders for client certificates, from approval to withdrawal."},
	{Name: "clients", Description: "Organisations with an agreement."},
	{Name: "services", Description: "Customer accounts, whose name stands in certificates."},
	{Name: "orderers", Description: "Persons whom a client has authorised to order and receive certificates."},
	{Name: "accounts", Description: "Service accounts: systems that call this API, with their credentials and rights."},
	{Name: "authorities", Description: "The certification authorities."},
	{Name: "audit", Description: "What was done by whom."},
	{Name: "outbox", Description: "Outgoing e-mail, SMS and webhooks."},
	{Name: "jobs", Description: "Background work."},
}

// registrar adds operations to the API.
type registrar struct{ api huma.API }

// An operation is what the description says of one.
type operation struct {
	id, method, path string
	tag, summary     string
	text             string
	status           int                 // of success; 0: 200 with a body, else 204
	refusals         []int               // beside those that every operation has
	content          map[string]*example // of success, when it is not JSON alone
}

// An example is a form of answer that is not JSON.
type example struct{ description string }

// register adds an operation. Faults that h returns become problems.
func register[I, O any](r registrar, op operation, h func(context.Context, *I) (*O, error)) {
	o := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Tags: []string{op.tag}, Summary: op.summary, Description: op.text,
		DefaultStatus: op.status, MaxBodyBytes: maxBody + 1, Responses: r.responses(op, reflect.TypeFor[I]()),
	}
	huma.Register(r.api, o, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			logInternal(ctx, err)
			return nil, problemOf(err, telemetry.Correlation(ctx))
		}
		return out, nil
	})
}

// refusalTexts say what each refusal means; every operation documents those
// that it can give.
var refusalTexts = map[int]string{
	400: "The request is wrong, and stays wrong when repeated: see field and next.",
	401: "The caller is not known: no credential, or one that is unknown, disabled, expired or deleted. The code says which.",
	403: "The caller lacks the permission.",
	404: "There is no such object, or the caller may not see it.",
	409: "The object is not in the state that the request needs.",
	410: "It existed once and will not return, such as a file that can be had once.",
	413: "The request's body is too large.",
	415: "The request's body is not JSON.",
	429: "Too many calls failed, or a limit was reached: see Retry-After.",
	500: "Something went wrong on our side: report the correlation id.",
	503: "Something below is down. The same request may succeed later; if order is set, the order exists and will be issued.",
}

// refusalHeaders are what comes with some of them.
var refusalHeaders = map[int]map[string]*huma.Param{
	401: {"WWW-Authenticate": {Description: "The scheme to use (RFC 6750).", Schema: &huma.Schema{Type: huma.TypeString}}},
	429: {"Retry-After": retryAfter},
	503: {"Retry-After": retryAfter},
}

var retryAfter = &huma.Param{Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger}}

func (r registrar) responses(op operation, input reflect.Type) map[string]*huma.Response {
	statuses := append([]int{401, 403, 429, 500, 503}, op.refusals...)
	if input.NumField() > 0 {
		statuses = append(statuses, 400)
	}
	if strings.Contains(op.path, "{") {
		statuses = append(statuses, 404)
	}
	if _, ok := input.FieldByName("Body"); ok {
		statuses = append(statuses, 413, 415)
	}
	schema := r.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, "")
	out := map[string]*huma.Response{}
	for _, status := range statuses {
		out[strconv.Itoa(status)] = &huma.Response{
			Description: refusalTexts[status], Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}, Headers: refusalHeaders[status],
		}
	}
	if op.content != nil {
		good := &huma.Response{Description: http.StatusText(op.status), Content: map[string]*huma.MediaType{}}
		for t, e := range op.content {
			good.Content[t] = &huma.MediaType{}
			if e != nil {
				good.Content[t].Schema = &huma.Schema{Type: "string", Format: "binary", Description: e.description}
			}
		}
		out[strconv.Itoa(op.status)] = good
	}
	return out
}

// Paging is the part of a list that is asked for.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many at most."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"From the next link of the page before."`
}

func (p Paging) page() store.Page { return store.Page{Limit: p.Limit, Cursor: p.Cursor} }

// list is the answer with a page of a list.
type list[T any] struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\" (RFC 8288); absent on the last."`
	Body page[T]
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false" doc:"This page."`
	Next  string `json:"next,omitempty" doc:"The address of the next page; absent on the last." example:"/api/v1/orders?cursor=eyJzIjoxfQ"`
}

// listOf makes the answer from what a domain returned. The next link repeats
// the request's filters.
func listOf[T, V any](ctx context.Context, items []T, next string, show func(T) V) *list[V] {
	out := &list[V]{Body: page[V]{Items: make([]V, len(items))}}
	for i, item := range items {
		out.Body.Items[i] = show(item)
	}
	if next == "" {
		return out
	}
	u := visitOf(ctx).url
	q := u.Query()
	q.Set("cursor", next)
	out.Body.Next = (&url.URL{Path: u.Path, RawQuery: q.Encode()}).String()
	out.Link = "<" + out.Body.Next + `>; rel="next"`
	return out
}

// one is the answer with one object.
type one[T any] struct{ Body T }

func show[T any](v T, err error) (*one[T], error) {
	if err != nil {
		return nil, err
	}
	return &one[T]{v}, nil
}

// made is the answer to a creation.
type made[T any] struct {
	Location string `header:"Location" doc:"The address of what was made."`
	Body     T
}

// done is the answer that has nothing to say.
func done(err error) (*struct{}, error) { return nil, err }

// ByID is the input of operations on one object.
type ByID struct {
	ID string `path:"id" maxLength:"80" doc:"The object's id."`
}

// utc is how times are shown; the zero time is left out.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// tidy gives the description the same order every time.
func tidy(doc *huma.OpenAPI) {
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op != nil {
				slices.SortStableFunc(op.Parameters, func(a, b *huma.Param) int { return strings.Compare(a.In+a.Name, b.In+b.Name) })
			}
		}
	}
}
