package order_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// opened is a PKCS #12 file that openssl has opened: its key and certificates.
type opened struct {
	key   []byte // PKCS #8
	certs []*x509.Certificate
}

// openWith has openssl open a file with a PIN.
func openWith(t *testing.T, file []byte, pin string) (o opened, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.p12")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("openssl", "pkcs12", "-in", path, "-passin", "pass:"+pin, "-noenc").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			o.certs = append(o.certs, must(x509.ParseCertificate(block.Bytes))(t))
		} else {
			o.key = block.Bytes
		}
	}
	return o, err
}

// secretsInClear looks for secrets in every table.
func (b *bench) secretsInClear(secrets ...string) {
	b.t.Helper()
	for table, text := range storetest.Dump(b.t, b.db) {
		for _, s := range secrets {
			for _, form := range []string{s, hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s))} {
				if strings.Contains(text, form) {
					b.t.Errorf("table %s holds a secret in clear", table)
				}
			}
		}
	}
}

// inside is the secret part of a key, as any encoding of it holds it.
func inside(t *testing.T, pkcs8 []byte) string {
	t.Helper()
	key := must(x509.ParsePKCS8PrivateKey(pkcs8))(t)
	d := must(key.(interface{ Bytes() ([]byte, error) }).Bytes())(t)
	return string(d)
}

// A94, A95, A96, A97: the holder chooses the PIN before the key is made. The link goes to
// the mailbox of the certificate; what the file is opened with nobody here knows.
func TestKeyFileUnderAPINThatTheHolderChose(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", withPIN+"\n"+`rules = { escrow = false }`)
		o := b.create(b.mailbox(p))
		if o.State != order.KeyValidation || o.Job(order.JobSetPIN).State != order.JobWaiting || o.Serial != "" {
			t.Fatalf("%s, the job %+v", o.State, o.Job(order.JobSetPIN))
		}
		asked := b.notices.of(order.EventPINLink)[0]
		if asked.Holder != "Kari@foo.example" || !asked.Secret {
			t.Errorf("A96: the link goes to %q, secret %v", asked.Holder, asked.Secret)
		}
		token := b.tokenOf(order.EventPINLink)
		for pin, code := range map[string]string{
			"": "order.pin_length", "short 7": "order.pin_length", strings.Repeat("long", 17): "order.pin_length",
			"pässword 1": "order.pin_characters", "line\nbreak": "order.pin_characters",
		} {
			if _, err := b.engine.SetPIN(t.Context(), token, pin); !errors.Is(err, fault.Invalid) || fault.Of(err).Code != code {
				t.Errorf("the PIN %q: %v", pin, err)
			}
		}
		if _, err := b.engine.SetPIN(t.Context(), token[1:]+"x", goodPIN); !errors.Is(err, fault.NotFound) {
			t.Errorf("a wrong link: %v", err)
		}
		if _, err := b.engine.Fetch(t.Context(), token, goodPIN); !errors.Is(err, fault.NotFound) {
			t.Errorf("a link for another purpose: %v", err)
		}
		got := must(b.engine.SetPIN(t.Context(), token, goodPIN))(t)
		if got.State != order.Issued || got.Job(order.JobSetPIN).State != order.JobSuccess || got.Job(order.JobP12Notify).State != order.JobSuccess {
			t.Fatalf("%s: %s", got.State, got.Problem)
		}
		if _, err := b.engine.SetPIN(t.Context(), token, goodPIN); !errors.Is(err, fault.Gone) {
			t.Errorf("the link is used twice: %v", err)
		}
		fetch := b.tokenOf(order.EventFileReady)
		file := must(b.engine.Fetch(t.Context(), fetch, ""))(t)
		if _, err := openWith(t, file.Data, goodPIN+"x"); err == nil {
			t.Error("another PIN opens the file")
		}
		in := must(openWith(t, file.Data, goodPIN))(t)
		if len(in.certs) < 2 || !slices.ContainsFunc(in.certs, func(c *x509.Certificate) bool { return c.Equal(b.certificate(got)) }) || file.Name != "kari.foo.example.p12" {
			t.Errorf("%s holds %d certificates", file.Name, len(in.certs))
		}
		if _, err := b.engine.Fetch(t.Context(), fetch, ""); !errors.Is(err, fault.Gone) {
			t.Errorf("fetched twice: %v", err)
		}
		if _, err := b.engine.AskRecovery(t.Context(), b.scope, o.ID, "lost"); !errors.Is(err, fault.Conflict) {
			t.Errorf("A95: its key can be recovered: %v", err)
		}
		b.secretsInClear(goodPIN, token, fetch, inside(t, in.key))
		b.invariants()
	})
}

// A95: of a key under a PIN of the holder's choice there is one file, and none
// when he has it.
func TestKeyUnderTheHoldersPINIsKeptNowhereElse(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), options{})
	p := b.product("tls-server-private", withPIN)
	b.create(b.mailbox(p))
	must(b.engine.SetPIN(t.Context(), b.tokenOf(order.EventPINLink), goodPIN))(t)
	if n := b.count(`SELECT COUNT(*) FROM order_files WHERE kind <> 'p12'`); n != 0 {
		t.Errorf("%d copies of the key are kept beside the file", n)
	}
	must(b.engine.Fetch(t.Context(), b.tokenOf(order.EventFileReady), ""))(t)
	if n := b.count(`SELECT COUNT(*) FROM order_files`); n != 0 {
		t.Errorf("%d copies of the key are kept after it was fetched", n)
	}
}

// A holder who chooses no PIN gets no second link by itself, one when somebody
// asks, and the order ends in time.
func TestOrderEndsWhenNoPINIsChosen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.mailbox(b.product("tls-server-private", withPIN)))
		first := b.tokenOf(order.EventPINLink)
		b.clock.Advance(10 * 24 * time.Hour)
		b.drain()
		must(b.engine.Retry(t.Context(), b.scope, o.ID))(t)
		if n := len(b.notices.of(order.EventPINLink)); n != 2 {
			t.Errorf("%d links", n)
		}
		if _, err := b.engine.SetPIN(t.Context(), first, goodPIN); !errors.Is(err, fault.NotFound) {
			t.Errorf("the link before the last: %v", err)
		}
		for range 31 {
			b.clock.Advance(24 * time.Hour)
			b.drain()
		}
		if got := b.get(o.ID); got.State != order.Failed || got.Job(order.JobSetPIN).State != order.JobFailed || len(b.notices.of(order.EventPINLink)) != 2 {
			t.Errorf("%s: %s; %d links", got.State, got.Problem, len(b.notices.of(order.EventPINLink)))
		}
		b.invariants()
	})
}

// A PIN that is made here is sent when the file has left, and not before.
func TestPINMadeHereIsSentAfterTheFileWasFetched(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.madeHere(b.product("tls-server-private", `key = { types = ["EC_secp256r1"], generation = "PKCS12withCAPIN" }`), "www.foo.example"))
		if o.State != order.Issued || len(b.notices.of(order.EventPIN)) != 0 || o.Job(order.JobSendPIN).State != order.JobWaiting {
			t.Fatalf("%s: %s; the job %+v", o.State, o.Problem, o.Job(order.JobSendPIN))
		}
		if got := b.notices.of(order.EventFileReady)[0]; got.Holder != "holder@foo.example" {
			t.Errorf("A100: the link goes to %q", got.Holder)
		}
		file := must(b.engine.Fetch(t.Context(), b.tokenOf(order.EventFileReady), ""))(t)
		pin := b.notices.of(order.EventPIN)[0].Data["pin"]
		in := must(openWith(t, file.Data, pin))(t)
		if len(pin) < 12 || b.get(o.ID).Job(order.JobSendPIN).State != order.JobSuccess {
			t.Errorf("a PIN of %d characters, the job %+v", len(pin), b.get(o.ID).Job(order.JobSendPIN))
		}
		b.secretsInClear(pin, inside(t, in.key))
		b.invariants()
	})
}

// A85, A92, A97: the holder chooses the PIN when he fetches the file, within
// three months.
func TestPINChosenAtRetrieval(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `key = { types = ["EC_secp256r1"], generation = "PKCS12" }`)
		o := b.create(b.madeHere(p, "www.foo.example"))
		token := b.tokenOf(order.EventFileReady)
		if _, err := b.engine.Fetch(t.Context(), token, "short"); !errors.Is(err, fault.Invalid) {
			t.Errorf("a bad PIN: %v", err)
		}
		in := must(openWith(t, must(b.engine.Fetch(t.Context(), token, goodPIN))(t).Data, goodPIN))(t)
		b.secretsInClear(goodPIN, inside(t, in.key))
		if !in.certs[0].Equal(b.certificate(o)) {
			t.Error("it holds another certificate")
		}

		b.create(b.madeHere(p, "late.foo.example"))
		token = b.tokenOf(order.EventFileReady)
		b.clock.Advance(89 * 24 * time.Hour)
		if err := b.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.count(`SELECT COUNT(*) FROM order_files`); n != 1 {
			t.Errorf("%d files after 89 days", n)
		}
		b.clock.Advance(2 * 24 * time.Hour)
		if err := b.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.count(`SELECT COUNT(*) FROM order_files`); n != 0 {
			t.Errorf("%d files after three months", n)
		}
		if _, err := b.engine.Fetch(t.Context(), token, goodPIN); err == nil {
			t.Error("it was handed over after three months")
		}

		held := b.create(b.madeHere(p, "held.foo.example"))
		token = b.tokenOf(order.EventFileReady)
		if _, _, err := b.engine.Revoke(t.Context(), b.scope, held.ID, order.Revocation{Reason: authority.Superseded}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.Fetch(t.Context(), token, goodPIN); !errors.Is(err, fault.Gone) {
			t.Errorf("the file of a revoked certificate: %v", err)
		}
		if n := b.count(`SELECT COUNT(*) FROM order_files`); n != 0 {
			t.Errorf("%d files of a revoked certificate", n)
		}
		b.invariants()
	})
}

// A3: an escrowed key is given to whoever asked, when somebody else has granted it,
// once, and the holder is told.
func TestEscrowTakesTwoPeopleAndTellsTheHolder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", "key = { types = [\"EC_secp256r1\"], generation = \"PKCS12\" }\nrules = { escrow = true }")
		o := b.create(b.madeHere(p, "www.foo.example"))
		first := must(openWith(t, must(b.engine.Fetch(t.Context(), b.tokenOf(order.EventFileReady), goodPIN))(t).Data, goodPIN))(t)
		b.clock.Advance(200 * 24 * time.Hour)
		if err := b.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := must(b.engine.AskRecovery(t.Context(), b.scope, o.ID, "the machine burnt"))(t)
		const pin = "another horse 8"
		for name, recover := range map[string]func() error{
			"before it is granted":         func() error { _, err := b.engine.Recover(t.Context(), b.scope, id, pin); return err },
			"granted by the one who asked": func() error { _, err := b.engine.Decide(t.Context(), b.scope, id, true, ""); return err },
		} {
			if err := recover(); err == nil {
				t.Errorf("recovered %s", name)
			}
		}
		must(b.engine.Decide(t.Context(), b.other, id, true, ""))(t)
		if _, err := b.engine.Recover(t.Context(), b.other, id, pin); !errors.Is(err, fault.Conflict) {
			t.Errorf("recovered by the one who granted: %v", err)
		}
		again := must(openWith(t, must(b.engine.Recover(t.Context(), b.scope, id, pin))(t).Data, pin))(t)
		if string(again.key) != string(first.key) {
			t.Error("another key was recovered")
		}
		if _, err := b.engine.Recover(t.Context(), b.scope, id, pin); !errors.Is(err, fault.Conflict) {
			t.Errorf("recovered twice: %v", err)
		}
		told := b.notices.of(order.EventKeyRecovered)
		if len(told) != 1 || told[0].Holder != "holder@foo.example" || told[0].Data["by"] != "test" {
			t.Errorf("told %+v", told)
		}
		late := must(b.engine.AskRecovery(t.Context(), b.scope, o.ID, "again"))(t)
		must(b.engine.Decide(t.Context(), b.other, late, true, ""))(t)
		b.clock.Advance(30 * 24 * time.Hour)
		if _, err := b.engine.Recover(t.Context(), b.scope, late, pin); !errors.Is(err, fault.Gone) {
			t.Errorf("recovered a month after it was granted: %v", err)
		}
		b.secretsInClear(goodPIN, pin, inside(t, again.key))
		b.invariants()
	})
}

// Two who fetch a file at once do not both get it.
func TestFileIsFetchedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.create(b.madeHere(b.product("tls-server-private", `key = { types = ["EC_secp256r1"], generation = "PKCS12" }`), "www.foo.example"))
		token := b.tokenOf(order.EventFileReady)
		files := make(chan error, 8)
		for range cap(files) {
			go func() {
				f, err := b.engine.Fetch(t.Context(), token, goodPIN)
				if err == nil && len(f.Data) == 0 || err != nil && len(f.Data) > 0 {
					err = fmt.Errorf("%d bytes with %w", len(f.Data), err)
				}
				files <- err
			}()
		}
		n := 0
		for range cap(files) {
			switch err := <-files; {
			case err == nil:
				n++
			case !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.Gone):
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d got it", n)
		}
	})
}
