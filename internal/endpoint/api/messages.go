package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Message is an outgoing message as lists show it.
type Message struct {
	ID           string    `json:"id" example:"out-0198b6a8-3d4e-7f50-8162-738495061728"`
	Channel      string    `json:"channel" enum:"email,sms,webhook"`
	State        string    `json:"state" enum:"waiting,sending,delivered,failed,expired,cancelled"`
	Realm        string    `json:"realm,omitempty"`
	Client       string    `json:"client,omitempty"`
	Service      string    `json:"service,omitempty"`
	ObjectKind   string    `json:"objectKind,omitempty" example:"order"`
	ObjectID     string    `json:"objectId,omitempty"`
	To           string    `json:"to" example:"person@example.com"`
	Subject      string    `json:"subject,omitempty"`
	HasSecret    bool      `json:"hasSecret" doc:"It holds a link or password, which is never shown."`
	SecretErased bool      `json:"secretErased" doc:"The secret is gone, so it cannot be sent again."`
	Attempts     int       `json:"attempts"`
	LastError    string    `json:"lastError,omitempty"`
	ResendOf     string    `json:"resendOf,omitempty" doc:"Id of the message that this one repeats."`
	Due          time.Time `json:"due,omitzero" doc:"When it is tried next."`
	NotAfter     time.Time `json:"notAfter,omitzero" doc:"Of no use from then on."`
	Created      time.Time `json:"created"`
	Done         time.Time `json:"done,omitzero"`
}

type messageDetail struct {
	Message
	Body string `json:"body" doc:"The text, with [redacted] where the secret stands."`
}

func showMessage(e outbox.Entry) Message {
	m := Message{
		ID: e.ID, Channel: string(e.Channel), State: e.State, Realm: e.Realm, Client: e.Client, Service: e.Service, ObjectKind: e.ObjectKind, ObjectID: e.ObjectID,
		To: e.To, Subject: e.Subject, HasSecret: e.HasSecret, SecretErased: e.SecretErased, Attempts: e.Attempts, LastError: e.LastError, ResendOf: e.ResendOf,
		NotAfter: utc(e.NotAfter), Created: utc(e.CreatedAt), Done: utc(e.DoneAt),
	}
	if e.State == outbox.Waiting {
		m.Due = utc(e.DueAt)
	}
	return m
}

type messageFilter struct {
	Paging
	Realm      string `query:"realm" enum:"preprod,production" doc:"Of this environment only."`
	Client     string `query:"client" maxLength:"80" doc:"Of this client only (id). Callers with rights in several clients have to say which."`
	Channel    string `query:"channel" enum:"email,sms,webhook"`
	State      string `query:"state" enum:"waiting,sending,delivered,failed,expired,cancelled"`
	To         string `query:"to" maxLength:"400" doc:"To exactly this address; a mobile number with + and the country's code."`
	ObjectKind string `query:"objectKind" maxLength:"80"`
	ObjectID   string `query:"objectId" maxLength:"200" doc:"About this object only."`
}

// messages adds the operations on the outbox.
func (s *server) messages(r registrar) {
	const tag = "outbox"
	register(r, operation{
		id: "listMessages", method: http.MethodGet, path: "/outbox", tag: tag, refusals: []int{404}, summary: "List outgoing messages, newest first", text: "Needs outbox.read.",
	}, func(ctx context.Context, in *messageFilter) (*list[Message], error) {
		clients, all, err := s.reach(ctx, access.OutboxRead, access.Realm(in.Realm), in.Client)
		switch {
		case err != nil:
			return nil, err
		case !all && len(clients) == 0:
			return listOf[outbox.Entry](ctx, nil, "", showMessage), nil
		case !all && len(clients) > 1:
			return nil, fault.Invalidf("list.client", "There are %d clients whose messages you may see.", len(clients)).WithField("client").WithNext("Say which client.")
		case !all:
			in.Client = clients[0]
		}
		found, next, err := s.Outbox.List(s.DB.View(ctx), outbox.Filter{
			Realm: in.Realm, Client: in.Client, Channel: outbox.Channel(in.Channel), State: in.State, To: in.To, ObjectKind: in.ObjectKind, ObjectID: in.ObjectID,
		}, in.page())
		if err != nil {
			return nil, err
		}
		return listOf(ctx, found, next, showMessage), nil
	})
	register(r, operation{
		id: "getMessage", method: http.MethodGet, path: "/outbox/{id}", tag: tag, summary: "Look at a message", text: "Needs outbox.read. Secrets are not shown.",
	}, func(ctx context.Context, in *ByID) (*one[messageDetail], error) {
		e, err := s.message(ctx, s.DB.View(ctx), access.OutboxRead, in.ID)
		return show(messageDetail{showMessage(e), e.Body}, err)
	})
	register(r, operation{
		id: "resendMessage", method: http.MethodPost, path: "/outbox/{id}/resend", tag: tag, refusals: []int{409, 410}, summary: "Send a message again",
		text: "Needs outbox.resend. The answer is the message that goes out: the same one, or a copy of one that was delivered.",
	}, s.resend)
}

// message reads a message on which the caller may do p.
func (s *server) message(ctx context.Context, q store.Queryer, p access.Permission, id string) (outbox.Entry, error) {
	e, err := s.Outbox.Get(q, id)
	if err != nil {
		if fault.Of(err).Kind == fault.NotFound {
			err = access.NotFound() // the same answer as for what the caller may not see
		}
		return e, err
	}
	return e, mayRead(ctx, p, access.Realm(e.Realm), e.Client)
}

func (s *server) resend(ctx context.Context, in *ByID) (*one[messageDetail], error) {
	var out outbox.Entry
	err := s.DB.Update(ctx, func(tx *store.Tx) error {
		e, err := s.message(ctx, tx, access.OutboxResend, in.ID)
		if err != nil {
			return err
		}
		id, err := s.Outbox.Resend(tx, in.ID)
		if err != nil {
			return err
		}
		if out, err = s.Outbox.Get(tx, id); err != nil {
			return err
		}
		return s.Audit.Append(tx, audit.Entry{
			Action: "outbox.resend", ObjectKind: "message", ObjectID: in.ID, Realm: e.Realm, Client: e.Client, Service: e.Service, Detail: map[string]string{"as": id},
		})
	})
	return show(messageDetail{showMessage(out), out.Body}, err)
}
