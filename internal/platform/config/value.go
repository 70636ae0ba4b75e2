package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// A value reads one setting into its field and writes it for the example.
type value struct {
	allowed string
	// read takes what the TOML decoder gives: string, int64, bool, []any,
	// map[string]any. Its error completes the sentence "the value …".
	read func(raw any, at place) error
	// write is the field as a TOML literal; empty if it is not set or secret.
	write func() string
	// split turns the text of a variable into what the decoder would give; nil
	// keeps the text.
	split func(text string) any
	// secret lets the variable's _FILE twin exist.
	secret bool
}

// A place tells where a value came from: relative paths and references are
// resolved against it.
type place struct {
	dir string            // of the configuration file; empty for variables
	env map[string]string // variables of the process
}

// parsed is a value that is written as text in TOML.
func parsed[T any](dst *T, allowed string, parse func(string) (T, error), show func(T) string) value {
	return value{
		allowed: allowed,
		read: func(raw any, _ place) error {
			s, err := text(raw)
			if err != nil {
				return err
			}
			v, err := parse(s)
			if err == nil {
				*dst = v
			}
			return err
		},
		write: func() string { return quoted(show(*dst)) },
	}
}

// listed is a list whose elements are read one by one.
func listed[T any](dst *[]T, allowed string, parse func(any) (T, error), show func(T) string) value {
	return value{
		allowed: allowed,
		read: func(raw any, _ place) error {
			items, ok := raw.([]any)
			if !ok {
				return errors.New("is " + typeName(raw) + ", not a list")
			}
			all := make([]T, 0, len(items))
			for _, item := range items {
				v, err := parse(item)
				if err != nil {
					return err
				}
				all = append(all, v)
			}
			*dst = all
			if len(all) == 0 {
				*dst = nil
			}
			return nil
		},
		write: func() string {
			if len(*dst) == 0 {
				return ""
			}
			shown := make([]string, len(*dst))
			for i, v := range *dst {
				shown[i] = show(v)
			}
			return "[" + strings.Join(shown, ", ") + "]"
		},
		split: asList,
	}
}

// line is one line of free text.
func line(dst *string) value {
	return parsed(dst, "one line of text", func(s string) (string, error) {
		if strings.ContainsAny(s, "\r\n\x00") {
			return "", errors.New("has more than one line")
		}
		return s, nil
	}, same)
}

// choice is one of a few words.
func choice(dst *string, words ...string) value {
	return parsed(dst, quotedList(words), func(s string) (string, error) {
		for _, w := range words {
			if s == w {
				return s, nil
			}
		}
		return "", fmt.Errorf("%q is not known", s)
	}, same)
}

// path is a file or directory. With mustExist it has to be there already.
func path(dst *string, mustExist bool) value {
	v := parsed(dst, "the path of a file or directory", nil, same)
	v.read = func(raw any, at place) error {
		s, err := text(raw)
		if err != nil {
			return err
		}
		if s == "" || strings.ContainsRune(s, 0) {
			return errors.New("is not a path")
		}
		if !filepath.IsAbs(s) && at.dir != "" {
			s = filepath.Join(at.dir, s)
		}
		if mustExist {
			if err := readable(s); err != nil {
				return err
			}
		}
		*dst = s
		return nil
	}
	return v
}

// number is a whole number from least to most.
func number(dst *int, least, most int) value {
	parse := wholeNumber(least, most)
	return value{
		allowed: fmt.Sprintf("a whole number from %d to %d", least, most),
		read: func(raw any, _ place) error {
			n, err := parse(raw)
			if err == nil {
				*dst = n
			}
			return err
		},
		write: func() string { return strconv.Itoa(*dst) },
		split: asNumber,
	}
}

// numbers is a list of them.
func numbers(dst *[]int, least, most int) value {
	v := listed(dst, fmt.Sprintf("a list of whole numbers from %d to %d", least, most), wholeNumber(least, most), strconv.Itoa)
	v.split = asNumbers
	return v
}

// ports is a list of port numbers.
func ports(dst *[]uint16) value {
	parse := wholeNumber(1, 65535)
	v := listed(dst, "a list of port numbers from 1 to 65535",
		func(raw any) (uint16, error) { n, err := parse(raw); return uint16(n), err },
		func(p uint16) string { return strconv.Itoa(int(p)) })
	v.split = asNumbers
	return v
}

func wholeNumber(least, most int) func(any) (int, error) {
	return func(raw any) (int, error) {
		n, ok := raw.(int64)
		switch {
		case !ok:
			return 0, errors.New("is not a whole number")
		case n < int64(least) || n > int64(most):
			return 0, fmt.Errorf("%d is out of range", n)
		}
		return int(n), nil
	}
}

// asList cuts the text of a variable at its commas.
func asList(s string) any {
	items := []any{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			items = append(items, part)
		}
	}
	return items
}

// asNumber keeps text that is no number, so that reading it reports the mistake.
func asNumber(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	return s
}

func asNumbers(s string) any {
	items := asList(s).([]any)
	for i, item := range items {
		items[i] = asNumber(item.(string))
	}
	return items
}

// flag is true or false.
func flag(dst *bool) value {
	return value{
		allowed: "true or false",
		read: func(raw any, _ place) error {
			b, ok := raw.(bool)
			if !ok {
				return errors.New("is " + typeName(raw) + ", not true or false")
			}
			*dst = b
			return nil
		},
		write: func() string { return strconv.FormatBool(*dst) },
		split: func(s string) any {
			switch s {
			case "true":
				return true
			case "false":
				return false
			}
			return s
		},
	}
}

func text(raw any) (string, error) {
	s, ok := raw.(string)
	if !ok {
		return "", errors.New("is " + typeName(raw) + ", not text in quotes")
	}
	return s, nil
}

func typeName(raw any) string {
	switch raw.(type) {
	case string:
		return "text"
	case int64, float64:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

func same(s string) string { return s }

// quoted writes text as a TOML literal: a literal string where that saves
// escapes, a basic string elsewhere.
func quoted(s string) string {
	switch {
	case s == "":
		return ""
	case strings.ContainsAny(s, `"\`) && !strings.ContainsAny(s, "'\r\n"):
		return "'" + s + "'"
	}
	return strconv.Quote(s)
}

func quotedList(words []string) string {
	shown := make([]string, len(words))
	for i, w := range words {
		shown[i] = strconv.Quote(w)
	}
	return strings.Join(shown, ", ")
}
