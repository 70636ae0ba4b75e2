package house

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/product/source"
)

// A dataSource is one entry of the file of data sources. Secrets stand in files
// of their own.
type dataSource struct {
	Name string `json:"name"`
	SQL  *struct {
		AddressFile string `json:"addressFile"` // holds "postgres://…" or "sqlite:PATH"
		Query       string `json:"query"`       // one SELECT; :name stands for a parameter
	} `json:"sql"`
	LDAP *struct {
		URL          string   `json:"url"`
		BindDN       string   `json:"bindDN"`
		PasswordFile string   `json:"passwordFile"`
		Base         string   `json:"base"`
		Filter       string   `json:"filter"` // {name} stands for a parameter
		Attributes   []string `json:"attributes"`
	} `json:"ldap"`
}

// openSources opens the data sources that the configuration names.
func (h *House) openSources() (map[string]product.DataSource, error) {
	path := h.Config.PKI.DataSources
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(err, "read the data sources")
	}
	var list []dataSource
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fault.Invalidf("pki.data_sources", "%s is not a list of data sources: %v.", path, err)
	}
	out := map[string]product.DataSource{}
	for _, d := range list {
		if d.Name == "" || out[d.Name] != nil || (d.SQL == nil) == (d.LDAP == nil) {
			return nil, fault.Invalidf("pki.data_sources", "In %s, each data source needs a name of its own and either sql or ldap; see %q.", path, d.Name)
		}
		if out[d.Name], err = h.openSource(d); err != nil {
			return nil, fault.Wrap(err, "open the data source "+d.Name)
		}
	}
	return out, nil
}

func (h *House) openSource(d dataSource) (product.DataSource, error) {
	dial := h.egress().Dialer().DialContext
	if d.SQL != nil {
		address, err := readSecret(d.SQL.AddressFile)
		if err != nil {
			return nil, err
		}
		s, err := source.OpenSQL(source.SQLSettings{Address: address, Query: d.SQL.Query, Dial: dial})
		if err != nil {
			return nil, err
		}
		h.closers = append(h.closers, s)
		return s, nil
	}
	settings := source.LDAPSettings{URL: d.LDAP.URL, BindDN: d.LDAP.BindDN, Base: d.LDAP.Base, Filter: d.LDAP.Filter, Attributes: d.LDAP.Attributes, Dial: dial}
	if d.LDAP.PasswordFile != "" {
		var err error
		if settings.Password, err = readSecret(d.LDAP.PasswordFile); err != nil {
			return nil, err
		}
	}
	return source.NewLDAP(settings)
}

// readSecret reads a secret from a file of its own.
func readSecret(path string) (secret.Text, error) {
	b, err := os.ReadFile(path)
	return secret.New(strings.TrimSpace(string(b))), err
}
