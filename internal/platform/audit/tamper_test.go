package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// found is what a report must say: for each finding its kind, leaf and words.
type found struct {
	kind audit.Kind
	leaf int64
	text string // with %s for the id of the entry of that leaf
}

// A world is a log that somebody tampers with.
type world struct {
	db  *store.DB
	l   *audit.Log
	ids []string
}

// A27: whatever is done to the log behind its back is found, and the entry named.
func TestEveryTamperingIsFound(t *testing.T) {
	const n = 600 // two complete tiles, one part, and a tile above them
	change := func(column, value string) func(*testing.T, world) {
		return func(t *testing.T, w world) {
			exec(t, w.db, `UPDATE audit_entries SET `+column+` = `+value+` WHERE leaf = 300`)
		}
	}
	const changed = "Entry %s (leaf 300) was changed after it was sequenced."
	cases := map[string]struct {
		do   func(*testing.T, world)
		want []found
	}{
		"the id of an entry is changed":      {change("id", "'aud-x'"), []found{{audit.Changed, 300, "Entry aud-x (leaf 300) was changed"}}},
		"the time is changed":                {change("at", "at + 1"), []found{{audit.Changed, 300, changed}}},
		"the action is changed":              {change("action", "'order.view'"), []found{{audit.Changed, 300, changed}}},
		"the kind of actor is changed":       {change("actor_kind", "'system'"), []found{{audit.Changed, 300, changed}}},
		"the actor is changed":               {change("actor_id", "'opr-2'"), []found{{audit.Changed, 300, changed}}},
		"the name of the actor is changed":   {change("actor_name", "''"), []found{{audit.Changed, 300, changed}}},
		"the address is changed":             {change("source", "'192.0.2.8'"), []found{{audit.Changed, 300, changed}}},
		"the correlation is changed":         {change("correlation", "'x'"), []found{{audit.Changed, 300, changed}}},
		"the kind of object is changed":      {change("object_kind", "'job'"), []found{{audit.Changed, 300, changed}}},
		"the object is changed":              {change("object_id", "'ord-1'"), []found{{audit.Changed, 300, changed}}},
		"the realm is changed":               {change("realm", "'production'"), []found{{audit.Changed, 300, changed}}},
		"the client is changed":              {change("client", "'cli-2'"), []found{{audit.Changed, 300, changed}}},
		"the service is changed":             {change("service", "''"), []found{{audit.Changed, 300, changed}}},
		"the result is changed":              {change("result", "'refused'"), []found{{audit.Changed, 300, changed}}},
		"the detail is changed":              {change("detail", `'{"n":"300"}'`), []found{{audit.Changed, 300, changed}}},
		"only the form of detail is changed": {change("detail", `'{"n":"300", "product":"pma-1"}'`), []found{{audit.Changed, 300, changed}}},
		"detail is made unreadable":          {change("detail", `'{'`), []found{{audit.Changed, 300, changed}}},
		"an entry loses its leaf":            {change("leaf", "NULL"), []found{{audit.Missing, 300, "The entry of leaf 300 is missing"}}},
		"an entry gets an impossible leaf":   {change("leaf", "-5"), []found{{audit.Inserted, -5, "impossible leaf -5"}, {audit.Missing, 300, "The entry of leaf 300 is missing"}}},
		"an entry gets the largest leaf":     {change("leaf", "9223372036854775807"), []found{{audit.Missing, 300, "The entry of leaf 300 is missing"}, {audit.Inserted, 9223372036854775807, "where nothing was sequenced"}}},
		"an entry is moved to the end":       {change("leaf", "600"), []found{{audit.Missing, 300, "The entry of leaf 300 is missing"}, {audit.Inserted, 600, "claims leaf 600"}}},
		"the first entry is deleted":         {remove("leaf = 0"), []found{{audit.Missing, 0, "The entry of leaf 0 is missing: deleted, or taken out of its place before "}}},
		"an entry in the middle is deleted":  {remove("leaf = 255"), []found{{audit.Missing, 255, "The entry of leaf 255 is missing"}}},
		"the last entry is deleted":          {remove("leaf = 599"), []found{{audit.Missing, 599, "its place after "}}},
		"a run of entries is deleted":        {remove("leaf BETWEEN 200 AND 299"), []found{{audit.Missing, 200, "The entries of the 100 leaves from 200 to 299 are missing"}}},
		"all entries are deleted":            {remove("1 = 1"), []found{{audit.Missing, 0, "The entries of the 600 leaves from 0 to 599 are missing"}}},
		"two entries change places": {func(t *testing.T, w world) {
			exec(t, w.db, `UPDATE audit_entries SET leaf = NULL WHERE id IN ($1, $2)`, w.ids[10], w.ids[500])
			exec(t, w.db, `UPDATE audit_entries SET leaf = 500 WHERE id = $1`, w.ids[10])
			exec(t, w.db, `UPDATE audit_entries SET leaf = 10 WHERE id = $1`, w.ids[500])
		}, []found{{audit.Moved, 10, "it stands at leaf 10 and was sequenced at leaf 500"}, {audit.Moved, 500, "it stands at leaf 500 and was sequenced at leaf 10"}}},
		"a forged entry takes a free leaf": {forge("aud-forged", 600), []found{{audit.Inserted, 600, "Entry aud-forged was inserted or moved: it claims leaf 600"}}},
		"a forged entry takes a far leaf":  {forge("aud-forged", 100_000), []found{{audit.Inserted, 100_000, "Entry aud-forged was inserted"}}},
		"a forged entry replaces another": {func(t *testing.T, w world) {
			remove("leaf = 7")(t, w)
			forge("aud-forged", 7)(t, w)
		}, []found{{audit.Changed, 7, "Entry aud-forged (leaf 7) was changed after"}}},
		"a forged entry shares a leaf": {func(t *testing.T, w world) {
			exec(t, w.db, `DROP INDEX audit_leaf`)
			forge("zzz-forged", 7)(t, w)
		}, []found{{audit.Inserted, 7, "Entry zzz-forged was inserted or moved: leaf 7 belongs to "}}},
		"a stored leaf hash is changed":    {tile(0, 1, 5), []found{{audit.BadTile, 261, "(leaf 261); the entry itself is as signed"}}},
		"a hash of the last tile changes":  {tile(0, 2, 3), []found{{audit.BadTile, 515, "(leaf 515); the entry itself is as signed"}}},
		"a tile higher up is changed":      {tile(1, 0, 1), []found{{audit.BadTile, -1, "Tile tile/8/1/000.p/2 does not hold the hashes"}}},
		"a tile gets longer than the tree": {tile(0, 2, 88), []found{{audit.BadTile, -1, "reaches beyond the tree"}}},
		"a complete tile gets longer":      {tile(0, 0, 256), []found{{audit.BadTile, 0, "has 8224 bytes instead of 8192"}}},
		"a tile is deleted":                {func(t *testing.T, w world) { exec(t, w.db, `DELETE FROM audit_tiles WHERE level = 0 AND n = 1`) }, []found{{audit.BadTile, 256, "has 0 bytes instead of 8192"}}},
		"the last tile is deleted":         {func(t *testing.T, w world) { exec(t, w.db, `DELETE FROM audit_tiles WHERE level = 0 AND n = 2`) }, []found{{audit.BadTile, 512, "fewer than its 88 entries need"}}},
		"a tile is added": {func(t *testing.T, w world) {
			exec(t, w.db, `INSERT INTO audit_tiles (level, n, data) SELECT level, 9, data FROM audit_tiles WHERE level = 0 AND n = 0`)
		}, []found{{audit.BadTile, -1, "Tile 9 of level 0 reaches beyond"}}},
		"a tile of an absurd level is added": {func(t *testing.T, w world) {
			exec(t, w.db, `INSERT INTO audit_tiles (level, n, data) SELECT 9223372036854775807, 0, data FROM audit_tiles WHERE level = 0 AND n = 0`)
		}, []found{{audit.BadTile, -1, "reaches beyond"}}},
		"the root in the checkpoint is changed": {func(t *testing.T, w world) {
			c := strings.Split(checkpoint(t, w.db, w.l), "\n")
			c[2] = "AAAA" + c[2][4:]
			exec(t, w.db, `UPDATE audit_tree SET checkpoint = $1`, strings.Join(c, "\n"))
		}, []found{{audit.BadCheckpoint, -1, "cannot be trusted: the checkpoint is not signed by the log's key"}}},
		"the checkpoint is emptied": {func(t *testing.T, w world) { exec(t, w.db, `UPDATE audit_tree SET checkpoint = ''`) }, []found{{audit.BadCheckpoint, -1, "cannot be trusted"}}},
		"the size is changed":       {func(t *testing.T, w world) { exec(t, w.db, `UPDATE audit_tree SET size = 601`) }, []found{{audit.BadCheckpoint, -1, "covers 600 entries, but the log was sequenced up to 601"}}},
		"the size is made enormous": {func(t *testing.T, w world) { exec(t, w.db, `UPDATE audit_tree SET size = 9223372036854775807`) }, []found{{audit.BadCheckpoint, -1, "covers 600 entries"}}},
		"the tree's row is deleted": {func(t *testing.T, w world) { exec(t, w.db, `DELETE FROM audit_tree`) }, []found{{audit.BadCheckpoint, -1, "size and checkpoint is gone"}}},
		"another key signs the checkpoint": {func(t *testing.T, w world) {
			other := audit.New(w.db, clock.NewFake(start), key("thief"), origin)
			exec(t, w.db, `UPDATE audit_tree SET checkpoint = '', size = 0`)
			exec(t, w.db, `UPDATE audit_entries SET leaf = NULL`)
			exec(t, w.db, `DELETE FROM audit_tiles`)
			sequence(t, other, n)
		}, []found{{audit.BadCheckpoint, -1, "not signed by the log's key"}}},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		w := world{db, l, fill(t, db, l, n)}
		if r := verify(t, l); !r.OK() || r.Size != n || r.Pending != 0 {
			t.Fatalf("untouched log: %+v", r)
		}
		save(t, db, "saved_")
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				defer restore(t, db, "saved_")
				c.do(t, w)
				compare(t, verify(t, l), c.want, w.ids)
			})
		}
		if r := verify(t, l); !r.OK() {
			t.Fatalf("restored log: %+v", r.Findings)
		}
	})
}

func remove(where string) func(*testing.T, world) {
	return func(t *testing.T, w world) { exec(t, w.db, `DELETE FROM audit_entries WHERE `+where) }
}

// forge inserts an entry that looks right in every respect but its leaf.
func forge(id string, leaf int64) func(*testing.T, world) {
	return func(t *testing.T, w world) {
		exec(t, w.db, `INSERT INTO audit_entries SELECT $1, at, action, actor_kind, actor_id, actor_name, source, correlation,
			object_kind, object_id, realm, client, service, result, detail, CAST($2 AS BIGINT) FROM audit_entries WHERE leaf = 1`, id, leaf)
	}
}

// tile flips a bit of the i-th hash, or adds hashes so that there is one.
func tile(level, n int64, i int) func(*testing.T, world) {
	return func(t *testing.T, w world) {
		var data []byte
		if err := w.db.View(t.Context()).QueryRow(`SELECT data FROM audit_tiles WHERE level = $1 AND n = $2`, level, n).Scan(&data); err != nil {
			t.Fatal(err)
		}
		for len(data) <= 32*i {
			data = append(data, make([]byte, 32)...)
		}
		data[32*i] ^= 1
		exec(t, w.db, `UPDATE audit_tiles SET data = $1 WHERE level = $2 AND n = $3`, data, level, n)
	}
}

var tables = []string{"audit_entries", "audit_tiles", "audit_tree"}

// save copies the log's tables, as somebody with access to the database can.
func save(t *testing.T, db *store.DB, name string) {
	for _, table := range tables {
		exec(t, db, `CREATE TABLE `+name+table+` AS SELECT * FROM `+table)
	}
}

func restore(t *testing.T, db *store.DB, name string) {
	for _, table := range tables {
		exec(t, db, `DELETE FROM `+table)
		exec(t, db, `INSERT INTO `+table+` SELECT * FROM `+name+table)
	}
	exec(t, db, `CREATE UNIQUE INDEX IF NOT EXISTS audit_leaf ON audit_entries (leaf) WHERE leaf IS NOT NULL`)
}

// A27: a log put back to an older state, whole or in parts, or rewritten with
// the log's own key, contradicts a checkpoint that was kept elsewhere.
func TestAnOlderLogIsFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		fill(t, db, l, 300)
		early := checkpoint(t, db, l)
		save(t, db, "early_")
		fill(t, db, l, 300)
		late := checkpoint(t, db, l)
		save(t, db, "late_")
		if r := verify(t, l, early, late); !r.OK() || r.Checkpoint != late {
			t.Fatalf("untouched log: %+v", r)
		}

		exec(t, db, `UPDATE audit_tree SET checkpoint = $1`, early)
		compare(t, verify(t, l), []found{{audit.BadCheckpoint, -1, "covers 300 entries, but the log was sequenced up to 600"}}, nil)

		exec(t, db, `UPDATE audit_tree SET size = 300`)
		if r := verify(t, l); r.OK() || r.Findings[len(r.Findings)-1].Kind != audit.Inserted {
			t.Errorf("entries beyond an older checkpoint: %+v", r.Findings)
		}

		restore(t, db, "early_")
		if r := verify(t, l, early); !r.OK() {
			t.Errorf("a whole older log is consistent in itself: %+v", r.Findings)
		}
		compare(t, verify(t, l, late), []found{{audit.RolledBack, -1, "signed a checkpoint of 600 entries but ends after 300"}}, nil)

		restore(t, db, "late_")
		exec(t, db, `UPDATE audit_entries SET action = 'order.view' WHERE leaf = 5`)
		exec(t, db, `UPDATE audit_entries SET leaf = NULL`)
		exec(t, db, `DELETE FROM audit_tiles`)
		exec(t, db, `UPDATE audit_tree SET size = 0, checkpoint = ''`)
		sequence(t, l, 600)
		if r := verify(t, l); !r.OK() {
			t.Errorf("a log rewritten with its own key is consistent in itself: %+v", r.Findings)
		}
		compare(t, verify(t, l, early, late), []found{
			{audit.Rewritten, -1, "The first 300 entries are not those"}, {audit.Rewritten, -1, "The first 600 entries are not those"},
		}, nil)
	})
}

// A tree that was tampered with does not get a fresh signature; acts go on being recorded.
func TestATamperedTreeIsNotExtended(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		w := world{db, l, fill(t, db, l, 300)}
		save(t, db, "good_")
		for name, do := range map[string]func(*testing.T, world){
			"a hash that the edge needs": tile(0, 1, 3),
			"the tile that holds it":     func(t *testing.T, w world) { exec(t, w.db, `DELETE FROM audit_tiles WHERE level = 0 AND n = 1`) },
			"the checkpoint":             func(t *testing.T, w world) { exec(t, w.db, `UPDATE audit_tree SET checkpoint = 'x'`) },
			"the size":                   func(t *testing.T, w world) { exec(t, w.db, `UPDATE audit_tree SET size = 299`) },
			"an entry at the next leaf":  forge("aud-forged", 300),
		} {
			t.Run(name, func(t *testing.T) {
				defer restore(t, db, "good_")
				do(t, w)
				if err := l.Record(t.Context(), audit.Entry{Action: "login.password"}); err != nil {
					t.Fatal(err)
				}
				n, err := l.Sequence(t.Context())
				if fault.Of(err).Code != "audit.damaged" || n != 0 {
					t.Errorf("Sequence = %d, %v", n, err)
				}
			})
		}
		exec(t, db, `INSERT INTO audit_entries SELECT 'aud-z', at, action, actor_kind, actor_id, actor_name, source, correlation,
			object_kind, object_id, realm, client, service, result, detail, NULL FROM audit_entries WHERE leaf = 1`)
		sequence(t, l, 1)
	})
}

func TestFindingsAreCountedBeyondTheirLimit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		fill(t, db, l, 50)
		exec(t, db, `UPDATE audit_entries SET realm = 'x' WHERE leaf >= 10`)
		calls := 0
		r, err := l.Verify(t.Context(), audit.Options{Findings: 3, Progress: func(done, total int64) { calls++ }})
		if err != nil || r.Total != 40 || len(r.Findings) != 3 || r.Findings[0].Leaf != 10 || calls == 0 {
			t.Errorf("report %+v, %v after %d calls", r, err, calls)
		}
		if _, err := l.Verify(t.Context(), audit.Options{Checkpoints: []string{"x"}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a checkpoint of nobody: %v", err)
		}
	})
}

func compare(t *testing.T, r audit.Report, want []found, ids []string) {
	t.Helper()
	if r.Total != len(want) || len(r.Findings) != len(want) {
		t.Fatalf("%d findings, want %d: %+v", r.Total, len(want), r.Findings)
	}
	for i, w := range want {
		if strings.Contains(w.text, "%s") {
			w.text = fmt.Sprintf(w.text, ids[w.leaf])
			if r.Findings[i].EntryID != ids[w.leaf] {
				t.Errorf("finding names entry %q, want %q", r.Findings[i].EntryID, ids[w.leaf])
			}
		}
		if f := r.Findings[i]; f.Kind != w.kind || f.Leaf != w.leaf || !strings.Contains(f.Message, w.text) {
			t.Errorf("finding %d: %+v, want %+v", i, f, w)
		}
	}
}
