package main

import (
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/house"
)

func caPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy AUTHORITY", Short: "Show or change how an authority tells the state of its certificates", Args: cobra.ExactArgs(1),
		Long: `Show how an authority publishes lists and OCSP answers, and whether its certificates
can be suspended; the flags change that from now on.

  sealwright ca policy production-general-1
  sealwright ca policy production-general-1 --allow-hold --crl-every 12h`,
	}
	path := configFlag(cmd)
	f := cmd.Flags()
	var p authority.Policy
	f.DurationVar(&p.CRLLife, "crl-life", 0, "how long a list holds")
	f.DurationVar(&p.CRLEvery, "crl-every", 0, "a new full list at the latest after this")
	f.DurationVar(&p.CRLPause, "crl-pause", 0, "least time between two full lists that are made because of a revocation")
	f.BoolVar(&p.Deltas, "deltas", false, "publish delta lists as well")
	f.Int64Var(&p.Shards, "shards", 0, "how many lists share the certificates issued from now on; 0: the full list alone")
	f.BoolVar(&p.KeepExpired, "keep-expired", false, "keep expired certificates on the lists")
	f.BoolVar(&p.AllowHold, "allow-hold", false, "permit suspension, which the rules of public trust forbid")
	f.BoolVar(&p.Backdate, "backdate", false, "write the moment of a key's compromise as the date of revocation")
	f.DurationVar(&p.OCSPLife, "ocsp-life", 0, "how long an OCSP answer holds")
	f.DurationVar(&p.OCSPArchive, "ocsp-archive", 0, "how long after its end a certificate's state is told")
	f.BoolVar(&p.UnknownRevoked, "unknown-revoked", false, "answer \"revoked\" for serial numbers that were never used, instead of \"unknown\"")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			was, err := h.Authority.Policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			next, changed := was, false
			for name, set := range map[string]func(){
				"crl-life": func() { next.CRLLife = p.CRLLife }, "crl-every": func() { next.CRLEvery = p.CRLEvery }, "crl-pause": func() { next.CRLPause = p.CRLPause },
				"deltas": func() { next.Deltas = p.Deltas }, "shards": func() { next.Shards = p.Shards }, "keep-expired": func() { next.KeepExpired = p.KeepExpired },
				"allow-hold": func() { next.AllowHold = p.AllowHold }, "backdate": func() { next.Backdate = p.Backdate }, "ocsp-life": func() { next.OCSPLife = p.OCSPLife },
				"ocsp-archive": func() { next.OCSPArchive = p.OCSPArchive }, "unknown-revoked": func() { next.UnknownRevoked = p.UnknownRevoked },
			} {
				if f.Changed(name) {
					set()
					changed = true
				}
			}
			if changed {
				if err := h.Authority.SetPolicy(cmd.Context(), args[0], next); err != nil {
					return err
				}
			}
			s := &session{House: h, cmd: cmd, out: out}
			s.printPolicy(next)
			return nil
		})
	}
	return cmd
}

func (s *session) printPolicy(p authority.Policy) {
	span := func(d time.Duration) string {
		if d == 0 {
			return "-"
		}
		return d.String()
	}
	s.facts("CRL life", span(p.CRLLife), "CRL every", span(p.CRLEvery), "CRL pause", span(p.CRLPause), "Deltas", yes(p.Deltas), "Shards", strconv.FormatInt(p.Shards, 10),
		"Keep expired", yes(p.KeepExpired), "Allow hold", yes(p.AllowHold), "Backdate", yes(p.Backdate), "OCSP life", span(p.OCSPLife), "OCSP archive", span(p.OCSPArchive),
		"Unknown revoked", yes(p.UnknownRevoked))
}
