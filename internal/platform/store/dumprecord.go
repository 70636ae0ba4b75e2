package store

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

const (
	dumpFormat = 1
	maxRecord  = 64 << 20 // bytes of one line
)

// A mark is a record that is no row.
type mark struct {
	Dump    int         `json:"dump,omitempty"`
	Schema  int64       `json:"schema,omitempty"`
	Engine  Engine      `json:"engine,omitempty"`
	Table   string      `json:"table,omitempty"`
	Columns [][2]string `json:"columns,omitempty"`
	End     string      `json:"end,omitempty"`
	Done    bool        `json:"done,omitempty"`
	Rows    int64       `json:"rows"`
}

func (m mark) encode() []byte {
	b, _ := json.Marshal(m) // strings and numbers always encode
	return b
}

func (t table) marks() [][2]string {
	out := make([][2]string, len(t.columns))
	for i, c := range t.columns {
		out[i] = [2]string{c.name, string(c.kind)}
	}
	return out
}

// appendRow adds the record of a row as the driver gave it.
func appendRow(b []byte, t table, values []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = appendValue(b, t.columns[i].kind, v); !ok {
			return nil, fault.New(fault.Internal, "dump.value", "Column %s of table %s holds a value that is no %s.", t.columns[i].name, t.name, t.columns[i].kind)
		}
	}
	return append(b, ']'), nil
}

// appendValue makes one of what the engines make different: SQLite gives
// booleans as numbers, and keeps in a column whatever was put there.
func appendValue(b []byte, k kind, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), true
	case int64:
		if k == booleanKind && (v == 0 || v == 1) {
			return strconv.AppendBool(b, v == 1), true
		}
		return strconv.AppendInt(b, v, 10), k == bigintKind
	case bool:
		return strconv.AppendBool(b, v), k == booleanKind
	case string:
		if k == byteaKind {
			return appendBytes(b, []byte(v)), true
		}
		return appendText(b, v), k == textKind
	case []byte:
		if k == textKind {
			return appendText(b, string(v)), true
		}
		return appendBytes(b, v), k == byteaKind
	}
	return b, false
}

func appendBytes(b, v []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, v)
	return append(b, '"')
}

func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		return append(appendBytes(append(b, `{"bytes":`...), []byte(s)), '}')
	}
	text, _ := json.Marshal(s) // a string always encodes
	return append(b, text...)
}

// parseValue is the inverse of appendValue: nil, string, int64, bool or []byte.
func parseValue(raw json.RawMessage, k kind) (any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	switch k {
	case textKind:
		return parseText(raw)
	case bigintKind:
		return strconv.ParseInt(string(raw), 10, 64)
	case booleanKind:
		var v bool
		err := json.Unmarshal(raw, &v)
		return v, err
	case byteaKind:
		v := []byte{} // an empty value is not NULL
		err := json.Unmarshal(raw, &v)
		return v, err
	}
	return nil, fmt.Errorf("unknown type %q", k)
}

func parseText(raw json.RawMessage) (string, error) {
	if raw[0] == '{' {
		var odd struct{ Bytes []byte }
		err := json.Unmarshal(raw, &odd)
		return string(odd.Bytes), err
	}
	var v string
	err := json.Unmarshal(raw, &v)
	return v, err
}

// A dumpReader reads the records of a dump and checks that they are whole.
type dumpReader struct {
	lines  *bufio.Scanner
	record int64
	report DumpReport
	values []any
}

// A rowSink takes what a dumpReader reads. The values of a row are its to keep
// until the next row; its strings and bytes for good.
type rowSink interface {
	table(t table) error
	row(values []any) error
	end() error
}

func newDumpReader(r io.Reader) *dumpReader {
	d := &dumpReader{lines: bufio.NewScanner(r), report: DumpReport{Rows: map[string]int64{}}}
	d.lines.Buffer(make([]byte, 64<<10), maxRecord+1)
	return d
}

// begin reads the first record, into the report.
func (d *dumpReader) begin() error {
	line, err := d.next()
	if err != nil {
		return err
	}
	m, err := d.parseMark(line)
	if err != nil {
		return err
	}
	if m.Dump != dumpFormat || m.Schema < 1 {
		return fault.Invalidf("dump.version", "This is not a dump of format %d.", dumpFormat).WithNext("Use the version of Sealwright that made it.")
	}
	d.report.Schema, d.report.Engine = m.Schema, m.Engine
	return nil
}

// run reads the other records, to the end of the input.
func (d *dumpReader) run(sink rowSink) error {
	for {
		line, err := d.next()
		if err != nil {
			return err
		}
		m, err := d.parseMark(line)
		if err != nil {
			return err
		}
		switch {
		case m.Done && m.Rows == d.report.Total():
			return d.nothingMore()
		case m.Table != "" && !d.seen(m.Table):
			if err := d.table(m, sink); err != nil {
				return err
			}
		default:
			return d.damaged(errors.New("this record cannot stand here"))
		}
	}
}

func (d *dumpReader) seen(name string) bool {
	_, ok := d.report.Rows[name]
	return ok
}

func (d *dumpReader) nothingMore() error {
	if d.lines.Scan() {
		d.record++
		return d.damaged(errors.New("something follows the end"))
	}
	return d.lines.Err()
}

func (d *dumpReader) table(m mark, sink rowSink) error {
	t := table{name: m.Table}
	for _, c := range m.Columns {
		t.columns = append(t.columns, column{c[0], kind(c[1])})
	}
	if err := sink.table(t); err != nil {
		return err
	}
	d.values = make([]any, len(t.columns))
	for n := int64(0); ; n++ {
		line, err := d.next()
		if err != nil {
			return err
		}
		if line[0] == '[' {
			if err := d.row(t, line); err != nil {
				return err
			}
			if err := sink.row(d.values); err != nil {
				return err
			}
			continue
		}
		end, err := d.parseMark(line)
		if err != nil {
			return err
		}
		if end.End != t.name || end.Rows != n {
			return d.damaged(fmt.Errorf("table %s is cut short", t.name))
		}
		d.report.Rows[t.name] = n
		return sink.end()
	}
}

func (d *dumpReader) row(t table, line []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		return d.damaged(err)
	}
	if len(raw) != len(t.columns) {
		return d.damaged(fmt.Errorf("a row of table %s has %d values", t.name, len(raw)))
	}
	for i, r := range raw {
		var err error
		if d.values[i], err = parseValue(r, t.columns[i].kind); err != nil {
			return d.damaged(fmt.Errorf("column %s of table %s: %w", t.columns[i].name, t.name, err))
		}
	}
	return nil
}

// next gives a line that is not empty.
func (d *dumpReader) next() ([]byte, error) {
	d.record++
	if !d.lines.Scan() {
		return nil, d.damaged(errors.Join(d.lines.Err(), io.ErrUnexpectedEOF))
	}
	line := bytes.TrimSpace(d.lines.Bytes())
	if len(line) == 0 {
		return nil, d.damaged(errors.New("an empty line"))
	}
	return line, nil
}

func (d *dumpReader) parseMark(line []byte) (m mark, err error) {
	if err := json.Unmarshal(line, &m); err != nil {
		return m, d.damaged(err)
	}
	return m, nil
}

// damaged reports a record that is wrong, unless the input failed in it.
func (d *dumpReader) damaged(cause error) error {
	if err := d.lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return fault.Invalidf("dump.damaged", "Record %d of the dump is damaged.", d.record).WithCause(cause)
}

// CheckDump reads a dump to its end without a database and says what it holds.
// One that is cut short or damaged gives Invalid ("dump.damaged"); an error of
// r is returned as it is.
func CheckDump(r io.Reader) (DumpReport, error) {
	d := newDumpReader(r)
	if err := d.begin(); err != nil {
		return DumpReport{}, err
	}
	err := d.run(nowhere{})
	return d.report, err
}

type nowhere struct{}

func (nowhere) table(table) error { return nil }
func (nowhere) row([]any) error   { return nil }
func (nowhere) end() error        { return nil }
