package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

type approvalView struct {
	ID        string              `json:"id"`
	Order     string              `json:"order"`
	Realm     access.Realm        `json:"realm"`
	Client    string              `json:"client"`
	Act       order.Act           `json:"act"`
	State     order.ApprovalState `json:"state"`
	Missing   int                 `json:"missing"` // how many more must say yes
	FourEyes  bool                `json:"fourEyes"`
	AskedBy   string              `json:"askedBy"`
	Detail    map[string]string   `json:"detail,omitempty"`
	Decisions []order.Decision    `json:"decisions,omitempty"`
	Created   time.Time           `json:"created"`
	Expires   time.Time           `json:"expires"`
}

func viewApproval(a order.Approval) approvalView {
	return approvalView{a.ID, a.Order, a.Realm, a.Client, a.Act, a.State, a.Missing(), a.Rule.FourEyes, a.AskedName, a.Detail, a.Decisions, a.Created, a.Expires}
}

func orderApprovals() *cobra.Command {
	cmd := &cobra.Command{
		Use: "approvals", Short: "List the approvals that wait for a decision, the oldest first", Args: cobra.NoArgs,
		Example: "  sealwright order approvals",
	}
	var l listing
	l.flags(cmd)
	return acting(cmd, func(s *session, _ []string) error {
		list, next, err := s.Orders.Approvals(cmd.Context(), s.scope, l.page)
		if err != nil {
			return err
		}
		return show(s, &l, list, next, viewApproval, []string{"ID", "ACT", "ORDER", "ASKED BY", "MISSING", "UNTIL"}, func(a order.Approval) []string {
			return []string{a.ID, string(a.Act), a.Order, a.AskedName, counted(a.Missing(), "yes"), moment(a.Expires)}
		})
	})
}

func orderApprove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "approve APPROVAL|ORDER", Short: "Say yes or no to what waits for approval", Args: cobra.ExactArgs(1),
		Long: `Say yes, or with --reject no, to an approval, by its id or that of its order. An
approval is a person's: --as names the operator, whose rights count. Under four eyes
nobody decides on what they asked for themselves.

  sealwright order approvals
  sealwright order approve ord-… --as admin@example.com
  sealwright order approve ord-… --as admin@example.com --reject --why "not our domain"`,
	}
	reject := cmd.Flags().Bool("reject", false, "say no; --why says the reason")
	why := cmd.Flags().String("why", "", "reason, which the one who asked will read")
	acting(cmd, func(s *session, args []string) error {
		id, err := s.approval(args[0])
		if err != nil {
			return err
		}
		a, err := s.Orders.Decide(cmd.Context(), s.scope, id, !*reject, *why)
		if err != nil {
			return err
		}
		o, err := s.Orders.Get(cmd.Context(), s.scope, a.Order)
		if err != nil {
			return err
		}
		switch a.State {
		case order.Open:
			s.printf("%s needs %s more.\n", a.ID, counted(a.Missing(), "approval"))
		case order.Denied:
			s.printf("%s is denied. The order %s is %s.\n", a.ID, o.ID, o.State)
		default:
			s.printf("%s is granted. The order %s %s\n", a.ID, o.ID, stands(o))
		}
		return nil
	})
	required(cmd, "as")
	return cmd
}

// approval is the id of an approval, or of the only open one of an order.
func (s *session) approval(name string) (string, error) {
	if strings.HasPrefix(name, "apr-") {
		return name, nil
	}
	o, err := s.order(name)
	if err != nil {
		return "", err
	}
	list, err := s.Orders.ApprovalsOf(s.cmd.Context(), o)
	if err != nil {
		return "", err
	}
	var open []order.Approval
	for _, a := range list {
		if a.State == order.Open {
			open = append(open, a)
		}
	}
	if len(open) == 0 {
		return "", fault.Conflictf("approval.none", "Nothing waits for approval on the order %s, which is %s.", o.ID, o.State)
	}
	a, err := only(open, "approval", name, func(a order.Approval) string { return a.ID + " (" + string(a.Act) + ")" })
	return a.ID, err
}
