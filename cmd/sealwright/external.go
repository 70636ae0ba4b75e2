package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func externalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "external", Short: "Watch certificates that other authorities issued",
		Long: `Import certificates that other authorities issued: people are reminded before they
end, and the servers that use them are looked at.

  sealwright external import --client "Example Ltd" --owner "Web team" bundle.pem
  sealwright external import --client "Example Ltd" --address www.example.com
  sealwright external list --ends-before 2027-01-31`,
	}
	cmd.AddCommand(externalImport(), externalList(), externalShow(), externalProbe(), externalAdopt(), externalDelete())
	return cmd
}

func externalImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import [FILE]", Short: "Import the certificates of a file, or the one that a server shows", Args: cobra.MaximumNArgs(1),
		Long: `Import the certificates of FILE (PEM, DER or PKCS #7; - for the standard input), or
without a file the one that the server at --address shows. A line says what became of
each; the exit status is 1 if any was refused. It can be repeated.

  sealwright external import --client "Example Ltd" --tell web@example.com bundle.pem
  sealwright external import --client "Example Ltd" --address www.example.com:8443`,
	}
	f := cmd.Flags()
	client := f.String("client", "", "client, by id or name (required)")
	var fields external.Fields
	f.StringVar(&fields.Address, "address", "", "TLS server that uses the certificate, as host or host:port; it is looked at again and again")
	f.StringVar(&fields.Owner, "owner", "", "who looks after it")
	f.StringVar(&fields.Comment, "comment", "", "note for other operators")
	f.StringSliceVar(&fields.Recipients, "tell", nil, "e-mail address that is reminded; may be given again")
	authorities := f.Bool("authorities", false, "import certificates of authorities too, instead of keeping them as chain only")
	var l listing
	l.jsonFlag(cmd)
	required(cmd, "client")
	return acting(cmd, func(s *session, args []string) error {
		c, err := s.client(*client)
		if err != nil {
			return err
		}
		var list []external.Result
		switch {
		case len(args) > 0:
			data, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			if list, err = s.External.Import(cmd.Context(), s.scope, external.File{Client: c.ID, Data: data, Authorities: *authorities, Fields: fields}); err != nil {
				return err
			}
		case fields.Address != "":
			r, err := s.External.ImportFrom(cmd.Context(), s.scope, c.ID, fields)
			if err != nil {
				return err
			}
			list = []external.Result{r}
		default:
			return fault.Invalidf("command.import", "Nothing says what to import.").WithNext("Give a file, or --address with a server.")
		}
		return s.imported(&l, list)
	})
}

type resultView struct {
	Outcome external.Outcome `json:"outcome"`
	ID      string           `json:"id,omitempty"`
	Title   string           `json:"title,omitempty"`
	Text    string           `json:"text,omitempty"`
}

// imported says what became of each certificate. One that was refused is an error.
func (s *session) imported(l *listing, list []external.Result) error {
	view := func(r external.Result) resultView {
		v := resultView{Outcome: r.Outcome, Text: r.Text}
		if r.Certificate != nil {
			v.ID, v.Title = r.Certificate.ID, r.Certificate.Title()
		}
		return v
	}
	err := show(s, l, list, "", view, []string{"OUTCOME", "ID", "NAME", ""}, func(r external.Result) []string {
		v := view(r)
		return []string{string(v.Outcome), dash(v.ID), dash(v.Title), v.Text}
	})
	refused := 0
	for _, r := range list {
		if r.Outcome == external.Refused {
			refused++
		}
	}
	if err == nil && refused > 0 {
		err = fault.Conflictf("external.refused", "%s refused.", counted(refused, "certificate"))
	}
	return err
}

type externalView struct {
	ID         string         `json:"id"`
	Realm      access.Realm   `json:"realm"`
	Client     string         `json:"client"`
	Title      string         `json:"title"`
	Subject    string         `json:"subject"`
	Issuer     string         `json:"issuer"`
	Names      []string       `json:"names,omitempty"`
	Serial     string         `json:"serial"`
	SHA256     string         `json:"sha256"`
	Key        string         `json:"key"`
	NotBefore  time.Time      `json:"notBefore"`
	NotAfter   time.Time      `json:"notAfter"`
	Owner      string         `json:"owner,omitempty"`
	Comment    string         `json:"comment,omitempty"`
	Recipients []string       `json:"recipients,omitempty"`
	Address    string         `json:"address,omitempty"`
	Server     external.State `json:"server,omitempty"` // what it was last found to show
	Looked     time.Time      `json:"looked,omitzero"`
	Problem    string         `json:"problem,omitempty"`
	Successor  string         `json:"successor,omitempty"`
	Notes      []bundle.Note  `json:"notes,omitempty"`
	Created    time.Time      `json:"created"`
}

func viewExternal(c *external.Certificate) externalView {
	return externalView{
		c.ID, c.Realm, c.Client, c.Title(), c.Subject, c.Issuer, c.Names, c.Serial, c.SHA256, c.Key(), c.NotBefore, c.NotAfter,
		c.Owner, c.Comment, c.Recipients, c.Address, c.Check.State, c.Check.At, c.Check.Problem, c.Successor, c.Notes, c.Created,
	}
}

func externalList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [SEARCH]", Short: "List the certificates, the soonest end first", Args: cobra.MaximumNArgs(1),
		Example: "  sealwright external list example.com --ends-before 2027-01-31",
	}
	f := cmd.Flags()
	realm := anyRealmFlag(cmd)
	client := f.String("client", "", "only of this client, by id or name")
	from := f.String("ends-from", "", "only what ends on this day or later")
	before := f.String("ends-before", "", "only what ends before this day")
	state := f.String("server", "", "only where the server was last found to show: same, newer, other or failed")
	choose(cmd, "server", external.Same, external.Newer, external.Other, external.Failed)
	var l listing
	l.flags(cmd)
	return acting(cmd, func(s *session, args []string) error {
		q := external.Filter{Realm: access.Realm(*realm), Search: strings.Join(args, " "), State: external.State(*state)}
		id, err := s.clientID(*client)
		if err != nil {
			return err
		}
		if id != "" {
			q.Clients = []string{id}
		}
		if q.EndFrom, err = readMoment("ends-from", *from); err != nil {
			return err
		}
		if q.EndBy, err = readMoment("ends-before", *before); err != nil {
			return err
		}
		list, next, err := s.External.List(cmd.Context(), s.scope, q, l.page)
		if err != nil {
			return err
		}
		return show(s, &l, list, next, viewExternal, []string{"ID", "UNTIL", "SERVER", "CLIENT", "NAME"}, func(c *external.Certificate) []string {
			return []string{c.ID, day(c.NotAfter), dash(string(c.Check.State)), c.Client, c.Title()}
		})
	})
}

// external finds a certificate by id or by what only it has: a name, a serial
// number or a fingerprint.
func (s *session) external(name string) (*external.Certificate, error) {
	if strings.HasPrefix(name, "ext-") {
		return s.External.Get(s.cmd.Context(), s.scope, name)
	}
	list, _, err := s.External.List(s.cmd.Context(), s.scope, external.Filter{Search: name}, store.Page{Limit: store.MaxLimit})
	if err != nil {
		return nil, err
	}
	c, err := only(list, "certificate", name, func(c *external.Certificate) string {
		return fmt.Sprintf("%s (%s, until %s)", c.ID, c.Title(), day(c.NotAfter))
	})
	if err != nil {
		return nil, err
	}
	return s.External.Get(s.cmd.Context(), s.scope, c.ID)
}

// externalAct is a command that does something with one certificate and shows it.
func externalAct(cmd *cobra.Command, do func(s *session, c *external.Certificate) (*external.Certificate, error)) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		c, err := s.external(args[0])
		if err != nil {
			return err
		}
		if c, err = do(s, c); err != nil {
			return err
		}
		v := viewExternal(c)
		if l.json {
			return s.json(v)
		}
		s.facts("Certificate", v.ID, "Name", v.Title, "Client", v.Client+" in "+string(v.Realm), "Subject", v.Subject, "Issuer", v.Issuer, "Names", strings.Join(v.Names, ", "),
			"Serial", v.Serial, "SHA-256", v.SHA256, "Key", v.Key, "Valid", moment(v.NotBefore)+" to "+moment(v.NotAfter), "Owner", v.Owner, "Comment", v.Comment,
			"Tells", strings.Join(v.Recipients, ", "), "Address", v.Address, "Server shows", string(v.Server), "Looked at", moment(v.Looked), "Problem", v.Problem, "Successor", v.Successor)
		for _, n := range v.Notes {
			s.facts("Note", n.Text)
		}
		return nil
	})
}

func externalShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show CERTIFICATE", Short: "Show what is known of a certificate",
		Example: "  sealwright external show www.example.com",
	}
	return externalAct(cmd, func(_ *session, c *external.Certificate) (*external.Certificate, error) { return c, nil })
}

func externalProbe() *cobra.Command {
	cmd := &cobra.Command{
		Use: "probe CERTIFICATE", Short: "Look now at the server that uses a certificate",
		Example: "  sealwright external probe www.example.com",
	}
	return externalAct(cmd, func(s *session, c *external.Certificate) (*external.Certificate, error) {
		return s.External.Probe(cmd.Context(), s.scope, c.ID)
	})
}

func externalAdopt() *cobra.Command {
	cmd := &cobra.Command{
		Use: "adopt CERTIFICATE", Short: "Import the certificate that the server of another one shows now",
		Example: "  sealwright external adopt www.example.com",
	}
	return externalAct(cmd, func(s *session, c *external.Certificate) (*external.Certificate, error) {
		return s.External.Adopt(cmd.Context(), s.scope, c.ID)
	})
}

func externalDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete CERTIFICATE", Short: "Take a certificate off the list: nobody is reminded of it any more", Args: cobra.ExactArgs(1),
		Example: "  sealwright external delete ext-… --yes",
	}
	do := sure(cmd)
	return acting(cmd, func(s *session, args []string) error {
		c, err := s.external(args[0])
		if err != nil {
			return err
		}
		if !*do {
			return unsure("Nobody will be reminded of %s, which ends on %s.", c.Title(), day(c.NotAfter))
		}
		if err := s.External.Delete(cmd.Context(), s.scope, c.ID); err != nil {
			return err
		}
		s.printf("%s (%s) is off the list.\n", c.ID, c.Title())
		return nil
	})
}
