package ldapdir

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/publish/place"
)

// Put implements [place.Session]. It believes what the directory shows
// afterwards rather than what it answered.
func (s *session) Put(ctx context.Context, at string, o place.Object) (bool, error) {
	attr, name, ok := strings.Cut(at, " ")
	if !ok {
		return false, fmt.Errorf("%q is no place in a directory", at)
	}
	changed, err := s.store(ctx, name, attr, o)
	if err != nil || s.d.set.WriteOnly {
		return changed, err
	}
	held, err := s.holds(name, attr, o.DER)
	if err == nil && !held {
		err = errors.New("the directory answered that it has the value, but does not show it")
	}
	return changed, err
}

func (s *session) store(ctx context.Context, name, attr string, o place.Object) (bool, error) {
	e := s.d.entryFor(o.Kind)
	if e == nil {
		return false, fmt.Errorf("the directory has no place for this kind of object (%s)", o.Kind)
	}
	err := s.modify(name, s.value(name, attr, o))
	switch {
	case err == nil:
		return true, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultAttributeOrValueExists):
		return false, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		if len(e.classes) == 0 {
			return false, fmt.Errorf("the entry %s does not exist, and the settings do not say how to make it", name)
		}
		return s.create(ctx, e, name, attr, o)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultObjectClassViolation) && e.auxiliary != "":
		m := s.value(name, attr, o)
		m.Add("objectClass", []string{e.auxiliary})
		return true, judge(s.modify(name, m))
	}
	return false, judge(err)
}

func (s *session) value(name, attr string, o place.Object) *ldap.ModifyRequest {
	m := ldap.NewModifyRequest(name, nil)
	if s.d.Exclusive(o.Kind) {
		m.Replace(attr, []string{string(o.DER)})
	} else {
		m.Add(attr, []string{string(o.DER)})
	}
	return m
}

func (s *session) modify(name string, m *ldap.ModifyRequest) error {
	size := 0
	for _, c := range m.Changes {
		for _, v := range c.Modification.Vals {
			size += len(v)
		}
	}
	s.begin(size)
	return s.conn.Modify(m)
}

// create makes the entry with the value in it. That we made it is durable
// before it is there: a crash in between leaves a note without an entry, which
// costs nothing, and never an entry that nobody takes away.
func (s *session) create(ctx context.Context, e *entry, name, attr string, o place.Object) (bool, error) {
	attributes, err := e.newAttributes(name, o)
	if err != nil {
		return false, err
	}
	if err := s.ledger.Note(ctx, name, attributes); err != nil {
		return false, place.Unreachable(err)
	}
	add := ldap.NewAddRequest(name, nil)
	for _, a := range slices.Sorted(maps.Keys(attributes)) {
		add.Attribute(a, attributes[a])
	}
	add.Attribute(attr, []string{string(o.DER)})
	s.begin(len(o.DER))
	err = s.conn.Add(add)
	var refused *ldap.Error
	if err == nil || !errors.As(err, &refused) || refused.ResultCode >= ldap.ErrorNetwork {
		return true, judge(err) // without an answer the entry may be there
	}
	if err := s.ledger.Forget(ctx, name); err != nil {
		return false, place.Unreachable(err)
	}
	switch refused.ResultCode {
	case ldap.LDAPResultEntryAlreadyExists: // somebody else made it a moment ago
		return true, judge(s.modify(name, s.value(name, attr, o)))
	case ldap.LDAPResultNoSuchObject:
		return false, fmt.Errorf("the entry above %s does not exist: %w", name, refusal{refused})
	}
	return false, judge(err)
}

func (e *entry) newAttributes(name string, o place.Object) (map[string][]string, error) {
	attributes, err := rdnValues(name)
	if err != nil {
		return nil, err
	}
	attributes["objectClass"] = e.classes
	for attr, t := range e.attributes {
		value, err := t.Fill(o.Facts, nil)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(attributes)), func(a string) bool { return strings.EqualFold(a, attr) }) {
			attributes[attr] = []string{value}
		}
	}
	return attributes, nil
}

// holds tells whether the attribute shows the value.
func (s *session) holds(name, attr string, der []byte) (bool, error) {
	e, found, err := s.read(name, []string{attr}, len(der))
	if err != nil || !found {
		return false, err
	}
	for _, a := range e.Attributes {
		if baseName(a.Name) == baseName(attr) && slices.ContainsFunc(a.ByteValues, func(v []byte) bool { return string(v) == string(der) }) {
			return true, nil
		}
	}
	return false, nil
}
