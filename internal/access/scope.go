package access

import (
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A PrincipalKind says what acts.
type PrincipalKind string

// The kinds of principals.
const (
	OperatorKind PrincipalKind = "operator"        // a person who signs in
	AccountKind  PrincipalKind = "service-account" // a system with API tokens, no sign-in
	ServiceKind  PrincipalKind = "service"         // a customer account calling web services
	SystemKind   PrincipalKind = "system"          // the platform itself
)

// A Principal is who acts.
type Principal struct {
	Kind PrincipalKind
	ID   string
	Name string // shown to people
}

// A Scope is a caller together with what the caller may do, and where. It is
// the only thing that domains consult before reading or changing an object. It
// holds what was granted when the request began and is not kept beyond it. The
// zero Scope allows nothing.
type Scope struct {
	principal Principal
	system    bool
	grants    []grant
}

// grant is a set of permissions over a part of the world. An empty realm is
// everything, an empty client the whole realm, an empty service the whole
// client.
type grant struct {
	allowed permissionSet
	realm   Realm
	client  string
	service string
}

// covers tells whether the grant reaches an object of client as a whole. A
// grant for one service never does.
func (g grant) covers(realm Realm, client string) bool {
	switch {
	case g.service != "":
		return false
	case g.realm == "":
		return true
	case g.realm != realm:
		return false
	}
	return g.client == "" || g.client == client
}

// System is the scope of the platform's own work: everything. name says which
// part acts and is what the audit log shows.
func System(name string) Scope {
	return Scope{principal: Principal{Kind: SystemKind, ID: name, Name: name}, system: true}
}

// ForService is the scope of a customer service that proved who it is: it may
// do ps on what belongs to that service and nothing else (N9).
func ForService(s Service, ps ...Permission) Scope {
	return Scope{
		principal: Principal{Kind: ServiceKind, ID: s.ID, Name: s.Name},
		grants:    []grant{{allowed: setOf(ps), realm: s.Realm, client: s.Client, service: s.ID}},
	}
}

// Principal is who acts; its Kind is empty in the zero Scope.
func (s Scope) Principal() Principal { return s.principal }

// All tells whether the scope is the platform's own.
func (s Scope) All() bool { return s.system }

// Allows tells whether the caller may do p on objects of a client. An empty
// client asks for the realm as a whole; an empty realm as well for the
// installation.
func (s Scope) Allows(p Permission, realm Realm, client string) bool {
	if s.system {
		return p.Valid()
	}
	for _, g := range s.grants {
		if g.allowed.has(p) && g.covers(realm, client) {
			return true
		}
	}
	return false
}

// AllowsService is [Scope.Allows] for an object that belongs to one service.
func (s Scope) AllowsService(p Permission, realm Realm, client, service string) bool {
	if s.Allows(p, realm, client) {
		return true
	}
	for _, g := range s.grants {
		if service != "" && g.service == service && g.realm == realm && g.client == client && g.allowed.has(p) {
			return true
		}
	}
	return false
}

// Holds tells whether the caller may do p anywhere. It decides what a menu
// shows, and about the caller's own things (token.own, apicert.own).
func (s Scope) Holds(p Permission) bool {
	if s.system {
		return p.Valid()
	}
	for _, g := range s.grants {
		if g.allowed.has(p) {
			return true
		}
	}
	return false
}

// Require returns nil when [Scope.Allows] does. To a caller with no right at
// all in that client the fault says NotFound, so that what exists elsewhere
// cannot be told from what does not; otherwise it says Forbidden.
func (s Scope) Require(p Permission, realm Realm, client string) error {
	if s.Allows(p, realm, client) {
		return nil
	}
	return s.refuse(p, realm, client, "")
}

// RequireService is [Scope.Require] for an object that belongs to one service.
func (s Scope) RequireService(p Permission, realm Realm, client, service string) error {
	if s.AllowsService(p, realm, client, service) {
		return nil
	}
	return s.refuse(p, realm, client, service)
}

// RequireAnywhere returns nil when [Scope.Holds] does, otherwise Forbidden.
func (s Scope) RequireAnywhere(p Permission) error {
	if s.Holds(p) {
		return nil
	}
	return s.forbidden(p)
}

func (s Scope) refuse(p Permission, realm Realm, client, service string) error {
	if (realm == "" && client == "") || s.sees(realm, client, service) {
		return s.forbidden(p)
	}
	return hidden()
}

// sees tells whether the caller has any right there.
func (s Scope) sees(realm Realm, client, service string) bool {
	for _, g := range s.grants {
		if g.allowed == 0 {
			continue
		}
		if g.covers(realm, client) || (g.service != "" && g.service == service && g.realm == realm && g.client == client) {
			return true
		}
		// The realm as a whole is no secret to someone with a right inside it.
		if client == "" && g.realm == realm {
			return true
		}
	}
	return false
}

func (s Scope) forbidden(p Permission) error {
	if s.principal.Kind == "" {
		return fault.Unauthenticatedf("access.unauthenticated", "Nobody is signed in.").WithNext("Sign in, or send an API token.")
	}
	return fault.Forbiddenf("access.forbidden", "%s lacks the permission %s.", s.principal.Name, p).
		WithNext("Ask an administrator for a role that allows it.")
}

// hidden is the one answer for what does not exist and what the caller may not
// know to exist.
func hidden() error {
	return fault.NotFoundf("access.not_found", "There is no such object, or you may not see it.")
}

// NotFound is the fault for an object that does not exist. It is the same one
// that [Scope.Require] gives for an object that the caller may not see.
func NotFound() error { return hidden() }

// coversAll tells whether s may do everything that other may, everywhere:
// whoever takes control of another principal, or hands out its rights, needs
// them all.
func (s Scope) coversAll(grants []grant) bool {
	if s.system {
		return true
	}
	for _, want := range grants {
		for _, p := range want.allowed.list() {
			if !s.AllowsService(p, want.realm, want.client, want.service) {
				return false
			}
		}
	}
	return true
}

// Filter gives the SQL condition that keeps a list to what the caller may do p
// on. realmCol and clientCol are the list's columns; args are the statement's
// arguments so far, and out adds the condition's own, numbered after them. The
// condition stands in brackets, ready for "AND".
func (s Scope) Filter(p Permission, realmCol, clientCol string, args []any) (cond string, out []any) {
	return s.FilterService(p, realmCol, clientCol, "", args)
}

// FilterService is [Scope.Filter] for rows that belong to a service, named in
// serviceCol.
func (s Scope) FilterService(p Permission, realmCol, clientCol, serviceCol string, args []any) (cond string, out []any) {
	if s.system && p.Valid() {
		return "(1 = 1)", args
	}
	var realms, clients, services []string
	for _, g := range s.grants {
		switch {
		case !g.allowed.has(p):
		case g.service != "":
			services = append(services, g.service)
		case g.realm == "":
			return "(1 = 1)", args
		case g.client == "":
			realms = append(realms, string(g.realm))
		default:
			clients = append(clients, g.client)
		}
	}
	var parts []string
	add := func(col string, values []string) {
		if len(values) > 0 && col != "" {
			parts = append(parts, in(col, values, &args))
		}
	}
	add(realmCol, realms)
	add(clientCol, clients)
	add(serviceCol, services)
	if len(parts) == 0 {
		return "(1 = 0)", args
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// in writes "col IN (…)". The number of parameters is rounded up to a power of
// two by repeating the last, so that callers with many clients do not each
// fill a place in the cache of prepared statements.
func in(col string, values []string, args *[]any) string {
	n := 1
	for n < len(values) {
		n *= 2
	}
	var b strings.Builder
	b.WriteString(col)
	b.WriteString(" IN (")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		*args = append(*args, values[min(i, len(values)-1)])
		b.WriteString("$" + strconv.Itoa(len(*args)))
	}
	b.WriteByte(')')
	return b.String()
}
