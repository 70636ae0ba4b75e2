package api

import (
	"context"
	"encoding/pem"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// Order is an order as lists show it.
type Order struct {
	ID          string    `json:"id" example:"ord-0198b6a2-7d51-7c1e-9a55-0c7b3a3f9d10"`
	Realm       string    `json:"realm" enum:"preprod,production" example:"production" doc:"The environment."`
	Client      string    `json:"client" example:"cli-0198b6a0-11aa-7f00-8c55-1f0a6a4f7e21" doc:"Id of the client."`
	Service     string    `json:"service" example:"demo" doc:"Name of the service."`
	ShortName   string    `json:"shortName" example:"e-banking" doc:"Short name of the application, as it stands in the certificate's name."`
	CommonName  string    `json:"commonName" example:"demo-ws-ssl-e-banking" doc:"The certificate's name."`
	State       string    `json:"state" example:"ISSUED" enum:"PENDING_AUTH,PENDING_CSR_RENEWAL,KEY_VALIDATION,ISSUE,ISSUED,REVOKED,REJECTED,FAILED" doc:"Where the order stands. PENDING_AUTH waits for an approval, PENDING_CSR_RENEWAL for the recipient's certificate request, ISSUE for the authority's key."`
	Mode        string    `json:"mode" example:"generate" enum:"generate,bring,direct" doc:"generate: key made here, file handed over once. bring: the recipient brings a certificate request. direct: the request came with the order."`
	Recipient   *person   `json:"recipient,omitempty" doc:"The authorised person, as recorded when the order was placed."`
	Authority   string    `json:"authority,omitempty" example:"production-clients-1" doc:"Id of the authority that issues."`
	Serial      string    `json:"serial,omitempty" example:"0198b6a27d51c2f04d5e6a7b8c9d0e1f" doc:"Serial number, lower-case hexadecimal."`
	NotBefore   time.Time `json:"notBefore,omitzero" doc:"Beginning of the certificate's life."`
	NotAfter    time.Time `json:"notAfter,omitzero" doc:"End of the certificate's life."`
	ClaimBy     time.Time `json:"claimBy,omitzero" doc:"Until when the recipient can fetch the file; absent when there is nothing to fetch."`
	Delivered   time.Time `json:"delivered,omitzero" doc:"When the recipient fetched the file."`
	Predecessor string    `json:"predecessor,omitempty" doc:"Id of the order that this one reissues."`
	CreatedBy   string    `json:"createdBy" example:"ordering system" doc:"Who placed the order."`
	ApprovedBy  string    `json:"approvedBy,omitempty" doc:"Who approved it."`
	Comment     string    `json:"comment,omitempty"`
	Problem     string    `json:"problem,omitempty" doc:"Why the order failed, was rejected or waits."`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

type person struct {
	ID       string `json:"id" example:"per-0198b6a1-0c3e-7a10-b7a4-52a0f1d2c3b4"`
	Name     string `json:"name" example:"Authorised Person"`
	Email    string `json:"email" example:"person@example.com"`
	Mobile   string `json:"mobile" example:"+4512345678"`
	Language string `json:"language" example:"en"`
}

// orderDetail is one order with everything that happened to it.
type orderDetail struct {
	Order
	History  []event   `json:"history" nullable:"false" doc:"What happened, oldest first."`
	Delivery *delivery `json:"delivery,omitempty" doc:"The hand-over, if there is one."`
}

type event struct {
	Name   string    `json:"name" example:"ISSUE" doc:"The step."`
	State  string    `json:"state" example:"SUCCESS" doc:"SUCCESS, FAILED, RETRY or WAITING."`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty" doc:"Who, if a person or program."`
	Detail string    `json:"detail,omitempty"`
}

type delivery struct {
	ID        string    `json:"id"`
	State     string    `json:"state" example:"waiting" doc:"waiting for the one-time password, open in a browser, delivered, or closed."`
	Expires   time.Time `json:"expires"`
	CodesLeft int       `json:"codesLeft" doc:"One-time passwords that may still be asked for."`
	TriesLeft int       `json:"triesLeft" doc:"Tries left for the present one-time password."`
}

// life is how long a certificate shall live.
type life struct {
	Years  int `json:"years,omitempty" minimum:"0" maximum:"30" example:"1"`
	Months int `json:"months,omitempty" minimum:"0" maximum:"360"`
	Days   int `json:"days,omitempty" minimum:"0" maximum:"10950"`
}

func (l life) spec() wscert.Life { return wscert.Life{Years: l.Years, Months: l.Months, Days: l.Days} }

func showOrder(o *wscert.Order) Order {
	v := Order{
		ID: o.ID, Realm: string(o.Realm), Client: o.Client, Service: o.ServiceName, ShortName: o.ShortName, CommonName: o.CommonName,
		State: string(o.State), Mode: string(o.Mode), Authority: o.Authority, Serial: o.Serial,
		NotBefore: utc(o.NotBefore), NotAfter: utc(o.NotAfter), ClaimBy: utc(o.Claim()), Delivered: utc(o.Delivered),
		Predecessor: o.Predecessor, CreatedBy: o.CreatedBy, ApprovedBy: o.ApprovedBy, Comment: o.Comment, Problem: o.Problem,
		Created: utc(o.Created), Updated: utc(o.Updated),
	}
	if r := o.Recipient; r.ID != "" {
		v.Recipient = &person{r.ID, r.Name, r.Email, r.Mobile, r.Language}
	}
	return v
}

func (s *server) showDetail(ctx context.Context, o *wscert.Order) (orderDetail, error) {
	v := orderDetail{Order: showOrder(o), History: make([]event, len(o.History))}
	for i, e := range o.History {
		v.History[i] = event{e.Name, e.State, utc(e.At), e.By, e.Detail}
	}
	d, ok, err := s.Orders.Delivery(ctx, o)
	if ok {
		v.Delivery = &delivery{d.ID, d.State, utc(d.Expires), d.CodesLeft, d.TriesLeft}
	}
	return v, err
}

type newOrder struct {
	Realm      string `json:"realm" enum:"preprod,production" example:"production" doc:"The environment."`
	Service    string `json:"service" minLength:"1" maxLength:"40" example:"demo" doc:"Name of the service whose data the certificate opens."`
	ShortName  string `json:"shortName" minLength:"1" maxLength:"64" example:"e-banking" doc:"Short name of the application that will use the certificate; becomes part of its name."`
	Orderer    string `json:"orderer" minLength:"1" maxLength:"80" example:"per-0198b6a1-0c3e-7a10-b7a4-52a0f1d2c3b4" doc:"Id of the authorised person who receives the certificate."`
	Mode       string `json:"mode" enum:"generate,bring" example:"generate" doc:"generate: key made here, encrypted file handed over once. bring: the recipient brings a certificate request."`
	Algorithm  string `json:"algorithm,omitempty" enum:"rsa2048,rsa3072,rsa4096,p256,p384,p521,ed25519" example:"p256" doc:"Of a key made here; p256 by default."`
	Encryption string `json:"encryption,omitempty" enum:"aes256,legacy" example:"aes256" doc:"Of the key file; aes256 by default. legacy (3DES, SHA-1) is for importers that answer \"invalid password\" to aes256."`
	Life       *life  `json:"life,omitempty" doc:"How long the certificate shall live; two years by default."`
	Comment    string `json:"comment,omitempty" maxLength:"2000"`
}

func (n newOrder) request() wscert.Request {
	r := wscert.Request{
		Realm: access.Realm(n.Realm), Service: n.Service, ShortName: n.ShortName, Orderer: n.Orderer, Mode: wscert.Mode(n.Mode), Comment: n.Comment,
		Spec: wscert.Spec{Algorithm: keys.Algorithm(n.Algorithm), Profile: profile(n.Encryption)},
	}
	if n.Life != nil {
		r.Spec.Life = n.Life.spec()
	}
	return r
}

func profile(encryption string) pkcs12.Profile {
	if encryption == "legacy" {
		return pkcs12.Legacy
	}
	return pkcs12.Modern
}

type orderFilter struct {
	Paging
	Realm    string    `query:"realm" enum:"preprod,production" doc:"Of this environment only."`
	Client   string    `query:"client" maxLength:"80" doc:"Of this client only (id)."`
	Service  string    `query:"service" maxLength:"40" doc:"Of this service only (name)."`
	State    string    `query:"state" enum:"PENDING_AUTH,PENDING_CSR_RENEWAL,KEY_VALIDATION,ISSUE,ISSUED,REVOKED,REJECTED,FAILED" doc:"In this state only."`
	Search   string    `query:"search" maxLength:"200" doc:"The beginning of a certificate's name, an order id, or a serial number in any spelling."`
	ExpireBy time.Time `query:"expireBy" doc:"Issued certificates that end before this time only."`
}

func (f *orderFilter) filter() wscert.Filter {
	return wscert.Filter{
		Realm: access.Realm(f.Realm), Client: f.Client, Service: f.Service, State: wscert.State(f.State), Search: f.Search, ExpireBy: f.ExpireBy,
	}
}

func (s *server) orders(r registrar) {
	register(r, operation{
		id: "createOrder", method: http.MethodPost, path: "/orders", tag: "orders", status: http.StatusCreated, refusals: []int{404, 409},
		summary: "Order a client certificate for an authorised person",
		text:    "Needs certificate.order. The person gets a link by e-mail and a one-time password by SMS, unless the installation asks for an approval first.",
	}, func(ctx context.Context, in *struct {
		Idempotent
		Body newOrder
	},
	) (*made[orderDetail], error) {
		return s.createdOrder(ctx, in.Key, "createOrder", in.Body, in.Body.request())
	})
	register(r, operation{
		id: "listOrders", method: http.MethodGet, path: "/orders", tag: "orders", summary: "List orders, newest first",
		text: "Shows the orders of the clients where the caller has certificate.search.",
	}, func(ctx context.Context, in *orderFilter) (*list[Order], error) {
		found, next, err := s.Orders.List(ctx, scope(ctx), in.filter(), in.page())
		if err != nil {
			return nil, err
		}
		return listOf(ctx, found, next, showOrder), nil
	})
	register(r, operation{
		id: "getOrder", method: http.MethodGet, path: "/orders/{id}", tag: "orders", summary: "Look at an order", text: "Needs certificate.search.",
	}, func(ctx context.Context, in *ByID) (*one[orderDetail], error) {
		o, err := s.Orders.Get(ctx, scope(ctx), in.ID)
		if err != nil {
			return nil, err
		}
		return show(s.showDetail(ctx, o))
	})
	register(r, operation{
		id: "getOrderCertificate", method: http.MethodGet, path: "/orders/{id}/certificate", tag: "orders", status: http.StatusOK, refusals: []int{409},
		summary: "Get the certificate of an order",
		text:    "Needs certificate.download. Accept application/pem-certificate-chain (the default) gives the certificate and its chain without the root; application/pkix-cert gives the certificate in DER.",
		content: map[string]*example{typePEM: {"The certificate, then its chain, in PEM."}, typeDER: {"The certificate in DER."}},
	}, s.orderCertificate)
	s.orderSteps(r)
}

// orderAnswer is the answer of a step that may have issued.
func (s *server) orderAnswer(ctx context.Context, o *wscert.Order, err error) (*one[orderDetail], error) {
	if err != nil {
		return nil, withOrder(o, err)
	}
	return show(s.showDetail(ctx, o))
}

// orderSteps are the operations that take an order further.
func (s *server) orderSteps(r registrar) {
	step := func(name, summary, text string) operation {
		return operation{
			id: name + "Order", method: http.MethodPost, path: "/orders/{id}/" + name, tag: "orders", summary: summary, text: text, refusals: []int{409},
		}
	}
	register(r, step("approve", "Approve an order", "Needs certificate.approve. Nobody approves an order that they placed themselves."),
		func(ctx context.Context, in *ByID) (*one[orderDetail], error) {
			o, err := s.Orders.Approve(ctx, scope(ctx), in.ID)
			return s.orderAnswer(ctx, o, err)
		})
	register(r, step("reject", "Reject an order", "Needs certificate.approve. The order ends."),
		func(ctx context.Context, in *struct {
			ByID
			Body struct {
				Why string `json:"why" minLength:"1" maxLength:"2000" example:"The person has left." doc:"The reason, for whoever ordered."`
			} `nameHint:"Rejection"`
		},
		) (*one[orderDetail], error) {
			o, err := s.Orders.Reject(ctx, scope(ctx), in.ID, in.Body.Why)
			return s.orderAnswer(ctx, o, err)
		})
	register(r, step("withdraw", "Withdraw a certificate", "Needs certificate.revoke. No service accepts the certificate any more from this moment on. It cannot be undone."),
		func(ctx context.Context, in *struct {
			ByID
			Body struct {
				Reason string `json:"reason,omitempty" enum:"unspecified,keyCompromise,affiliationChanged,superseded,cessationOfOperation,privilegeWithdrawn" example:"keyCompromise" doc:"The reason (RFC 5280, section 5.3.1); unspecified by default."`
			} `nameHint:"Withdrawal"`
		},
		) (*one[orderDetail], error) {
			reason, err := authority.ParseReason(in.Body.Reason)
			if err != nil {
				return nil, err
			}
			o, err := s.Orders.Withdraw(ctx, scope(ctx), in.ID, reason)
			return s.orderAnswer(ctx, o, err)
		})
	again := step("send-again", "Send link and one-time password again", "Needs certificate.order. The earlier link stops working.")
	again.id, again.refusals = "sendOrderAgain", []int{409, 410}
	register(r, again, func(ctx context.Context, in *ByID) (*one[orderDetail], error) {
		o, err := s.Orders.SendAgain(ctx, scope(ctx), in.ID)
		return s.orderAnswer(ctx, o, err)
	})
	reissue := step("reissue", "Order the same certificate again", "Needs certificate.order. Makes a new order for the same person, such as when the file was lost. Both certificates work until the first ends or is withdrawn.")
	reissue.status = http.StatusCreated
	register(r, reissue, func(ctx context.Context, in *struct {
		ByID
		Idempotent
	},
	) (*made[orderDetail], error) {
		request, err := s.Orders.ReissueRequest(ctx, scope(ctx), in.ID)
		if err != nil {
			return nil, err
		}
		return s.createdOrder(ctx, in.Key, "reissueOrder", in.ID, request)
	})
}

func (s *server) createdOrder(ctx context.Context, key, operation string, content any, request wscert.Request) (*made[orderDetail], error) {
	o, err := s.create(ctx, key, operation, content, request)
	if err != nil {
		return nil, withOrder(o, err)
	}
	v, err := s.showDetail(ctx, o)
	return &made[orderDetail]{Prefix + "/orders/" + o.ID, v}, err
}

// withOrder adds to the error of a step the order that exists all the same. An
// order in another state is not stored when its step fails.
func withOrder(o *wscert.Order, err error) error {
	if o == nil || o.State != wscert.Issue && o.State != wscert.Failed {
		return err
	}
	return &madeOrder{err, o.ID}
}

// The forms in which a certificate is given.
const (
	typePEM = "application/pem-certificate-chain"
	typeDER = "application/pkix-cert"
)

type certificateFile struct {
	ContentType        string `header:"Content-Type" hidden:"true"`
	ContentDisposition string `header:"Content-Disposition" doc:"The file's name."`
	Body               []byte
}

func (s *server) orderCertificate(ctx context.Context, in *struct {
	ByID
	Accept string `header:"Accept" doc:"The form that is wanted."`
},
) (*certificateFile, error) {
	o, err := s.Orders.Get(ctx, scope(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	if err := scope(ctx).Require(access.CertificateDownload, o.Realm, o.Client); err != nil {
		return nil, err
	}
	if o.State != wscert.Issued && o.State != wscert.Revoked {
		return nil, notIssued(o)
	}
	record, err := s.Orders.Certificate(ctx, o)
	if err != nil {
		return nil, err
	}
	if negotiation.SelectQValueFast(in.Accept, []string{typePEM, typeDER}) == typeDER {
		return &certificateFile{typeDER, attachment(o.CommonName + ".cer"), record.DER}, nil
	}
	chain, err := s.Orders.PEM(ctx, record.DER, o.Authority)
	return &certificateFile{typePEM, attachment(o.CommonName + ".pem"), chain}, err
}

func notIssued(o *wscert.Order) error {
	f := fault.Conflictf("order.not_issued", "The order %s is %s; there is no certificate.", o.CommonName, o.State)
	if o.State == wscert.Failed || o.State == wscert.Rejected {
		return f.WithNext("Look at the order for the reason.")
	}
	return f.WithNext("Look at the order again in a while.")
}

// attachment names a file; common names consist of letters, digits and dashes.
func attachment(name string) string { return `attachment; filename="` + name + `"` }

func pemCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
