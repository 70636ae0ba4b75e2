package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// auditEntry is one act.
type auditEntry struct {
	ID          string            `json:"id" example:"aud-0198b6a7-2c3d-7e4f-9051-627384950617"`
	At          time.Time         `json:"at"`
	Action      string            `json:"action" example:"order.create"`
	Result      string            `json:"result" enum:"ok,refused,failed"`
	ActorKind   string            `json:"actorKind" example:"token"`
	ActorID     string            `json:"actorId"`
	Actor       string            `json:"actor" example:"ordering system (token nightly)"`
	From        string            `json:"from,omitempty" example:"192.0.2.7" doc:"IP address."`
	Correlation string            `json:"correlation,omitempty" example:"5f0c2a9be1d34c77" doc:"Of the request."`
	ObjectKind  string            `json:"objectKind,omitempty" example:"order"`
	ObjectID    string            `json:"objectId,omitempty"`
	Realm       string            `json:"realm,omitempty"`
	Client      string            `json:"client,omitempty"`
	Service     string            `json:"service,omitempty"`
	Detail      map[string]string `json:"detail,omitempty"`
	Index       int64             `json:"index" doc:"Its place in the signed log; -1 for the first seconds, while it has none."`
}

func showEntry(e audit.Stored) auditEntry {
	return auditEntry{
		e.ID, utc(e.At), e.Entry.Action, string(e.Entry.Result), e.Origin.Kind, e.Origin.ID, e.Origin.Name, e.Origin.From, e.Origin.Correlation,
		e.Entry.ObjectKind, e.Entry.ObjectID, e.Entry.Realm, e.Entry.Client, e.Entry.Service, e.Entry.Detail, e.Index,
	}
}

type auditFilter struct {
	Paging
	Realm       string    `query:"realm" enum:"preprod,production" doc:"In this environment only."`
	Client      string    `query:"client" maxLength:"80" doc:"Of this client only (id)."`
	Actor       string    `query:"actor" maxLength:"80" doc:"By this actor only (id)."`
	Action      string    `query:"action" maxLength:"80" doc:"An action, or an area with its dot: order."`
	ObjectKind  string    `query:"objectKind" maxLength:"80" doc:"Together with objectId."`
	ObjectID    string    `query:"objectId" maxLength:"200" doc:"On this object only, together with objectKind."`
	Result      string    `query:"result" enum:"ok,refused,failed"`
	Correlation string    `query:"correlation" maxLength:"80" doc:"What one request did."`
	From        time.Time `query:"from" doc:"At this time or later."`
	To          time.Time `query:"to" doc:"Before this time."`
}

// log adds the operations on the audit log.
func (s *server) log(r registrar) {
	const tag = "audit"
	register(r, operation{
		id: "listAudit", method: http.MethodGet, path: "/audit", tag: tag, refusals: []int{404}, summary: "List what was done, newest first",
		text: "Needs audit.read, and shows what happened where the caller has it.",
	}, func(ctx context.Context, in *auditFilter) (*list[auditEntry], error) {
		f := audit.Filter{
			Realm: in.Realm, Actor: in.Actor, Action: in.Action, ObjectKind: in.ObjectKind, ObjectID: in.ObjectID,
			Result: audit.Result(in.Result), Correlation: in.Correlation, From: in.From, To: in.To,
		}
		var err error
		if f.Clients, f.AllClients, err = s.reach(ctx, access.AuditRead, access.Realm(in.Realm), in.Client); err != nil {
			return nil, err
		}
		found, next, err := s.Audit.List(s.DB.View(ctx), f, in.page())
		if err != nil {
			return nil, err
		}
		return listOf(ctx, found, next, showEntry), nil
	})
	register(r, operation{
		id: "getAuditEntry", method: http.MethodGet, path: "/audit/{id}", tag: tag, summary: "Look at an entry", text: "Needs audit.read.",
	}, func(ctx context.Context, in *ByID) (*one[auditEntry], error) {
		e, err := s.auditEntry(ctx, in.ID)
		return show(showEntry(e), err)
	})
	register(r, operation{
		id: "getAuditProof", method: http.MethodGet, path: "/audit/{id}/proof", tag: tag, refusals: []int{409}, summary: "Get the proof that an entry stands in the log",
		text: "Needs audit.read. Anybody who has the log's public key can check the file.",
	}, func(ctx context.Context, in *ByID) (*proofFile, error) {
		if _, err := s.auditEntry(ctx, in.ID); err != nil {
			return nil, err
		}
		p, err := s.Audit.Prove(ctx, in.ID)
		return &proofFile{attachment(in.ID + ".proof.json"), p}, err
	})
}

type proofFile struct {
	ContentDisposition string `header:"Content-Disposition" doc:"The file's name."`
	Body               any    `doc:"The proof, format sealwright-audit-proof-v1."`
}

func (s *server) auditEntry(ctx context.Context, id string) (audit.Stored, error) {
	e, err := s.Audit.Get(s.DB.View(ctx), id)
	if fault.Of(err).Kind == fault.NotFound && err != nil {
		return e, access.NotFound() // the same answer as for what the caller may not see
	}
	if err != nil {
		return e, err
	}
	return e, mayRead(ctx, access.AuditRead, access.Realm(e.Entry.Realm), e.Entry.Client)
}

// mayRead is Require for records that may belong to nobody in particular: below
// the level of the installation their existence is nobody's business.
func mayRead(ctx context.Context, p access.Permission, realm access.Realm, client string) error {
	if client == "" && !scope(ctx).Allows(p, realm, "") {
		return access.NotFound()
	}
	return scope(ctx).Require(p, realm, client)
}

// maxReach bounds the clients whose records are listed together.
const maxReach = 500

// reach says whose records a list may show: those of the client that was asked
// for; else everybody's, within a realm or not; else those of the clients where
// the caller has p.
func (s *server) reach(ctx context.Context, p access.Permission, realm access.Realm, client string) (clients []string, all bool, err error) {
	sc := scope(ctx)
	if client != "" {
		c, err := s.Access.Client(ctx, sc, client)
		if err != nil {
			return nil, false, err
		}
		return []string{client}, false, sc.Require(p, c.Realm, client)
	}
	if sc.Allows(p, realm, "") {
		return nil, true, nil
	}
	if err := sc.RequireAnywhere(p); err != nil {
		return nil, false, err
	}
	q := access.ClientQuery{Realm: realm, Page: store.Page{Limit: store.MaxLimit}}
	for {
		l, err := s.Access.Clients(ctx, sc, q)
		if err != nil {
			return nil, false, err
		}
		for _, c := range l.Items {
			if sc.Allows(p, c.Realm, c.ID) {
				clients = append(clients, c.ID)
			}
		}
		if len(clients) > maxReach {
			return nil, false, fault.Invalidf("list.too_wide", "There are more than %d clients to list together.", maxReach).WithField("client").WithNext("Say which client.")
		}
		if q.Page.Cursor = l.Next; l.Next == "" {
			return clients, false, nil
		}
	}
}
