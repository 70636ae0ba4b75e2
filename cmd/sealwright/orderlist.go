package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// filterFlags narrow a list of orders.
type filterFlags struct {
	set                                           *pflag.FlagSet
	realm                                         *string
	clients, products, tags                       []string
	origin, owner, search, from, to, endFrom, end string
}

func (f *filterFlags) flags(cmd *cobra.Command) {
	f.set = cmd.Flags()
	f.realm = anyRealmFlag(cmd)
	f.set.StringArrayVar(&f.clients, "client", nil, "only of this client, by id or name; may be given again")
	f.set.StringArrayVar(&f.products, "product", nil, "only of this product, by id or name; may be given again")
	f.set.StringVar(&f.origin, "origin", "", "only what came in this way, such as ui, api, command, acme or renewal")
	choose(cmd, "origin", order.FromUI, order.FromAPI, order.FromCommand, order.FromACME, order.FromCMC, order.FromEST, order.FromSCEP, order.FromCMP, order.FromRenewal)
	f.set.StringVar(&f.owner, "owner", "", "only what this person looks after")
	f.set.StringSliceVar(&f.tags, "tag", nil, "only with this tag; may be given again")
	f.set.StringVar(&f.search, "search", "", "order id, serial number, or the beginning of a name or of a domain above it")
	f.set.StringVar(&f.from, "from", "", "only valid from this day on, or later")
	f.set.StringVar(&f.to, "to", "", "only valid from before this day")
	f.set.StringVar(&f.endFrom, "ends-from", "", "only what is issued and ends on this day or later")
	f.set.StringVar(&f.end, "ends-before", "", "only what is issued and ends before this day, the soonest first")
}

// empty tells whether nothing narrows the list to less than an environment.
func (f *filterFlags) empty() bool {
	narrow := false
	f.set.Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "client", "product", "owner", "tag", "search", "from", "to", "ends-from", "ends-before", "origin":
			narrow = narrow || flag.Value.String() != ""
		}
	})
	return !narrow
}

func (f *filterFlags) filter(s *session) (order.Filter, error) {
	out := order.Filter{Realm: access.Realm(*f.realm), Origin: order.Origin(f.origin), Owner: f.owner, Tags: f.tags, Search: f.search}
	for _, name := range f.clients {
		id, err := s.clientID(name)
		if err != nil {
			return out, err
		}
		out.Clients = append(out.Clients, id)
	}
	for _, name := range f.products {
		p, err := s.currentProduct(name)
		if err != nil {
			return out, err
		}
		out.Products = append(out.Products, p.ID)
	}
	for _, x := range []struct {
		flag, text string
		to         *time.Time
	}{{"from", f.from, &out.From}, {"to", f.to, &out.To}, {"ends-from", f.endFrom, &out.EndFrom}, {"ends-before", f.end, &out.EndBy}} {
		t, err := readMoment(x.flag, x.text)
		if err != nil {
			return out, err
		}
		*x.to = t
	}
	return out, nil
}

func orderList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [SEARCH]", Short: "List orders, the newest first", Args: cobra.MaximumNArgs(1),
		Long: `List orders, the newest first, a page at a time. SEARCH finds an order id, a serial
number in any spelling, or the beginning of a name: of the subject, of an alternative
name, or of a domain above one.

  sealwright order list example.com --state ISSUED
  sealwright order list --ends-before 2027-01-31 --json`,
	}
	var filter filterFlags
	filter.flags(cmd)
	var l listing
	l.flags(cmd)
	states := cmd.Flags().StringSlice("state", nil, "only in this state, such as ISSUED or PENDING_AUTH; may be given again")
	choose(cmd, "state", order.States()...)
	reasons := cmd.Flags().StringSlice("reason", nil, "only what was revoked for this reason; may be given again")
	return acting(cmd, func(s *session, args []string) error {
		f, err := filter.filter(s)
		if err != nil {
			return err
		}
		if len(args) > 0 {
			f.Search = args[0]
		}
		if f.States, err = statesOf(*states); err != nil {
			return err
		}
		for _, name := range *reasons {
			r, err := authority.ParseReason(name)
			if err != nil {
				return err
			}
			f.Reasons = append(f.Reasons, r)
		}
		list, next, err := s.Orders.List(cmd.Context(), s.scope, f, l.page)
		if err != nil {
			return err
		}
		return show(s, &l, list, next, viewOrder, []string{"ID", "STATE", "UNTIL", "PRODUCT", "NAME"}, func(o *order.Order) []string {
			return []string{o.ID, string(o.State), day(o.NotAfter), o.ProductName, o.CommonName}
		})
	})
}

func statesOf(names []string) ([]order.State, error) {
	var out []order.State
	for _, name := range names {
		known := false
		for _, s := range order.States() {
			if strings.EqualFold(string(s), name) {
				out, known = append(out, s), true
			}
		}
		if !known {
			return nil, fault.Invalidf("command.state", "There is no state %q.", name).WithNext("The states are: %s", strings.Trim(fmt.Sprint(order.States()), "[]"))
		}
	}
	return out, nil
}

func orderUsage() *cobra.Command {
	cmd := &cobra.Command{
		Use: "usage", Short: "Count what was issued, revoked and failed, by day, client and product", Args: cobra.NoArgs,
		Example: "  sealwright order usage --from 2026-10-01 --to 2026-12-31 --json",
		Long:    "Count what was issued, revoked and failed, by day, client and product: for invoices.\nBoth days are included; by default it is this month so far.",
	}
	from := cmd.Flags().String("from", "", "first day")
	to := cmd.Flags().String("to", "", "last day")
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, _ []string) error {
		now := s.Clock.Now().UTC()
		begin, err := readMoment("from", *from)
		if err != nil {
			return err
		}
		end, err := readMoment("to", *to)
		if err != nil {
			return err
		}
		if begin.IsZero() {
			begin = now.AddDate(0, 0, 1-now.Day())
		}
		if end.IsZero() {
			end = now
		}
		list, err := s.Orders.Usage(cmd.Context(), s.scope, begin, end)
		if err != nil {
			return err
		}
		type view struct {
			Day     string       `json:"day"`
			Realm   access.Realm `json:"realm"`
			Client  string       `json:"client"`
			Product string       `json:"product"`
			Event   string       `json:"event"`
			Count   int64        `json:"count"`
		}
		return show(s, &l, list, "", func(u order.Usage) view { return view{day(u.Day), u.Realm, u.Client, u.Product, u.Event, u.Count} },
			[]string{"DAY", "REALM", "CLIENT", "PRODUCT", "EVENT", "COUNT"}, func(u order.Usage) []string {
				return []string{day(u.Day), string(u.Realm), u.Client, u.Product, u.Event, fmt.Sprint(u.Count)}
			})
	})
}
