package dn

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The bounds of PostalAddress in RFC 5280, appendix A.1.
const (
	maxLines      = 6
	maxLineLength = 30
)

func checkLines(t attributeType, value string) error {
	lines := splitLines(value)
	if len(lines) > maxLines {
		return fmt.Errorf("%s has %d lines; X.520 allows %d", t, len(lines), maxLines)
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n == 0 || n > maxLineLength {
			return fmt.Errorf("%s has a line of %d characters; X.520 allows 1 to %d", t, n, maxLineLength)
		}
	}
	return nil
}

// splitLines and joinLines: "$" ends a line, \24 is a dollar sign and \5C a
// backslash (RFC 4517, 3.3.28).
func splitLines(value string) []string {
	lines := strings.Split(value, "$")
	for i, line := range lines {
		lines[i] = strings.NewReplacer(`\24`, "$", `\5C`, `\`, `\5c`, `\`).Replace(line)
	}
	return lines
}

func joinLines(lines []string) string {
	for i, line := range lines {
		lines[i] = strings.NewReplacer("$", `\24`, `\`, `\5C`).Replace(line)
	}
	return strings.Join(lines, "$")
}

// decode is the package's decode for types that need not be strings.
func (t attributeType) decode(tag cbasn1.Tag, raw []byte) (string, error) {
	switch {
	case t.syntax == dateSyntax && tag == cbasn1.GeneralizedTime:
		day, err := time.Parse("20060102", string(raw[:min(len(raw), 8)]))
		if err != nil {
			return "", errors.New("is not a date")
		}
		return day.Format(time.DateOnly), nil
	case t.syntax == bitsSyntax && tag == cbasn1.BIT_STRING:
		if len(raw) == 0 || raw[0] != 0 {
			return "", errors.New("is not a string of whole octets")
		}
		return decode(cbasn1.UTF8String, raw[1:])
	case t.syntax == linesSyntax && tag == cbasn1.SEQUENCE:
		return decodeLines(raw)
	}
	return decode(tag, raw)
}

func decodeLines(raw []byte) (string, error) {
	in := cryptobyte.String(bytes.Clone(raw))
	var lines []string
	for !in.Empty() {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !in.ReadAnyASN1(&content, &tag) || len(lines) == maxAttributes {
			return "", errors.New("is not a list of lines")
		}
		line, err := decode(tag, content)
		if err != nil {
			return "", err
		}
		lines = append(lines, line)
	}
	return joinLines(lines), nil
}
