package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

const addJob = `INSERT INTO jobs (id, kind, ukey, args, state, run_at, created_at) VALUES ($1, $2, $1, '{}', 'waiting', $3, $3)`

func count(t *testing.T, q store.Queryer) int64 {
	t.Helper()
	var n int64
	if err := q.QueryRow(`SELECT COUNT(*) FROM jobs`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnUpdateIsWholeOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		boom := errors.New("boom")
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(addJob, "a", "k", 1); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) || count(t, db.View(t.Context())) != 0 {
			t.Fatalf("error %v, rows %d", err, count(t, db.View(t.Context())))
		}
		hooks := 0
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			tx.AfterCommit(func() { hooks++ })
			_, err := tx.Exec(addJob, "a", "k", 1)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if count(t, db.View(t.Context())) != 1 || hooks != 1 {
			t.Fatal("the row or its hook is missing")
		}
	})
}

func TestOneCallersFailureLeavesTheOthersInTheGroupAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx *store.Tx) error {
					if _, err := tx.Exec(addJob, fmt.Sprint(i), "k", i); err != nil {
						return err
					}
					switch i % 4 {
					case 1:
						return errors.New("no")
					case 2:
						panic("defect")
					}
					return nil
				})
				if (err == nil) != (i%4 == 0 || i%4 == 3) {
					t.Errorf("update %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := count(t, db.View(t.Context())); n != 32 {
			t.Fatalf("%d rows, want 32", n)
		}
	})
}

func TestConcurrentCountersLoseNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(addJob, "counter", "k", 0)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 10 {
					if err := db.Update(t.Context(), func(tx *store.Tx) error {
						n, err := tx.Exec(`UPDATE jobs SET attempts = attempts + 1 WHERE id = $1`, "counter")
						if err == nil && n != 1 {
							return fmt.Errorf("%d rows", n)
						}
						return err
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var n int64
		if err := db.View(t.Context()).QueryRow(`SELECT attempts FROM jobs WHERE id = $1`, "counter").Scan(&n); err != nil || n != 160 {
			t.Fatalf("%d, %v", n, err)
		}
	})
}

func TestMissingAndDoubleRowsHaveTheirOwnErrors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var id string
		if err := db.View(t.Context()).QueryRow(`SELECT id FROM jobs WHERE id = $1`, "x").Scan(&id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("missing row: %v", err)
		}
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			for range 2 {
				if _, err := tx.Exec(addJob, "x", "k", 1); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("double row: %v", err)
		}
	})
}

func TestValuesComeBackAsTheyWent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			n++
			text := rapid.StringMatching(`[^\x00]{0,40}`).Draw(r, "text")
			at := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(r, "time")).UTC()
			id := fmt.Sprint(n)
			var gotText string
			var gotAt int64
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(addJob, id, "k", store.Micros(at)); err != nil {
					return err
				}
				if _, err := tx.Exec(`UPDATE jobs SET args = $1 WHERE id = $2`, text, id); err != nil {
					return err
				}
				return tx.QueryRow(`SELECT args, run_at FROM jobs WHERE id = $1`, id).Scan(&gotText, &gotAt)
			})
			if err != nil || gotText != text || (at.UnixMicro() != 0 && !store.Time(gotAt).Equal(at)) {
				r.Fatalf("%q %v came back as %q %v: %v", text, at, gotText, store.Time(gotAt), err)
			}
		})
	})
}

func TestClosingAnswersEveryCaller(t *testing.T) {
	db, err := store.Open(t.Context(), storetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(addJob, fmt.Sprint(i), "k", 1)
				return err
			})
			if err != nil && !errors.Is(err, fault.Unavailable) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	if err := db.Update(t.Context(), func(*store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func TestCommittedRowsSurviveReopening(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "a b#c.db")
	for i := range 3 {
		db, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, db.View(t.Context())); n != int64(i) {
			t.Fatalf("round %d finds %d rows", i, n)
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(addJob, fmt.Sprint(i), "k", 1)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoppedPostgresIsUnavailableAndHeals(t *testing.T) {
	server, err := storetest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Remove()
	db := storetest.Open(t, server.URL)
	add := func(id string) error {
		return db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(addJob, id, "k", 1)
			return err
		})
	}
	if err := add("before"); err != nil {
		t.Fatal(err)
	}
	if err := server.Down(); err != nil {
		t.Fatal(err)
	}
	if err := add("during"); !errors.Is(err, fault.Unavailable) {
		t.Fatalf("while the server is down: %v", err)
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	if err := add("after"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db.View(t.Context())); n != 2 {
		t.Fatalf("%d rows, want 2", n)
	}
}

func TestAFullDiskIsToldAndNothingIsHalfWritten(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		var pages int64
		// max_page_count stands for the disk: SQLite answers SQLITE_FULL in both cases.
		return tx.QueryRow(`PRAGMA max_page_count = 64`).Scan(&pages)
	}); err != nil {
		t.Fatal(err)
	}
	var failed error
	stored := int64(0)
	for i := 0; failed == nil && i < 10_000; i++ {
		failed = db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(addJob, fmt.Sprintf("%0200d", i), "k", 1)
			return err
		})
		if failed == nil {
			stored++
		}
	}
	if f := fault.Of(failed); f.Code != "store.full" {
		t.Fatalf("got %v", failed)
	}
	if n := count(t, db.View(t.Context())); n != stored {
		t.Fatalf("%d rows, %d acknowledged", n, stored)
	}
}

func TestCursorsRoundTripAndRefuseNonsense(t *testing.T) {
	want := store.Key{Sort: 42, ID: "ord-1"}
	got, ok, err := store.Page{Cursor: want.Cursor()}.Key()
	if err != nil || !ok || got != want {
		t.Fatalf("%v %v %v", got, ok, err)
	}
	if _, _, err := (store.Page{Cursor: "%%%"}).Key(); !errors.Is(err, fault.Invalid) {
		t.Fatalf("nonsense: %v", err)
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		url := storetest.SQLite(b)
		if engine == "postgres" {
			url = storetest.Postgres(b)
		}
		db := storetest.Open(b, url)
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", engine, callers), func(b *testing.B) {
				var next sync.Mutex
				n := 0
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for {
							next.Lock()
							n++
							i := n
							next.Unlock()
							if i > b.N {
								return
							}
							if err := db.Update(b.Context(), func(tx *store.Tx) error {
								_, err := tx.Exec(addJob, fmt.Sprintf("%s-%d-%d-%d", engine, callers, b.N, i), "k", 1)
								return err
							}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			})
		}
	}
}
