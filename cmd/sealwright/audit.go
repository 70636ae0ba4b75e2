package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/audit"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Verify the audit log and prove entries of it",
		Long: `The audit log is a Merkle tree whose head is signed every second. Keep a
checkpoint somewhere else from time to time and give it to verify: then even an
exchange of the whole database is found.`,
	}
	cmd.AddCommand(auditVerify(), auditProve(), auditCheckpoint(), auditKey(), auditCheck())
	return cmd
}

// withHouse opens the installation of --config for one command.
func withHouse(cmd *cobra.Command, path string, fn func(h *house.House, out io.Writer) error) error {
	cfg, log, err := loadConfig(path)
	if err != nil {
		return err
	}
	defer log.Close()
	h, err := house.Open(cmd.Context(), cfg, house.Options{Logger: log.Logger, Version: versionText()})
	if err != nil {
		return err
	}
	defer h.Close()
	return fn(h, cmd.OutOrStdout())
}

// withAudit is withHouse after entries that still wait have their place in the log.
func withAudit(cmd *cobra.Command, path string, fn func(h *house.House, out io.Writer) error) error {
	return withHouse(cmd, path, func(h *house.House, out io.Writer) error {
		if _, err := h.Audit.Sequence(cmd.Context()); err != nil {
			return err
		}
		return fn(h, out)
	})
}

func auditVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "Recompute the whole log and say whether anything was changed", Args: cobra.NoArgs,
		Long: "Recompute every entry's hash and the whole tree, and hold them against the signed checkpoint.\nThe exit status is 0 only if nothing was changed, deleted, inserted or re-ordered.",
	}
	path := configFlag(cmd)
	older := cmd.Flags().StringArray("checkpoint", nil, "file with a checkpoint that was kept elsewhere; may be given again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAudit(cmd, *path, func(h *house.House, out io.Writer) error {
			var opts audit.Options
			for _, f := range *older {
				b, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				opts.Checkpoints = append(opts.Checkpoints, string(b))
			}
			report, err := h.Audit.Verify(cmd.Context(), opts)
			if err != nil {
				return err
			}
			printAudit(out, report)
			if !report.OK() {
				return fmt.Errorf("the audit log does not hold: %d findings", report.Total)
			}
			return nil
		})
	}
	return cmd
}

func printAudit(out io.Writer, r audit.Report) {
	fmt.Fprintf(out, "%d entries, root %v\n", r.Size, r.Root)
	for _, f := range r.Findings {
		fmt.Fprintf(out, "%-12s leaf %-10d %s  %s\n", f.Kind, f.Leaf, f.EntryID, f.Message)
	}
	if more := r.Total - len(r.Findings); more > 0 {
		fmt.Fprintf(out, "… and %d more findings\n", more)
	}
	if r.OK() {
		fmt.Fprintf(out, "Nothing was changed, deleted, inserted or re-ordered. Keep this checkpoint elsewhere:\n\n%s", r.Checkpoint)
	}
}

func auditProve() *cobra.Command {
	cmd := &cobra.Command{Use: "prove ENTRY", Short: "Print a proof that an entry stands in the log, for somebody else to check", Args: cobra.ExactArgs(1)}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAudit(cmd, *path, func(h *house.House, out io.Writer) error {
			proof, err := h.Audit.Prove(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			enc := json.NewEncoder(out)
			enc.SetIndent("", "  ")
			return enc.Encode(proof)
		})
	}
	return cmd
}

func auditCheckpoint() *cobra.Command {
	cmd := &cobra.Command{Use: "checkpoint", Short: "Print the latest signed checkpoint, to be kept elsewhere", Args: cobra.NoArgs}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAudit(cmd, *path, func(h *house.House, out io.Writer) error {
			text, err := h.Audit.Checkpoint(h.DB.View(cmd.Context()))
			if err != nil {
				return err
			}
			_, err = io.WriteString(out, text)
			return err
		})
	}
	return cmd
}

func auditCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check PROOF", Short: "Check a proof that somebody else printed", Args: cobra.ExactArgs(1),
		Long: "Check a proof file against the log's public key, without any installation.",
	}
	key := cmd.Flags().String("key", "", "the log's Ed25519 public key in base64, as `sealwright audit key` prints it (required)")
	_ = cmd.MarkFlagRequired("key") // the flag exists
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		public, err := base64.StdEncoding.DecodeString(*key)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("the key is not an Ed25519 public key in base64")
		}
		proof, err := audit.ParseProof(file)
		if err != nil {
			return err
		}
		if err := audit.CheckProof(proof, public); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "The proof holds: this entry stands in the log.")
		fmt.Fprintln(cmd.OutOrStdout(), proof.Leaf)
		return nil
	}
	return cmd
}

func auditKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Print the public key that the log's checkpoints are signed with", Args: cobra.NoArgs}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			key, err := h.AuditPublicKey(cmd.Context())
			fmt.Fprintln(out, base64.StdEncoding.EncodeToString(key))
			return err
		})
	}
	return cmd
}
