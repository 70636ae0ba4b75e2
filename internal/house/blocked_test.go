package house_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// TLS BR 6.1.1.3: a key whose certificate was revoked because it is compromised
// is blocked in the same transaction, and no other way leads to a certificate.
func TestCompromisedKeyIsCertifiedNoMore(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		site := housetest.New(t, url, housetest.Options{})
		site.Serve(t)
		caller, err := site.Caller(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, pair, a, err := caller.Certificate(t.Context(), "leaked")
		if err != nil || a.Status != http.StatusCreated {
			t.Fatalf("%v %d %s", err, a.Status, a.Body)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		issuer, err := site.House.Authority.For(t.Context(), "production", authority.ClientAuth)
		if err != nil {
			t.Fatal(err)
		}
		if err := site.House.DB.Update(t.Context(), func(tx *store.Tx) error {
			return site.House.Authority.Revoke(tx, issuer.ID, leaf.SerialNumber.Bytes(), authority.KeyCompromise)
		}); err != nil {
			t.Fatal(err)
		}
		if err := site.House.Keys.Known(t.Context(), leaf.RawSubjectPublicKeyInfo, leaf.PublicKey); err == nil || !strings.Contains(err.Error(), "blocked") {
			t.Errorf("the key is known as %v", err)
		}
		housetest.Invariants(t, site.House.DB)
	})
}
