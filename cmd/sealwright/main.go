// Command sealwright is the whole platform in one binary. Each subcommand is a
// page of code over the packages in internal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/product"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = ""

// gcPercent trades some memory for a third of the collector's work: the live
// heap is small, and most of what is allocated lives for one request.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sealwright: "+explain(err))
		os.Exit(exitCode(err))
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sealwright",
		Short: "A trust-service platform in one binary",
		Long: `Sealwright runs certification authorities, hands out client certificates and
serves the web services that they protect.

Try it:         sealwright demo
Install it:     sealwright init --config sealwright.toml
                sealwright serve --config sealwright.toml`,
		SilenceUsage: true, SilenceErrors: true, Version: versionText(),
	}
	cmd.AddCommand(serveCommand(), devCommand(), demoCommand(), initCommand(), configCommand(), caCommand(), auditCommand(),
		clientCommand(), productCommand(), orderCommand(), domainCommand(), publisherCommand(), timestampCommand(), keysCommand(), externalCommand(), perspectiveCommand(),
		migrateCommand(), backupCommand(), restoreCommand(), operatorCommand(), benchCommand())
	return cmd
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unreleased"
}

// explain shows a fault to the person at the terminal: what happened, then what
// to do, then the cause.
func explain(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) {
		return problems.Error()
	}
	var refusal *product.Refusal
	if errors.As(err, &refusal) && len(refusal.Problems) > 1 {
		text := "There are several problems:"
		for _, p := range refusal.Problems {
			text += "\n- " + p.Message
		}
		return text
	}
	var f *fault.Fault
	if !errors.As(err, &f) {
		return err.Error()
	}
	text := f.Message
	if f.Next != "" {
		text += "\n" + f.Next
	}
	if cause := errors.Unwrap(causeOf(f)); cause != nil {
		text += "\nCause: " + cause.Error()
	}
	return text
}

// causeOf is the cause of a fault, one level up so that Unwrap gives it.
func causeOf(f *fault.Fault) error {
	for _, e := range f.Unwrap() {
		var k fault.Kind
		if !errors.As(e, &k) {
			return fmt.Errorf("%w", e)
		}
	}
	return nil
}

// exitCode is 2 for input that is wrong, 1 for everything else.
func exitCode(err error) int {
	if errors.Is(err, fault.Invalid) {
		return 2
	}
	return 1
}

// configFlag adds --config, with SEALWRIGHT_CONFIG as its default.
func configFlag(cmd *cobra.Command) *string {
	def := os.Getenv("SEALWRIGHT_CONFIG")
	if def == "" {
		def = "sealwright.toml"
	}
	return cmd.Flags().StringP("config", "c", def, "configuration file")
}

func loadConfig(path string) (*config.Config, *telemetry.Log, error) {
	cfg, err := config.Load(path, os.Environ())
	if err != nil {
		return nil, nil, err
	}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Level: cfg.Log.Level, Format: cfg.Log.Format, File: cfg.Log.File})
	return cfg, log, err
}
