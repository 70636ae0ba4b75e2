package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func domainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "domain", Short: "Show control over domain names, ahead of orders or for them",
		Long: `A domain that is validated ahead covers all names below it in later orders. Add
it, publish the record that the command prints, and have it looked at:

  sealwright domain add --client "Example Ltd" example.com
  sealwright domain check example.com
  sealwright domain list

Names of an order that no domain covers are validated one by one:

  sealwright domain pending
  sealwright domain validate val-…`,
	}
	cmd.AddCommand(domainAdd(), domainList(), domainShow(), domainCheck(), domainToken(), domainTrust(), domainDelete(), domainPending(), domainValidate())
	return cmd
}

type domainView struct {
	ID         string                 `json:"id"`
	Realm      access.Realm           `json:"realm"`
	Client     string                 `json:"client"`
	Name       string                 `json:"name"`
	Unicode    string                 `json:"unicode"`
	Status     domainval.DomainStatus `json:"status"`
	Trusted    bool                   `json:"trusted"`
	TXTNames   []string               `json:"txtNames,omitempty"` // publish the record at one of these
	TXTValue   string                 `json:"txtValue,omitempty"`
	TokenUntil time.Time              `json:"tokenUntil,omitzero"`
	Method     domainval.Method       `json:"method,omitempty"`
	Validated  time.Time              `json:"validated,omitzero"`
	ValidUntil time.Time              `json:"validUntil,omitzero"`
	Checked    time.Time              `json:"checked,omitzero"`
	Result     string                 `json:"result,omitempty"`
}

func (s *session) viewDomain(x domainval.Domain) domainView {
	in := s.Domains.DomainInstructions(x)
	v := domainView{x.ID, x.Realm, x.Client, x.Name, x.Unicode, x.Status(s.Clock.Now()), x.Trusted, in.TXTNames, in.TXTValue, x.TokenExpires, x.Method, x.Validated, x.ValidUntil, x.Checked, x.Result}
	if x.Token == "" {
		v.TokenUntil = time.Time{}
	}
	return v
}

func (s *session) domainRow(x domainval.Domain) []string {
	return []string{x.ID, string(x.Status(s.Clock.Now())), day(x.ValidUntil), x.Client, x.Unicode}
}

var domainHead = []string{"ID", "STATUS", "UNTIL", "CLIENT", "DOMAIN"}

func domainAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "add DOMAIN...", Short: "Register domains and print the record to publish for each", Args: cobra.MinimumNArgs(1),
		Example: `  sealwright domain add --client "Example Ltd" example.com example.org`,
		Long:    "Register domains of a client, all or none. Each gets a random value; the command prints\nthe DNS record that shows control, ready for a zone file.",
	}
	client := cmd.Flags().String("client", "", "client, by id or name (required)")
	private := cmd.Flags().Bool("private", false, "take names too that no publicly trusted certificate may hold, such as those of an internal network")
	var l listing
	l.jsonFlag(cmd)
	required(cmd, "client")
	return acting(cmd, func(s *session, args []string) error {
		c, err := s.client(*client)
		if err != nil {
			return err
		}
		list, err := s.Domains.Add(cmd.Context(), s.scope, c.Realm, c.ID, args, *private)
		if err != nil {
			return err
		}
		if l.json {
			return show(s, &l, list, "", s.viewDomain, nil, nil)
		}
		for _, x := range list {
			s.printDomain(x)
		}
		return nil
	})
}

// printDomain says how a domain stands and what to publish.
func (s *session) printDomain(x domainval.Domain) {
	s.facts("Domain", x.Unicode, "Id", x.ID, "Client", x.Client+" in "+string(x.Realm), "Status", string(x.Status(s.Clock.Now())),
		"State", x.Words(s.Clock.Now()).State, "Next", s.nextFor(x))
	s.printRecords("", s.Domains.DomainInstructions(x))
}

// nextFor says what to do for a domain, in commands.
func (s *session) nextFor(x domainval.Domain) string {
	switch status := x.Status(s.Clock.Now()); {
	case status == domainval.DomainPending:
		return fmt.Sprintf("Publish one of these records before %s; then: sealwright domain check %s", day(x.TokenExpires), x.Name)
	case status == domainval.DomainValid && x.Trusted:
		return "Nothing for private trust."
	case status == domainval.DomainValid:
		return "Nothing now. To prolong it: sealwright domain token " + x.Name
	}
	return "Make a new random value: sealwright domain token " + x.Name
}

// printRecords prints what shows control, ready to be copied into a zone file.
func (s *session) printRecords(indent string, in domainval.Instructions) {
	for i, name := range in.TXTNames {
		lead := "; or\n"
		if i == 0 {
			lead = ""
		}
		s.printf("%s", strings.ReplaceAll(lead, ";", indent+";"))
		s.printf("%s%s. 300 IN TXT %q\n", indent, name, in.TXTValue)
	}
	if in.FileURL != "" {
		s.printf("%s; or a file at %s with the text\n%s; %s\n", indent, in.FileURL, indent, in.FileContent)
	}
	if in.PersistName != "" {
		s.printf("%s; or, once and for all\n%s%s. 300 IN TXT %q\n", indent, indent, in.PersistName, in.PersistValue)
	}
	for _, address := range in.Addresses {
		s.printf("%s; or a link sent to %s\n", indent, address)
	}
}

func domainList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [SEARCH]", Short: "List the domains that were registered, the newest first", Args: cobra.MaximumNArgs(1),
		Example: `  sealwright domain list --client "Example Ltd"`,
	}
	realm := anyRealmFlag(cmd)
	client := cmd.Flags().String("client", "", "only of this client, by id or name")
	var l listing
	l.flags(cmd)
	return acting(cmd, func(s *session, args []string) error {
		q, err := s.domainQuery(*realm, *client, args, l.page)
		if err != nil {
			return err
		}
		list, next, err := s.Domains.List(cmd.Context(), s.scope, q)
		if err != nil {
			return err
		}
		return show(s, &l, list, next, s.viewDomain, domainHead, s.domainRow)
	})
}

func (s *session) domainQuery(realm, client string, search []string, page store.Page) (domainval.Query, error) {
	id, err := s.clientID(client)
	return domainval.Query{Realm: access.Realm(realm), Client: id, Search: strings.Join(search, " "), Page: page}, err
}

// domain finds a domain by id or by its name.
func (s *session) domain(name string) (domainval.Domain, error) {
	if strings.HasPrefix(name, "cld-") {
		return s.Domains.Get(s.cmd.Context(), s.scope, name)
	}
	list, _, err := s.Domains.List(s.cmd.Context(), s.scope, domainval.Query{Search: name, Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		return domainval.Domain{}, err
	}
	var found []domainval.Domain
	for _, x := range list {
		if strings.EqualFold(x.Name, name) || strings.EqualFold(x.Unicode, name) {
			found = append(found, x)
		}
	}
	return only(found, "domain", name, func(x domainval.Domain) string { return x.ID + " of " + x.Client })
}

// domainAct is a command that does something to one domain and shows it.
func domainAct(cmd *cobra.Command, do func(s *session, x domainval.Domain) (domainval.Domain, error)) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		x, err := s.domain(args[0])
		if err != nil {
			return err
		}
		if x, err = do(s, x); err != nil {
			return err
		}
		if l.json {
			return s.json(s.viewDomain(x))
		}
		s.printDomain(x)
		return nil
	})
}

func domainShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show DOMAIN", Short: "Show a domain and the record to publish",
		Example: "  sealwright domain show example.com",
	}
	return domainAct(cmd, func(_ *session, x domainval.Domain) (domainval.Domain, error) { return x, nil })
}

func domainCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check DOMAIN", Short: "Look at once whether the record of a domain is published",
		Example: "  sealwright domain check example.com",
		Long:    "Look at once whether the record of a domain is published. A running server looks every\nhour. The exit status is 1 as long as the domain is not valid.",
	}
	return domainAct(cmd, func(s *session, x domainval.Domain) (domainval.Domain, error) {
		x, err := s.Domains.Validate(cmd.Context(), s.scope, x.ID)
		if err == nil && x.Status(s.Clock.Now()) != domainval.DomainValid {
			err = fault.Conflictf("domain.not_shown", "%s", x.Words(s.Clock.Now()).State).WithNext("%s", s.nextFor(x))
		}
		return x, err
	})
}

func domainToken() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token DOMAIN", Short: "Make a new random value for a domain, to prolong its validation",
		Example: "  sealwright domain token example.com",
	}
	remove := cmd.Flags().Bool("delete", false, "take the random value away instead")
	return domainAct(cmd, func(s *session, x domainval.Domain) (domainval.Domain, error) {
		if *remove {
			return s.Domains.DeleteToken(cmd.Context(), s.scope, x.ID)
		}
		return s.Domains.NewToken(cmd.Context(), s.scope, x.ID)
	})
}

func domainTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trust DOMAIN", Short: "Take a domain for valid on your word, for private trust only",
		Example: "  sealwright domain trust corp.internal",
		Long:    "Take a domain for valid on your word. It serves certificates that are not publicly trusted,\nsuch as those of an internal network, and no others.",
	}
	end := cmd.Flags().Bool("end", false, "trust it no more")
	return domainAct(cmd, func(s *session, x domainval.Domain) (domainval.Domain, error) {
		return s.Domains.Trust(cmd.Context(), s.scope, x.ID, !*end)
	})
}

func domainDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete DOMAIN", Short: "Remove a domain: what was shown for it serves no new orders", Args: cobra.ExactArgs(1),
		Example: "  sealwright domain delete example.com --yes",
	}
	do := sure(cmd)
	return acting(cmd, func(s *session, args []string) error {
		x, err := s.domain(args[0])
		if err != nil {
			return err
		}
		if !*do {
			return unsure("Without the domain %s, new orders have to show control over each name below it.", x.Unicode)
		}
		if err := s.Domains.Delete(cmd.Context(), s.scope, x.ID); err != nil {
			return err
		}
		s.printf("%s is removed.\n", x.Unicode)
		return nil
	})
}
