package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/backup"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// backupPassphrase is the variable with the passphrase of backups.
const backupPassphrase = "SEALWRIGHT_BACKUP_PASSPHRASE"

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup --out FILE",
		Short: "Put the installation into one encrypted file, while the server runs",
		Long: `Put database and documents into one encrypted file, while the server runs.

The file is encrypted under a passphrase, from --passphrase-file or the variable
SEALWRIGHT_BACKUP_PASSPHRASE, or for the public keys of recipients: then a
machine that makes backups cannot read them.

The private keys in it are sealed under the master key, which is not in it. Keep
a copy of the master key elsewhere, apart from the backups: both together are
the whole installation, one without the other is of no use. --with-master-key
puts both into the one file; whoever opens that holds every key.

  sealwright backup --passphrase-file pass --out sealwright.backup
  sealwright backup --recipient age1… --out - | ssh vault 'cat > sealwright.backup'`,
		Args: cobra.NoArgs,
	}
	path := configFlag(cmd)
	f := cmd.Flags()
	out := f.String("out", "", "file to make, which must not exist; - is the standard output (required)")
	passphrase := f.String("passphrase-file", "", "file with the passphrase")
	recipients := f.StringArray("recipient", nil, "public key (age1…) that can open it; may be given again")
	withKey := f.Bool("with-master-key", false, "put the master key into the file too")
	_ = cmd.MarkFlagRequired("out") // the flag exists
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "recipient")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		to, err := recipientsOf(*recipients, *passphrase)
		if err != nil {
			return err
		}
		cfg, log, err := loadConfig(*path)
		if err != nil {
			return err
		}
		defer log.Close()
		db, err := store.Connect(cmd.Context(), cfg.Database.URL.Reveal())
		if err != nil {
			return err
		}
		defer db.Close()
		src := backup.Source{DB: db, Blobs: blobDir(cfg), Version: versionText(), Clock: clock.System{}}
		if *withKey {
			if src.MasterKey, err = masterKeyBytes(cfg.Keys.Master); err != nil {
				return err
			}
		}
		return makeBackup(cmd, cfg, *out, src, to)
	}
	return cmd
}

func makeBackup(cmd *cobra.Command, cfg *config.Config, out string, src backup.Source, to []age.Recipient) error {
	show := newProgressLine(cmd.ErrOrStderr())
	src.Progress = show.update
	m, sum, err := writeBackup(cmd.Context(), cmd.OutOrStdout(), out, src, to)
	show.clear()
	if err != nil {
		return err
	}
	say := cmd.OutOrStdout()
	if out == "-" {
		say = cmd.ErrOrStderr()
	}
	fmt.Fprintf(say, "Backed up %d rows and %d document files (%d bytes), schema %d.\n", sum.TotalRows(), sum.Blobs, sum.BlobBytes, m.Schema)
	switch {
	case m.MasterKey:
		fmt.Fprintln(say, "The master key IS in the file: whoever opens it holds every key.")
	case cfg.Keys.Master.File != "":
		fmt.Fprintf(say, "The master key is NOT in the file. Keep a copy of %s elsewhere, apart from\nthe backups: without it nothing that is sealed can be opened again.\n", cfg.Keys.Master.File)
	default:
		fmt.Fprintln(say, "The master key is NOT in the file. Keep it elsewhere, apart from the backups:\nwithout it nothing that is sealed can be opened again.")
	}
	return nil
}

func writeBackup(ctx context.Context, stdout io.Writer, out string, src backup.Source, to []age.Recipient) (backup.Manifest, backup.Summary, error) {
	if out == "-" {
		if isTerminal(stdout) {
			return backup.Manifest{}, backup.Summary{}, fault.Invalidf("backup.terminal", "A backup is not for the terminal.").WithNext("Send the output into a file or a program.")
		}
		return backup.Write(ctx, stdout, src, to...)
	}
	file, err := backup.Create(out)
	if err != nil {
		return backup.Manifest{}, backup.Summary{}, err
	}
	m, sum, err := backup.Write(ctx, file, src, to...)
	if err != nil {
		return m, sum, errors.Join(err, file.Abort())
	}
	return m, sum, file.Commit()
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring a backup back into an empty installation, or check it",
		Long: `Bring a backup back into the installation of a configuration whose database and
document directory are empty. The database may be another engine than the one
that the backup was made from: this is also the way from SQLite to PostgreSQL.

Everything is verified before it counts: a restore that fails or is cut off
leaves the database empty and can be repeated. --verify only checks the file
and needs no configuration. FILE may be -, the standard input.

The master key must be in place when the server starts: the one that was kept
apart, or the one in the backup if it was made with --with-master-key.`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(cmd)
	f := cmd.Flags()
	passphrase := f.String("passphrase-file", "", "file with the passphrase")
	identity := f.String("identity", "", "file with the private key of a recipient, as age-keygen makes it")
	verify := f.Bool("verify", false, "only check that the backup is whole, and say what is in it")
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "identity")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		with, err := identitiesOf(*identity, *passphrase)
		if err != nil {
			return err
		}
		in, err := openBackup(cmd, args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		if *verify {
			return verifyBackup(cmd, in, with)
		}
		cfg, log, err := loadConfig(*path)
		if err != nil {
			return err
		}
		defer log.Close()
		return restoreBackup(cmd, cfg, *path, in, with)
	}
	return cmd
}

func openBackup(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	return os.Open(name)
}

func verifyBackup(cmd *cobra.Command, in io.Reader, with []age.Identity) error {
	show := newProgressLine(cmd.ErrOrStderr())
	c, err := backup.Verify(cmd.Context(), in, show.update, with...)
	show.clear()
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "The backup is whole.")
	describeBackup(cmd.OutOrStdout(), c)
	return nil
}

func restoreBackup(cmd *cobra.Command, cfg *config.Config, path string, in io.Reader, with []age.Identity) error {
	if err := os.MkdirAll(cfg.Server.DataDir, 0o700); err != nil {
		return err
	}
	db, err := store.Connect(cmd.Context(), cfg.Database.URL.Reveal())
	if err != nil {
		return err
	}
	defer db.Close()
	show := newProgressLine(cmd.ErrOrStderr())
	c, err := backup.Restore(cmd.Context(), in, backup.Target{DB: db, Blobs: blobDir(cfg), MasterKey: cfg.Keys.Master.File, Progress: show.update}, with...)
	show.clear()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, "The backup is restored.")
	describeBackup(out, c)
	if file := cfg.Keys.Master.File; file != "" && !c.MasterKey {
		fmt.Fprintf(out, "The master key is not in it. It must be in %s before the server starts.\n", file)
	}
	fmt.Fprintf(out, "Check it with:  sealwright audit verify --config %s\nStart it with:  sealwright serve --config %s\n", path, path)
	return nil
}

func describeBackup(out io.Writer, c backup.Contents) {
	fmt.Fprintf(out, "Made on %s by Sealwright %s from %s, schema %d.\n", c.Made.Format("2 January 2006 15:04 MST"), c.Version, c.Engine, c.Schema)
	fmt.Fprintf(out, "%d rows in %d tables, %d document files (%d bytes).\n", c.TotalRows(), len(c.Rows), c.Blobs, c.BlobBytes)
	if c.MasterKey {
		fmt.Fprintln(out, "The master key is in it.")
	}
}

func recipientsOf(keys []string, passphraseFile string) ([]age.Recipient, error) {
	if len(keys) > 0 {
		takePassphrase()
		return backup.ParseRecipients(keys)
	}
	p, err := passphraseOf(passphraseFile)
	if err != nil {
		return nil, err
	}
	r, err := backup.Passphrase(p)
	return []age.Recipient{r}, err
}

func identitiesOf(file, passphraseFile string) ([]age.Identity, error) {
	if file != "" {
		takePassphrase()
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return backup.ParseIdentities(f)
	}
	p, err := passphraseOf(passphraseFile)
	if err != nil {
		return nil, err
	}
	id, err := backup.OpenPassphrase(p)
	return []age.Identity{id}, err
}

// takePassphrase takes the variable out of the environment: it is no setting of
// the server, and nobody else needs to see it.
func takePassphrase() string {
	p := os.Getenv(backupPassphrase)
	_ = os.Unsetenv(backupPassphrase) // fails only for names that cannot be
	return p
}

func passphraseOf(file string) (secret.Text, error) {
	p := takePassphrase()
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return secret.Text{}, err
		}
		p = strings.TrimRight(string(b), "\r\n")
	}
	if p == "" {
		return secret.Text{}, fault.Invalidf("backup.passphrase_missing", "There is no passphrase.").WithNext("Give --passphrase-file or set %s; see --help for public keys.", backupPassphrase)
	}
	return secret.New(p), nil
}

// blobDir is the directory of the document files, if there are any.
func blobDir(cfg *config.Config) string {
	if cfg.Blob.Kind == config.BlobTable {
		return ""
	}
	return cfg.Blob.Dir
}

// masterKeyBytes is the master key as its file holds it.
func masterKeyBytes(m config.Master) ([]byte, error) {
	switch {
	case !m.Passphrase.Empty():
		return nil, fault.Invalidf("backup.master_key", "The master key is derived from a passphrase: there is no file to put into the backup.").WithNext("Leave out --with-master-key.")
	case !m.Key.Empty():
		return []byte(m.Key.Reveal() + "\n"), nil
	}
	return os.ReadFile(m.File)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// A progressLine shows on a terminal how far a command is, and elsewhere nothing.
type progressLine struct {
	out   io.Writer
	last  time.Time
	shown bool
}

func newProgressLine(out io.Writer) *progressLine {
	if !isTerminal(out) {
		out = nil
	}
	return &progressLine{out: out}
}

func (p *progressLine) update(members, bytes int64) {
	if p.out == nil || time.Since(p.last) < 200*time.Millisecond {
		return
	}
	p.last, p.shown = time.Now(), true
	fmt.Fprintf(p.out, "\r%d files, %.1f MB\x1b[K", members, float64(bytes)/1e6)
}

func (p *progressLine) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
