package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

var (
	// ErrNotFound reports that no row matched.
	ErrNotFound = errors.New("no such row")
	// ErrExists reports that a row with that identity exists.
	ErrExists = errors.New("row exists")
	// errRace reports a PostgreSQL transaction that must be repeated.
	errRace = errors.New("transaction lost a race")
)

// SQLite's primary and extended result codes that matter here.
const (
	sqliteBusy, sqliteIOErr, sqliteFull, sqliteCantOpen = 5, 10, 13, 14
	sqliteUnique, sqlitePrimaryKey                      = 2067, 1555
)

// wrap turns a driver's error into one of the package's or into a fault.
func wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return wrapSQLite(err, lite.Code())
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return wrapPostgres(err, pg.Code)
	}
	var op *net.OpError
	var connect *pgconn.ConnectError
	if errors.As(err, &op) || errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err) {
		return down(err)
	}
	return err
}

func down(err error) error {
	return fault.Unavailablef(err, "store.down", "The database does not answer.").WithNext("Try again in a moment.")
}

func wrapSQLite(err error, code int) error {
	switch code {
	case sqliteUnique, sqlitePrimaryKey:
		return errors.Join(ErrExists, err)
	}
	switch code & 0xff {
	case sqliteFull:
		return fault.Unavailablef(err, "store.full", "The disk that holds the database is full; nothing was saved.").WithNext("Free some space and try again.")
	case sqliteBusy, sqliteIOErr, sqliteCantOpen:
		return down(err)
	}
	return err
}

func wrapPostgres(err error, code string) error {
	switch {
	case code == "23505":
		return errors.Join(ErrExists, err)
	case code == "22021": // a NUL or malformed UTF-8, which no stored text holds
		return fault.Invalidf("store.text", "The text holds a character that cannot be stored.").WithCause(err)
	case code == "40001" || code == "40P01":
		return errors.Join(errRace, err)
	case code == "53100":
		return fault.Unavailablef(err, "store.full", "The disk that holds the database is full; nothing was saved.").WithNext("Free some space and try again.")
	case code[:2] == "57" || code[:2] == "08" || code[:2] == "53":
		return down(err)
	}
	return err
}

func isRace(err error) bool { return errors.Is(err, errRace) }
