package domainval

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/pki/caa"
)

// checkPersistent says why a persistent TXT record (TLS BR 3.2.2.4.22) does not
// show control for an account; empty when it does. wide is set when the record
// is to cover more than the name that it stands at: like the ACME method of the
// same kind, and more strictly than the BR, we want "policy=wildcard" for that,
// because a lasting record should say how far it goes.
func checkPersistent(text string, issuers []string, account string, wide bool, now time.Time) (why string) {
	v, err := caa.ParseValue(text)
	if err != nil || v.Issuer == "" {
		return "a record there is malformed"
	}
	if !slices.ContainsFunc(issuers, func(i string) bool { return strings.EqualFold(strings.TrimSuffix(i, "."), v.Issuer) }) {
		return "a record there names another issuer"
	}
	uri, _, err := v.Param("accounturi")
	if err != nil || account == "" || !same(uri, account) {
		return "a record there names another account"
	}
	if until, given, err := v.Param("persistUntil"); err != nil {
		return err.Error()
	} else if given {
		seconds, err := strconv.ParseInt(until, 10, 64)
		if err != nil || seconds < 0 || strings.Trim(until, "0123456789") != "" {
			return "the persistUntil of a record there is not a number of seconds"
		}
		if now.After(time.Unix(seconds, 0)) {
			return "a record there has run out"
		}
	}
	policy, _, err := v.Param("policy")
	if err != nil {
		return err.Error()
	}
	if wide && !strings.EqualFold(policy, "wildcard") {
		return `a record there lacks "policy=wildcard"`
	}
	return ""
}

// persistentValue is the record that a client should publish.
func persistentValue(issuer, account string, wide bool) string {
	s := issuer + "; accounturi=" + account
	if wide {
		s += "; policy=wildcard"
	}
	return s
}
