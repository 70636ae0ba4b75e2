package keycheck_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func hashNumber(i int) string { return fmt.Sprintf("%064x", i) }

func TestKeysAreAddedListedAndRemoved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		for i := range 7 {
			reason := keycheck.Compromised
			if i%2 == 1 {
				reason = keycheck.Refused
			}
			added, err := w.keys.Add(ctx, admin, hashNumber(i), reason, "line one\r\nline two")
			if err != nil || !added {
				t.Fatalf("%t %v", added, err)
			}
			w.clock.Advance(time.Minute)
		}
		if added, err := w.keys.Add(ctx, admin, strings.ToUpper(hashNumber(10))[:60]+"0003", keycheck.Weak, ""); err != nil || added {
			t.Errorf("the same key again, in capitals: %t %v", added, err)
		}
		var seen []string
		page := store.Page{Limit: 3}
		for {
			list, next, err := w.keys.List(ctx, admin, keycheck.Filter{Page: page})
			w.check(err)
			for _, b := range list {
				seen = append(seen, b.SPKI[62:])
				if b.Source != "operator" || b.Note != "line one  line two" || b.By == "" || b.At.IsZero() || b.Proof != "" {
					t.Errorf("%+v", b)
				}
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(seen, []string{"06", "05", "04", "03", "02", "01", "00"}) {
			t.Errorf("the list is %v", seen)
		}
		list, _, err := w.keys.List(ctx, admin, keycheck.Filter{Reason: keycheck.Refused, Source: "operator"})
		if err != nil || len(list) != 3 {
			t.Errorf("%d refused keys, %v", len(list), err)
		}
		w.check(w.keys.Remove(ctx, admin, hashNumber(3), "a mistake"))
		refused(t, w.keys.Remove(ctx, admin, hashNumber(3), "again"), "key.not_blocked")
		refused(t, w.keys.Remove(ctx, admin, hashNumber(2), " "), "key.why")
		if acts := w.acts(); len(acts) != 8 || acts[0] != "key.block" || acts[7] != "key.unblock" {
			t.Errorf("audited: %v", acts)
		}
	})
}

func TestWhoMayNotIsRefused(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	ctx := t.Context()
	_, add := w.keys.Add(ctx, nobody, hashNumber(1), keycheck.Weak, "")
	_, _, list := w.keys.List(ctx, nobody, keycheck.Filter{})
	_, imported := w.keys.Import(ctx, nobody, strings.NewReader(hashNumber(1)), keycheck.Weak, "")
	_, nobodyAtAll := w.keys.Add(ctx, access.Scope{}, hashNumber(1), keycheck.Weak, "")
	for name, err := range map[string]error{"add": add, "list": list, "import": imported, "remove": w.keys.Remove(ctx, nobody, hashNumber(1), "x")} {
		if !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !errors.Is(nobodyAtAll, fault.Unauthenticated) || w.count("keycheck_blocked") != 0 {
		t.Errorf("%v", nobodyAtAll)
	}
}

func TestWhatIsNoHashOrReasonIsRefused(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	for _, hash := range []string{"", "abc", hashNumber(1)[1:], hashNumber(1) + "00", strings.Repeat("g", 64)} {
		_, err := w.keys.Add(t.Context(), admin, hash, keycheck.Weak, "")
		refused(t, err, "key.hash")
	}
	_, err := w.keys.Add(t.Context(), admin, hashNumber(1), "because", "")
	refused(t, err, "key.reason")
	_, _, err = w.keys.List(t.Context(), admin, keycheck.Filter{Page: store.Page{Cursor: "?"}})
	refused(t, err, "page.cursor")
}

func TestListsOfHashesCertificatesAndKeysAreImported(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var hashes strings.Builder
		hashes.WriteString("# found in a firmware\n\n")
		for i := range 1200 {
			fmt.Fprintln(&hashes, strings.ToUpper(hashNumber(i)))
		}
		got, err := w.keys.Import(t.Context(), admin, strings.NewReader(hashes.String()), keycheck.Published, "a firmware")
		if err != nil || got != (keycheck.Imported{Added: 1200}) {
			t.Fatalf("%+v %v", got, err)
		}
		got, err = w.keys.Import(t.Context(), admin, strings.NewReader(hashes.String()+hashNumber(5000)), keycheck.Published, "")
		if err != nil || got != (keycheck.Imported{Added: 1, Known: 1200}) {
			t.Errorf("again: %+v %v", got, err)
		}

		rsaKey, rsaPub := testKey(t, "RSA")
		ecKey, ecPub := testKey(t, "EC")
		bundle := "some text before\n" + string(rsaKey) + string(ecKey) + string(file(t, "good-p256.csr"))
		got, err = w.keys.Import(t.Context(), admin, strings.NewReader(bundle), keycheck.Compromised, "")
		if err != nil || got.Added != 3 {
			t.Errorf("%+v %v", got, err)
		}
		refused(t, w.ask(spkiOf(t, rsaPub), rsaPub, false, "cli-1"), "key.blocked")
		refused(t, w.ask(spkiOf(t, ecPub), ecPub, false, "cli-1"), "key.blocked")
		r := request(t, "good-p256.csr")
		refused(t, w.ask(r.SPKI, r.PublicKey, false, "cli-1"), "key.blocked")
		if !w.audited("key.import") {
			t.Errorf("audited: %v", w.acts())
		}
	})
}

// A mistake anywhere in the file blocks nothing, and says where it is.
func TestADamagedListImportsNothing(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	key, _ := testKey(t, "EC")
	for name, test := range map[string]struct{ text, where string }{
		"a line that is no hash":    {hashNumber(1) + "\nhello\n", "line 2"},
		"a block of another kind":   {string(key) + "-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n", `block 2 of type "PKCS7"`},
		"a damaged certificate":     {string(key) + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "block 2"},
		"a block without an end":    {string(key) + "-----BEGIN CERTIFICATE-----\nMAA=\n", "block 2 is damaged"},
		"a line of a million signs": {strings.Repeat("0", 1<<20), "too long"},
	} {
		_, err := w.keys.Import(t.Context(), admin, strings.NewReader(test.text), keycheck.Weak, "")
		if err == nil || fault.Of(err).Code != "key.import" || !strings.Contains(fault.Of(err).Message, test.where) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.count("keycheck_blocked"); n != 0 {
		t.Errorf("%d keys were blocked", n)
	}
}
