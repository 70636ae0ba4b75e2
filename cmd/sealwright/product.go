package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

func productCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "product", Short: "Say what may be ordered: templates and products",
		Long: `A product decides every field of a certificate and every step of its order. It
starts from a template that comes with the program; a TOML file says what it
does otherwise. Versions, once written, never change.

  sealwright product templates
  sealwright product template tls-server-private
  sealwright product new --template tls-server-private --name "Internal servers" --realm production approval.toml
  sealwright product lint pma-…

where approval.toml holds, for example:

  [rules.approval_issue]
  count = 1
  four_eyes = true`,
	}
	cmd.AddCommand(productTemplates(), productTemplate(), productNew(), productImport(), productExport(), productList(), productShow(), productLint(), productDiff(), productRetire())
	return cmd
}

func productTemplates() *cobra.Command {
	cmd := &cobra.Command{
		Use: "templates", Short: "List the templates that come with the program", Args: cobra.NoArgs,
		Example: "  sealwright product templates",
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON, for programs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := product.Ready()
		if err != nil {
			return err
		}
		s := &session{cmd: cmd, out: cmd.OutOrStdout()}
		type view struct {
			Name    string       `json:"name"`
			Version int          `json:"version"`
			Kind    product.Kind `json:"kind"`
			Title   string       `json:"title"`
		}
		return show(s, &listing{json: *asJSON}, list, "", func(t *product.Template) view { return view{t.Name, t.Version, t.Definition.Kind, t.Title} },
			[]string{"NAME", "KIND", "TITLE"}, func(t *product.Template) []string { return []string{t.Name, string(t.Definition.Kind), t.Title} })
	}
	return cmd
}

// completeTemplates completes the name of a template.
func completeTemplates(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list, err := product.Ready()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, t := range list {
		names = append(names, cobra.CompletionWithDesc(t.Name, t.Title))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func productTemplate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "template NAME", Short: "Print a template", Args: cobra.ExactArgs(1),
		Example:           "  sealwright product template tls-server-private > template.toml",
		Long:              "Print a template: what may be changed in a product that is made from it, under the same names.",
		ValidArgsFunction: completeTemplates,
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := product.ReadyTemplate(args[0])
		if err != nil {
			return err
		}
		text, err := t.Export(product.Format(*format))
		if err != nil {
			return err
		}
		return writeOutput(cmd, "-", text)
	}
	return cmd
}

func formatFlag(cmd *cobra.Command) *string {
	format := cmd.Flags().String("format", string(product.TOML), "toml or json")
	choose(cmd, "format", product.TOML, product.JSON)
	return format
}

func productNew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new [OVERRIDES]", Short: "Make a product from a template", Args: cobra.MaximumNArgs(1),
		Long: `Make a product from a template. OVERRIDES is a TOML file of what the product says
otherwise, with the names that "product template" prints below [definition]: tables
are merged, everything else is replaced, and a field is removed by state = "absent".

  sealwright product new --template tls-client --name "Devices" --realm production --client "Example Ltd" devices.toml`,
	}
	f := cmd.Flags()
	template := f.String("template", "", "template to start from (required)")
	name := f.String("name", "", "name of the product (required)")
	realm := realmFlag(cmd)
	client := f.String("client", "", "client, by id or name, that alone may order it; without one every client of the environment may")
	issuer := f.String("authority", "", "id of the authority that issues; by default the environment's general one")
	required(cmd, "template", "name")
	_ = cmd.RegisterFlagCompletionFunc("template", completeTemplates) // the flag exists
	return acting(cmd, func(s *session, args []string) error {
		var overrides []byte
		if len(args) > 0 {
			var err error
			if overrides, err = readInput(cmd, args[0]); err != nil {
				return err
			}
		}
		owner, err := s.clientID(*client)
		if err != nil {
			return err
		}
		if *issuer == "" {
			*issuer = house.GeneralAuthority(access.Realm(*realm))
		}
		t, err := s.Products.Template(cmd.Context(), s.scope, *template, 0)
		if err != nil {
			return err
		}
		p, err := t.Product(*name, access.Realm(*realm), owner, *issuer, overrides)
		if err != nil {
			return err
		}
		if err := s.known(p); err != nil {
			return err
		}
		p, err = s.Products.Create(cmd.Context(), s.scope, p, "made from "+t.Name)
		if err != nil {
			return err
		}
		s.stored(p)
		return nil
	})
}

// known tells whether what a product names exists, so that a mistake is found
// now and not by the first order.
func (s *session) known(p *product.Product) error {
	x, err := s.Authority.Get(s.cmd.Context(), p.Authority)
	switch {
	case errors.Is(err, fault.NotFound):
		return fault.Invalidf("product.authority", "There is no authority %q.", p.Authority).WithNext("Choose one that `sealwright ca list` shows.").WithField("authority")
	case err != nil:
		return err
	case x.Realm != string(p.Realm):
		return fault.Invalidf("product.authority", "The authority %s belongs to %s and the product to %s.", x.ID, x.Realm, p.Realm).WithField("authority")
	}
	if p.Client != "" {
		c, err := s.Access.Client(s.cmd.Context(), s.scope, p.Client)
		if err != nil {
			return err
		}
		if c.Realm != p.Realm {
			return fault.Invalidf("product.client", "The client %s belongs to %s and the product to %s.", c.Name, c.Realm, p.Realm).WithField("client")
		}
	}
	_, err = s.Publish.ByName(s.DB.View(s.cmd.Context()), p.Realm, p.Client, p.Definition.Rules.Publication.Publishers)
	return err
}

// stored says what was stored, and what is doubtful about it.
func (s *session) stored(p *product.Product) {
	s.printf("%s (%s) is stored as version %d.\n", p.ID, p.Name, p.Version)
	for _, f := range p.Lint(s.Clock.Now()) {
		fmt.Fprintf(s.cmd.ErrOrStderr(), "%s: %s: %s\n", f.Severity, f.Path, f.Text)
	}
}

func productImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Store a product from a file: a new one, or the next version", Args: cobra.ExactArgs(1),
		Example: "  sealwright product import servers.toml",
		Long: `Store a product from a file that "product export" wrote, TOML or JSON by the
file's name. With the id of a product that exists it becomes that product's next
version; without one it becomes a new product.`,
	}
	return acting(cmd, func(s *session, args []string) error {
		format, text, err := readProduct(cmd, args[0])
		if err != nil {
			return err
		}
		p, err := product.Parse(format, text)
		if err != nil {
			return err
		}
		if err := s.known(p); err != nil {
			return err
		}
		if p, err = s.Products.Import(cmd.Context(), s.scope, format, text); err != nil {
			return err
		}
		s.stored(p)
		return nil
	})
}

func readProduct(cmd *cobra.Command, name string) (product.Format, []byte, error) {
	text, err := readInput(cmd, name)
	if strings.EqualFold(filepath.Ext(name), ".json") {
		return product.JSON, text, err
	}
	return product.TOML, text, err
}

func productExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export PRODUCT", Short: "Write a product to a file", Args: cobra.ExactArgs(1),
		Example: `  sealwright product export "Internal servers" -o servers.toml`,
	}
	format := formatFlag(cmd)
	version := cmd.Flags().Int("version", 0, "version; by default the current one")
	out := cmd.Flags().StringP("out", "o", "-", "file to write")
	return acting(cmd, func(s *session, args []string) error {
		p, err := s.product(args[0], *version)
		if err != nil {
			return err
		}
		text, err := p.Export(product.Format(*format))
		if err != nil {
			return err
		}
		return writeOutput(cmd, *out, text)
	})
}

// product finds a product by id or by its whole name; version 0 is the current one.
func (s *session) product(name string, version int) (*product.Product, error) {
	p, err := s.currentProduct(name)
	if err != nil || version == 0 || version == p.Version {
		return p, err
	}
	return s.Products.Version(s.cmd.Context(), s.scope, p.ID, version)
}

func (s *session) currentProduct(name string) (*product.Product, error) {
	if strings.HasPrefix(name, "pma-") {
		return s.Products.Get(s.cmd.Context(), s.scope, name)
	}
	q := product.Query{Search: name, Retired: true, Page: store.Page{Limit: store.MaxLimit}}
	var found []*product.Product
	for {
		list, next, err := s.Products.List(s.cmd.Context(), s.scope, q)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			if strings.EqualFold(p.Name, name) {
				found = append(found, p)
			}
		}
		if q.Page.Cursor = next; next == "" {
			break
		}
	}
	return only(found, "product", name, func(p *product.Product) string { return p.ID + " in " + string(p.Realm) })
}

func productList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [WORDS]", Short: "List the products", Args: cobra.MaximumNArgs(1),
		Example: `  sealwright product list --client "Example Ltd"`,
	}
	f := cmd.Flags()
	realm := anyRealmFlag(cmd)
	client := f.String("client", "", "only what this client, by id or name, may order")
	issuer := f.String("authority", "", "only of this authority")
	retired := f.Bool("retired", false, "also those that cannot be ordered any more")
	var l listing
	l.flags(cmd)
	return acting(cmd, func(s *session, args []string) error {
		q := product.Query{Realm: access.Realm(*realm), Authority: *issuer, Retired: *retired, Page: l.page}
		if *client != "" {
			c, err := s.client(*client)
			if err != nil {
				return err
			}
			q.Realm, q.Clients = c.Realm, []string{c.ID}
		}
		if len(args) > 0 {
			q.Search = args[0]
		}
		list, next, err := s.Products.List(cmd.Context(), s.scope, q)
		if err != nil {
			return err
		}
		return show(s, &l, list, next, viewProduct, []string{"ID", "REALM", "CLIENT", "KIND", "VERSION", "NAME"}, func(p *product.Product) []string {
			name := p.Name
			if p.Retired {
				name += " (retired)"
			}
			return []string{p.ID, string(p.Realm), dash(p.Client), string(p.Definition.Kind), strconv.Itoa(p.Version), name}
		})
	})
}

type productView struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Realm     access.Realm `json:"realm"`
	Client    string       `json:"client,omitempty"`
	Authority string       `json:"authority"`
	Kind      product.Kind `json:"kind"`
	Template  string       `json:"template,omitempty"`
	Version   int          `json:"version"`
	Expires   time.Time    `json:"expires,omitzero"`
	Retired   bool         `json:"retired"`
}

func viewProduct(p *product.Product) productView {
	return productView{p.ID, p.Name, p.Realm, p.Client, p.Authority, p.Definition.Kind, p.Template.Name, p.Version, p.Expires, p.Retired}
}
