package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// connect opens a database whose schema nobody has touched.
func connect(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func dumpOf(t *testing.T, db *store.DB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func isCode(t *testing.T, err error, code string) {
	t.Helper()
	if fault.Of(err).Code != code {
		t.Fatalf("got %v, want the code %s", err, code)
	}
}

func TestADumpBringsEveryRowOfEveryTableIntoEitherEngine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, from *store.DB) {
		storetest.Fill(t, from, 250)
		report, err := from.Dump(t.Context(), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		for table, n := range report.Rows {
			if n != 250 {
				t.Errorf("table %s has %d rows", table, n)
			}
		}
		dump := dumpOf(t, from)
		if checked, err := store.CheckDump(bytes.NewReader(dump)); err != nil || checked.Total() != report.Total() || checked.Schema != store.NewestSchema() {
			t.Fatalf("check: %v, %+v", err, checked)
		}
		storetest.EachURL(t, func(t *testing.T, url string) {
			to := connect(t, url)
			loaded, err := to.Load(t.Context(), bytes.NewReader(dump), nil)
			if err != nil || loaded.Total() != report.Total() || loaded.Engine != from.Engine() {
				t.Fatalf("load: %v, %+v", err, loaded)
			}
			storetest.Same(t, from, to)
			if err := to.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE settings SET value = $1`, "used")
				return err
			}); err != nil {
				t.Fatalf("the loaded database cannot be used: %v", err)
			}
		})
	})
}

func TestALoadNeedsAnEmptyDatabase(t *testing.T) {
	dump := dumpOf(t, storetest.Open(t, storetest.SQLite(t)))
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		load := func() error {
			_, err := db.Load(t.Context(), bytes.NewReader(dump), nil)
			return err
		}
		if err := load(); err != nil {
			t.Fatalf("a database as the migrations leave it: %v", err)
		}
		if err := load(); err != nil {
			t.Fatalf("a load of an empty database leaves it empty: %v", err)
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE access_version SET n = n + 1`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		isCode(t, load(), "load.not_empty")
		isCode(t, db.CheckEmpty(t.Context()), "load.not_empty")
	})
}

func TestADatabaseOfSomethingElseIsNotEmpty(t *testing.T) {
	dump := dumpOf(t, storetest.Open(t, storetest.SQLite(t)))
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := connect(t, url)
		create := `CREATE TABLE somebody_elses (id TEXT)`
		if db.Engine() == store.SQLite {
			other := connect(t, url)
			if err := other.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(create); return err }); err != nil {
				t.Fatal(err)
			}
		} else if err := db.Raw(t.Context(), create); err != nil {
			t.Fatal(err)
		}
		_, err := db.Load(t.Context(), bytes.NewReader(dump), nil)
		isCode(t, err, "load.not_empty")
	})
}

func TestALoadThatFailsLeavesAnEmptyDatabaseAndCanBeRepeated(t *testing.T) {
	source := storetest.Open(t, storetest.SQLite(t))
	storetest.Fill(t, source, 120)
	good := dumpOf(t, source)
	no := errors.New("no")
	for _, c := range []struct {
		name    string
		dump    io.Reader
		confirm func(store.DumpReport) error
		is      func(*testing.T, error)
	}{
		{"the dump ends in the middle", bytes.NewReader(good[:len(good)/2]), nil, func(t *testing.T, err error) { isCode(t, err, "dump.damaged") }},
		{"the last record is missing", bytes.NewReader(good[:bytes.LastIndexByte(good[:len(good)-1], '\n')+1]), nil, func(t *testing.T, err error) { isCode(t, err, "dump.damaged") }},
		{"something follows", io.MultiReader(bytes.NewReader(good), strings.NewReader("[]\n")), nil, func(t *testing.T, err error) { isCode(t, err, "dump.damaged") }},
		{"the input fails", io.MultiReader(bytes.NewReader(good[:len(good)-9]), failing{no}), nil, func(t *testing.T, err error) {
			if !errors.Is(err, no) {
				t.Fatal(err)
			}
		}},
		{"the caller says no", bytes.NewReader(good), func(store.DumpReport) error { return no }, func(t *testing.T, err error) {
			if !errors.Is(err, no) {
				t.Fatal(err)
			}
		}},
		{"a row is there twice", bytes.NewReader(twice(good)), nil, func(t *testing.T, err error) { isCode(t, err, "load.row") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := io.ReadAll(c.dump)
			dump := func() io.Reader { return io.MultiReader(bytes.NewReader(all), failing{err}) }
			storetest.EachURL(t, func(t *testing.T, url string) {
				db := connect(t, url)
				_, err := db.Load(t.Context(), dump(), c.confirm)
				c.is(t, err)
				if err := db.CheckEmpty(t.Context()); err != nil {
					t.Fatalf("after the failure: %v", err)
				}
				if _, err := db.Load(t.Context(), bytes.NewReader(good), nil); err != nil {
					t.Fatalf("repeated: %v", err)
				}
				storetest.Same(t, source, db)
			})
		})
	}
}

// failing gives an error, or the end when there is none.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// twice repeats a row of settings and counts it.
func twice(dump []byte) []byte {
	lines := strings.Split(string(dump), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, `{"table":"settings"`) {
			lines[i+1] += "\n" + lines[i+1]
		}
	}
	s := strings.Join(lines, "\n")
	var total int
	_, tail, _ := strings.Cut(s, `"done":true,"rows":`)
	_, _ = fmt.Sscan(tail, &total) // a digit follows
	s = strings.Replace(s, `{"end":"settings","rows":120}`, `{"end":"settings","rows":121}`, 1)
	return []byte(strings.Replace(s, fmt.Sprintf(`"done":true,"rows":%d`, total), fmt.Sprintf(`"done":true,"rows":%d`, total+1), 1))
}

// old is a dump of the first schema.
const old = `{"dump":1,"schema":1,"engine":"sqlite"}
{"table":"jobs","columns":[["id","text"],["kind","text"],["ukey","text"],["args","text"],["state","text"],["run_at","bigint"],["lease","bigint"],["attempts","bigint"],["last_error","text"],["every","bigint"],["created_at","bigint"],["done_at","bigint"]]}
["job-1","k","u","{}","waiting",9007199254740993,0,0,"",0,0,0]
{"end":"jobs","rows":1}
{"done":true,"rows":1}
`

func TestALoadTakesTheSchemaOfTheDump(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := connect(t, url)
		if _, err := db.Load(t.Context(), strings.NewReader(old), nil); err != nil {
			t.Fatal(err)
		}
		if n, err := db.Schema(t.Context()); n != 1 || err != nil {
			t.Fatalf("schema %d, %v", n, err)
		}
		current := storetest.Open(t, url)
		var at int64
		if err := current.View(t.Context()).QueryRow(`SELECT run_at FROM jobs`).Scan(&at); err != nil || at != 9007199254740993 {
			t.Fatalf("after the migrations: %d, %v", at, err)
		}
	})
}

func TestALoadOfAnotherVersionIsRefused(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		for _, c := range []struct{ dump, code string }{
			{old, "load.schema"},
			{strings.Replace(old, `"schema":1`, `"schema":99999`, 1), "load.newer"},
			{strings.Replace(old, `"dump":1`, `"dump":2`, 1), "dump.version"},
			{strings.Replace(old, `"schema":1`, fmt.Sprintf(`"schema":%d`, store.NewestSchema()), 1), "dump.tables"},
			{strings.Replace(strings.Replace(old, `"jobs"`, `"robs"`, 2), `"schema":1`, fmt.Sprintf(`"schema":%d`, store.NewestSchema()), 1), "dump.tables"},
			{"", "dump.damaged"},
		} {
			_, err := db.Load(t.Context(), strings.NewReader(c.dump), nil)
			isCode(t, err, c.code)
			if err := db.CheckEmpty(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		_, err := connect(t, storetest.SQLite(t)).Dump(t.Context(), io.Discard)
		isCode(t, err, "dump.empty")
	})
}

func TestADumpIsOfOneMomentWhileOthersWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		storetest.Fill(t, db, 300)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		write := func(n int) error {
			return db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
				// One of them stands in the first table of a dump, the other in the last.
				if _, err := tx.Exec(`UPDATE access_clients SET name = $1 WHERE id = 'id-7'`, fmt.Sprint(n)); err != nil {
					return err
				}
				_, err := tx.Exec(`UPDATE settings SET value = $1`, fmt.Sprint(n))
				return err
			})
		}
		if err := write(0); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			for n := 1; ctx.Err() == nil; n++ {
				if err := write(n); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		seen := map[string]bool{}
		for range 8 {
			copied := storetest.Open(t, storetest.SQLite(t))
			if _, err := copied.Load(t.Context(), bytes.NewReader(dumpOf(t, db)), nil); err != nil {
				t.Fatal(err)
			}
			var client, setting string
			var different int
			q := copied.View(t.Context())
			if err := errors.Join(q.QueryRow(`SELECT name FROM access_clients WHERE id = 'id-7'`).Scan(&client),
				q.QueryRow(`SELECT MIN(value), COUNT(DISTINCT value) FROM settings`).Scan(&setting, &different)); err != nil {
				t.Fatal(err)
			}
			if client != setting || different != 1 {
				t.Fatalf("the copy mixes moments: %s, %s (%d values)", client, setting, different)
			}
			seen[client] = true
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(seen) < 2 {
			t.Fatal("nothing was written meanwhile")
		}
	})
}

func TestDumpAndLoadTakeTheSameMemoryForAnyNumberOfRows(t *testing.T) {
	const rows = 50_000
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		in := &manyRows{left: rows, head: storetest.Records(t, db)}
		load := &heapMeter{r: in}
		if _, err := db.Load(t.Context(), load, nil); err != nil {
			t.Fatal(err)
		}
		dump := &heapMeter{}
		report, err := db.Dump(t.Context(), dump)
		if err != nil || report.Rows["settings"] != rows {
			t.Fatalf("dump: %v, %d rows", err, report.Rows["settings"])
		}
		const limit = 12 << 20 // the rows are 50 MB
		if load.peak-load.base > limit || dump.peak-dump.base > limit {
			t.Fatalf("the heap grew by %d bytes for the load and %d for the dump", load.peak-load.base, dump.peak-dump.base)
		}
	})
}

// manyRows is a dump with many rows of 1 KB in settings.
type manyRows struct {
	head []string
	buf  []byte
	left int
	done bool
}

func (m *manyRows) Read(p []byte) (int, error) {
	if len(m.buf) == 0 {
		if m.done {
			return 0, io.EOF
		}
		m.refill()
	}
	n := copy(p, m.buf)
	m.buf = m.buf[n:]
	return n, nil
}

func (m *manyRows) refill() {
	const total = 50_000
	for len(m.head) > 0 {
		line := m.head[0]
		if strings.HasPrefix(line, `{"end":"settings"`) && m.left > 0 {
			for range min(m.left, 100) {
				m.buf = fmt.Appendf(m.buf, `["n-%d","%s"]`+"\n", m.left, strings.Repeat("x", 1000))
				m.left--
			}
			return
		}
		m.head = m.head[1:]
		switch {
		case strings.HasPrefix(line, `{"end":"settings"`):
			line = fmt.Sprintf(`{"end":"settings","rows":%d}`, total)
		case strings.HasPrefix(line, `{"done"`):
			var before int
			_, _ = fmt.Sscanf(line, `{"done":true,"rows":%d}`, &before) // the rows of the migrations
			line = fmt.Sprintf(`{"done":true,"rows":%d}`, total+before)
		}
		m.buf = append(append(m.buf, line...), '\n')
	}
	m.done = true
}

// heapMeter looks at the live heap every few megabytes that go through it.
type heapMeter struct {
	r          io.Reader
	n, next    int64
	base, peak int64
}

func (h *heapMeter) look(n int) {
	if h.n += int64(n); h.n < h.next {
		return
	}
	h.next += 8 << 20
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	live := int64(m.HeapAlloc)
	if h.base == 0 {
		h.base = live
	}
	h.peak = max(h.peak, live)
}

func (h *heapMeter) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.look(n)
	return n, err
}

func (h *heapMeter) Write(p []byte) (int, error) {
	h.look(len(p))
	return len(p), nil
}

func TestTextThatIsNotTextSurvivesOnSQLiteAndIsRefusedByPostgreSQL(t *testing.T) {
	from := storetest.Open(t, storetest.SQLite(t))
	odd := "a\xff\x00{\"b"
	if err := from.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO settings (name, value) VALUES ($1, $2)`, "odd", odd)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	dump := dumpOf(t, from)
	to := connect(t, storetest.SQLite(t))
	if _, err := to.Load(t.Context(), bytes.NewReader(dump), nil); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := to.View(t.Context()).QueryRow(`SELECT value FROM settings`).Scan(&got); err != nil || got != odd {
		t.Fatalf("got %q, %v", got, err)
	}
	_, err := connect(t, storetest.Postgres(t)).Load(t.Context(), bytes.NewReader(dump), nil)
	isCode(t, err, "load.row")
}

func TestAnErrorOfTheWriterEndsTheDump(t *testing.T) {
	full := errors.New("disk full")
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if _, err := db.Dump(t.Context(), failingWriter{full}); !errors.Is(err, full) {
			t.Fatal(err)
		}
	})
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func FuzzCheckDump(f *testing.F) {
	f.Add([]byte("{\"dump\":1,\"schema\":1,\"engine\":\"sqlite\"}\n{\"table\":\"t\",\"columns\":[[\"a\",\"text\"],[\"b\",\"bytea\"],[\"c\",\"bigint\"],[\"d\",\"boolean\"]]}\n[\"x\",\"eA==\",1,true]\n[{\"bytes\":\"/w==\"},null,-1,null]\n{\"end\":\"t\",\"rows\":2}\n{\"done\":true,\"rows\":2}\n"))
	f.Add([]byte("{\"dump\":1,\"schema\":1}\n[]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		report, err := store.CheckDump(bytes.NewReader(b))
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatalf("not a fault of the input: %v", err)
		}
		if err == nil && report.Schema < 1 {
			t.Fatalf("accepted with schema %d", report.Schema)
		}
	})
}
