package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

type newCertificate struct {
	Realm     string `json:"realm" enum:"preprod,production" example:"production" doc:"The environment."`
	Service   string `json:"service" minLength:"1" maxLength:"40" example:"demo" doc:"Name of the service whose data the certificate opens."`
	ShortName string `json:"shortName" minLength:"1" maxLength:"64" example:"e-banking" doc:"Short name of the application that will use the certificate; becomes part of its name."`
	CSR       string `json:"csr" minLength:"1" maxLength:"32768" example:"-----BEGIN CERTIFICATE REQUEST-----\n…" doc:"A PKCS#10 certificate request in PEM. Only its key is used; names come from the order."`
	Orderer   string `json:"orderer,omitempty" maxLength:"80" doc:"Id of the authorised person behind the order, who gets reminders."`
	Life      *life  `json:"life,omitempty" doc:"How long the certificate shall live; two years by default."`
	Comment   string `json:"comment,omitempty" maxLength:"2000"`
}

func (n newCertificate) request() wscert.Request {
	r := wscert.Request{
		Realm: access.Realm(n.Realm), Service: n.Service, ShortName: n.ShortName, Orderer: n.Orderer, Mode: wscert.Direct, CSR: []byte(n.CSR), Comment: n.Comment,
	}
	if n.Life != nil {
		r.Spec.Life = n.Life.spec()
	}
	return r
}

// certificate is an issued certificate with its order.
type certificate struct {
	Order       string    `json:"order" example:"ord-0198b6a2-7d51-7c1e-9a55-0c7b3a3f9d10" doc:"Id of the order."`
	State       string    `json:"state" example:"ISSUED" doc:"Of the order. When it waits for an approval there is no certificate yet."`
	Serial      string    `json:"serial,omitempty" example:"0198b6a27d51c2f04d5e6a7b8c9d0e1f" doc:"Serial number, lower-case hexadecimal."`
	NotBefore   time.Time `json:"notBefore,omitzero"`
	NotAfter    time.Time `json:"notAfter,omitzero"`
	Certificate string    `json:"certificate,omitempty" doc:"The certificate in PEM."`
	Chain       string    `json:"chain,omitempty" doc:"The certificates that lead to the root, without it, in PEM."`
}

type issued struct {
	Status      int
	Location    string `header:"Location" doc:"The address of the order."`
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        any
}

func (s *server) certificates(r registrar) {
	schema := r.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[certificate](), true, "")
	op := operation{
		id: "issueCertificate", method: http.MethodPost, path: "/certificates", tag: "certificates", status: http.StatusCreated, refusals: []int{404, 409},
		summary: "Get a client certificate for a certificate request",
		text:    "Needs certificate.order. The certificate is in the answer and works at once. With Accept application/pem-certificate-chain the answer is the certificate and its chain in PEM. Where the installation asks for approvals the answer is 202 and the certificate can be had from the order later.",
		content: map[string]*example{typeJSON: nil, typePEM: {"The certificate, then its chain, in PEM."}},
	}
	register(r, op, s.issue)
	post := r.api.OpenAPI().Paths["/certificates"].Post
	post.Responses["201"].Content[typeJSON].Schema = schema
	post.Responses["202"] = &huma.Response{
		Description: "The order waits for an approval.", Content: map[string]*huma.MediaType{typeJSON: {Schema: schema}},
	}
}

func (s *server) issue(ctx context.Context, in *struct {
	Idempotent
	Accept string `header:"Accept" doc:"The form that is wanted."`
	Body   newCertificate
},
) (*issued, error) {
	o, err := s.create(ctx, in.Key, "issueCertificate", in.Body, in.Body.request())
	if err != nil {
		return nil, withOrder(o, err)
	}
	out := &issued{Status: http.StatusCreated, Location: Prefix + "/orders/" + o.ID, ContentType: typeJSON}
	v := certificate{Order: o.ID, State: string(o.State), Serial: o.Serial, NotBefore: utc(o.NotBefore), NotAfter: utc(o.NotAfter)}
	switch o.State {
	case wscert.Issued, wscert.Revoked:
	case wscert.PendingAuth:
		out.Status, out.Body = http.StatusAccepted, v
		return out, nil
	default:
		return nil, &madeOrder{notIssued(o), o.ID}
	}
	record, err := s.Orders.Certificate(ctx, o)
	if err != nil {
		return nil, &madeOrder{err, o.ID}
	}
	chain, err := s.Orders.PEM(ctx, record.DER, o.Authority)
	if err != nil {
		return nil, &madeOrder{err, o.ID}
	}
	if negotiation.SelectQValueFast(in.Accept, []string{typeJSON, typePEM}) == typePEM {
		out.ContentType, out.Body = typePEM, chain
		return out, nil
	}
	v.Certificate = pemCertificate(record.DER)
	v.Chain = string(chain[len(v.Certificate):])
	out.Body = v
	return out, nil
}

// Idempotent is the header with which a request can be sent twice.
type Idempotent struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"A value of the caller's that names this request, such as a UUID. The same request with the same key within 48 hours gives the same order again."`
}

// create places an order. With a key it places it once: a repetition, also one
// at the same moment or on another node, gives the first one's order.
func (s *server) create(ctx context.Context, header, operation string, content any, request wscert.Request) (*wscert.Order, error) {
	if header == "" {
		return s.Orders.Create(ctx, scope(ctx), request)
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	key, err := idempotency.New(scope(ctx).Principal().ID, header, append([]byte(operation+"\n"), body...))
	if err != nil {
		return nil, err
	}
	if o, err := s.earlier(ctx, key); o != nil || err != nil {
		return o, err
	}
	request.Within = func(tx *store.Tx, orderID string) error { return s.Idempotency.Save(tx, key, orderID) }
	o, err := s.Orders.Create(ctx, scope(ctx), request)
	if errors.Is(err, idempotency.ErrTaken) {
		if o, err = s.earlier(ctx, key); o == nil && err == nil {
			err = fault.Conflictf("idempotency.busy", "Another request with this Idempotency-Key is under way.").WithNext("Send the request again.")
		}
	}
	return o, err
}

// How long a repetition waits for the first request, which is signing.
const (
	patience = 3 * time.Second
	lookEach = 20 * time.Millisecond
)

// earlier finds the order that an earlier request with the key made. While
// that one is being issued it waits a little, so that both get the certificate.
func (s *server) earlier(ctx context.Context, key idempotency.Key) (*wscert.Order, error) {
	id, ok, err := s.Idempotency.Find(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	look := time.NewTicker(lookEach)
	defer look.Stop()
	for {
		o, err := s.Orders.Get(ctx, scope(ctx), id)
		if err != nil {
			return nil, err
		}
		if o.State != wscert.Issue {
			return o, nil
		}
		if o.Problem != "" {
			return o, delayed(o) // the engine has put it off
		}
		select {
		case <-look.C:
		case <-end.C:
			return o, delayed(o)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// delayed is the engine's own answer for an order that will be issued later.
func delayed(o *wscert.Order) error {
	return fault.Unavailablef(errors.New(o.Problem), "order.delayed", "The order %s is stored and will be issued as soon as possible.", o.ID).
		WithNext("There is no need to order again; look at the order in a moment.")
}
