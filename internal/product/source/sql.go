package source

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/product"
)

// SQLSettings say which database is asked, and what.
type SQLSettings struct {
	Address secret.Text // "postgres://…", or "sqlite:PATH" of a file that exists
	// Query is one SELECT. :name stands for a parameter, an empty text if the search
	// does not give it; every parameter is a text. A value that holds line breaks is
	// several values.
	Query string
	// Dial connects to PostgreSQL, so that a policy can watch; nil: as the system
	// does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// SQL is a database as data source. Close it.
type SQL struct {
	db    *sql.DB
	query string
	names []string // of parameters, by number
}

// OpenSQL prepares a search. The database is reached at the first search; a
// database that is down later gives Unavailable.
//
// The connection is read-only: on PostgreSQL every transaction is, on SQLite the
// file is opened so.
func OpenSQL(s SQLSettings) (*SQL, error) {
	query, names, err := bind(s.Query)
	if err != nil {
		return nil, err
	}
	address := s.Address.Reveal()
	out := &SQL{query: query, names: names}
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, misconfigured("The SQLite file of the data source cannot be read.")
		}
		dsn := "file:" + strings.NewReplacer("?", "%3f", "#", "%23").Replace(path) + "?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(5000)"
		if out.db, err = sql.Open("sqlite", dsn); err != nil {
			return nil, misconfigured("The SQLite file of the data source cannot be read.")
		}
	} else {
		config, err := pgx.ParseConfig(address)
		if err != nil { // its text may hold the password
			return nil, misconfigured("The address of the data source is neither postgres://… nor sqlite:PATH.")
		}
		config.RuntimeParams["default_transaction_read_only"] = "on"
		if s.Dial != nil {
			config.DialFunc = s.Dial
		}
		out.db = stdlib.OpenDB(*config)
	}
	out.db.SetMaxOpenConns(4)
	out.db.SetConnMaxIdleTime(time.Minute)
	return out, nil
}

// Close ends the connections.
func (s *SQL) Close() error { return s.db.Close() }

// Find gives at most limit records, and at most 500.
func (s *SQL) Find(ctx context.Context, parameters map[string]string, limit int) (product.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, unavailable(err, "database")
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	args := make([]any, len(s.names))
	for i, name := range s.names {
		args[i] = parameters[name]
	}
	rows, err := tx.QueryContext(ctx, s.query, args...)
	if err != nil {
		return nil, unavailable(err, "database")
	}
	defer rows.Close()
	out, err := read(rows, bounded(limit))
	if err != nil {
		return nil, unavailable(err, "database")
	}
	return out, nil
}

func read(rows *sql.Rows, limit int) (product.Rows, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var out product.Rows
	for len(out) < limit && rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := product.Row{}
		for i, v := range values {
			for line := range strings.SplitSeq(textOf(v), "\n") {
				put(row, columns[i], line)
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// textOf writes a column's value as a certificate would hold it.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.UTC().Format(time.DateOnly)
		}
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(v)
}

// bind turns :name into $1, $2, … outside texts, quoted names and comments. It
// refuses anything but one SELECT: not for safety, which the read-only connection
// gives, but so that mistakes are found early.
func bind(query string) (bound string, names []string, err error) {
	query = strings.TrimSuffix(strings.TrimSpace(query), ";")
	first, _, _ := strings.Cut(strings.ToUpper(query), " ")
	if first = strings.TrimSpace(first); !strings.HasPrefix(first, "SELECT") && !strings.HasPrefix(first, "WITH") {
		return "", nil, misconfigured("The query of the data source must be a SELECT.")
	}
	var out strings.Builder
	for i := 0; i < len(query); {
		length, name, err := token(query[i:])
		switch {
		case err != nil:
			return "", nil, misconfigured("The query of the data source cannot be read: %v.", err)
		case name == "":
			out.WriteString(query[i : i+length])
		default:
			at := slices.Index(names, name)
			if at < 0 {
				at, names = len(names), append(names, name)
			}
			out.WriteString("$" + strconv.Itoa(at+1))
		}
		i += length
	}
	return out.String(), names, nil
}

// token measures what stands at the beginning of s: a text, a comment, a cast, a
// parameter or one other byte.
func token(s string) (length int, parameter string, err error) {
	switch {
	case s[0] == '\'' || s[0] == '"':
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 {
			return 0, "", errors.New("a quote is not closed")
		}
		return end + 2, "", nil
	case strings.HasPrefix(s, "--"):
		end := strings.IndexByte(s, '\n')
		if end < 0 {
			end = len(s)
		}
		return end, "", nil
	case strings.HasPrefix(s, "/*"):
		end := strings.Index(s, "*/")
		if end < 0 {
			return 0, "", errors.New("a comment is not closed")
		}
		return end + 2, "", nil
	case strings.HasPrefix(s, "::"):
		return 2, "", nil
	case s[0] == ';':
		return 0, "", errors.New("there is more than one statement")
	case s[0] == '$':
		return 0, "", errors.New("parameters are written :name")
	case s[0] == ':':
		end := 1
		for end < len(s) && isNameByte(s[end], end > 1) {
			end++
		}
		if end > 1 {
			return end, s[1:end], nil
		}
	}
	return 1, "", nil
}

func isNameByte(c byte, later bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || later && '0' <= c && c <= '9'
}
