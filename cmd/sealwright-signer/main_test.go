//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

const asProgram = "SEALWRIGHT_SIGNER_TEST_RUN"

// TestMain lets the test binary be the program itself, so that tests can kill it.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A bench is a SoftHSM token of the test's own and a place for the socket.
type bench struct {
	t   *testing.T
	dir string
	env []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	tokens := filepath.Join(b.dir, "tokens")
	conf := filepath.Join(b.dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(tokens, 0o700),
		os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600),
		os.WriteFile(b.path("pin"), []byte("4711\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.env = append(os.Environ(), "SOFTHSM2_CONF="+conf, asProgram+"=1", "SEALWRIGHT_SIGNER_MODULE=/usr/lib/softhsm/libsofthsm2.so")
	init := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "4711", "--so-pin", "0815")
	init.Env = b.env
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util (Debian package softhsm2): %v\n%s", err, out)
	}
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// command runs the program; the flags every command needs are added.
func (b *bench) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], append(args, "--token-label", "test", "--pin-file", b.path("pin"))...)
	c.Env = b.env
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func (b *bench) run(args ...string) string {
	b.t.Helper()
	out, err := b.command(args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// serve starts the program and waits until it answers.
func (b *bench) serve(c *remote.Client) *exec.Cmd {
	b.t.Helper()
	cmd := b.command("serve", "--socket", b.path("sock"))
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill() // the test may have done so
		_ = cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for c.Health(ctx) != nil { // waits out its own back-off
		if ctx.Err() != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			b.t.Fatalf("the signer did not start: %s", log.String())
		}
	}
	return cmd
}

func (b *bench) client() *remote.Client {
	c := remote.NewClient(b.path("sock"))
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func verify(public crypto.PublicKey, opts crypto.SignerOpts, message, digest, sig []byte) bool {
	switch p := public.(type) {
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(p, crypto.SHA256, digest, sig, pss) == nil
		}
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, digest, sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, digest, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, sig)
	}
	return false
}

// A24: the key stays in the module, and signs.
func TestKeysInTheTokenSignThroughTheVault(t *testing.T) {
	b := newBench(t)
	algorithms := []keys.Algorithm{keys.P256, keys.P384, keys.P521, keys.RSA2048, keys.RSA3072, keys.Ed25519}
	for _, alg := range algorithms {
		if out := b.run("generate", "--label", "ca "+string(alg), "--algorithm", string(alg)); out != "hsm:ca "+string(alg)+"\t"+string(alg)+"\n" {
			t.Errorf("generate: %q", out)
		}
	}
	client := b.client()
	b.serve(client)
	db := storetest.Open(t, storetest.SQLite(t))
	master, err := keys.NewMasterFile(b.path("master.key"))
	if err != nil {
		t.Fatal(err)
	}
	vault, err := keys.Open(t.Context(), db, master, clock.System{}, keys.WithToken(client))
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("to be signed")
	digest := sha256.Sum256(message)
	for _, alg := range algorithms {
		key, err := vault.Key(t.Context(), keys.HSMRef("ca "+string(alg)))
		if err != nil || key.Algorithm != alg {
			t.Fatalf("%s: %+v, %v", alg, key, err)
		}
		signer, err := vault.Signer(t.Context(), key.Ref)
		if err != nil {
			t.Fatal(err)
		}
		options, input := []crypto.SignerOpts{crypto.SHA256}, digest[:]
		switch {
		case alg.IsRSA():
			options = append(options, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
		case alg == keys.Ed25519:
			options, input = []crypto.SignerOpts{crypto.Hash(0)}, message
		}
		for _, o := range options {
			sig, err := signer.Sign(rand.Reader, input, o)
			if err != nil || !verify(key.Public, o, message, digest[:], sig) {
				t.Errorf("%s, %T: signature of %d bytes does not verify, %v", alg, o, len(sig), err)
			}
		}
	}
	if _, err := vault.Signer(t.Context(), "hsm:none"); fault.Of(err).Code != "keys.unknown" {
		t.Errorf("a label that is not there: %v", err)
	}
	list, err := client.List(t.Context())
	if err != nil || len(list) != len(algorithms) {
		t.Errorf("list: %d keys, %v", len(list), err)
	}
	if out, err := b.command("generate", "--label", "ca p256").CombinedOutput(); err == nil || !strings.Contains(string(out), "Choose another label") {
		t.Errorf("a second key of one label: %v, %s", err, out)
	}
}

// Losing the HSM in the middle of work is an error that heals.
func TestAKilledSignerIsUnavailableAndHealsByItself(t *testing.T) {
	b := newBench(t)
	b.run("generate", "--label", "ca", "--algorithm", "p256")
	client := b.client()
	cmd := b.serve(client)
	signer, err := client.Signer(t.Context(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	var signed, unavailable atomic.Int64
	var enough sync.Once
	warm := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for unavailable.Load() == 0 {
				sig, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
				switch f := fault.Of(err); {
				case err == nil && !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], sig):
					t.Error("a wrong signature")
				case err == nil:
					if signed.Add(1) == 100 {
						enough.Do(func() { close(warm) })
					}
				case f.Kind == fault.Unavailable && f.Code == "keys.hsm_unavailable":
					unavailable.Add(1)
				default:
					t.Errorf("%v", err)
					unavailable.Add(1)
				}
			}
		})
	}
	<-warm
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	load.Wait()
	b.serve(b.client()) // replaces the socket that the killed one left
	if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		t.Errorf("the next call after the restart: %v", err)
	}
}

func TestATokenThatWasPulledHealsWhenItIsBack(t *testing.T) {
	b := newBench(t)
	b.run("generate", "--label", "ca", "--algorithm", "p384")
	client := b.client()
	b.serve(client)
	signer, err := client.Signer(t.Context(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	if err := os.Rename(b.path("tokens"), b.path("pulled")); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); fault.Of(err).Code != "keys.hsm_unavailable" {
		t.Errorf("without the token: %v", err)
	}
	if err := os.Rename(b.path("pulled"), b.path("tokens")); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		t.Errorf("with the token back: %v", err)
	}
}

func TestASignerThatIsToldToStopRemovesItsSocket(t *testing.T) {
	b := newBench(t)
	cmd := b.serve(b.client())
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if _, err := os.Stat(b.path("sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
}

func TestMistakesAreSaidClearly(t *testing.T) {
	b := newBench(t)
	for name, mode := range map[string]os.FileMode{"wrong pin": 0o600, "open pin": 0o644, "empty pin": 0o600} {
		text := map[string]string{"wrong pin": "9999", "open pin": "4711"}[name]
		if err := errors.Join(os.WriteFile(b.path(name), []byte(text), 0o600), os.Chmod(b.path(name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a wrong PIN", []string{"list", "--pin-file", b.path("wrong pin")}, `The token "test" refuses the PIN. Correct the PIN file`},
		{"a PIN file that others can read", []string{"list", "--pin-file", b.path("open pin")}, "is open to others"},
		{"an empty PIN file", []string{"list", "--pin-file", b.path("empty pin")}, "is empty"},
		{"no PIN file", []string{"list"}, "No PIN file was given"},
		{"no such token", []string{"list", "--pin-file", b.path("pin"), "--token-label", "other"}, `The token "other" does not answer`},
		{"no such library", []string{"list", "--pin-file", b.path("pin"), "--module", "/none.so"}, "cannot be loaded"},
		{"an unknown algorithm", []string{"generate", "--pin-file", b.path("pin"), "--label", "x", "--algorithm", "dsa"}, `"dsa" is not known`},
		{"an unknown command", []string{"sign", "--pin-file", b.path("pin")}, `no command "sign"`},
		{"no command", nil, "Usage:"},
		{"an unknown flag", []string{"list", "--pin", "4711"}, "not defined: -pin"},
	} {
		cmd := exec.Command(os.Args[0], c.args...)
		cmd.Env = append(b.env, "SEALWRIGHT_SIGNER_TOKEN_LABEL=test")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v: %s", c.name, err, out)
		}
		if strings.Contains(string(out), "9999") {
			t.Errorf("%s: the PIN is in the output", c.name)
		}
	}
}
