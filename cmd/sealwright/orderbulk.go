package main

import (
	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func orderRevokeMany() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke-many", Short: "Revoke the certificates of all orders that a search finds", Args: cobra.NoArgs,
		Long: `Revoke the certificates of all orders that a search finds, one after the other.
Without --yes it only lists them. Each line says what became of an order; the exit
status is 1 if any was not revoked. It can be repeated: what is revoked stays so.

  sealwright order revoke-many --search 'old.example.com' --reason cessationOfOperation
  sealwright order revoke-many --search 'old.example.com' --reason cessationOfOperation --yes`,
	}
	var filter filterFlags
	filter.flags(cmd)
	w := revocationFlags(cmd)
	do := sure(cmd)
	return acting(cmd, func(s *session, _ []string) error {
		r, err := w.revocation()
		if err != nil {
			return err
		}
		f, err := filter.filter(s)
		if err != nil {
			return err
		}
		if filter.empty() {
			return fault.Invalidf("command.search", "Nothing says which certificates.").WithNext("Give --search, or narrow it by --client, --product, --tag and the like.")
		}
		if !*do {
			return s.wouldRevoke(f, r)
		}
		return s.revokeMany(f, r)
	})
}

// wouldRevoke lists what revoke-many would revoke.
func (s *session) wouldRevoke(f order.Filter, r order.Revocation) error {
	f.States = []order.State{order.Issued}
	seen, page := map[string]bool{}, store.Page{Limit: store.MaxLimit}
	for {
		list, next, err := s.Orders.List(s.cmd.Context(), s.scope, f, page)
		if err != nil {
			return err
		}
		for _, o := range list {
			if !seen[o.ID] {
				s.printf("%s  %s  until %s  %s\n", o.ID, o.Serial, day(o.NotAfter), o.CommonName)
			}
			seen[o.ID] = true
		}
		if page.Cursor = next; next == "" {
			break
		}
	}
	s.printf("%s would be revoked (%s). Nothing was done; repeat the command with --yes.\n", counted(len(seen), "certificate"), r.Reason)
	return nil
}

func (s *session) revokeMany(f order.Filter, r order.Revocation) error {
	seen, done, asked, failed := map[string]bool{}, 0, 0, 0
	err := s.Orders.RevokeMany(s.cmd.Context(), s.scope, f, r, func(b order.BulkResult) bool {
		switch {
		case seen[b.Order]: // a search by name may find one order by several names
			return true
		case b.Done:
			done++
			s.printf("%s  revoked\n", b.Order)
		case b.Asked != "":
			asked++
			s.printf("%s  waits for approval %s\n", b.Order, b.Asked)
		default:
			failed++
			s.printf("%s  not revoked: %s\n", b.Order, b.Error)
		}
		seen[b.Order] = true
		return s.cmd.Context().Err() == nil
	})
	if err == nil {
		err = s.cmd.Context().Err()
	}
	s.printf("%d revoked, %d wait for approval, %d not revoked.\n", done, asked, failed)
	if err == nil && failed > 0 {
		err = fault.Conflictf("order.revoke_many", "%s could not be revoked.", counted(failed, "certificate")).WithNext("Mend what each line says and repeat the command.")
	}
	return err
}
