package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// readInput reads a file, or the standard input for "-".
func readInput(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

// writeOutput writes to a file, or to the standard output for "-".
func writeOutput(cmd *cobra.Command, name string, data []byte) error {
	if name == "-" {
		_, err := cmd.OutOrStdout().Write(data)
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// choose completes a flag with fixed words.
func choose[T ~string](cmd *cobra.Command, flag string, words ...T) {
	list := make([]cobra.Completion, len(words))
	for i, w := range words {
		list[i] = cobra.Completion(w)
	}
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// required marks flags without which a command does nothing.
func required(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		_ = cmd.MarkFlagRequired(f) // the flag exists
	}
}

// readMoment reads a day or a time as a flag gives it; empty is zero.
func readMoment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.Invalidf("command.time", "--%s is %q.", flag, text).WithNext("Write a day as 2026-12-31, or a time as 2026-12-31T12:00:00Z.")
}

// unsure is the answer to a destructive command without --yes.
func unsure(format string, args ...any) error {
	return fault.Conflictf("command.unsure", format, args...).WithNext("If that is what you want, repeat the command with --yes.")
}

func sure(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("yes", false, "do it: without this flag nothing happens")
}
