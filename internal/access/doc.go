// Package access knows who may do what: clients and their services, the
// persons who may order for them, operators and service accounts, roles,
// sessions, API tokens and second factors.
//
// Every caller becomes a [Scope], by [Directory.Session], by
// [Directory.AuthenticateToken], by [Directory.VerifyServicePassword] or by
// [Directory.ScopeOf]. The scope is the one place where tenants are kept apart:
// domains ask [Scope.Require] before they touch an object and add
// [Scope.Filter] to every list. The zero Scope allows nothing.
//
// Methods of [Directory] that change something run their own transaction and
// write the audit entry in it. Functions that take a store.Queryer are for
// domains that need an answer inside a transaction of theirs.
package access
