package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A27: the proofs of all entries check, here and by an implementation of RFC
// 6962 and RFC 9162 that shares no code, at every kind of tree size.
func TestEveryEntryIsProved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		size := 0
		for _, more := range []int{1, 1, 1, 4, 249, 1, 143} { // 1, 2, 3, 7, 256, 257, 400
			size += more
			list := fill(t, db, l, more)
			leaves := make([][]byte, size)
			proofs := make([]audit.Proof, size)
			for i, id := range list {
				p, err := l.Prove(t.Context(), id)
				if err != nil || p.Index != int64(i) {
					t.Fatalf("Prove(%s) of %d: leaf %d, %v", id, size, p.Index, err)
				}
				if err := audit.CheckProof(p, public(key("log"))); err != nil {
					t.Fatalf("leaf %d of %d: %v", i, size, err)
				}
				leaves[i], proofs[i] = []byte(p.Leaf), p
			}
			root := merkle(leaves)
			want := fmt.Sprintf("%s\n%d\n%s\n\n— %s ", origin, size, base64.StdEncoding.EncodeToString(root[:]), origin)
			if c := checkpoint(t, db, l); !strings.HasPrefix(c, want) {
				t.Fatalf("checkpoint\n%s\nwant\n%s", c, want)
			}
			for i, p := range proofs {
				hashes := make([][32]byte, len(p.Hashes))
				for j, h := range p.Hashes {
					hashes[j] = h
				}
				if r, ok := path(leaves[i], int64(i), int64(size), hashes); !ok || r != root {
					t.Fatalf("leaf %d of %d: the audit path ends elsewhere", i, size)
				}
			}
		}
	})
}

// The checkpoint's signature is plain Ed25519 over its text: openssl agrees.
func TestOpenSSLVerifiesACheckpoint(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	l, _ := newLog(db)
	fill(t, db, l, 5)
	text, rest, _ := strings.Cut(checkpoint(t, db, l), "\n\n")
	fields := strings.Fields(rest)
	signature, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(signature) != 4+ed25519.SignatureSize {
		t.Fatalf("signature line %q: %v", rest, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public(key("log")))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(text string) ([]byte, error) {
		for name, data := range map[string][]byte{
			"text": []byte(text), "sig": signature[4:], "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := osexec.Command("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-in", "text", "-sigfile", "sig")
		c.Dir = dir
		return c.CombinedOutput()
	}
	if out, err := run(text + "\n"); err != nil || !bytes.Contains(out, []byte("Verified Successfully")) {
		t.Errorf("openssl: %v: %s", err, out)
	}
	if out, err := run(strings.Replace(text, "\n5\n", "\n6\n", 1) + "\n"); err == nil {
		t.Errorf("openssl accepts another size: %s", out)
	}
}

// Property: in a tree of any size every proof checks, survives its file, and
// fails after any change.
func TestProofsCheckAndMutatedProofsFail(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	l, _ := newLog(db)
	list := fill(t, db, l, 3)
	rapid.Check(t, func(rt *rapid.T) {
		if len(list) < 1500 {
			list = fill(t, db, l, rapid.IntRange(1, 40).Draw(rt, "more"))
		}
		p, err := l.Prove(context.Background(), list[rapid.IntRange(0, len(list)-1).Draw(rt, "leaf")])
		if err != nil {
			rt.Fatal(err)
		}
		file, err := json.Marshal(p)
		if err != nil {
			rt.Fatal(err)
		}
		if p, err = audit.ParseProof(file); err != nil {
			rt.Fatal(err)
		}
		if err := audit.CheckProof(p, public(key("log"))); err != nil {
			rt.Fatal(err)
		}
		mutate(rt, &p)
		if audit.CheckProof(p, public(key("log"))) == nil {
			rt.Fatalf("a mutated proof checks: %+v", p)
		}
	})
}

func mutate(rt *rapid.T, p *audit.Proof) {
	flip := func(s string) string {
		i := rapid.IntRange(0, len(s)-1).Draw(rt, "at")
		return s[:i] + string([]byte{s[i] ^ 1<<rapid.IntRange(0, 7).Draw(rt, "bit")}) + s[i+1:]
	}
	switch rapid.IntRange(0, 6).Draw(rt, "mutation") {
	case 0:
		p.Leaf = flip(p.Leaf)
	case 1:
		p.Index += rapid.SampledFrom([]int64{-1, 1, 256, 1 << 40, -1 << 40}).Draw(rt, "shift")
	case 2:
		i := rapid.IntRange(0, len(p.Hashes)-1).Draw(rt, "hash")
		p.Hashes[i][rapid.IntRange(0, 31).Draw(rt, "byte")] ^= 1
	case 3:
		p.Hashes = p.Hashes[:len(p.Hashes)-1]
	case 4:
		p.Hashes = append(p.Hashes, tlog.Hash{})
	case 5:
		// The text and the signature; the last byte is the line's end.
		p.Checkpoint = flip(p.Checkpoint)
	case 6:
		p.Format += "x"
	}
}

func TestProofsOfTheWrongThingsAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		list := fill(t, db, l, 300)
		p, err := l.Prove(t.Context(), list[2])
		if err != nil {
			t.Fatal(err)
		}
		if audit.CheckProof(p, public(key("thief"))) == nil || audit.CheckProof(p, nil) == nil {
			t.Error("a proof checks under another key")
		}
		if _, err := l.Prove(t.Context(), "aud-none"); !errors.Is(err, fault.NotFound) {
			t.Errorf("no such entry: %v", err)
		}
		record(t, l, "login.password")
		var pending string
		if err := db.View(t.Context()).QueryRow(`SELECT id FROM audit_entries WHERE leaf IS NULL`).Scan(&pending); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Prove(t.Context(), pending); !errors.Is(err, fault.Conflict) {
			t.Errorf("not sequenced yet: %v", err)
		}
		exec(t, db, `UPDATE audit_entries SET realm = 'x' WHERE leaf = 2`)
		if _, err := l.Prove(t.Context(), list[2]); fault.Of(err).Code != "audit.damaged" {
			t.Errorf("a changed entry: %v", err)
		}
		exec(t, db, `DELETE FROM audit_tiles WHERE n = 1`)
		if _, err := l.Prove(t.Context(), list[299]); fault.Of(err).Code != "audit.damaged" {
			t.Errorf("a missing tile: %v", err)
		}
	})
}

// A log whose key is replaced goes on, and its older checkpoints still count.
func TestTheKeyCanBeReplaced(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		old, c := newLog(db)
		fill(t, db, old, 10)
		early := checkpoint(t, db, old)
		l := audit.New(db, c, key("next"), origin)
		record(t, l, "key.rotate")
		if _, err := l.Sequence(t.Context()); fault.Of(err).Code != "audit.damaged" {
			t.Fatalf("a key that nobody trusts: %v", err)
		}
		if err := l.Trust(public(key("log"))); err != nil {
			t.Fatal(err)
		}
		sequence(t, l, 1)
		if r := verify(t, l, early); !r.OK() || r.Size != 11 {
			t.Errorf("%+v", r)
		}
	})
}

func TestAnUnusableKeyIsToldWhereItMatters(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	for name, l := range map[string]*audit.Log{
		"no key":          audit.New(db, clock.NewFake(start), nil, origin),
		"name with space": audit.New(db, clock.NewFake(start), key("log"), "the log"),
		"no name":         audit.New(db, clock.NewFake(start), key("log"), ""),
	} {
		record(t, l, "login.password")
		if _, err := l.Sequence(t.Context()); err == nil {
			t.Errorf("%s: sequenced", name)
		}
		if _, err := l.Verify(t.Context(), audit.Options{}); err == nil {
			t.Errorf("%s: verified", name)
		}
		if _, err := l.VerifierKey(); err == nil {
			t.Errorf("%s: has a verifier key", name)
		}
	}
}

// record writes down one act.
func record(t *testing.T, l *audit.Log, action string) {
	t.Helper()
	if err := l.Record(t.Context(), audit.Entry{Action: action}); err != nil {
		t.Fatal(err)
	}
}
