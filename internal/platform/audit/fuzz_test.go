package audit

import (
	"crypto/ed25519"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/clock"
)

func testLog(tb testing.TB) *Log {
	tb.Helper()
	l := New(nil, clock.System{}, ed25519.NewKeyFromSeed(make([]byte, 32)), "log.example.com/audit")
	if l.keyErr != nil {
		tb.Fatal(l.keyErr)
	}
	return l
}

func TestCheckpointsHaveOneForm(t *testing.T) {
	l := testLog(t)
	tree := tlog.Tree{N: 7, Hash: tlog.RecordHash([]byte("x"))}
	good, err := l.sign(tree)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.open(good); err != nil || got != tree {
		t.Fatalf("open = %v, %v", got, err)
	}
	text, line, _ := strings.Cut(good, "\n\n")
	text += "\n"
	for name, bad := range map[string]string{
		"empty": "", "a leading zero": strings.Replace(text, "\n7\n", "\n07\n", 1), "a sign": strings.Replace(text, "\n7\n", "\n+7\n", 1),
		"a negative size": strings.Replace(text, "\n7\n", "\n-7\n", 1), "too large a size": strings.Replace(text, "\n7\n", "\n9223372036854775808\n", 1),
		"no origin": text[strings.Index(text, "\n"):], "a fourth line": text + "x\n", "no last newline": text[:len(text)-1],
		"a short root": text[:len(text)-5] + "\n", "a root with loose bits": strings.TrimSuffix(text, "=\n")[:len(text)-3] + "B=\n",
	} {
		if _, _, err := parseCheckpoint(bad); err == nil {
			t.Errorf("%s: %q is read", name, bad)
		}
	}
	signature := strings.TrimSuffix(line, "=\n")
	last := strings.IndexByte(base64Letters, signature[len(signature)-1])
	loose := text + "\n" + signature[:len(signature)-1] + base64Letters[last+1:last+2] + "=\n"
	if _, err := l.open(loose); err == nil {
		t.Error("a second form of the signature is read")
	}
	other := New(nil, clock.System{}, ed25519.NewKeyFromSeed(make([]byte, 32)), "other.example.com")
	if _, err := other.open(good); err == nil {
		t.Error("the checkpoint of another log is read")
	}
}

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func FuzzCheckpoint(f *testing.F) {
	l := testLog(f)
	good, err := l.sign(tlog.Tree{N: 7, Hash: tlog.RecordHash([]byte("x"))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("log.example.com/audit\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Fuzz(func(t *testing.T, text string) {
		if tree, err := l.open(text); err == nil && tree.N != 7 {
			t.Errorf("a forged checkpoint of %d entries: %q", tree.N, text)
		}
		origin, tree, err := parseCheckpoint(text)
		if err == nil && origin+"\n"+strconv.FormatInt(tree.N, 10)+"\n"+tree.Hash.String()+"\n" != text {
			t.Errorf("%q has a second form", text)
		}
	})
}

func FuzzProof(f *testing.F) {
	l := testLog(f)
	leaf := Stored{ID: "aud-1"}.Leaf()
	brother := tlog.RecordHash([]byte("x"))
	note, err := l.sign(tlog.Tree{N: 2, Hash: tlog.NodeHash(tlog.RecordHash(leaf), brother)})
	if err != nil {
		f.Fatal(err)
	}
	file, err := json.Marshal(Proof{Format: ProofFormat, Leaf: string(leaf), Hashes: []tlog.Hash{brother}, Checkpoint: note})
	if err != nil {
		f.Fatal(err)
	}
	key := l.signer.Public().(ed25519.PublicKey)
	if p, err := ParseProof(file); err != nil || CheckProof(p, key) != nil {
		f.Fatalf("the seed does not check: %v", err)
	}
	f.Add(file)
	f.Add([]byte(`{"format":"` + ProofFormat + `","leaf":"","index":-1,"hashes":null,"checkpoint":""}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := ParseProof(file)
		if err == nil && CheckProof(p, key) == nil && p.Leaf != string(leaf) {
			t.Errorf("a proof of something else: %q", file)
		}
	})
}

func TestProofFilesAreReadStrictly(t *testing.T) {
	good := `{"format":"` + ProofFormat + `","leaf":"","index":0,"hashes":[],"checkpoint":""}`
	if _, err := ParseProof([]byte(good + "\n")); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"something after": good + "}", "two": good + good, "an unknown member": strings.Replace(good, `"leaf"`, `"leaves"`, 1),
		"another format": strings.Replace(good, "v1", "v2", 1), "a short hash": strings.Replace(good, "[]", `["AAAA"]`, 1),
		"too large": good + strings.Repeat(" ", maxProof), "a fraction": strings.Replace(good, ":0,", ":0.5,", 1), "nothing": "",
	} {
		if _, err := ParseProof([]byte(bad)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// BenchmarkRow is what Append costs beside the INSERT.
func BenchmarkRow(b *testing.B) {
	l := testLog(b)
	o := Origin{Kind: Operator, ID: "opr-1", Name: "Operator One", From: "192.0.2.7", Correlation: "0123456789abcdef"}
	e := Entry{Action: "order.create", ObjectKind: "order", ObjectID: "ord-1", Realm: "production", Client: "cli-1", Service: "demo", Result: OK, Detail: map[string]string{"product": "pma-1", "recipient": "per-1"}}
	b.ReportAllocs()
	for b.Loop() {
		l.row(o, e)
	}
}
