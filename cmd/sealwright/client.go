package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
)

func clientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "client", Short: "Make and list clients: the organisations that order certificates",
		Long: `A client is an organisation with an agreement, in one environment. Orders,
products and domains belong to a client.

  sealwright client create --realm production --name "Example Ltd" --country no
  sealwright client list`,
	}
	cmd.AddCommand(clientCreate(), clientList())
	return cmd
}

type clientView struct {
	ID        string        `json:"id"`
	Realm     access.Realm  `json:"realm"`
	Name      string        `json:"name"`
	Country   string        `json:"country,omitempty"`
	OrgNumber string        `json:"orgNumber,omitempty"`
	Status    access.Status `json:"status"`
	Created   time.Time     `json:"created"`
}

func viewClient(c access.Client) clientView { return clientView(c) }

func clientCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Make a client", Args: cobra.NoArgs,
		Example: `  sealwright client create --realm production --name "Example Ltd" --country no --org-number 123456789`,
	}
	f := cmd.Flags()
	realm := realmFlag(cmd)
	name := f.String("name", "", "name (required)")
	country := f.String("country", "", "country, two letters (required)")
	number := f.String("org-number", "", "number in the register of that country")
	var l listing
	l.jsonFlag(cmd)
	required(cmd, "name", "country")
	return acting(cmd, func(s *session, _ []string) error {
		c, err := s.Access.CreateClient(cmd.Context(), s.scope, access.Realm(*realm), access.ClientFields{Name: *name, Country: *country, OrgNumber: *number})
		if err != nil {
			return err
		}
		if l.json {
			return s.json(viewClient(c))
		}
		s.printf("%s (%s) may order in %s.\n", c.ID, c.Name, c.Realm)
		return nil
	})
}

// realmFlag is the environment in which something is made.
func realmFlag(cmd *cobra.Command) *string {
	realm := cmd.Flags().String("realm", string(access.Production), "environment: preprod or production")
	choose(cmd, "realm", access.Realms()...)
	return realm
}

// anyRealmFlag narrows a list to an environment.
func anyRealmFlag(cmd *cobra.Command) *string {
	realm := cmd.Flags().String("realm", "", "only of this environment: preprod or production")
	choose(cmd, "realm", access.Realms()...)
	return realm
}

func clientList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [NAME]", Short: "List the clients, or those whose name holds a text", Args: cobra.MaximumNArgs(1),
		Example: "  sealwright client list example --realm production",
	}
	realm := anyRealmFlag(cmd)
	var l listing
	l.flags(cmd)
	return acting(cmd, func(s *session, args []string) error {
		q := access.ClientQuery{Realm: access.Realm(*realm), Page: l.page}
		if len(args) > 0 {
			q.Search = args[0]
		}
		list, err := s.Access.Clients(cmd.Context(), s.scope, q)
		if err != nil {
			return err
		}
		return show(s, &l, list.Items, list.Next, viewClient, []string{"ID", "REALM", "STATUS", "COUNTRY", "NAME"}, func(c access.Client) []string {
			return []string{c.ID, string(c.Realm), string(c.Status), dash(c.Country), c.Name}
		})
	})
}
