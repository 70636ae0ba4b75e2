package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/product"
)

func productShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show PRODUCT", Short: "Show a product: its fields, rules and versions", Args: cobra.ExactArgs(1),
		Example: `  sealwright product show "Internal servers"`,
	}
	version := cmd.Flags().Int("version", 0, "version; by default the current one")
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		p, err := s.product(args[0], *version)
		if err != nil {
			return err
		}
		if l.json {
			return s.json(p)
		}
		s.printProduct(p)
		if err := s.printOverrides(p); err != nil {
			return err
		}
		return s.printVersions(p)
	})
}

func (s *session) printProduct(p *product.Product) {
	d := p.Definition
	types := make([]string, len(d.Key.Types))
	for i, t := range d.Key.Types {
		types[i] = string(t)
	}
	state := "may be ordered"
	switch {
	case p.Retired:
		state = "retired: no orders any more"
	case !p.Expires.IsZero():
		state += " until " + day(p.Expires)
	}
	s.facts("Product", p.ID, "Name", p.Name, "Description", p.Description, "State", state, "Realm", string(p.Realm), "Client", dash(p.Client),
		"Authority", p.Authority, "Template", fmt.Sprintf("%s, version %d", dash(p.Template.Name), p.Template.Version),
		"Kind", strings.TrimSpace(string(d.Kind)+" "+string(d.Class)), "Key", strings.Join(types, ", ")+"; "+string(d.Key.Generation),
		"Validity", fmt.Sprintf("%d %s", d.Validity.Value, strings.ToLower(string(d.Validity.Unit))), "Steps", strings.Join(steps(d.Rules), ", "))
	s.printf("\nFields\n")
	w := tabwriter.NewWriter(s.out, 2, 0, 2, ' ', 0)
	for _, f := range p.Form() {
		words := []string{string(f.State)}
		if f.Mandatory {
			words = append(words, "mandatory")
		}
		if f.FromCSR {
			words = append(words, "or from the request")
		}
		if len(f.Default) > 0 {
			words = append(words, "by default "+strings.Join(f.Default, ", "))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Name, f.Label, strings.Join(words, ", "))
	}
	_ = w.Flush() // errors of the output show where it is closed
}

// steps names what an order for the product passes.
func steps(r product.Rules) []string {
	var out []string
	add := func(on bool, words string) {
		if on {
			out = append(out, words)
		}
	}
	add(r.DomainControl != product.NoDomainControl, "domain control ("+string(r.DomainControl)+")")
	add(r.Mailbox, "mailbox control")
	add(r.CAA, "CAA")
	add(r.Lint.On, "linting")
	add(r.Issue.Count > 0, fmt.Sprintf("approval by %d", r.Issue.Count))
	add(r.CT.On, "certificate transparency")
	add(len(r.Publication.Publishers) > 0, "publication to "+strings.Join(r.Publication.Publishers, ", "))
	add(r.Revoke.Count > 0, fmt.Sprintf("revocation approved by %d", r.Revoke.Count))
	add(r.Renewal.Mode != product.NoRenewal, string(r.Renewal.Mode)+" renewal")
	return out
}

func (s *session) printOverrides(p *product.Product) error {
	if p.Template.Name == "" {
		return nil
	}
	t, err := s.Products.Template(s.cmd.Context(), s.scope, p.Template.Name, p.Template.Version)
	if errors.Is(err, fault.NotFound) {
		return nil // a later release has another version of it
	}
	if err != nil {
		return err
	}
	if changes := p.Overrides(t); len(changes) > 0 {
		s.printf("\nOtherwise than the template\n")
		s.printChanges("  ", changes)
	}
	return nil
}

func (s *session) printChanges(indent string, list []product.Change) {
	for _, c := range list {
		s.printf("%s%s: %s → %s\n", indent, c.Path, dash(c.From), dash(c.To))
	}
}

func (s *session) printVersions(p *product.Product) error {
	list, err := s.Products.Versions(s.cmd.Context(), s.scope, p.ID)
	if err != nil {
		return err
	}
	s.printf("\nVersions\n")
	for _, v := range list {
		s.printf("  %-4d%s  %s  %s\n", v.Version, moment(v.Created), v.Author, v.Note)
	}
	return nil
}

func productLint() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lint FILE|PRODUCT", Short: "Judge a product by the rules of its kind", Args: cobra.ExactArgs(1),
		Example: "  sealwright product lint servers.toml",
		Long: `Judge a product, in a file or as it is stored, by the rules of its kind as of
today. The exit status is 1 if there are errors; warnings do not count. A file needs
no installation.`,
	}
	path := configFlag(cmd)
	var l listing
	l.jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s := &session{cmd: cmd, out: cmd.OutOrStdout(), scope: access.System("command")}
		if _, err := os.Stat(args[0]); err == nil || args[0] == "-" {
			format, text, err := readProduct(cmd, args[0])
			if err != nil {
				return err
			}
			p, err := product.Parse(format, text)
			if err != nil {
				return err
			}
			return s.lint(&l, p)
		}
		return withHouse(cmd, *path, func(h *house.House, _ io.Writer) error {
			s.House = h
			p, err := s.product(args[0], 0)
			if err != nil {
				return err
			}
			return s.lint(&l, p)
		})
	}
	return cmd
}

type findingView struct {
	Severity product.Severity `json:"severity"`
	Path     string           `json:"path"`
	Code     string           `json:"code"`
	Text     string           `json:"text"`
}

func (s *session) lint(l *listing, p *product.Product) error {
	list := p.Lint(time.Now().UTC())
	if !l.json && len(list) == 0 {
		s.printf("%s has neither errors nor warnings.\n", p.Name)
		return nil
	}
	err := show(s, l, list, "", func(f product.Finding) findingView { return findingView{f.Severity, f.Path, f.Code, f.Text} },
		[]string{"SEVERITY", "WHERE", "WHAT"}, func(f product.Finding) []string { return []string{string(f.Severity), f.Path, f.Text} })
	n := 0
	for _, f := range list {
		if f.Severity == product.Error {
			n++
		}
	}
	if err == nil && n > 0 {
		err = fault.Conflictf("product.lint", "%q has %s.", p.Name, counted(n, "error"))
	}
	return err
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func productDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff PRODUCT VERSION VERSION", Short: "Show where two versions of a product differ", Args: cobra.ExactArgs(3),
		Example: `  sealwright product diff "Internal servers" 1 2`,
	}
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		var side [2]*product.Product
		for i := range side {
			n, err := strconv.Atoi(args[i+1])
			if err != nil || n < 1 {
				return fault.Invalidf("command.version", "%q is not a version.", args[i+1]).WithNext("`sealwright product show` lists them.")
			}
			if side[i], err = s.product(args[0], n); err != nil {
				return err
			}
		}
		list := product.Diff(side[0], side[1])
		if l.json {
			type view struct {
				Path string `json:"path"`
				From string `json:"from,omitempty"`
				To   string `json:"to,omitempty"`
			}
			return show(s, &l, list, "", func(c product.Change) view { return view(c) }, nil, nil)
		}
		s.printChanges("", list)
		return nil
	})
}

func productRetire() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retire PRODUCT", Short: "End orders for a product", Args: cobra.ExactArgs(1),
		Example: `  sealwright product retire "Internal servers"`,
		Long:    "End orders for a product. Certificates that exist stay as they are; they can no longer\nbe renewed. With --resume it can be ordered again.",
	}
	resume := cmd.Flags().Bool("resume", false, "let it be ordered again")
	return acting(cmd, func(s *session, args []string) error {
		p, err := s.currentProduct(args[0])
		if err != nil {
			return err
		}
		if err := s.Products.Retire(cmd.Context(), s.scope, p.ID, !*resume); err != nil {
			return err
		}
		if *resume {
			s.printf("%s (%s) can be ordered again.\n", p.ID, p.Name)
		} else {
			s.printf("%s (%s) cannot be ordered any more.\n", p.ID, p.Name)
		}
		return nil
	})
}
