package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish"
)

func publisherCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "publisher", Short: "Say where certificates and revocation lists are published",
		Long: `A publisher is an LDAP directory, a folder or an SFTP server. Products name it
in rules.publication.publishers. Its settings are a TOML file with one of these tables:

  name = "Directory"
  internal = ["10.1.2.0/24"]      # addresses off the internet that may be reached
  give_up = "72h"                 # how long an object is tried

  [ldap]
  host = "ldap.example.com"
  bind_dn = "cn=publisher,dc=example,dc=com"
  certificates.dn = "mail={mail},ou=people,dc=example,dc=com"

  [file]
  directory = "/srv/certificates" # at or below one of publish.directories
  names.certificates = "{serial}.cer"

  [sftp]
  host = "files.example.com"
  user = "sealwright"
  host_keys = ["ssh-ed25519 AAAA…"]
  directory = "certificates"
  names.certificates = "{serial}.cer"

  sealwright publisher create --realm production --password-file ldap.secret directory.toml
  sealwright publisher test Directory`,
	}
	cmd.AddCommand(publisherCreate(), publisherUpdate(), publisherList(), publisherShow(), publisherTest(), publisherEnable(true), publisherEnable(false), publisherDelete())
	return cmd
}

// publisherFile is the file of a publisher's settings.
type publisherFile struct {
	Name     string   `json:"name"`
	Internal []string `json:"internal,omitempty"`
	GiveUp   string   `json:"give_up,omitempty"`
	publish.Settings
}

// secretFlags are where a publisher's secrets come from: never the command line,
// where others could see them.
type secretFlags struct{ password, key *string }

func addSecrets(cmd *cobra.Command) secretFlags {
	f := cmd.Flags()
	return secretFlags{
		password: f.String("password-file", "", "file with the password of the LDAP bind or of the SFTP user; - for the standard input"),
		key:      f.String("key-file", "", "file with the private key of the SFTP user; - for the standard input"),
	}
}

// fields reads the settings file and the secrets.
func (f secretFlags) fields(cmd *cobra.Command, file string) (publish.Fields, error) {
	var out publish.Fields
	text, err := readInput(cmd, file)
	if err != nil {
		return out, err
	}
	settings, err := readPublisher(text)
	if err != nil {
		return out, err
	}
	out.Name, out.Internal, out.Settings = settings.Name, settings.Internal, settings.Settings
	if settings.GiveUp != "" {
		if out.GiveUp, err = time.ParseDuration(settings.GiveUp); err != nil {
			return out, fault.Invalidf("publisher.give_up", "give_up is %q.", settings.GiveUp).WithNext(`Write hours or minutes, such as "72h".`)
		}
	}
	for name, into := range map[string]*secret.Text{*f.password: &out.Password, *f.key: &out.Key} {
		if name == "" {
			continue
		}
		b, err := readInput(cmd, name)
		if err != nil {
			return out, err
		}
		*into = secret.New(strings.TrimRight(string(b), "\r\n"))
	}
	return out, nil
}

// readPublisher reads the settings strictly: an unknown name is a mistake.
func readPublisher(text []byte) (publisherFile, error) {
	var out publisherFile
	bad := func(why string) error {
		return fault.Invalidf("publisher.file", "The settings cannot be read: %s.", why).WithNext("`sealwright publisher --help` shows what they look like.")
	}
	tree := map[string]any{}
	if err := toml.Unmarshal(text, &tree); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			return out, bad(strings.ReplaceAll(strings.TrimSpace(at.String()), "\n", "; "))
		}
		return out, bad(err.Error())
	}
	plain, err := json.Marshal(tree)
	if err != nil {
		return out, bad(err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return out, bad(strings.TrimPrefix(err.Error(), "json: "))
	}
	return out, nil
}

func publisherCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create FILE", Short: "Make a publisher from a file of settings", Args: cobra.ExactArgs(1),
		Example: "  sealwright publisher create --realm production --password-file ldap.secret directory.toml",
		Long:    "Make a publisher. FILE holds its settings (see \"publisher --help\"); - for the standard input.\nSecrets are read from files of their own.",
	}
	realm := realmFlag(cmd)
	client := cmd.Flags().String("client", "", "client, by id or name, that it serves; without one it serves every client of the environment")
	secrets := addSecrets(cmd)
	return acting(cmd, func(s *session, args []string) error {
		owner, err := s.clientID(*client)
		if err != nil {
			return err
		}
		fields, err := secrets.fields(cmd, args[0])
		if err != nil {
			return err
		}
		p, err := s.Publish.Create(cmd.Context(), s.scope, access.Realm(*realm), owner, fields)
		if err != nil {
			return err
		}
		s.printf("%s (%s) is ready. See whether it answers: sealwright publisher test %s\n", p.ID, p.Name, p.ID)
		return nil
	})
}

func publisherUpdate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "update PUBLISHER FILE", Short: "Give a publisher other settings", Args: cobra.ExactArgs(2),
		Example: "  sealwright publisher update Directory directory.toml",
		Long:    "Give a publisher the settings of a file. Its secrets stay unless others are given; a new\naddress or account needs them anew.",
	}
	secrets := addSecrets(cmd)
	return acting(cmd, func(s *session, args []string) error {
		p, err := s.publisher(args[0])
		if err != nil {
			return err
		}
		fields, err := secrets.fields(cmd, args[1])
		if err != nil {
			return err
		}
		if p, err = s.Publish.Update(cmd.Context(), s.scope, p.ID, fields); err != nil {
			return err
		}
		s.printf("%s (%s) has its new settings.\n", p.ID, p.Name)
		return nil
	})
}

// publisher finds a publisher by id or by its whole name.
func (s *session) publisher(name string) (publish.Publisher, error) {
	if strings.HasPrefix(name, "pub-") {
		return s.Publish.Get(s.cmd.Context(), s.scope, name)
	}
	list, _, err := s.Publish.List(s.cmd.Context(), s.scope, publish.Query{Search: name, Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		return publish.Publisher{}, err
	}
	var found []publish.Publisher
	for _, p := range list {
		if strings.EqualFold(p.Name, name) {
			found = append(found, p)
		}
	}
	return only(found, "publisher", name, func(p publish.Publisher) string { return p.ID + " in " + string(p.Realm) })
}

type publisherView struct {
	ID          string           `json:"id"`
	Realm       access.Realm     `json:"realm"`
	Client      string           `json:"client,omitempty"`
	Name        string           `json:"name"`
	Kind        publish.Kind     `json:"kind"`
	Settings    publish.Settings `json:"settings"`
	Secret      bool             `json:"secret"` // one is stored
	Internal    []string         `json:"internal,omitempty"`
	GiveUp      string           `json:"giveUp"`
	Enabled     bool             `json:"enabled"`
	Failures    int              `json:"failures"`
	LastError   string           `json:"lastError,omitempty"`
	PausedUntil time.Time        `json:"pausedUntil,omitzero"`
	Created     time.Time        `json:"created"`
	Changed     time.Time        `json:"changed"`
}

func viewPublisher(p publish.Publisher) publisherView {
	return publisherView{p.ID, p.Realm, p.Client, p.Name, p.Kind, p.Settings, p.HasSecret, p.Internal, p.GiveUp.String(), p.Enabled, p.Failures, p.LastError, p.PausedUntil, p.Created, p.Changed}
}

func publisherState(p publish.Publisher) string {
	switch {
	case !p.Enabled:
		return "disabled"
	case p.Failures > 0:
		return "does not answer"
	}
	return "enabled"
}

func publisherList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [NAME]", Short: "List the publishers", Args: cobra.MaximumNArgs(1),
		Example: "  sealwright publisher list",
	}
	realm := anyRealmFlag(cmd)
	var l listing
	l.flags(cmd)
	return acting(cmd, func(s *session, args []string) error {
		list, next, err := s.Publish.List(cmd.Context(), s.scope, publish.Query{Realm: access.Realm(*realm), Search: strings.Join(args, " "), Page: l.page})
		if err != nil {
			return err
		}
		return show(s, &l, list, next, viewPublisher, []string{"ID", "REALM", "CLIENT", "KIND", "STATE", "NAME"}, func(p publish.Publisher) []string {
			return []string{p.ID, string(p.Realm), dash(p.Client), string(p.Kind), publisherState(p), p.Name}
		})
	})
}

func publisherShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show PUBLISHER", Short: "Show a publisher's settings, without its secrets", Args: cobra.ExactArgs(1),
		Example: "  sealwright publisher show Directory",
	}
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		p, err := s.publisher(args[0])
		if err != nil {
			return err
		}
		if l.json {
			return s.json(viewPublisher(p))
		}
		s.facts("Publisher", p.ID, "Name", p.Name, "Realm", string(p.Realm), "Client", dash(p.Client), "Kind", string(p.Kind), "State", publisherState(p),
			"Last error", p.LastError, "Paused until", moment(p.PausedUntil), "Secret", yes(p.HasSecret), "Internal", strings.Join(p.Internal, ", "), "Gives up", "after "+p.GiveUp.String())
		s.printf("\nSettings\n")
		return s.json(p.Settings)
	})
}

// publisherAct is a command that does something with one publisher.
func publisherAct(cmd *cobra.Command, done string, do func(s *session, id string) error) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	return acting(cmd, func(s *session, args []string) error {
		p, err := s.publisher(args[0])
		if err != nil {
			return err
		}
		if err := do(s, p.ID); err != nil {
			return err
		}
		s.printf("%s (%s) %s.\n", p.ID, p.Name, done)
		return nil
	})
}

func publisherTest() *cobra.Command {
	cmd := &cobra.Command{
		Use: "test PUBLISHER", Short: "Try whether a publisher answers, leaving nothing behind",
		Example: "  sealwright publisher test Directory",
	}
	return publisherAct(cmd, "answers", func(s *session, id string) error { return s.Publish.Test(cmd.Context(), s.scope, id) })
}

func publisherEnable(on bool) *cobra.Command {
	cmd, done := &cobra.Command{
		Use: "disable PUBLISHER", Short: "Stop a publisher: what is queued for it waits",
		Example: "  sealwright publisher disable Directory",
	}, "is disabled"
	if on {
		cmd, done = &cobra.Command{
			Use: "enable PUBLISHER", Short: "Let a publisher work again",
			Example: "  sealwright publisher enable Directory",
		}, "is enabled"
	}
	return publisherAct(cmd, done, func(s *session, id string) error { return s.Publish.SetEnabled(cmd.Context(), s.scope, id, on) })
}

func publisherDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete PUBLISHER", Short: "Remove a publisher that nothing uses",
		Example: "  sealwright publisher delete Directory --yes",
	}
	do := sure(cmd)
	return publisherAct(cmd, "is removed", func(s *session, id string) error {
		if !*do {
			return unsure("The publisher %s and its settings will be gone.", id)
		}
		return s.Publish.Delete(cmd.Context(), s.scope, id)
	})
}
