package console

import (
	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// reach says whose records a list may show: those of the client asked for, else
// everybody's for whoever may see the realm or the installation, else those of the
// clients where the visitor has p.
func (v *visit) reach(p access.Permission, realm access.Realm, client string) (clients []string, all bool, err error) {
	s := v.scope()
	if client != "" {
		cl, err := v.c.Access.Client(v.ctx, s, client)
		if err != nil {
			return nil, false, err
		}
		return []string{client}, false, s.Require(p, cl.Realm, client)
	}
	if s.Allows(p, realm, "") {
		return nil, true, nil
	}
	if err := s.RequireAnywhere(p); err != nil {
		return nil, false, err
	}
	known, err := v.clients()
	for id, cl := range known {
		if (realm == "" || cl.Realm == realm) && s.Allows(p, cl.Realm, id) {
			clients = append(clients, id)
		}
	}
	return clients, false, err
}

// mayRead is Require for records that may belong to nobody in particular: below
// the level of the installation their existence is nobody's business.
func (v *visit) mayRead(p access.Permission, realm access.Realm, client string) error {
	if client == "" && !v.scope().Allows(p, realm, "") {
		return access.NotFound()
	}
	return v.scope().Require(p, realm, client)
}

// hide makes an unknown id look like one that the visitor may not see.
func hide(err error) error {
	if err != nil && fault.Of(err).Kind == fault.NotFound {
		return access.NotFound()
	}
	return err
}
