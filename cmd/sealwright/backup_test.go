package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// run runs a command and returns what it printed, output and errors together.
func run(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func mustRun(t *testing.T, want string, cmd *cobra.Command, args ...string) {
	t.Helper()
	if out, err := run(t, cmd, args...); err != nil || !strings.Contains(out, want) {
		t.Fatalf("%s %v: %v\n%s", cmd.Name(), args, err, out)
	}
}

func mustFail(t *testing.T, code string, cmd *cobra.Command, args ...string) {
	t.Helper()
	if out, err := run(t, cmd, args...); err == nil || fault.Of(err).Code != code {
		t.Fatalf("%s %v: got %v, want %s\n%s", cmd.Name(), args, err, code, out)
	}
}

// settingsFor writes a configuration with a data directory of its own.
func settingsFor(t *testing.T, database string) (file, data string) {
	t.Helper()
	dir := t.TempDir()
	file, data = filepath.Join(dir, "sealwright.toml"), filepath.Join(dir, "data")
	text := fmt.Sprintf("[server]\ndata_dir = %q\n", data)
	if database != "" {
		text += fmt.Sprintf("[database]\nurl = %q\n", database)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, data
}

func TestTheWayFromSQLiteToPostgreSQL(t *testing.T) {
	from, data := settingsFor(t, "")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t, "sqlite:"+filepath.Join(data, "sealwright.db"))
	storetest.Fill(t, db, 20)
	if err := os.WriteFile(filepath.Join(data, "master.key"), []byte(strings.Repeat("0f", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := storetest.Postgres(t)
	to, _ := settingsFor(t, url)
	out := filepath.Join(t.TempDir(), "sealwright.backup")

	mustFail(t, "backup.passphrase_missing", backupCommand(), "--config", from, "--out", out)
	t.Setenv(backupPassphrase, "too short")
	mustFail(t, "backup.passphrase_short", backupCommand(), "--config", from, "--out", out)
	t.Setenv(backupPassphrase, "correct horse battery staple")
	mustRun(t, "Keep a copy of", backupCommand(), "--config", from, "--out", out)
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) != 1 {
		t.Fatalf("left behind: %v, %v", left, err)
	}

	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustFail(t, "backup.exists", backupCommand(), "--config", from, "--out", out, "--passphrase-file", pass)
	mustRun(t, "The backup is whole.", restoreCommand(), "--verify", "--passphrase-file", pass, out)
	mustRun(t, "must be in", restoreCommand(), "--config", to, "--passphrase-file", pass, out)
	mustFail(t, "load.not_empty", restoreCommand(), "--config", to, "--passphrase-file", pass, out)
	storetest.Same(t, db, storetest.Open(t, url))
}

func TestABackupForARecipientGoesThroughAPipeWithTheMasterKey(t *testing.T) {
	// A key pair for age, in the form that age-keygen prints.
	const (
		public  = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
		private = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	)
	from, data := settingsFor(t, "")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t, "sqlite:"+filepath.Join(data, "sealwright.db"))
	key := []byte(strings.Repeat("0f", 32) + "\n")
	if err := os.WriteFile(filepath.Join(data, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	var file, notes bytes.Buffer
	cmd := backupCommand()
	cmd.SetArgs([]string{"--config", from, "--out", "-", "--recipient", public, "--with-master-key"})
	cmd.SetOut(&file)
	cmd.SetErr(&notes)
	if err := cmd.ExecuteContext(t.Context()); err != nil || !strings.Contains(notes.String(), "IS in the file") {
		t.Fatalf("%v: %s", err, notes.String())
	}
	ids := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(ids, []byte("# a comment\n"+private+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	to, restored := settingsFor(t, "")
	cmd = restoreCommand()
	cmd.SetIn(bytes.NewReader(file.Bytes()))
	mustRun(t, "The master key is in it.", cmd, "--config", to, "--identity", ids, "-")
	if got, err := os.ReadFile(filepath.Join(restored, "master.key")); err != nil || !bytes.Equal(got, key) {
		t.Fatalf("the master key: %q, %v", got, err)
	}
	storetest.Same(t, db, storetest.Open(t, "sqlite:"+filepath.Join(restored, "sealwright.db")))

	file.Bytes()[file.Len()/2] ^= 1
	cmd = restoreCommand()
	cmd.SetIn(bytes.NewReader(file.Bytes()))
	mustFail(t, "backup.damaged", cmd, "--verify", "--identity", ids, "-")
}
