package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A session is one command at work on the installation, on somebody's behalf.
type session struct {
	*house.House
	cmd   *cobra.Command
	scope access.Scope
	out   io.Writer
}

// acting makes fn what cmd does, on the installation of --config and as the
// operator of --as.
func acting(cmd *cobra.Command, fn func(s *session, args []string) error) *cobra.Command {
	path := configFlag(cmd)
	as := cmd.Flags().String("as", "", "e-mail address of the operator to act as, with the rights of that operator; without it the command acts for the installation")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withHouse(cmd, *path, func(h *house.House, out io.Writer) error {
			s := &session{House: h, cmd: cmd, out: out}
			if err := s.actAs(*as); err != nil {
				return err
			}
			return fn(s, args)
		})
	}
	return cmd
}

// actAs decides whose rights hold and whom the audit log names. Whoever can run
// a command on the installation's files can act as anybody, so the log says that
// a command did it.
func (s *session) actAs(email string) error {
	if email == "" {
		s.scope = access.System("command")
		s.by(audit.Origin{Kind: audit.System, ID: audit.System, Name: s.cmd.CommandPath()})
		return nil
	}
	list, err := s.Access.Operators(s.cmd.Context(), access.System("command"), access.OperatorQuery{Search: email})
	if err != nil {
		return err
	}
	for _, op := range list.Items {
		if !strings.EqualFold(op.Email, email) {
			continue
		}
		if s.scope, err = s.Access.ScopeOf(s.cmd.Context(), op.ID); err != nil {
			return err
		}
		s.by(audit.Origin{Kind: audit.Operator, ID: op.ID, Name: op.Name + " (" + s.cmd.CommandPath() + ")"})
		return nil
	}
	return fault.Invalidf("command.as", "There is no operator with the address %s.", email).WithNext("Give the address that the operator signs in with.")
}

func (s *session) by(o audit.Origin) { s.cmd.SetContext(audit.WithOrigin(s.cmd.Context(), o)) }

// client finds a client by id or by its whole name.
func (s *session) client(name string) (access.Client, error) {
	if strings.HasPrefix(name, "cli-") {
		return s.Access.Client(s.cmd.Context(), s.scope, name)
	}
	q := access.ClientQuery{Search: name, Page: store.Page{Limit: store.MaxLimit}}
	var found []access.Client
	for {
		list, err := s.Access.Clients(s.cmd.Context(), s.scope, q)
		if err != nil {
			return access.Client{}, err
		}
		for _, c := range list.Items {
			if strings.EqualFold(c.Name, name) {
				found = append(found, c)
			}
		}
		if q.Page.Cursor = list.Next; list.Next == "" {
			break
		}
	}
	return only(found, "client", name, func(c access.Client) string { return c.ID + " in " + string(c.Realm) })
}

// clientID is the id of a client that is named by id or name; empty stays empty.
func (s *session) clientID(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	c, err := s.client(name)
	return c.ID, err
}

// only is the one object of that name, or tells which ones there are.
func only[T any](found []T, kind, name string, id func(T) string) (one T, err error) {
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return one, fault.NotFoundf("command.not_found", "There is no %s %q, or you may not see it.", kind, name)
	}
	var ids []string
	for _, x := range found[:min(len(found), 5)] {
		ids = append(ids, id(x))
	}
	return one, fault.Invalidf("command.ambiguous", "More than one %s answers to %q.", kind, name).WithNext("Say which: %s.", strings.Join(ids, ", "))
}
