package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
)

func orderRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke ORDER", Short: "Revoke a certificate, or suspend it", Args: cobra.ExactArgs(1),
		Example: `  sealwright order revoke www.example.com --reason superseded --why "replaced by ord-…"`,
		Long: `Revoke a certificate: from now on every service of this installation refuses it,
and OCSP and the next list say so. The reason certificateHold suspends it until
"order release", where the product allows that. Where the product wants it approved,
an approval is opened instead; a compromised key waits for nobody.`,
	}
	w := revocationFlags(cmd)
	return acting(cmd, func(s *session, args []string) error {
		r, err := w.revocation()
		if err != nil {
			return err
		}
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		o, approval, err := s.Orders.Revoke(cmd.Context(), s.scope, o.ID, r)
		switch {
		case err != nil:
			return err
		case approval != "":
			s.printf("%s waits for approval. Give it with: sealwright order approve %s --as EMAIL\n", o.ID, approval)
		case r.Reason == authority.CertificateHold:
			s.printf("%s (%s) is suspended. End that with: sealwright order release %s\n", o.ID, o.CommonName, o.ID)
		default:
			s.printf("%s (%s) is revoked: %s.\n", o.ID, o.CommonName, r.Reason)
		}
		return nil
	})
}

// revocationFlagSet is how a revocation is said.
type revocationFlagSet struct{ reason, why, since, who *string }

func revocationFlags(cmd *cobra.Command) revocationFlagSet {
	f := cmd.Flags()
	return revocationFlagSet{
		reason: reasonFlag(cmd), why: f.String("why", "", "note for the history"),
		since: f.String("since", "", "from when a compromised key was not to be trusted: a day or a time"),
		who:   f.String("who", "", "the person who asked for it, first and last name"),
	}
}

func (f revocationFlagSet) revocation() (r order.Revocation, err error) {
	r.Why, r.Who, r.By = *f.why, *f.who, authority.RoleOperator
	if r.Reason, err = authority.ParseReason(*f.reason); err != nil {
		return r, err
	}
	r.Since, err = readMoment("since", *f.since)
	return r, err
}

// reasonFlag is why a certificate is revoked.
func reasonFlag(cmd *cobra.Command) *string {
	var names []string
	for _, r := range append(authority.RoleOperator.Reasons(), authority.CertificateHold) {
		names = append(names, r.String())
	}
	reason := cmd.Flags().String("reason", "", "reason: "+strings.Join(names, ", ")+" (required)")
	choose(cmd, "reason", names...)
	required(cmd, "reason")
	return reason
}

func orderRelease() *cobra.Command {
	cmd := &cobra.Command{
		Use: "release ORDER", Short: "End the suspension of a certificate", Args: cobra.ExactArgs(1),
		Example: `  sealwright order release www.example.com --why "the card was found"`,
	}
	why := cmd.Flags().String("why", "", "note for the history")
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		if o, err = s.Orders.Release(cmd.Context(), s.scope, o.ID, *why); err != nil {
			return err
		}
		s.printf("%s (%s) is valid again.\n", o.ID, o.CommonName)
		return nil
	})
}
