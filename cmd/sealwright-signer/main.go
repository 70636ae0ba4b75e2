//go:build linux && cgo

// Command sealwright-signer holds a PKCS#11 token for Sealwright.
//
// It is a process of its own for two reasons: PKCS#11 libraries need cgo, and
// whoever breaks into the web-facing process can ask for signatures but never
// reaches the token or its PIN.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
	"github.com/sealwright/sealwright/internal/platform/keys/token"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

const usage = `Usage: sealwright-signer COMMAND [flags]

  serve      answer Sealwright on a Unix socket until told to stop
  generate   make a key pair in the token: --label NAME --algorithm rsa3072
  list       show the signing keys in the token

Each flag can be given as an environment variable as well, such as
SEALWRIGHT_SIGNER_TOKEN_LABEL for --token-label. Flags:

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		f := fault.Of(err)
		if f.Kind == fault.Internal {
			fmt.Fprintln(os.Stderr, "sealwright-signer:", err)
		} else {
			fmt.Fprintln(os.Stderr, "sealwright-signer:", strings.TrimSpace(f.Message+" "+f.Next))
		}
		os.Exit(1)
	}
}

// settings are the flags of all commands.
type settings struct {
	module, tokenLabel, pinFile, socket string
	clientUID, sessions                 int
	label, algorithm                    string
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("sealwright-signer", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { fmt.Fprint(errOut, usage); flags.PrintDefaults() }
	flags.StringVar(&s.module, "module", "", "path of the token's PKCS#11 library")
	flags.StringVar(&s.tokenLabel, "token-label", "", "label of the token")
	flags.StringVar(&s.pinFile, "pin-file", "", "file with the user PIN, readable by its owner only")
	flags.StringVar(&s.socket, "socket", "/run/sealwright/signer.sock", "socket to answer on (serve)")
	flags.IntVar(&s.clientUID, "client-uid", os.Getuid(), "the only user who may connect (serve)")
	flags.IntVar(&s.sessions, "sessions", 8, "signatures at once (serve)")
	flags.StringVar(&s.label, "label", "", "label of the new key (generate)")
	flags.StringVar(&s.algorithm, "algorithm", string(keys.P256), "algorithm of the new key (generate)")
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		flags.Usage()
		return fault.Invalidf("signer.usage", "No command was given.")
	}
	if err := parse(flags, args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	command, ok := map[string]func(context.Context, settings, *token.Token, io.Writer, io.Writer) error{"serve": serve, "generate": generate, "list": list}[args[0]]
	if !ok {
		return fault.Invalidf("signer.usage", "There is no command %q.", args[0]).WithNext("Use serve, generate or list.")
	}
	pin, err := readPIN(s.pinFile)
	if err != nil {
		return err
	}
	t, err := token.Open(token.Config{Module: s.module, Label: s.tokenLabel, PIN: pin, Sessions: s.sessions})
	if err != nil {
		return err
	}
	defer t.Close()
	return command(ctx, s, t, out, errOut)
}

// parse reads the environment first, so that a flag wins.
func parse(flags *flag.FlagSet, args []string) (err error) {
	flags.VisitAll(func(f *flag.Flag) {
		name := "SEALWRIGHT_SIGNER_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v, ok := os.LookupEnv(name); ok && err == nil {
			if e := flags.Set(f.Name, v); e != nil {
				err = fault.Invalidf("signer.usage", "The environment variable %s is not valid: %v.", name, e)
			}
		}
	})
	if err != nil {
		return err
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fault.Invalidf("signer.usage", "%v.", err)
	}
	if flags.NArg() > 0 {
		return fault.Invalidf("signer.usage", "The argument %q is not expected.", flags.Arg(0))
	}
	return nil
}

// readPIN reads the PIN from a file that nobody else can read. On the command
// line every user of the machine would see it.
func readPIN(path string) (secret.Text, error) {
	if path == "" {
		return secret.Text{}, fault.Invalidf("signer.pin", "No PIN file was given.").WithNext("Use --pin-file.")
	}
	info, err := os.Stat(path)
	if err != nil {
		return secret.Text{}, fault.Invalidf("signer.pin", "The PIN file %s cannot be read.", path).WithCause(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret.Text{}, fault.Invalidf("signer.pin", "The PIN file %s is open to others (mode %04o).", path, info.Mode().Perm()).WithNext("Run: chmod 600 %s", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return secret.Text{}, fault.Invalidf("signer.pin", "The PIN file %s cannot be read.", path).WithCause(err)
	}
	pin := secret.New(strings.TrimRight(string(b), "\r\n"))
	if pin.Empty() {
		return pin, fault.Invalidf("signer.pin", "The PIN file %s is empty.", path)
	}
	return pin, nil
}

func serve(ctx context.Context, s settings, t *token.Token, _, errOut io.Writer) error {
	log := slog.New(slog.NewTextHandler(errOut, nil))
	l, err := remote.Listen(s.socket, s.clientUID, log)
	if err != nil {
		return err
	}
	log.Info("ready", "socket", s.socket, "token", s.tokenLabel)
	err = remote.Serve(ctx, l, t, log)
	log.Info("stopped")
	return err
}

func generate(ctx context.Context, s settings, t *token.Token, out, _ io.Writer) error {
	alg, err := keys.ParseAlgorithm(s.algorithm)
	if err != nil {
		return err
	}
	k, err := t.Generate(ctx, alg, s.label)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\t%s\n", keys.HSMRef(k.Label), alg)
	return nil
}

func list(ctx context.Context, _ settings, t *token.Token, out, _ io.Writer) error {
	found, err := t.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range found {
		alg, err := keys.AlgorithmOf(k.Public)
		if err != nil {
			alg = "unsupported"
		}
		fmt.Fprintf(out, "%s\t%s\n", keys.HSMRef(k.Label), alg)
	}
	return nil
}
