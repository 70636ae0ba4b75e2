//go:build cgo

package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

const module = "/usr/lib/softhsm/libsofthsm2.so"

// newToken initialises a SoftHSM token in a directory of the test's own.
func newToken(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700),
		os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "4711", "--so-pin", "0815").CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util (Debian package softhsm2): %v\n%s", err, out)
	}
	return Config{Module: module, Label: "test", PIN: secret.New("4711"), Sessions: 3}
}

func open(t *testing.T, c Config) *Token {
	t.Helper()
	k, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() }) // a test may have finalised the library
	return k
}

func request(t *testing.T, k remote.KeyInfo) remote.Request {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	return remote.Request{Label: k.Label, Fingerprint: sha256.Sum256(spki), Scheme: remote.ECDSA, Hash: crypto.SHA256, Input: digest[:]}
}

func mustSign(t *testing.T, k *Token, r remote.Request, public crypto.PublicKey) {
	t.Helper()
	sig, err := k.Sign(t.Context(), r)
	if err != nil || !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), r.Input, sig) {
		t.Errorf("signature of %d bytes, %v", len(sig), err)
	}
}

func TestASessionThatIsLostIsOpenedAgainWithinTheCall(t *testing.T) {
	k := open(t, newToken(t))
	info, err := k.Generate(t.Context(), keys.P256, "ca")
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, info)
	for name, lose := range map[string]func() error{
		"all sessions are closed":  func() error { return k.lib.CloseAllSessions(k.login.slot) },
		"the library is finalised": func() error { return k.lib.Finalize() },
		"the user is logged out": func() error {
			s := <-k.login.sessions
			defer func() { k.login.sessions <- s }()
			return k.lib.Logout(s)
		},
	} {
		mustSign(t, k, r, info.Public)
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 6 { // more than there are sessions
			wg.Go(func() { mustSign(t, k, r, info.Public) })
		}
		wg.Wait()
		if err := k.Health(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARefusedPINIsTriedOnlyOnce(t *testing.T) {
	c := newToken(t)
	k := open(t, c)
	k.config.PIN = secret.New("9999") // changed in the token behind our back
	if err := k.lib.Finalize(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // tokens lock after a handful
		if err := k.Health(t.Context()); fault.Of(err).Code != "keys.hsm_pin" {
			t.Fatalf("%v", err)
		}
	}
	s, err := k.lib.OpenSession(k.slotForTest(t), pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.lib.Login(s, pkcs11.CKU_USER, c.PIN.Reveal()); err != nil {
		t.Errorf("the right PIN afterwards: %v", err)
	}
	info, err := k.lib.GetTokenInfo(k.slotForTest(t))
	if err != nil || info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0 {
		t.Errorf("locked: %v, flags %x", err, info.Flags)
	}
}

func (t *Token) slotForTest(tb testing.TB) uint {
	slot, err := t.findSlot()
	if err != nil {
		tb.Fatal(err)
	}
	return slot
}

func TestRequestsThatDoNotSuitTheKeyAreRefused(t *testing.T) {
	k := open(t, newToken(t))
	info, err := k.Generate(t.Context(), keys.P256, "ca")
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, info)
	for _, c := range []struct {
		name   string
		change func(*remote.Request)
		code   string
	}{
		{"another scheme", func(r *remote.Request) { r.Scheme = remote.PKCS1v15 }, "keys.protocol"},
		{"another fingerprint", func(r *remote.Request) { r.Fingerprint[0] ^= 1 }, "keys.replaced"},
		{"another label", func(r *remote.Request) { r.Label = "none" }, "keys.unknown"},
	} {
		r := good
		c.change(&r)
		if _, err := k.Sign(t.Context(), r); fault.Of(err).Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	mustSign(t, k, good, info.Public)
}

func TestKeysOfOneLabelAreAmbiguousAndForeignOnesAreLeftOut(t *testing.T) {
	c := newToken(t)
	k := open(t, c)
	if _, err := k.Generate(t.Context(), keys.P256, "ours"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{ // as an operator's own tools would
		{"--key-type", "EC:secp256r1", "--label", "twin", "--id", "01"},
		{"--key-type", "EC:secp256r1", "--label", "twin", "--id", "02"},
		{"--key-type", "EC:secp256k1", "--label", "foreign curve", "--id", "03"},
	} {
		out, err := exec.Command("pkcs11-tool", append([]string{"--module", module, "--token-label", "test", "--login", "--pin", "4711", "--keypairgen"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("pkcs11-tool (Debian package opensc): %v\n%s", err, out)
		}
	}
	if err := k.renewForTest(); err != nil {
		t.Fatal(err)
	}
	list, err := k.Keys(context.Background())
	if err != nil || len(list) != 3 {
		t.Errorf("list: %v, %v", list, err)
	}
	if _, err := k.Key(t.Context(), "twin"); fault.Of(err).Code != "keys.ambiguous" {
		t.Errorf("twins: %v", err)
	}
	if _, err := k.Key(t.Context(), "foreign curve"); fault.Of(err).Code != "keys.unknown" {
		t.Errorf("foreign: %v", err)
	}
	if _, err := k.Generate(t.Context(), keys.P256, "ours"); fault.Of(err).Code != "keys.label_taken" {
		t.Errorf("a taken label: %v", err)
	}
}

func (t *Token) renewForTest() error { return t.renew(t.login) }

func TestNonMinimalSignaturesBecomeDER(t *testing.T) {
	raw := make([]byte, 64)
	raw[31], raw[32] = 0x80, 0x80 // r is small with its top bit set; s is long
	der, err := sigValue(raw)
	if err != nil || der[0] != 0x30 || der[1] != 2+2+2+33 || der[3] != 2 || der[4] != 0 {
		t.Errorf("%x, %v", der, err)
	}
	if _, err := sigValue(raw[:63]); err == nil {
		t.Error("an odd length was taken")
	}
}
