// Package source finds records for products that issue for known people and
// things only (A77): in a database ([OpenSQL]) or a directory ([NewLDAP]).
//
// Both take a query with named parameters, :mail in SQL and {mail} in a filter.
// Parameters are bound or escaped, never pasted, and a query cannot change
// anything. Columns and attributes are named in small letters in the rows that
// come back.
package source

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/product"
)

// Bounds on what one search brings back.
const (
	maxRows   = 500
	maxValue  = 4096 // bytes
	maxValues = 250  // of one column
	timeout   = 10 * time.Second
)

// bounded is the number of rows to ask for.
func bounded(limit int) int {
	if limit <= 0 || limit > maxRows {
		return maxRows
	}
	return limit
}

// put adds a value to a row. What is empty, too long or not text is left out: it
// could not be in a certificate.
func put(row product.Row, column, value string) {
	value = strings.TrimSpace(value)
	column = strings.ToLower(column)
	if value == "" || len(value) > maxValue || !utf8.ValidString(value) || len(row[column]) >= maxValues {
		return
	}
	row[column] = append(row[column], value)
}

// unavailable reports a source that did not answer. The cause, which may name
// hosts and accounts, is for the log.
func unavailable(err error, kind string) error {
	return fault.Unavailablef(err, "source.unavailable", "The %s of the product's data source did not answer.", kind).WithNext("Try again later; if it stays, ask who runs it.")
}

func misconfigured(format string, args ...any) error {
	return fault.Invalidf("source.settings", format, args...).WithField("source")
}
