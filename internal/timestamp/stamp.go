package timestamp

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/tsp"
)

// Stamp answers a request, a TimeStampReq in DER, to a unit. There is always an
// answer, a TimeStampResp: a token, or a rejection that says why not.
//
// The error is for us, not for the caller: NotFound if there is no such unit, and
// what stands in the way of stamping at all, such as a clock that is not to be
// trusted. A request that is wrong is no error.
func (u *Units) Stamp(ctx context.Context, id string, request []byte) ([]byte, error) {
	x, err := u.open(ctx, id)
	if err != nil {
		return refusal(err).Response(), err
	}
	token, err := u.stamp(ctx, x, request)
	u.count(x.Realm, err == nil)
	if err == nil {
		return tsp.Granted(token), nil
	}
	var why *tsp.Rejection
	if errors.As(err, &why) {
		return why.Response(), nil
	}
	return refusal(err).Response(), err
}

func (u *Units) stamp(ctx context.Context, x *open, request []byte) ([]byte, error) {
	if x.Status != Active {
		return nil, tsp.Reject(tsp.BadRequest, "this time-stamping unit is "+x.Status)
	}
	r, err := tsp.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	if err := x.stamper.Admit(r); err != nil {
		return nil, err
	}
	at, err := u.time(ctx, x)
	if err != nil {
		return nil, err
	}
	if at.Before(x.Certificate.NotBefore) || at.After(x.Certificate.NotAfter) {
		return nil, fault.Unavailablef(nil, "timestamp.expired", "The certificate of the time-stamping unit %q is valid from %s to %s.", x.ID,
			x.Certificate.NotBefore.UTC().Format(time.RFC3339), x.Certificate.NotAfter.UTC().Format(time.RFC3339)).
			WithNext("Create another unit, and retire this one.")
	}
	serial, err := u.serial(ctx)
	if err != nil {
		return nil, err
	}
	token, err := x.stamper.Stamp(r, serial, at)
	return token, fault.Wrap(err, "stamp with unit "+x.ID)
}

// refusal is what the caller is told of an error of ours.
func refusal(err error) *tsp.Rejection {
	var untimely noTime
	switch {
	case errors.As(err, &untimely):
		return tsp.Reject(tsp.TimeNotAvailable, "the time is not known well enough at present")
	case errors.Is(err, fault.NotFound):
		return tsp.Reject(tsp.BadRequest, "there is no such time-stamping unit")
	}
	return tsp.Reject(tsp.SystemFailure, "the time-stamping unit cannot stamp at present")
}
