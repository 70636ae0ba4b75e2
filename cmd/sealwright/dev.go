package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/demo"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// devFlags are what the development installation and the demonstration share.
type devFlags struct {
	data     *string
	database *string
	port     *int
}

func addDevFlags(cmd *cobra.Command) devFlags {
	return devFlags{
		data:     cmd.Flags().String("data", "sealwright-data", "data directory"),
		database: cmd.Flags().String("database", "", "database address; SQLite in the data directory without it"),
		port:     cmd.Flags().Int("port", 8443, "port of the pages; the other services take the ports after it"),
	}
}

func devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a development installation on this machine",
		Long: `Run an installation for trying things out: it is made on first start, listens
on loopback only and shows outgoing mail and SMS at /outbox.`,
		Args: cobra.NoArgs,
	}
	flags := addDevFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		site, log, err := openSite(cmd.Context(), flags)
		if err != nil {
			return err
		}
		defer log.Close()
		out := cmd.OutOrStdout()
		err = site.House.Serve(cmd.Context(), func([]*house.Listener) { site.Print(out) })
		return errors.Join(err, site.House.Close())
	}
	return cmd
}

func openSite(ctx context.Context, f devFlags) (*demo.Site, *telemetry.Log, error) {
	dir, err := filepath.Abs(*f.data)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Format: "text", File: filepath.Join(dir, "sealwright.log")})
	if err != nil {
		return nil, nil, err
	}
	slog.SetDefault(log.Logger)
	site, err := demo.Open(ctx, demo.Place{Dir: dir, Database: *f.database, Port: *f.port}, house.Options{Logger: log.Logger, Version: versionText()})
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return site, log, nil
}

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the main job against a fresh installation and show each step",
		Long: `Make an installation, then order a client certificate, fetch it as its recipient
would, use it, and withdraw it: real HTTP and TLS calls against this server, each
with what it proves. The server goes on running afterwards.`,
		Args: cobra.NoArgs,
	}
	flags := addDevFlags(cmd)
	once := cmd.Flags().Bool("once", false, "stop afterwards; the exit status is 0 only if every step held. Uses free ports and a temporary directory")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *once {
			dir, err := os.MkdirTemp("", "sealwright-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			*flags.data, *flags.port = dir, 0
		}
		return play(cmd.Context(), flags, *once, cmd.OutOrStdout())
	}
	return cmd
}

func play(ctx context.Context, flags devFlags, once bool, out io.Writer) error {
	site, log, err := openSite(ctx, flags)
	if err != nil {
		return err
	}
	defer log.Close()
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- site.House.Serve(serving, func([]*house.Listener) { close(ready) }) }()
	select {
	case err := <-served:
		return errors.Join(err, site.House.Close())
	case <-ready:
	}
	err = site.Play(ctx, out)
	if err == nil && !once {
		site.Print(out)
		fmt.Fprintln(out, "The server is running. Stop it with Ctrl-C.")
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, <-served, site.House.Close())
}
