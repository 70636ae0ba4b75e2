package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Problem is one mistake and where to mend it. It never holds a secret.
type Problem struct {
	Source       string // path of the file, or name of the variable
	Line, Column int    // in the file, counted from 1, columns in bytes; 0 without a place
	Key          string // dotted; empty for a mistake of the file as a whole
	What         string // completes "the value …"
	Allowed      string // what may stand there; may be empty
}

// String is one line: source, line, column, key, mistake, what is allowed.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column))
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + " ")
	}
	b.WriteString(p.What)
	if p.Allowed != "" {
		b.WriteString("; allowed: " + p.Allowed)
	}
	return b.String()
}

// Problems are all mistakes of one configuration, those of the file first, in
// the order of its lines. As an error they are a fault of kind Invalid with
// code "config.invalid".
type Problems []Problem

// Error has one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the fault.
func (p Problems) Unwrap() error {
	f := fault.Invalidf("config.invalid", "%s", p.Error())
	if len(p) > 0 {
		f.Field = p[0].Key
	}
	return f.WithNext("Mend the %s and try again; `sealwright config check` tells whether it is right.", plural(len(p)))
}

func plural(n int) string {
	if n == 1 {
		return "mistake"
	}
	return fmt.Sprintf("%d mistakes", n)
}

// nearest finds the known key that an unknown one may have been meant to be;
// empty if none is close.
func nearest(key string, known []string) string {
	if len(key) > 64 {
		return "" // longer than any setting
	}
	best, found := 1+len(key)/4, ""
	for _, k := range known {
		if d := distance(key, k); d <= best && (found == "" || d < best) {
			best, found = d, k
		}
	}
	return found
}

// distance is the number of single-character edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
