package caa

import (
	"errors"
	"fmt"
	"strings"
)

// A Value is the parsed value of an issue, issuewild or issuemail property, or
// of a persistent validation record, which borrows the grammar.
type Value struct {
	Issuer string // domain name in lower case; empty forbids everybody
	Params []Param
}

// A Param is one "tag=value" after the issuer.
type Param struct{ Tag, Value string }

// Param gives the value of a parameter. Tags compare without regard to case. A
// parameter that stands there twice is an error: nobody can tell which one was
// meant (RFC 8657, sections 3 and 4).
func (v Value) Param(tag string) (value string, ok bool, err error) {
	for _, p := range v.Params {
		if p.Tag != lower(tag) {
			continue
		}
		if ok {
			return "", true, fmt.Errorf("parameter %q stands there twice", tag)
		}
		value, ok = p.Value, true
	}
	return value, ok, nil
}

// maxParams bounds what is read of one value; DNS allows 64 KiB of them.
const maxParams = 100

// ParseValue reads an issue-value (RFC 8659, section 4.2):
//
//	issue-value = *WSP [issuer-domain-name *WSP] [";" *WSP [parameters *WSP]]
//
// It follows the grammar to the letter, so that a semicolon after the last
// parameter is an error.
func ParseValue(s string) (Value, error) {
	var v Value
	head, tail, more := strings.Cut(trim(s), ";")
	if head = trim(head); head != "" {
		if !validDomain(head) {
			return Value{}, fmt.Errorf("%q is not a domain name", head)
		}
		v.Issuer = lower(head)
	}
	if tail = trim(tail); !more || tail == "" {
		return v, nil
	}
	parts := strings.Split(tail, ";")
	if len(parts) > maxParams {
		return Value{}, fmt.Errorf("more than %d parameters", maxParams)
	}
	for _, part := range parts {
		p, err := parseParam(trim(part))
		if err != nil {
			return Value{}, err
		}
		v.Params = append(v.Params, p)
	}
	return v, nil
}

// parseParam reads: parameter = tag *WSP "=" *WSP value.
func parseParam(s string) (Param, error) {
	tag, value, ok := strings.Cut(s, "=")
	if !ok {
		return Param{}, errors.New("a parameter without an equals sign")
	}
	tag, value = trim(tag), trim(value)
	if !validLabel(tag) {
		return Param{}, fmt.Errorf("%q is not the name of a parameter", tag)
	}
	for i := range len(value) {
		// %x21-3A / %x3C-7E: visible ASCII without the semicolon, which was cut at.
		if value[i] < 0x21 || value[i] > 0x7e {
			return Param{}, fmt.Errorf("the value of parameter %q holds byte %#02x", tag, value[i])
		}
	}
	return Param{lower(tag), value}, nil
}

// trim removes WSP, which is space and tab (RFC 5234, appendix B.1).
func trim(s string) string { return strings.Trim(s, " \t") }

func validDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

// validLabel checks: label = (ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT)).
func validLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
