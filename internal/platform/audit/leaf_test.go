package audit_test

import (
	"encoding/hex"
	osexec "os/exec"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/audit"
)

var odd = audit.Stored{
	ID: "aud-0198a1b2-0000-7000-8000-000000000001", At: time.Date(2026, 5, 4, 8, 0, 0, 123000, time.UTC),
	Origin: audit.Origin{Kind: audit.Operator, ID: "opr-1", Name: "Åse \"Ø\" <x&y> \u2028\U0001f600", From: "2001:db8::1", Correlation: "0123456789abcdef"},
	Entry: audit.Entry{
		Action: "order.create", ObjectKind: "order", ObjectID: "ord-1", Realm: "preprod", Client: "cli-1", Service: "demo",
		Result: audit.OK, Detail: map[string]string{"b": "\b\t\n\f\r\x01\x1f\x7f\\/", "a": "1", "B": ""},
	},
	Index: 4,
}

// The canonical form is what the package comment promises to auditors: Python,
// told the members and nothing else, writes the same bytes and leaf hash.
func TestPythonWritesTheSameLeaf(t *testing.T) {
	const script = `
import json, hashlib
o = dict(action="order.create", actor_id="opr-1", actor_kind="operator", actor_name="Åse \"Ø\" <x&y> \u2028\U0001f600",
  at=1777881600000123, client="cli-1", correlation="0123456789abcdef", detail={"b": "\b\t\n\f\r\x01\x1f\x7f\\/", "a": "1", "B": ""},
  id="aud-0198a1b2-0000-7000-8000-000000000001", object_id="ord-1", object_kind="order", realm="preprod", result="ok", service="demo", v=1)
o["from"] = "2001:db8::1"
b = json.dumps(o, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
print(hashlib.sha256(b"\0" + b).hexdigest(), b.hex(), end="")
`
	out, err := osexec.Command("python3", "-c", script).Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	hash := tlog.RecordHash(odd.Leaf())
	if want := hex.EncodeToString(hash[:]) + " " + hex.EncodeToString(odd.Leaf()); string(out) != want {
		t.Errorf("python\n%s\nours\n%s\n%s", out, want, odd.Leaf())
	}
}

func TestOnlyTheCanonicalFormIsRead(t *testing.T) {
	s, err := audit.ParseLeaf(odd.Leaf())
	if err != nil || string(s.Leaf()) != string(odd.Leaf()) || s.Index != audit.Pending {
		t.Errorf("ParseLeaf: %+v, %v", s, err)
	}
	good := string(audit.Stored{ID: "aud-1"}.Leaf())
	for name, leaf := range map[string]string{
		"empty": "", "not JSON": "x", "a space": good + " ", "twice": good + good, "no members": "{}", "null": "null",
		"an unknown member": good[:len(good)-1] + `,"w":1}`, "version 2": good[:len(good)-2] + "2}",
	} {
		if s, err := audit.ParseLeaf([]byte(leaf)); err == nil {
			t.Errorf("%s: read as %+v", name, s)
		}
	}
}

func FuzzParseLeaf(f *testing.F) {
	f.Add(odd.Leaf())
	f.Add(audit.Stored{}.Leaf())
	f.Fuzz(func(t *testing.T, leaf []byte) {
		s, err := audit.ParseLeaf(leaf)
		if err == nil && string(s.Leaf()) != string(leaf) {
			t.Errorf("%q is read as %q", leaf, s.Leaf())
		}
	})
}
