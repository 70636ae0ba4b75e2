package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/timestamp"
)

func timestampCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "timestamp", Short: "Make, list and retire time-stamping units (RFC 3161)",
		Long: `A time-stamping unit has a key and a certificate of its own and answers at
server.public_http_url/tsa/ID.

  sealwright timestamp create --id production-tsu-1 --name "Example TSU 1" --organisation Example --policy 1.3.6.1.4.1.99999.1
  openssl ts -query -data file -sha256 -cert -out file.tsq
  curl --data-binary @file.tsq -H 'Content-Type: application/timestamp-query' -o file.tsr http://pki.example.com/tsa/production-tsu-1`,
	}
	cmd.AddCommand(timestampCreate(), timestampList(), timestampRetire())
	return cmd
}

type unitView struct {
	ID         string         `json:"id"`
	Realm      string         `json:"realm"`
	Name       string         `json:"name"`
	URL        string         `json:"url"`
	Status     string         `json:"status"`
	Policies   []string       `json:"policies"`
	Accuracy   string         `json:"accuracy"`
	Resolution string         `json:"resolution"`
	Ordering   bool           `json:"ordering"`
	Qualified  bool           `json:"qualified"`
	Algorithm  keys.Algorithm `json:"algorithm"`
	NotAfter   time.Time      `json:"notAfter,omitzero"`
	Created    time.Time      `json:"created"`
	Retired    time.Time      `json:"retired,omitzero"`
}

func (s *session) viewUnit(u timestamp.Unit) unitView {
	v := unitView{
		ID: u.ID, Realm: u.Realm, Name: u.Name, URL: s.unitURL(u), Status: u.Status, Policies: u.Policies, Accuracy: u.Accuracy.String(), Resolution: u.Resolution.String(),
		Ordering: u.Ordering, Qualified: u.Qualified, Algorithm: u.Algorithm, Created: u.Created, Retired: u.Retired,
	}
	if u.Certificate != nil {
		v.NotAfter = u.Certificate.NotAfter
	}
	return v
}

func (s *session) unitURL(u timestamp.Unit) string {
	return s.Config.Server.PublicHTTPURL + "/tsa/" + u.ID
}

func timestampCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Make a time-stamping unit", Args: cobra.NoArgs,
		Example: `  sealwright timestamp create --id production-tsu-1 --name "Example TSU 1" --organisation Example --policy 1.3.6.1.4.1.99999.1`,
	}
	f := cmd.Flags()
	realm := realmFlag(cmd)
	var spec timestamp.Spec
	f.StringVar(&spec.ID, "id", "", "id, part of its URL: a-z, 0-9 and dash (required)")
	f.StringVar(&spec.Name, "name", "", "common name (required)")
	f.StringVar(&spec.Org, "organisation", "", "organisation (required)")
	f.StringVar(&spec.Country, "country", "", "country, two letters")
	f.StringSliceVar(&spec.Policies, "policy", nil, "dotted identifier of a policy; the first is used when a request names none (required)")
	f.DurationVar(&spec.Accuracy, "accuracy", time.Second, "how far a time may be off")
	f.DurationVar(&spec.Resolution, "resolution", time.Millisecond, "steps of times: 1s, 1ms or 1µs")
	f.BoolVar(&spec.Ordering, "ordering", false, "promise that stamps can be ordered by their times alone; one node at a time stamps")
	f.BoolVar(&spec.Qualified, "qualified", false, "stamps claim to be qualified ones (EN 319 422)")
	f.IntVar(&spec.Years, "years", 5, "life of its certificate")
	key := f.String("key", "p256", "kind of key: "+algorithmNames())
	f.StringVar(&spec.HSMLabel, "hsm-label", "", "use the key with this label in the HSM instead")
	choose(cmd, "key", keys.Algorithms()...)
	var l listing
	l.jsonFlag(cmd)
	required(cmd, "id", "name", "organisation", "policy")
	return acting(cmd, func(s *session, _ []string) error {
		spec.Realm, spec.Country = access.Realm(*realm), strings.ToUpper(spec.Country)
		if spec.HSMLabel == "" {
			var err error
			if spec.Key, err = keys.ParseAlgorithm(*key); err != nil {
				return err
			}
		}
		u, err := s.Timestamps.Create(cmd.Context(), s.scope, spec)
		if err != nil {
			return err
		}
		if l.json {
			return s.json(s.viewUnit(u))
		}
		s.printf("%s (%s) stamps at %s\n", u.ID, u.Name, s.unitURL(u))
		return nil
	})
}

func timestampList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the time-stamping units", Args: cobra.NoArgs,
		Example: "  sealwright timestamp list",
	}
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, _ []string) error {
		list, err := s.Timestamps.List(cmd.Context(), s.scope)
		if err != nil {
			return err
		}
		return show(s, &l, list, "", s.viewUnit, []string{"ID", "REALM", "STATUS", "UNTIL", "URL", "NAME"}, func(u timestamp.Unit) []string {
			v := s.viewUnit(u)
			return []string{u.ID, u.Realm, u.Status, day(v.NotAfter), v.URL, u.Name}
		})
	})
}

func timestampRetire() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retire UNIT", Short: "End a time-stamping unit for good", Args: cobra.ExactArgs(1),
		Example: "  sealwright timestamp retire production-tsu-1 --yes",
		Long:    "End a time-stamping unit for good: its key is destroyed. Stamps that it gave stay valid.",
	}
	do := sure(cmd)
	return acting(cmd, func(s *session, args []string) error {
		u, err := s.Timestamps.Get(cmd.Context(), s.scope, args[0])
		if err != nil {
			return err
		}
		if !*do {
			return unsure("The unit %s (%s) will never stamp again, and its key will be destroyed.", u.ID, u.Name)
		}
		if err := s.Timestamps.Retire(cmd.Context(), s.scope, u.ID); err != nil {
			return err
		}
		s.printf("%s (%s) is retired.\n", u.ID, u.Name)
		return nil
	})
}
