package ldapdir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/publish/place"
)

// Remove implements [place.Session]. Only the one value goes. An entry that was
// made for a certificate goes with the last value, unless somebody has added to
// it or changed it.
func (s *session) Remove(ctx context.Context, at string, o place.Object) (bool, error) {
	attr, name, ok := strings.Cut(at, " ")
	if !ok {
		return false, fmt.Errorf("%q is no place in a directory", at)
	}
	if gone, err := s.removeEntry(ctx, name, attr, o.DER); gone || err != nil {
		return gone, err
	}
	m := ldap.NewModifyRequest(name, nil)
	m.Delete(attr, []string{string(o.DER)})
	changed := true
	switch err := s.modify(name, m); {
	case err == nil:
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultNoSuchObject):
		changed = false
	default:
		return false, judge(err)
	}
	if s.d.set.WriteOnly {
		return changed, nil
	}
	held, err := s.holds(name, attr, o.DER)
	if err == nil && held {
		err = errors.New("the directory answered that the value is gone, but shows it still")
	}
	return changed, err
}

// removeEntry deletes an entry that we made and that holds nothing else.
func (s *session) removeEntry(ctx context.Context, name, attr string, der []byte) (gone bool, err error) {
	made, ok, err := s.ledger.Made(ctx, name)
	if err != nil {
		return false, place.Unreachable(err)
	}
	if !ok || s.d.set.WriteOnly {
		return false, nil
	}
	e, found, err := s.read(name, []string{"*", stamp}, len(der))
	if err != nil {
		return false, err
	}
	if !found {
		return false, place.Unreachable(s.ledger.Forget(ctx, name))
	}
	if !untouched(e, made, attr, der) {
		return false, nil
	}
	controls, err := s.unchanged(e)
	if err != nil {
		return false, err
	}
	s.begin(0)
	err = s.conn.Del(ldap.NewDelRequest(name, controls))
	switch {
	case err == nil, ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return true, place.Unreachable(s.ledger.Forget(ctx, name))
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultAssertionFailed, ldap.LDAPResultNotAllowedOnNonLeaf, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform):
		return false, nil // it stays; the value goes
	}
	return false, judge(err)
}

// untouched tells whether an entry holds what we gave it, the value, and
// nothing else.
func untouched(e *ldap.Entry, made map[string][]string, attr string, der []byte) bool {
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, stamp) {
			continue
		}
		if baseName(a.Name) == baseName(attr) {
			if slices.ContainsFunc(a.ByteValues, func(v []byte) bool { return string(v) != string(der) }) {
				return false
			}
			continue
		}
		ours, ok := lookup(made, a.Name)
		if !ok || !sameValues(a.Values, ours) {
			return false
		}
	}
	return true
}

func lookup(attributes map[string][]string, name string) ([]string, bool) {
	for a, values := range attributes {
		if strings.EqualFold(a, name) {
			return values, true
		}
	}
	return nil, false
}

func sameValues(a, b []string) bool {
	fold := func(list []string) []string {
		var out []string
		for _, s := range list {
			out = append(out, strings.ToLower(s))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(fold(a), fold(b))
}

// stamp is the operational attribute that changes with every change of an entry.
const stamp = "entryCSN"

// assertion is the control that makes a request depend on a filter (RFC 4528).
const assertion = "1.3.6.1.1.12"

// unchanged gives the controls that delete the entry only if nobody has changed
// it since it was read. Directories without the means for it leave a gap of one
// round trip.
func (s *session) unchanged(e *ldap.Entry) ([]ldap.Control, error) {
	seen := e.GetEqualFoldAttributeValue(stamp)
	if seen == "" {
		return nil, nil
	}
	root, found, err := s.read("", []string{"supportedControl"}, 0)
	if err != nil || !found || !slices.Contains(root.GetEqualFoldAttributeValues("supportedControl"), assertion) {
		return nil, err
	}
	filter, err := ldap.CompileFilter("(" + stamp + "=" + ldap.EscapeFilter(seen) + ")")
	if err != nil {
		return nil, err
	}
	return []ldap.Control{&ldap.ControlString{ControlType: assertion, Criticality: true, ControlValue: string(filter.Bytes())}}, nil
}
