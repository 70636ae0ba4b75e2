package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/bench"
)

// benchFlags are what all benchmarks share.
type benchFlags struct {
	options bench.Options
	json    bool
}

func (f *benchFlags) add(cmd *cobra.Command) {
	p := cmd.PersistentFlags()
	p.BoolVar(&f.options.Quick, "quick", false, "one short round each: to see that it works, not to quote")
	p.StringVar(&f.options.Database, "database", "sqlite:", "sqlite: or the address of a PostgreSQL server on which databases may be made")
	p.IntSliceVar(&f.options.Callers, "callers", nil, "numbers of concurrent callers, such as 1,8,64; each benchmark's own without it")
	p.Int64SliceVar(&f.options.Rows, "rows", nil, "numbers of orders in the database, for growth and store-orders")
	p.StringVar(&f.options.Profile, "profile", "", "directory for CPU profiles of the product")
	p.StringVar(&f.options.Dir, "dir", "", "directory on the disk to be measured; the system's temporary directory without it")
	p.BoolVar(&f.json, "json", false, "print everything that was found as JSON")
}

func benchCommand() *cobra.Command {
	var f benchFlags
	var list strings.Builder
	var names []string
	for _, n := range bench.Names() {
		fmt.Fprintf(&list, "  %-13s %s\n", n[0], n[1])
		names = append(names, n[0])
	}
	cmd := &cobra.Command{
		Use:   "bench [NAME...]",
		Short: "Measure this server on this machine",
		Long: `Measure the whole server from outside, beside bare servers that do only what
cannot be left out, and beside step-ca when that is on PATH. Nothing outside of
a temporary directory is touched. What is measured, and how to read it, is in
docs/performance.md.

` + list.String() + `
All but growth run without a name. The exit status is 0 only if every answer
was right and nothing was lost.`,
		Args: cobra.ArbitraryArgs, ValidArgs: names,
	}
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.options.Names = args
		return f.run(cmd)
	}
	growth := &cobra.Command{
		Use: bench.Growth, Short: "Measure with more and more certificates in the database", Args: cobra.NoArgs,
		Long: "Fill a database with orders and certificates, and measure issue, look-up, lists and\nmutual TLS at each size. Five million take about 20 GB and some minutes.",
	}
	growth.RunE = func(cmd *cobra.Command, _ []string) error {
		f.options.Names = []string{bench.Growth}
		return f.run(cmd)
	}
	cmd.AddCommand(growth, benchServe())
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command) error {
	f.options.Progress = cmd.ErrOrStderr()
	if f.options.Profile != "" {
		dir, err := filepath.Abs(f.options.Profile)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		f.options.Profile = dir
	}
	report, failed := bench.Run(cmd.Context(), f.options)
	if report == nil {
		return failed
	}
	if err := writeBench(cmd.OutOrStdout(), report, f.json); err != nil {
		return err
	}
	return failed
}

func writeBench(out io.Writer, report *bench.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	report.WriteBenchstat(out)
	return report.WriteTable(out)
}

// benchServe is the other process of a benchmark.
func benchServe() *cobra.Command {
	cmd := &cobra.Command{Use: "serve KIND", Hidden: true, Args: cobra.ExactArgs(1)}
	var o bench.ServeOptions
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "directory")
	f.StringVar(&o.Database, "database", "", "database of the product")
	f.BoolVar(&o.Approval, "approval", false, "orders wait for an approval")
	f.BoolVar(&o.Messages, "messages", false, "print messages")
	f.StringVar(&o.Clients, "clients", "", "authority of client certificates")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Kind = args[0]
		return bench.Serve(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout())
	}
	return cmd
}
