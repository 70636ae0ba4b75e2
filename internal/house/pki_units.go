package house

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// unitKind marks the certificates of time-stamping units among an authority's.
const unitKind = "timestamp"

// unitIssuer has the certificates of time-stamping units made by the
// environment's authority for them, or by its general one.
type unitIssuer struct{ h *House }

// Issue implements [timestamp.Issuer].
func (u unitIssuer) Issue(ctx context.Context, spki []byte, p timestamp.Profile) (cert []byte, chain [][]byte, err error) {
	h := u.h
	issuer, err := h.Authority.For(ctx, p.Realm, authority.Stamping)
	if errors.Is(err, fault.Conflict) {
		issuer, err = h.Authority.For(ctx, p.Realm, authority.General)
	}
	if err != nil {
		return nil, nil, err
	}
	draft, err := unitDraft(spki, p)
	if err != nil {
		return nil, nil, err
	}
	intent, err := h.Authority.Plan(ctx, issuer.ID, draft)
	if err != nil {
		return nil, nil, err
	}
	if err := h.DB.Update(ctx, func(tx *store.Tx) error { return h.Authority.Hold(tx, intent) }); err != nil {
		return nil, nil, err
	}
	signed, err := h.Authority.Sign(ctx, intent)
	if err != nil {
		return nil, nil, err
	}
	if err := h.DB.Update(ctx, func(tx *store.Tx) error { return h.Authority.Record(tx, signed) }); err != nil {
		return nil, nil, err
	}
	above, err := h.Authority.Chain(ctx, issuer.ID)
	if err != nil {
		return nil, nil, err
	}
	return signed.DER, above[:len(above)-1], nil
}

// unitDraft is the certificate of a unit (RFC 3161, section 2.3).
func unitDraft(spki []byte, p timestamp.Profile) (authority.Draft, error) {
	var name dn.Name
	if p.Country != "" {
		name = append(name, dn.Attribute{Type: dn.C, Value: p.Country})
	}
	if p.Org != "" {
		name = append(name, dn.Attribute{Type: dn.O, Value: p.Org})
	}
	subject, err := append(name, dn.Attribute{Type: dn.CN, Value: p.Name}).DER()
	if err != nil {
		return authority.Draft{}, fault.Invalidf("timestamp.name", "The unit's name cannot be written: %v.", err)
	}
	usage, err := tbs.KeyUsage(x509.KeyUsageDigitalSignature)
	if err != nil {
		return authority.Draft{}, err
	}
	purpose, err := tbs.ExtKeyUsage(tbs.TimeStamping)
	if err != nil {
		return authority.Draft{}, err
	}
	return authority.Draft{
		Subject: subject, SPKI: spki, Kind: unitKind, CommonName: p.Name,
		Content:  &authority.Content{Extensions: []tbs.Extension{usage, purpose}, SubjectKeyID: true},
		Validity: func(t time.Time) time.Time { return t.AddDate(p.Years, 0, 0) },
	}, nil
}
