package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func orderRenew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "renew ORDER", Short: "Place the order that follows another", Args: cobra.ExactArgs(1),
		Long: `Renew a certificate: order the same content again, by the product as it is now.
Where the customer brings the key, --csr holds the new request; without one the order
waits for it, and its holder gets a link.

  sealwright order renew ord-… --csr next.csr --wait -o next.pem`,
	}
	csr := cmd.Flags().String("csr", "", "file with the certificate request; - for the standard input")
	w := addWait(cmd)
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		var request []byte
		if *csr != "" {
			if request, err = readInput(cmd, *csr); err != nil {
				return err
			}
		}
		next, err := s.Orders.Renew(cmd.Context(), s.scope, o.ID, request)
		if err != nil {
			return err
		}
		return w.report(s, next)
	})
}

func orderCSR() *cobra.Command {
	cmd := &cobra.Command{
		Use: "csr ORDER FILE", Short: "Bring the certificate request that a renewal waits for", Args: cobra.ExactArgs(2),
		Example: "  sealwright order csr ord-… next.csr --wait -o next.pem",
		Long:    "Bring the certificate request that a renewal waits for, in place of its holder. FILE is\nPEM or DER; - for the standard input.",
	}
	w := addWait(cmd)
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		request, err := readInput(cmd, args[1])
		if err != nil {
			return err
		}
		if o, err = s.Orders.SubmitCSR(cmd.Context(), s.scope, o.ID, request); err != nil {
			return err
		}
		return w.report(s, o)
	})
}

func orderRetry() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry ORDER", Short: "Take up an order at once that waits for its next attempt", Args: cobra.ExactArgs(1),
		Example: "  sealwright order retry ord-… --wait",
	}
	w := addWait(cmd)
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		if o, err = s.Orders.Retry(cmd.Context(), s.scope, o.ID); err != nil {
			return err
		}
		return w.report(s, o)
	})
}

func orderCancel() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel ORDER", Short: "End an order that has not been issued", Args: cobra.ExactArgs(1),
		Example: `  sealwright order cancel ord-… --why "ordered twice"`,
	}
	why := cmd.Flags().String("why", "", "note for the history")
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		if o, err = s.Orders.Cancel(cmd.Context(), s.scope, o.ID, *why); err != nil {
			return err
		}
		s.printf("%s (%s) is cancelled.\n", o.ID, o.CommonName)
		return nil
	})
}

// annotate is a command that notes something on an order.
func annotate(cmd *cobra.Command, fn func(s *session, o *order.Order, args []string) error) *cobra.Command {
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		if err := fn(s, o, args[1:]); err != nil {
			return err
		}
		s.printf("Noted on %s (%s).\n", o.ID, o.CommonName)
		return nil
	})
}

func orderComment() *cobra.Command {
	cmd := &cobra.Command{
		Use: "comment ORDER TEXT", Short: "Note something on an order, for other operators", Args: cobra.ExactArgs(2),
		Example: `  sealwright order comment www.example.com "moves to another host in May"`,
	}
	return annotate(cmd, func(s *session, o *order.Order, args []string) error {
		return s.Orders.AddComment(cmd.Context(), s.scope, o.ID, args[0])
	})
}

func orderTags() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tags ORDER [TAG...]", Short: "Replace the tags of an order", Args: cobra.MinimumNArgs(1),
		Example: "  sealwright order tags www.example.com web production",
		Long:    "Replace the tags of an order by those given. With --none it has no tags any more.",
	}
	none := cmd.Flags().Bool("none", false, "remove all tags")
	return annotate(cmd, func(s *session, o *order.Order, args []string) error {
		if (len(args) == 0) != *none {
			return fault.Invalidf("command.tags", "Give the tags that the order is to have, or --none.")
		}
		return s.Orders.SetTags(cmd.Context(), s.scope, o.ID, args)
	})
}

func orderOwner() *cobra.Command {
	cmd := &cobra.Command{
		Use: "owner ORDER NAME", Short: "Say who looks after a certificate", Args: cobra.ExactArgs(2),
		Example: `  sealwright order owner www.example.com "Web team"`,
	}
	return annotate(cmd, func(s *session, o *order.Order, args []string) error {
		_, err := s.Orders.SetOwner(cmd.Context(), s.scope, o.ID, strings.TrimSpace(args[0]))
		return err
	})
}
