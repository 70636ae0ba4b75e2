package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/keys/keyfile"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func caCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make and list certification authorities; run offline roots",
		Long: `An offline root lives in a file, encrypted under a passphrase, on a machine
that is not connected:

  offline$ sealwright ca new-root --name "Example Root CA" --organisation Example --out root
  online$  sealwright ca import --id production-root --realm production root.crt
  online$  sealwright ca request --id production-clients-1 --realm production --parent production-root … > issuing.csr
  offline$ sealwright ca sign --root root --parent production-root --base-url http://pki.example.com issuing.csr > issuing.crt
  online$  sealwright ca activate --id production-clients-1 issuing.crt`,
	}
	cmd.AddCommand(caList(), caCreate(), caNewRoot(), caImport(), caRequest(), caSign(), caActivate(), caCRL(), caPolicy(), caSignCRL(), caImportCRL(), caClose())
	return cmd
}

func caList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the authorities", Args: cobra.NoArgs}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			list, err := h.Authority.List(cmd.Context())
			if err != nil {
				return err
			}
			for _, x := range list {
				end := "waits for its certificate"
				if x.Certificate != nil {
					end = "until " + x.Certificate.NotAfter.Format(time.DateOnly)
				}
				fmt.Fprintf(out, "%-24s %-10s %-8s %-12s %-8s %-28s %s\n", x.ID, x.Realm, x.Kind, x.Purpose, x.Status, end, x.Name)
			}
			return nil
		})
	}
	return cmd
}

// specFlags are what every new authority is told.
func specFlags(cmd *cobra.Command) func() (authority.Spec, error) {
	f := cmd.Flags()
	id := f.String("id", "", "id, part of its URLs: a-z, 0-9 and dash")
	realm := f.String("realm", "production", "preprod, production or platform")
	name := f.String("name", "", "common name (required)")
	org := f.String("organisation", "", "organisation (required)")
	country := f.String("country", "", "country, two letters")
	purpose := f.String("purpose", string(authority.ClientAuth), "client-auth, server-auth, email, code, time-stamping or general (what products say)")
	key := f.String("key", "p256", "kind of key: "+algorithmNames())
	hsm := f.String("hsm-label", "", "use the key with this label in the HSM instead")
	years := f.Int("years", 10, "life in years")
	return func() (authority.Spec, error) {
		alg, err := keys.ParseAlgorithm(*key)
		s := authority.Spec{ID: *id, Realm: *realm, Name: *name, Org: *org, Country: strings.ToUpper(*country), Purpose: authority.Purpose(*purpose), Key: alg, Years: *years}
		if *hsm != "" {
			s.KeyRef = keys.HSMRef(*hsm)
		}
		return s, err
	}
}

func algorithmNames() string {
	var names []string
	for _, a := range keys.Algorithms() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

func caCreate() *cobra.Command {
	cmd := &cobra.Command{Use: "create", Short: "Make an authority whose key stays here (a root without --parent)", Args: cobra.NoArgs}
	path := configFlag(cmd)
	spec := specFlags(cmd)
	parent := cmd.Flags().String("parent", "", "id of the root that signs it; without one it is a root")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := spec()
		if err != nil {
			return err
		}
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			if *parent == "" {
				x, err := h.Authority.CreateRoot(cmd.Context(), s)
				return printAuthority(out, x, err)
			}
			x, err := h.Authority.CreateIssuing(cmd.Context(), s, *parent)
			return printAuthority(out, x, err)
		})
	}
	return cmd
}

func printAuthority(out io.Writer, x *authority.Authority, err error) error {
	if err != nil {
		return err
	}
	return pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: x.DER})
}

func caNewRoot() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new-root", Short: "Make an offline root: an encrypted key file and a certificate", Args: cobra.NoArgs,
		Long: "Make an offline root. The key never leaves the file OUT.key, which is encrypted under a\npassphrase (scrypt). The certificate OUT.crt is public.",
	}
	spec := specFlags(cmd)
	out := cmd.Flags().String("out", "root", "files to write: OUT.key and OUT.crt")
	pass := passphraseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := spec()
		if err != nil {
			return err
		}
		if s.ID == "" {
			s.ID = "root"
		}
		s.Purpose = authority.Any
		phrase, err := pass()
		if err != nil {
			return err
		}
		key, err := keys.Generate(s.Key)
		if err != nil {
			return err
		}
		der, err := authority.SelfSign(s, key, time.Now())
		if err != nil {
			return err
		}
		if err := keyfile.Write(*out+".key", key, phrase); err != nil {
			return err
		}
		if err := os.WriteFile(*out+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Keep %s.key and its passphrase apart and offline. Import %s.crt into the installation.\n", *out, *out)
		return nil
	}
	return cmd
}

// passphraseFlag reads the passphrase of an offline root from a file or from
// the environment, never from the command line, where others could see it.
func passphraseFlag(cmd *cobra.Command) func() (secret.Text, error) {
	file := cmd.Flags().String("passphrase-file", "", "file with the passphrase; otherwise the variable SEALWRIGHT_ROOT_PASSPHRASE")
	return func() (secret.Text, error) {
		if *file != "" {
			b, err := os.ReadFile(*file)
			return secret.New(strings.TrimRight(string(b), "\r\n")), err
		}
		if v := os.Getenv("SEALWRIGHT_ROOT_PASSPHRASE"); v != "" {
			return secret.New(v), nil
		}
		return secret.Text{}, fmt.Errorf("the passphrase of the root is missing: give --passphrase-file or set SEALWRIGHT_ROOT_PASSPHRASE")
	}
}

func readCertificate(file string) (*x509.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	return x509.ParseCertificate(b)
}

func caImport() *cobra.Command {
	cmd := &cobra.Command{Use: "import CERTIFICATE", Short: "Make an offline root known", Args: cobra.ExactArgs(1)}
	path := configFlag(cmd)
	id := cmd.Flags().String("id", "", "id, part of its URLs: a-z, 0-9 and dash (required)")
	realm := cmd.Flags().String("realm", "production", "preprod, production or platform")
	_ = cmd.MarkFlagRequired("id") // the flag exists
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := readCertificate(args[0])
		if err != nil {
			return err
		}
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			x, err := h.Authority.Import(cmd.Context(), *id, *realm, c.Raw)
			if err == nil {
				fmt.Fprintf(out, "%s (%s) is known.\n", x.ID, x.Name)
			}
			return err
		})
	}
	return cmd
}

func caRequest() *cobra.Command {
	cmd := &cobra.Command{Use: "request", Short: "Make an issuing authority that waits for its offline root, and print its request", Args: cobra.NoArgs}
	path := configFlag(cmd)
	spec := specFlags(cmd)
	parent := cmd.Flags().String("parent", "", "id of the offline root (required)")
	_ = cmd.MarkFlagRequired("parent") // the flag exists
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := spec()
		if err != nil {
			return err
		}
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			x, err := h.Authority.Request(cmd.Context(), s, *parent)
			if err != nil {
				return err
			}
			return pem.Encode(out, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: x.CSR})
		})
	}
	return cmd
}

func caSign() *cobra.Command {
	cmd := &cobra.Command{Use: "sign REQUEST", Short: "Sign an issuing authority's request with an offline root", Args: cobra.ExactArgs(1)}
	f := cmd.Flags()
	root := f.String("root", "root", "files of the root: ROOT.key and ROOT.crt")
	parent := f.String("parent", "", "id of the root in the installation, for the addresses in the certificate (required)")
	base := f.String("base-url", "", "the installation's server.public_http_url (required)")
	purpose := f.String("purpose", string(authority.ClientAuth), "client-auth, server-auth, email, code, time-stamping or general (what products say)")
	years := f.Int("years", 10, "life in years")
	pass := passphraseFlag(cmd)
	_ = cmd.MarkFlagRequired("parent")   // the flags
	_ = cmd.MarkFlagRequired("base-url") // exist
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		c, err := readCertificate(*root + ".crt")
		if err != nil {
			return err
		}
		phrase, err := pass()
		if err != nil {
			return err
		}
		key, err := keyfile.Read(*root+".key", phrase)
		if err != nil {
			return err
		}
		der, err := authority.SignRequest(request, authority.Purpose(*purpose), c, key, *parent, authority.URLs{Base: strings.TrimRight(*base, "/")}, time.Now(), *years)
		if err != nil {
			return err
		}
		return pem.Encode(cmd.OutOrStdout(), &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return cmd
}

func caActivate() *cobra.Command {
	cmd := &cobra.Command{Use: "activate CERTIFICATE", Short: "Give a waiting authority the certificate that its root signed", Args: cobra.ExactArgs(1)}
	path := configFlag(cmd)
	id := cmd.Flags().String("id", "", "id of the waiting authority (required)")
	_ = cmd.MarkFlagRequired("id") // the flag exists
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := readCertificate(args[0])
		if err != nil {
			return err
		}
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			x, err := h.Authority.Activate(cmd.Context(), *id, c.Raw)
			if err == nil {
				fmt.Fprintf(out, "%s (%s) issues certificates now.\n", x.ID, x.Name)
			}
			return err
		})
	}
	return cmd
}

func caCRL() *cobra.Command {
	cmd := &cobra.Command{Use: "crl AUTHORITY", Short: "Publish a revocation list now", Args: cobra.ExactArgs(1)}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			c, err := h.Authority.ProduceCRL(cmd.Context(), args[0])
			if err == nil {
				fmt.Fprintf(out, "List %d with %d entries, %d bytes, is published at %s\n", c.Number, c.Entries, c.Size, h.Authority.URLs().CRL(args[0]))
			}
			return err
		})
	}
	return cmd
}

func caSignCRL() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sign-crl", Short: "Sign the revocation list of an offline root", Args: cobra.NoArgs,
		Long: "Sign the revocation list of an offline root. Give the serial numbers of the issuing\nauthorities that are revoked; each list names all of them.",
	}
	f := cmd.Flags()
	root := f.String("root", "root", "files of the root: ROOT.key and ROOT.crt")
	number := f.Int64("number", 1, "number of the list, higher than that of the one before")
	days := f.Int("days", 180, "how long the list holds")
	revoked := f.StringArray("revoked", nil, "serial number in hex; may be given again")
	pass := passphraseFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := readCertificate(*root + ".crt")
		if err != nil {
			return err
		}
		phrase, err := pass()
		if err != nil {
			return err
		}
		key, err := keyfile.Read(*root+".key", phrase)
		if err != nil {
			return err
		}
		var serials [][]byte
		for _, text := range *revoked {
			serial, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
			if err != nil {
				return fmt.Errorf("%q is not a serial number in hex", text)
			}
			serials = append(serials, serial)
		}
		der, err := authority.OfflineCRL(c, key, *number, serials, time.Now(), time.Duration(*days)*24*time.Hour)
		if err != nil {
			return err
		}
		return pem.Encode(cmd.OutOrStdout(), &pem.Block{Type: "X509 CRL", Bytes: der})
	}
	return cmd
}

func caImportCRL() *cobra.Command {
	cmd := &cobra.Command{Use: "import-crl LIST", Short: "Publish a revocation list that an offline root has signed", Args: cobra.ExactArgs(1)}
	path := configFlag(cmd)
	id := cmd.Flags().String("id", "", "id of the offline root (required)")
	_ = cmd.MarkFlagRequired("id") // the flag exists
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		der, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			c, err := h.Authority.ImportCRL(cmd.Context(), *id, der)
			if err == nil {
				fmt.Fprintf(out, "List %d with %d entries is published at %s\n", c.Number, c.Entries, h.Authority.URLs().CRL(*id))
			}
			return err
		})
	}
	return cmd
}

func caClose() *cobra.Command {
	cmd := &cobra.Command{
		Use: "close AUTHORITY", Short: "End an issuing authority: nothing that it issued is accepted any more", Args: cobra.ExactArgs(1),
		Long: "Revoke an issuing authority's certificate and close it. All certificates that it issued\nstop working at once. This cannot be undone. If its root is offline, sign a list that\nnames its serial number there (sealwright ca sign-crl) and import it.",
	}
	path := configFlag(cmd)
	reason := cmd.Flags().String("reason", "cessationOfOperation", "reason of RFC 5280, such as keyCompromise")
	sure := cmd.Flags().Bool("yes", false, "do it: without this flag nothing happens")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		why, err := authority.ParseReason(*reason)
		if err != nil {
			return err
		}
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			if !*sure {
				return fmt.Errorf("closing %s ends every certificate that it issued; repeat the command with --yes", args[0])
			}
			if err := h.Authority.Close(cmd.Context(), args[0], why); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s is closed. Nothing that it issued is accepted any more.\n", args[0])
			return nil
		})
	}
	return cmd
}
