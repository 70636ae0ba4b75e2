package authority_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// planned is an intent that begins with a pre-certificate.
func (f *fixture) planned() *authority.Intent {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.check(err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	f.check(err)
	subject, err := dn.Name{{Type: dn.CN, Value: "www.foo.example"}}.DER()
	f.check(err)
	usage, err := tbs.KeyUsage(x509.KeyUsageDigitalSignature)
	f.check(err)
	i, err := f.ca.Plan(f.t.Context(), "clients", authority.Draft{
		Subject: subject, SPKI: spki, Validity: func(from time.Time) time.Time { return from.AddDate(0, 3, 0) },
		Content: &authority.Content{Extensions: []tbs.Extension{usage}, Precert: true}, Kind: "order", OrderID: "ord-1", CommonName: "www.foo.example",
	})
	f.check(err)
	return i
}

func (f *fixture) update(fn func(tx *store.Tx) error) error { return f.db.Update(f.t.Context(), fn) }

// D3, D4: a pre-certificate is signed once, when its intent is durable; the
// certificate is signed when the logs' answers are. A worker who was slower loses.
func TestPrecertificateIsSignedBeforeItsCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx, i := t.Context(), f.planned()
		if _, err := f.ca.SignPrecertificate(ctx, i); err == nil {
			t.Error("signed before the intent was durable")
		}
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Hold(tx, i) }))
		if _, err := f.ca.Sign(ctx, i); err == nil {
			t.Error("the certificate is signed before the logs have answered")
		}
		pre, err := f.ca.SignPrecertificate(ctx, i)
		f.check(err)
		if _, err := f.ca.SignPrecertificate(ctx, i); err == nil {
			t.Error("a pre-certificate is signed twice")
		}
		list := []byte{0, 4, 0, 2, 1, 2}
		final, err := i.WithSCTs(list)
		f.check(err)
		if _, err := f.ca.Sign(ctx, final); err == nil {
			t.Error("signed before the logs' answers were durable")
		}
		late, err := i.WithSCTs([]byte{0, 4, 0, 2, 3, 4})
		f.check(err)
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Amend(tx, i, final) }))
		if err := f.update(func(tx *store.Tx) error { return f.ca.Amend(tx, i, late) }); !errors.Is(err, fault.Conflict) {
			t.Errorf("the second comer: %v", err)
		}
		if _, err := final.WithSCTs(list); err == nil {
			t.Error("the certificate has a list of SCTs already")
		}
		c, err := f.ca.Sign(ctx, final)
		f.check(err)
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Record(tx, c) }))
		a, err := x509.ParseCertificate(pre)
		f.check(err)
		b, err := x509.ParseCertificate(c.DER)
		f.check(err)
		if a.SerialNumber.Cmp(b.SerialNumber) != 0 || len(a.UnhandledCriticalExtensions) != 1 || len(b.UnhandledCriticalExtensions) != 0 {
			t.Errorf("serial numbers %x and %x, critical %v and %v", a.SerialNumber, b.SerialNumber, a.UnhandledCriticalExtensions, b.UnhandledCriticalExtensions)
		}
	})
}

// A pre-certificate that was kept is taken up again whatever the key, as long as
// nothing else can have been signed.
func TestKeptPrecertificateIsTakenUpAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx, i := t.Context(), f.planned()
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Hold(tx, i) }))
		pre, err := f.ca.SignPrecertificate(ctx, i)
		f.check(err)
		other := f.planned()
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Hold(tx, other) }))
		for name, signed := range map[string][]byte{"nothing": nil, "no certificate": {0x30, 0x00}, "a certificate that is cut short": pre[:len(pre)-90]} {
			if _, err := f.ca.ReopenPrecertificate(ctx, "clients", i.Serial, signed); !errors.Is(err, authority.ErrPossiblyIssued) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := f.ca.ReopenPrecertificate(ctx, "clients", other.Serial, pre); !errors.Is(err, authority.ErrPossiblyIssued) {
			t.Errorf("the pre-certificate of another: %v", err)
		}
		again, err := f.ca.ReopenPrecertificate(ctx, "clients", i.Serial, pre)
		f.check(err)
		if !again.Precert() {
			t.Error("it is no pre-certificate")
		}
		if _, err := f.ca.SignPrecertificate(ctx, again); err == nil {
			t.Error("it is signed once more")
		}
		final, err := again.WithSCTs([]byte{0, 4, 0, 2, 1, 2})
		f.check(err)
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Amend(tx, again, final) }))
		if _, err := f.ca.ReopenPrecertificate(ctx, "clients", i.Serial, pre); !errors.Is(err, authority.ErrPossiblyIssued) {
			t.Errorf("after the logs' answers were durable: %v", err)
		}
		c, err := f.ca.Sign(ctx, final)
		f.check(err)
		f.check(f.update(func(tx *store.Tx) error { return f.ca.Record(tx, c) }))
		for name, serial := range map[string][]byte{"recorded": i.Serial, "unknown": {1, 2, 3}} {
			if _, err := f.ca.ReopenPrecertificate(ctx, "clients", serial, pre); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
