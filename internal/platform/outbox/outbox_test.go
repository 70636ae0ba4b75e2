package outbox_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

var (
	start = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// gcm is a [outbox.Sealer] of the test's own.
type gcm struct{ cipher.AEAD }

func newSealer(tb testing.TB) gcm {
	tb.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		tb.Fatal(err)
	}
	return gcm{a}
}

func (g gcm) Seal(purpose string, plain []byte) ([]byte, error) {
	return g.AEAD.Seal(nil, nil, plain, []byte(purpose)), nil
}

func (g gcm) Open(purpose string, sealed []byte) ([]byte, error) {
	return g.AEAD.Open(nil, nil, sealed, []byte(purpose))
}

// A world is an outbox with its queue on a fake clock.
type world struct {
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
	q     *jobs.Queue
	o     *outbox.Outbox
	log   *bytes.Buffer
}

func newWorld(t *testing.T, db *store.DB, c *clock.Fake, transports map[outbox.Channel]outbox.Transport) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: c, log: new(bytes.Buffer)}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.q = jobs.New(db, c, log, jobs.Options{})
	w.o = outbox.New(db, c, log, w.q, newSealer(t), transports, outbox.Options{})
	return w
}

func everywhere(tr outbox.Transport) map[outbox.Channel]outbox.Transport {
	return map[outbox.Channel]outbox.Transport{outbox.Email: tr, outbox.SMS: tr, outbox.Webhook: tr}
}

// dev is a world that delivers into memory.
func dev(t *testing.T, db *store.DB) (*world, *outbox.Dev) {
	c := clock.NewFake(start)
	d := outbox.NewDev(c, 0)
	return newWorld(t, db, c, everywhere(d)), d
}

func (w *world) try(m outbox.Message) (id string, err error) {
	err = w.db.Update(w.t.Context(), func(tx *store.Tx) (err error) {
		id, err = w.o.Send(tx, m)
		return err
	})
	return id, err
}

func (w *world) send(m outbox.Message) string {
	w.t.Helper()
	id, err := w.try(m)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) drain() {
	w.t.Helper()
	if err := w.q.Drain(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(id string) outbox.Entry {
	w.t.Helper()
	e, err := w.o.Get(w.db.View(w.t.Context()), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) wantState(id, state string) outbox.Entry {
	w.t.Helper()
	e := w.get(id)
	if e.State != state {
		w.t.Fatalf("the message is %s (%s), want %s", e.State, e.LastError, state)
	}
	return e
}

func letter(to string) outbox.Message {
	return outbox.Message{Channel: outbox.Email, Realm: "production", Client: "acme", Service: "web", ObjectKind: "order", ObjectID: "ord-1", To: to, Subject: "Hello", Body: "Good day."}
}

func TestAMessageIsDeliveredOnceIfItsTransactionCommits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, d := dev(t, db)
		boom := errors.New("boom")
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := w.o.Send(tx, letter("never@example.org"))
			return errors.Join(err, boom)
		}); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		ids := map[string]bool{
			w.send(letter("kari@example.org")):                                                                  true,
			w.send(outbox.Message{Channel: outbox.SMS, To: "+47 900 00 000", Body: "Hi"}):                       true,
			w.send(outbox.Message{Channel: outbox.Webhook, To: "https://hooks.example.org/x", Body: `{"a":1}`}): true,
		}
		w.drain()
		w.drain()
		for _, m := range d.List(outbox.DevFilter{}) {
			if !ids[m.ID] || m.Attempt != 1 || !m.Date.Equal(start) {
				t.Fatalf("%+v", m)
			}
			delete(ids, m.ID)
			if e := w.wantState(m.ID, outbox.Delivered); !e.DoneAt.Equal(start) || e.Attempts != 1 {
				t.Fatalf("%+v", e)
			}
		}
		if len(ids) != 0 || d.Total() != 3 {
			t.Fatalf("%d deliveries, missing %v", d.Total(), ids)
		}
		if sms := d.List(outbox.DevFilter{Channel: outbox.SMS, To: "+4790000000"}); len(sms) != 1 {
			t.Fatal("the number was not brought to its normal form")
		}
		if s := w.o.Stats()[outbox.SMS]; s != (outbox.Stats{Delivered: 1}) {
			t.Fatalf("%+v", s)
		}
	})
}

func TestTheSameKeyIsSentOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, d := dev(t, db)
		m := letter("kari@example.org")
		m.Key = "reminder/ord-1/30"
		first, second := w.send(m), w.send(m)
		w.drain()
		if third := w.send(m); first != second || first != third {
			t.Fatalf("ids %s %s %s", first, second, third)
		}
		w.drain()
		if d.Total() != 1 {
			t.Fatalf("%d deliveries", d.Total())
		}
	})
}

func TestAMessageIsSentBetweenItsTimesOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, d := dev(t, db)
		early := letter("early@example.org")
		early.NotBefore, early.NotAfter = start.Add(time.Hour), start.Add(2*time.Hour)
		late := letter("late@example.org")
		late.Body, late.Secret, late.NotBefore, late.NotAfter = "Code {secret}", secret.New("424242"), start.Add(time.Hour), start.Add(90*time.Minute)
		earlyID, lateID := w.send(early), w.send(late)
		w.drain()
		w.clock.Advance(time.Hour - time.Microsecond)
		w.drain()
		if d.Total() != 0 {
			t.Fatal("sent before its time")
		}
		w.clock.Advance(31 * time.Minute)
		w.drain()
		if m := d.List(outbox.DevFilter{}); len(m) != 1 || m[0].To != "early@example.org" || !m[0].Date.Equal(start.Add(time.Hour)) {
			t.Fatalf("%+v", m)
		}
		w.wantState(earlyID, outbox.Delivered)
		if e := w.wantState(lateID, outbox.Expired); !e.SecretErased || e.LastError == "" {
			t.Fatalf("%+v", e)
		}
		if _, err := w.resend(lateID); fault.Of(err).Code != "outbox.secret_erased" {
			t.Fatal(err)
		}
	})
}

func (w *world) resend(id string) (again string, err error) {
	err = w.db.Update(w.t.Context(), func(tx *store.Tx) (err error) {
		again, err = w.o.Resend(tx, id)
		return err
	})
	return again, err
}

// echo is a transport that fails and repeats what it was told, as careless
// servers do.
type echo struct{}

func (echo) Deliver(_ context.Context, e outbox.Envelope) error {
	return fmt.Errorf("cannot deliver %q", e.Body.Reveal())
}

func TestASecretIsNowhereInClearAndGoneAfterDelivery(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		c := clock.NewFake(start)
		d := outbox.NewDev(c, 0)
		w := newWorld(t, db, c, map[outbox.Channel]outbox.Transport{outbox.Email: d, outbox.SMS: echo{}})
		const link, code = `https://ra.example.org/pick-up/zJ4q"&<7Wm`, "Xk83-QQ-now"
		m := letter("kari@example.org")
		m.Body, m.HTML, m.Secret = "Fetch it: {secret}", `<a href="{secret}">here</a>`, secret.New(link)
		sms := outbox.Message{Channel: outbox.SMS, To: "+4790000000", Body: "Code {secret}.", Secret: secret.New(code), NotAfter: start.Add(30 * time.Minute)}
		mailID, smsID := w.send(m), w.send(sms)
		wantClean(t, url, w.log, link, code)
		w.drain()
		wantClean(t, url, w.log, link, code)
		got, _ := d.Get(mailID)
		if !got.Confidential || got.Body.Reveal() != "Fetch it: "+link || !strings.Contains(got.HTML.Reveal(), `/zJ4q&#34;&amp;&lt;7Wm"`) {
			t.Fatalf("delivered %q, %q", got.Body.Reveal(), got.HTML.Reveal())
		}
		if e := w.wantState(mailID, outbox.Delivered); !e.HasSecret || !e.SecretErased || e.Body != "Fetch it: [redacted]" || !strings.Contains(e.HTML, "[redacted]") {
			t.Fatalf("%+v", e)
		}
		if e := w.wantState(smsID, outbox.Waiting); e.SecretErased || e.Body != "Code [redacted]." || !strings.Contains(e.LastError, "[redacted]") {
			t.Fatalf("%+v", e)
		}
		w.clock.Advance(time.Hour)
		w.drain()
		w.wantState(smsID, outbox.Expired)
		wantClean(t, url, w.log, link, code)
		if n := sealedBytes(t, db); n != 0 {
			t.Fatalf("%d bytes of sealed secrets are left", n)
		}
		if again, err := w.resend(mailID); fault.Of(err).Code != "outbox.secret_erased" || !errors.Is(err, fault.Gone) {
			t.Fatalf("%s, %v", again, err)
		}
	})
}

func sealedBytes(t *testing.T, db *store.DB) (n int64) {
	t.Helper()
	if err := db.View(t.Context()).QueryRow(`SELECT SUM(length(secret)) FROM outbox`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantClean looks for the secrets in everything that the database keeps, and
// in the log.
func wantClean(t *testing.T, url string, log *bytes.Buffer, secrets ...string) {
	t.Helper()
	dump := log.Bytes()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		for _, file := range []string{path, path + "-wal"} {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dump = append(dump, b...)
		}
	} else {
		dump = append(dump, dumpPostgres(t, url)...)
	}
	if !bytes.Contains(dump, []byte("kari@example.org")) {
		t.Fatal("the dump is empty")
	}
	for _, s := range secrets {
		for _, form := range []string{s, hex.EncodeToString([]byte(s)), strings.ReplaceAll(s, `"`, `\"`)} {
			if bytes.Contains(dump, []byte(form)) {
				t.Fatalf("the secret %q is kept in clear", s)
			}
		}
	}
}

func dumpPostgres(t *testing.T, url string) []byte {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var dump []byte
	for _, table := range column(t, db, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`) {
		for _, row := range column(t, db, `SELECT row_to_json(r)::text FROM `+table+` r`) {
			dump = append(dump, row...)
		}
	}
	return dump
}

func column(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// deadly delivers or not, and dies or not before the outcome can be recorded,
// on its first call; after that it delivers.
type deadly struct {
	delivers, dies bool
	mu             sync.Mutex
	calls          int
	got            []string
}

func (d *deadly) Deliver(_ context.Context, e outbox.Envelope) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	first := d.calls == 1
	if d.delivers || !first {
		d.got = append(d.got, e.ID)
	}
	if d.dies && first {
		runtime.Goexit() // as a killed process: nothing after this runs
	}
	if !d.delivers && first {
		return errors.New("not now")
	}
	return nil
}

// {delivered, not delivered} × {outcome committed, not committed}, then carried
// on by another node: never lost, and a duplicate has the same id.
func TestACrashAroundDeliveryLosesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, c := range []struct {
			name           string
			delivers, dies bool
			copies         int
		}{
			{"delivered and committed", true, false, 1},
			{"delivered, not committed", true, true, 2},
			{"not delivered, committed", false, false, 1},
			{"not delivered, not committed", false, true, 1},
		} {
			t.Run(c.name, func(t *testing.T) {
				tr, fake := &deadly{delivers: c.delivers, dies: c.dies}, clock.NewFake(start)
				w := newWorld(t, db, fake, everywhere(tr))
				m := letter("kari@example.org")
				m.Body, m.Secret = "{secret}", secret.New("4711-4711-4711")
				id := w.send(m)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = w.q.Drain(context.WithoutCancel(t.Context())) // may not return
				}()
				<-done
				w = newWorld(t, db, fake, everywhere(tr))
				w.drain()
				if c.dies && len(tr.got) > 1 {
					t.Fatal("the lease was not respected")
				}
				fake.Advance(61 * time.Second)
				w.drain()
				w.wantState(id, outbox.Delivered)
				if len(tr.got) != c.copies {
					t.Fatalf("%d copies, want %d", len(tr.got), c.copies)
				}
				for _, got := range tr.got {
					if got != id {
						t.Fatal("a copy has another id")
					}
				}
				if sealedBytes(t, db) != 0 {
					t.Fatal("the secret outlived the delivery")
				}
			})
		}
	})
}

func TestTwoNodesShareTheMessagesAndSendEachOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		d := outbox.NewDev(c, 0)
		a, b := newWorld(t, db, c, everywhere(d)), newWorld(t, db, c, everywhere(d))
		want := map[string]bool{}
		for i := range 200 {
			want[a.send(letter(fmt.Sprintf("p%d@example.org", i)))] = true
		}
		var wg sync.WaitGroup
		for _, w := range []*world{a, b} {
			wg.Go(func() {
				if err := w.q.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		a.drain()
		for _, m := range d.List(outbox.DevFilter{}) {
			delete(want, m.ID)
		}
		if d.Total() != 200 || len(want) != 0 {
			t.Fatalf("%d deliveries, %d messages missing", d.Total(), len(want))
		}
	})
}

func TestAMessageWithoutATransportWaitsForOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		w := newWorld(t, db, c, nil)
		id := w.send(letter("kari@example.org"))
		w.drain()
		if e := w.wantState(id, outbox.Waiting); !strings.Contains(e.LastError, "no transport") {
			t.Fatal(e.LastError)
		}
		d := outbox.NewDev(c, 0)
		w = newWorld(t, db, c, everywhere(d))
		c.Advance(time.Hour)
		w.drain()
		w.wantState(id, outbox.Delivered)
	})
}
