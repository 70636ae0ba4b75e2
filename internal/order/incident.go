package order

import (
	"context"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A BulkResult is what became of one order of many.
type BulkResult struct {
	Order       string
	Done        bool
	Asked       string // id of the approval that was opened instead
	Replacement string // id of the order that replaces it
	Error       string
}

// RevokeMany revokes the certificates of all orders that a search finds, page by
// page, and tells of each through report. It stops when report does, or at an
// error that concerns them all.
func (e *Engine) RevokeMany(ctx context.Context, s access.Scope, f Filter, r Revocation, report func(BulkResult) bool) error {
	return e.Incident(ctx, s, Incident{Filter: f, Revocation: r}, report)
}

// An Incident is a cause that concerns many certificates, such as a faulty
// profile or a period in which a check failed (TLS BR 5.7.1.2).
type Incident struct {
	Filter     Filter
	Revocation Revocation
	// Replace orders each certificate anew before it is revoked: at once where the
	// key is made here, with a link for a new request where the holder brings it.
	Replace bool
	// Dry changes nothing and reports what would be concerned.
	Dry bool
}

// Incident deals with all certificates that it concerns, page by page, and tells
// of each through report. It stops when report does, or at an error that concerns
// them all; run again, it goes on with those that are left.
func (e *Engine) Incident(ctx context.Context, s access.Scope, in Incident, report func(BulkResult) bool) error {
	in.Filter.States = []State{Issued}
	page, seen := store.Page{Limit: store.MaxLimit}, map[string]bool{} // an order is found by each of its names
	for {
		list, next, err := e.List(ctx, s, in.Filter, page)
		if err != nil {
			return err
		}
		for _, o := range list {
			if seen[o.ID] {
				continue
			}
			seen[o.ID] = true
			if !report(e.deal(ctx, s, in, o.ID)) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		page.Cursor = next
	}
}

func (e *Engine) deal(ctx context.Context, s access.Scope, in Incident, id string) BulkResult {
	result := BulkResult{Order: id}
	if in.Dry {
		return result
	}
	if in.Replace {
		next, err := e.Replace(ctx, s, id)
		if err != nil {
			result.Error = fault.Of(err).Message
			return result // it is not revoked without a successor
		}
		result.Replacement = next.ID
	}
	_, approval, err := e.Revoke(ctx, s, id, in.Revocation)
	switch {
	case err != nil:
		result.Error = fault.Of(err).Message
	case approval != "":
		result.Asked = approval
	default:
		result.Done = true
	}
	return result
}
