package main

import (
	"bytes"
	"encoding/hex"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Say which public keys are not certified",
		Long: `Keys that somebody else knows, or may know, are certified for nobody. They are
named by the SHA-256 of their SubjectPublicKeyInfo in hex:

  openssl pkey -in key.pem -pubout -outform DER | sha256sum
  sealwright keys block --reason published --note "router firmware 1.2" router.pem

To revoke the certificates of a compromised key as well: sealwright order revoke-key`,
	}
	cmd.AddCommand(keysBlock(), keysUnblock(), keysBlocked())
	return cmd
}

func keysBlock() *cobra.Command {
	cmd := &cobra.Command{
		Use: "block FILE|HASH", Short: "Certify a key, or the keys of a file, no more", Args: cobra.ExactArgs(1),
		Example: `  sealwright keys block --reason published --note "router firmware 1.2" router.pem`,
		Long: `Certify a key no more. FILE holds a hash on each line, or certificates, requests,
public and private keys in PEM; - for the standard input. Certificates that exist stay as
they are.`,
	}
	reason := cmd.Flags().String("reason", string(keycheck.Compromised), "compromised, weak, published or refused")
	choose(cmd, "reason", keycheck.Compromised, keycheck.Weak, keycheck.Published, keycheck.Refused)
	note := cmd.Flags().String("note", "", "where the knowledge comes from")
	return acting(cmd, func(s *session, args []string) error {
		if isHash(args[0]) {
			added, err := s.Keys.Add(cmd.Context(), s.scope, args[0], keycheck.Reason(*reason), *note)
			switch {
			case err != nil:
				return err
			case added:
				s.printf("The key is blocked.\n")
			default:
				s.printf("The key was blocked already; its entry stays as it is.\n")
			}
			return nil
		}
		list, err := readInput(cmd, args[0])
		if err != nil {
			return err
		}
		n, err := s.Keys.Import(cmd.Context(), s.scope, bytes.NewReader(list), keycheck.Reason(*reason), *note)
		s.printf("%s blocked; %d were known.\n", counted(n.Added, "key"), n.Known)
		return err
	})
}

func isHash(text string) bool {
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	return err == nil && len(b) == 32
}

func keysUnblock() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unblock HASH", Short: "Let a key be certified again", Args: cobra.ExactArgs(1),
		Example: `  sealwright keys unblock 71396c3d… --why "not in use any more"`,
		Long:    "Let a key be certified again. A key that was proved to be compromised stays blocked.",
	}
	why := cmd.Flags().String("why", "", "reason, for the audit log (required)")
	required(cmd, "why")
	return acting(cmd, func(s *session, args []string) error {
		if err := s.Keys.Remove(cmd.Context(), s.scope, args[0], *why); err != nil {
			return err
		}
		s.printf("The key may be certified again.\n")
		return nil
	})
}

type blockedView struct {
	Hash   string          `json:"hash"`
	Reason keycheck.Reason `json:"reason"`
	Source string          `json:"source"`
	Proof  string          `json:"proof,omitempty"`
	Note   string          `json:"note,omitempty"`
	By     string          `json:"by"`
	At     time.Time       `json:"at"`
}

func viewBlocked(b keycheck.Blocked) blockedView {
	return blockedView{b.SPKI, b.Reason, b.Source, b.Proof, b.Note, b.By, b.At}
}

func keysBlocked() *cobra.Command {
	cmd := &cobra.Command{
		Use: "blocked [HASH|FILE]", Short: "List the keys that are not certified, or look one up", Args: cobra.MaximumNArgs(1),
		Example: "  sealwright keys blocked router.pem",
		Long:    "List the keys that are not certified, the latest first; or look one up by its hash, or by a\nfile that holds the key. The exit status is 1 if that key is not blocked.",
	}
	reason := cmd.Flags().String("reason", "", "only for this reason: compromised, weak, published or refused")
	choose(cmd, "reason", keycheck.Compromised, keycheck.Weak, keycheck.Published, keycheck.Refused)
	source := cmd.Flags().String("source", "", "only from this source, such as operator, import or report")
	var l listing
	l.flags(cmd)
	head := []string{"HASH", "REASON", "SINCE", "BY", "NOTE"}
	row := func(b keycheck.Blocked) []string {
		return []string{b.SPKI, string(b.Reason), day(b.At), b.By, dash(b.Note)}
	}
	return acting(cmd, func(s *session, args []string) error {
		if len(args) > 0 {
			hash, err := hashOf(cmd, args[0])
			if err != nil {
				return err
			}
			if err := s.scope.Require("authority.read", "", ""); err != nil {
				return err
			}
			b, err := s.Keys.Get(s.DB.View(cmd.Context()), hash)
			if err != nil {
				return err
			}
			return show(s, &l, []keycheck.Blocked{b}, "", viewBlocked, head, row)
		}
		list, next, err := s.Keys.List(cmd.Context(), s.scope, keycheck.Filter{Reason: keycheck.Reason(*reason), Source: *source, Page: l.page})
		if err != nil {
			return err
		}
		return show(s, &l, list, next, viewBlocked, head, row)
	})
}

// hashOf is the hash that names a key: as it is given, or of the key in a file.
func hashOf(cmd *cobra.Command, arg string) (string, error) {
	if isHash(arg) {
		return arg, nil
	}
	data, err := readInput(cmd, arg)
	if err != nil {
		return "", fault.Invalidf("command.key", "%q is neither a hash nor a file that can be read.", arg).WithCause(err)
	}
	spki, _, err := publicKey(data)
	return keycheck.HashOf(spki), err
}
