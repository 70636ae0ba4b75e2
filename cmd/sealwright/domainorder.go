package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

type validationView struct {
	ID        string       `json:"id"`
	Order     string       `json:"order"`
	Realm     access.Realm `json:"realm"`
	Client    string       `json:"client"`
	Name      string       `json:"name"`
	State     string       `json:"state"`
	Result    string       `json:"result,omitempty"`
	Attempts  int          `json:"attempts"`
	Created   time.Time    `json:"created"`
	Expires   time.Time    `json:"expires"`
	NextCheck time.Time    `json:"nextCheck,omitzero"`

	// Any one of these shows control.
	TXTNames     []string `json:"txtNames,omitempty"`
	TXTValue     string   `json:"txtValue,omitempty"`
	FileURL      string   `json:"fileURL,omitempty"`
	FileContent  string   `json:"fileContent,omitempty"`
	PersistName  string   `json:"persistName,omitempty"`
	PersistValue string   `json:"persistValue,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
}

func (s *session) viewValidation(v domainval.Validation) validationView {
	in := s.Domains.InstructionsFor(v)
	return validationView{
		v.ID, v.Order, v.Realm, v.Client, v.Name.String(), v.State, v.Result, v.Attempts, v.Created, v.Expires, v.NextCheck,
		in.TXTNames, in.TXTValue, in.FileURL, in.FileContent, in.PersistName, in.PersistValue, in.Addresses,
	}
}

func domainPending() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pending [SEARCH]", Short: "List the names of orders over which control is still to be shown", Args: cobra.MaximumNArgs(1),
		Example: `  sealwright domain pending --client "Example Ltd"`,
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
		list, next, err := s.Domains.Pending(cmd.Context(), s.scope, q)
		if err != nil {
			return err
		}
		if l.json || len(list) == 0 {
			return show(s, &l, list, next, s.viewValidation, nil, nil)
		}
		for _, v := range list {
			s.printValidation("", v)
		}
		if next != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "There is more. Next page: --cursor %s\n", next)
		}
		return nil
	})
}

// printValidation says what is to be done for one name.
func (s *session) printValidation(indent string, v domainval.Validation) {
	s.printf("%s%s  %s  %s\n%s%s\n%s%s\n", indent, v.ID, v.Order, v.Name.Unicode(), indent, v.Words().State, indent, nextOf(v))
	s.printRecords(indent, s.Domains.InstructionsFor(v))
}

// nextOf says what to do for a validation, in commands.
func nextOf(v domainval.Validation) string {
	if v.State != domainval.Pending {
		return v.Words().Next
	}
	return fmt.Sprintf("Do one of these before %s; then: sealwright domain validate %s", day(v.Expires), v.ID)
}

func domainValidate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "validate VALIDATION", Short: "Look at once whether control over a name of an order is shown", Args: cobra.ExactArgs(1),
		Example: "  sealwright domain validate val-…",
		Long:    "Look at once whether control over a name of an order is shown. The exit status is 1 as long\nas it is not.",
	}
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		v, err := s.Domains.Check(cmd.Context(), s.scope, args[0])
		if err != nil {
			return err
		}
		if l.json {
			err = s.json(s.viewValidation(v))
		} else {
			s.printf("%s: %s\n", v.Name.Unicode(), v.Words().State)
		}
		if err == nil && v.State != domainval.Valid {
			err = fault.Conflictf("domain.not_shown", "Control over %s is not shown.", v.Name.Unicode()).WithNext("%s", nextOf(v))
		}
		return err
	})
}
