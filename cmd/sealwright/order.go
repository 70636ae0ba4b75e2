package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

func orderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "order", Short: "Order, approve, renew and revoke certificates",
		Long: `Order certificates of any product, and look after them. Wherever a command wants
an order, its id, its serial number or a name that only it has will do.

  openssl req -new -newkey rsa:2048 -nodes -keyout www.key -subj /CN=www.example.com -out www.csr
  sealwright order place --client "Example Ltd" --product "Internal servers" --csr www.csr --dns www.example.com
  sealwright order show www.example.com
  sealwright order approve www.example.com --as admin@example.com
  sealwright order certificate www.example.com --chain -o www.pem
  sealwright order revoke www.example.com --reason superseded`,
	}
	cmd.AddCommand(orderPlace(), orderCheck(), orderList(), orderShow(), orderCertificate(), orderApprove(), orderApprovals(), orderRevoke(), orderRelease(),
		orderRenew(), orderCSR(), orderCancel(), orderRetry(), orderComment(), orderTags(), orderOwner(), orderPublish(), orderUnpublish(), orderRevokeKey(), orderRevokeMany(), orderUsage())
	return cmd
}

// requestFlags are what a request for a certificate says.
type requestFlags struct {
	set                           *pflag.FlagSet
	client, product, csr          string
	dn, notBefore, holder, mobile string
	fields, dns, email, upn       []string
	ip, uri, tags, recipients     []string
	base, www, publish            bool
	validity                      int
	generation, language          string
	owner, comment                string
}

func (r *requestFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	r.set = f
	f.StringVar(&r.client, "client", "", "client that it is for, by id or name (required)")
	f.StringVar(&r.product, "product", "", "product, by id or name (required)")
	f.StringVar(&r.csr, "csr", "", "file with the certificate request, PEM or DER; - for the standard input. Without one the key is made here, if the product allows it")
	f.StringVar(&r.dn, "dn", "", `subject, such as "CN=www.example.com,O=Example"`)
	f.StringArrayVar(&r.fields, "field", nil, `value of a field by its name, such as "subject.O=Example Ltd" or "ext.sid=S-1-5-…"; may be given again`)
	f.StringSliceVar(&r.dns, "dns", nil, "domain name; may be given again")
	f.BoolVar(&r.base, "with-base", false, "add example.com to each *.example.com")
	f.BoolVar(&r.www, "with-www", false, "add www.example.com to each example.com")
	f.StringSliceVar(&r.email, "email", nil, "e-mail address in the certificate; may be given again")
	f.StringSliceVar(&r.upn, "upn", nil, "user principal name; may be given again")
	f.StringSliceVar(&r.ip, "ip", nil, "IP address; may be given again")
	f.StringArrayVar(&r.uri, "uri", nil, "URI; may be given again")
	f.IntVar(&r.validity, "validity", 0, "life, in the product's unit; by default the product's own")
	f.StringVar(&r.notBefore, "not-before", "", "day or time at which it begins to be valid")
	f.StringVar(&r.generation, "generation", "", "who makes the key, where the product leaves a choice")
	choose(cmd, "generation", product.Generations()...)
	f.StringVar(&r.mobile, "mobile", "", "mobile number of the holder, such as +4512345678, for a PIN that is made here")
	f.StringVar(&r.holder, "holder", "", "e-mail address of the holder, where the certificate names none")
	f.StringVar(&r.language, "language", "", "language of messages to the holder, such as en")
	f.BoolVar(&r.publish, "publish", false, "publish it, or with --publish=false do not, where the product leaves the choice")
	required(cmd, "client", "product")
}

// asideFlags are what goes with an order and not into its certificate.
func (r *requestFlags) asideFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&r.tags, "tag", nil, "tag to find it by; may be given again")
	f.StringArrayVar(&r.recipients, "tell", nil, `whom to tell as well: kind and e-mail address, such as "renewal:ops@example.com"; may be given again`)
	f.StringVar(&r.owner, "owner", "", "who looks after the certificate")
	f.StringVar(&r.comment, "comment", "", "note for other operators")
}

// request reads what the flags name.
func (r *requestFlags) request(s *session) (order.Request, error) {
	out := order.Request{Origin: order.FromCommand, Owner: r.owner, Tags: r.tags, Comment: r.comment}
	c, err := s.client(r.client)
	if err != nil {
		return out, err
	}
	p, err := s.orderable(c.ID, r.product)
	if err != nil {
		return out, err
	}
	out.Client, out.Product = c.ID, p.ID
	if r.csr != "" {
		if out.CSR, err = readInput(s.cmd, r.csr); err != nil {
			return out, err
		}
	}
	if out.NotBefore, err = readMoment("not-before", r.notBefore); err != nil {
		return out, err
	}
	if out.Fields, err = fieldsOf(r.fields); err != nil {
		return out, err
	}
	for _, text := range r.recipients {
		kind, email, ok := strings.Cut(text, ":")
		if !ok {
			return out, fault.Invalidf("command.tell", "--tell is %q.", text).WithNext(`Write kind and address, such as "renewal:ops@example.com"; the kinds are %s.`, strings.Join(product.RecipientKinds(), ", "))
		}
		out.Recipients = append(out.Recipients, order.Recipient{Kind: kind, Email: email, Language: r.language})
	}
	for _, name := range r.dns {
		bare, wildcard := strings.CutPrefix(name, "*.")
		out.DNS = append(out.DNS, product.DNSName{Name: name, WithBase: r.base && wildcard, WithWWW: r.www && !wildcard && !strings.HasPrefix(bare, "www.")})
	}
	out.SubjectDN, out.Email, out.UPN, out.IP, out.URI = r.dn, r.email, r.upn, r.ip, r.uri
	out.Validity, out.Generation, out.Holder, out.Mobile, out.Language = r.validity, product.Generation(r.generation), r.holder, r.mobile, r.language
	if r.set.Changed("publish") {
		out.Publish = &r.publish
	}
	return out, nil
}

func fieldsOf(list []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fault.Invalidf("command.field", "--field is %q.", text).WithNext(`Write the field's name and its value, such as "subject.O=Example Ltd".`)
		}
		out[name] = append(out[name], value)
	}
	return out, nil
}

// orderable finds a product that a client may order, by id or name.
func (s *session) orderable(client, name string) (*product.Product, error) {
	c, err := s.Access.Client(s.cmd.Context(), s.scope, client)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "pma-") {
		return s.Products.For(s.cmd.Context(), c.Realm, c.ID, name)
	}
	list, _, err := s.Products.List(s.cmd.Context(), s.scope, product.Query{
		Realm: c.Realm, Clients: []string{c.ID}, Search: name, Right: "certificate.order", Page: store.Page{Limit: store.MaxLimit},
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(p *product.Product) bool { return !strings.EqualFold(p.Name, name) })
	return only(list, "product", name, func(p *product.Product) string { return p.ID })
}

func orderCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Say whether an order would be taken, and what its certificate would hold", Args: cobra.NoArgs,
		Example: `  sealwright order check --client "Example Ltd" --product "Internal servers" --csr www.csr --dns www.example.com`,
		Long:    "Ask the product's policy about a request, with the flags of \"order place\". Nothing is\nstored. The exit status is 2 if the request would be refused.",
	}
	var r requestFlags
	r.flags(cmd)
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, _ []string) error {
		request, err := r.request(s)
		if err != nil {
			return err
		}
		p, err := s.Orders.Check(cmd.Context(), s.scope, request)
		if err != nil {
			return err
		}
		if !l.json {
			s.printf("The order would be taken. Subject: %s\n", dash(p.SubjectText))
		}
		type view struct {
			Name   string         `json:"name"`
			Label  string         `json:"label"`
			Values []string       `json:"values,omitempty"`
			Origin product.Origin `json:"origin,omitempty"`
		}
		return show(s, &l, p.Preview, "", func(f product.Field) view { return view{f.Name, f.Label, f.Values, f.Origin} },
			[]string{"FIELD", "VALUE", "FROM"}, func(f product.Field) []string {
				return []string{f.Label, dash(strings.Join(f.Values, ", ")), dash(string(f.Origin))}
			})
	})
}

func orderPlace() *cobra.Command {
	cmd := &cobra.Command{
		Use: "place", Short: "Place an order", Args: cobra.NoArgs,
		Long: `Place an order and take it as far as it goes by itself: to its certificate, or to
a wait, which it then says. The exit status is 2 if the product's policy refuses
the request, and 1 if the order failed.

  sealwright order place --client "Example Ltd" --product "Internal servers" --csr www.csr --dns www.example.com -o www.pem`,
	}
	var r requestFlags
	r.flags(cmd)
	r.asideFlags(cmd)
	w := addWait(cmd)
	return acting(cmd, func(s *session, _ []string) error {
		request, err := r.request(s)
		if err != nil {
			return err
		}
		o, err := s.Orders.Create(cmd.Context(), s.scope, request)
		if err != nil {
			return err
		}
		return w.report(s, o)
	})
}

// order finds an order by id, serial number or a name that only it has.
func (s *session) order(name string) (*order.Order, error) {
	if strings.HasPrefix(name, "ord-") {
		return s.Orders.Get(s.cmd.Context(), s.scope, name)
	}
	list, _, err := s.Orders.List(s.cmd.Context(), s.scope, order.Filter{Search: name}, store.Page{Limit: store.MaxLimit})
	if err != nil {
		return nil, err
	}
	exact := slices.DeleteFunc(slices.Clone(list), func(o *order.Order) bool { return !strings.EqualFold(o.CommonName, name) })
	if len(exact) > 0 {
		list = exact
	}
	o, err := only(list, "order", name, func(o *order.Order) string { return fmt.Sprintf("%s (%s, %s)", o.ID, o.CommonName, o.State) })
	if err != nil {
		return nil, err
	}
	return s.Orders.Get(s.cmd.Context(), s.scope, o.ID)
}
