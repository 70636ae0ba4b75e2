package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is told to stop (SIGTERM or Ctrl-C). Running requests
are finished first. SIGHUP reopens the log file.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := loadConfig(*path)
		if err != nil {
			return err
		}
		defer log.Close()
		slog.SetDefault(log.Logger)
		go reopenOnHangup(cmd.Context(), log)
		return serve(cmd.Context(), cfg, log.Logger)
	}
	return cmd
}

func serve(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	h, err := house.Open(ctx, cfg, house.Options{Logger: log, Version: versionText()})
	if err != nil {
		return err
	}
	return errors.Join(h.Serve(ctx, nil), h.Close())
}

func reopenOnHangup(ctx context.Context, log *telemetry.Log) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			if err := log.Reopen(); err != nil {
				log.Error("the log file cannot be opened again", "error", err)
			}
		}
	}
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check or print configurations"}
	check := &cobra.Command{Use: "check", Short: "Say whether a configuration is right, with line numbers", Args: cobra.NoArgs}
	path := configFlag(check)
	check.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := config.Load(*path, os.Environ()); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is right.\n", *path)
		return nil
	}
	example := &cobra.Command{
		Use: "example", Short: "Print a configuration with every setting, its default and what it means", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Example())
			return err
		},
	}
	cmd.AddCommand(check, example)
	return cmd
}

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the database up to date",
		Long: `Bring the database's schema up to date. The server does so itself when it
starts; this command lets it be done, or looked at, beforehand.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "say how many steps are pending and do nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
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
		if *dry {
			n, err := db.Pending(cmd.Context())
			fmt.Fprintf(cmd.OutOrStdout(), "%d steps are pending.\n", n)
			return err
		}
		n, err := db.Migrate(cmd.Context())
		fmt.Fprintf(cmd.OutOrStdout(), "%d steps done; the database is up to date.\n", n)
		return err
	}
	return cmd
}
