package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a new installation",
		Long: `Make a new installation from a configuration: data directory, master key,
database, authorities and the first administrator, who gets a link to choose a
password. What exists already is kept.

Make the configuration first:  sealwright config example > sealwright.toml`,
		Args: cobra.NoArgs,
	}
	path := configFlag(cmd)
	f := cmd.Flags()
	org := f.String("organisation", "Sealwright", "organisation in the names of the authorities")
	country := f.String("country", "", "its country, two letters")
	email := f.String("admin-email", "", "e-mail address of the first administrator (required)")
	name := f.String("admin-name", "Administrator", "name of the first administrator")
	passwordFile := f.String("admin-password-file", "", "file with the first administrator's password; without it a link is printed")
	offline := f.Bool("offline-roots", false, "make no roots for the environments: they are kept offline (see sealwright ca)")
	token := f.StringToString("hsm", nil, "keys in the HSM by authority: production-clients-1=label,…")
	_ = cmd.MarkFlagRequired("admin-email") // the flag exists
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := loadConfig(*path)
		if err != nil {
			return err
		}
		defer log.Close()
		admin := access.Administrator{Email: *email, Name: *name, Language: "en"}
		if *passwordFile != "" {
			b, err := os.ReadFile(*passwordFile)
			if err != nil {
				return err
			}
			admin.Password = secret.New(strings.TrimRight(string(b), "\r\n"))
		}
		h, inv, err := house.Init(cmd.Context(), cfg, house.Options{Logger: log.Logger, Version: versionText()},
			house.Founding{Organisation: *org, Country: strings.ToUpper(*country), Administrator: admin, OfflineRoots: *offline, Token: *token})
		if err != nil {
			return err
		}
		defer h.Close()
		anchor, err := h.WriteTrustAnchor(cmd.Context())
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "The installation in %s is ready.\n", cfg.Server.DataDir)
		fmt.Fprintf(out, "Clients of this server trust:  %s\n", anchor)
		if !inv.Token.Empty() {
			fmt.Fprintf(out, "%s chooses a password, before %s, at:\n  %s/invitation/%s\n", *email, inv.Expires.Format("2 January 15:04 MST"), cfg.Server.PublicURL, inv.Token.Reveal())
		}
		fmt.Fprintf(out, "Start it with:  sealwright serve --config %s\n", *path)
		return nil
	}
	return cmd
}

func operatorCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "operator", Short: "Help operators who cannot help themselves"}
	reset := &cobra.Command{
		Use: "reset EMAIL", Short: "Remove an operator's password and second factors and print a link to choose new ones",
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(reset)
	reset.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, log, err := loadConfig(*path)
		if err != nil {
			return err
		}
		defer log.Close()
		h, err := house.Open(cmd.Context(), cfg, house.Options{Logger: log.Logger, Version: versionText()})
		if err != nil {
			return err
		}
		defer h.Close()
		s := access.System("sealwright operator reset")
		list, err := h.Access.Operators(cmd.Context(), s, access.OperatorQuery{Search: args[0]})
		if err != nil {
			return err
		}
		for _, op := range list.Items {
			if !strings.EqualFold(op.Email, args[0]) {
				continue
			}
			inv, err := h.Access.ResetOperator(cmd.Context(), s, op.ID)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s chooses a password, before %s, at:\n  %s/invitation/%s\n", op.Email, inv.Expires.Format("2 January 15:04 MST"), cfg.Server.PublicURL, inv.Token.Reveal())
			return nil
		}
		return fmt.Errorf("there is no operator with the address %s", args[0])
	}
	cmd.AddCommand(reset)
	return cmd
}
