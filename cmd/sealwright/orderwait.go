package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A wait is what a command does after it has set an order going.
type wait struct {
	on      bool
	limit   time.Duration
	out     string
	listing listing
}

func addWait(cmd *cobra.Command) *wait {
	var w wait
	f := cmd.Flags()
	f.BoolVar(&w.on, "wait", false, "wait until the order ends or waits for somebody")
	f.DurationVar(&w.limit, "timeout", 5*time.Minute, "how long --wait waits")
	f.StringVarP(&w.out, "out", "o", "", "file for the certificate with its chain in PEM, if it is there")
	w.listing.jsonFlag(cmd)
	return &w
}

// report says how an order stands, after waiting if that is wanted. An order that
// failed is an error.
func (w *wait) report(s *session, o *order.Order) error {
	if w.on {
		var err error
		if o, err = s.settle(o.ID, w.limit); err != nil {
			return err
		}
	}
	if w.out != "" && o.State == order.Issued {
		if err := s.writeCertificate(o, w.out, true, false); err != nil {
			return err
		}
	}
	if w.listing.json {
		if err := s.json(viewOrder(o)); err != nil {
			return err
		}
	} else {
		s.printf("%s %s\n", o.ID, stands(o))
	}
	if o.State == order.Failed || o.State == order.Rejected {
		return fault.Conflictf("order.ended", "The order %s ended without a certificate: %s", o.ID, o.Problem).WithNext("Every step: sealwright order show %s", o.ID)
	}
	return nil
}

// stands says how an order stands and what to do next.
func stands(o *order.Order) string {
	switch {
	case o.State == order.Issued:
		return fmt.Sprintf("is issued: %s, serial number %s, until %s.", o.CommonName, o.Serial, day(o.NotAfter))
	case o.State.Final():
		return "is " + strings.ToLower(string(o.State)) + "."
	case o.State == order.PendingAuth:
		return "waits for approval. Give it with: sealwright order approve " + o.ID + " --as EMAIL"
	case o.State == order.PendingCSR:
		return "waits for a certificate request. Bring it with: sealwright order csr " + o.ID + " FILE"
	case o.State == order.PreValidation && rests(o):
		return "waits: " + o.Problem + " What to do: sealwright domain pending"
	case rests(o):
		return "waits: " + o.Problem
	case o.Problem != "":
		return fmt.Sprintf("is tried again at %s: %s", moment(o.Due()), o.Problem)
	}
	return "goes on by a running server, or by: sealwright order retry " + o.ID
}

// rests tells whether an order waits for somebody, or has ended.
func rests(o *order.Order) bool {
	return o.State.Final() || slices.ContainsFunc(o.Jobs, func(j order.Job) bool { return j.State == order.JobWaiting })
}

const (
	pollEvery = 250 * time.Millisecond
	// patience is how long a due order is left to a server: one that runs looks
	// twice a second.
	patience = 2 * time.Second
)

// settle waits until an order rests. A running server takes it further; where
// none does, this command does so itself.
func (s *session) settle(id string, limit time.Duration) (*order.Order, error) {
	ctx := s.cmd.Context()
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		o, err := s.Orders.Get(ctx, s.scope, id)
		if err != nil || rests(o) {
			return o, err
		}
		if due := o.Due(); !due.IsZero() && s.Clock.Now().Sub(due) > patience {
			if _, err := s.Orders.Retry(ctx, s.scope, id); err != nil && !errors.Is(err, fault.Conflict) { // a conflict: somebody was quicker
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return nil, fault.Unavailablef(nil, "order.waiting", "The order %s is still %s. %s", id, o.State, o.Problem).WithNext("It goes on. Look again with: sealwright order show %s", id)
		case <-tick.C:
		}
	}
}
