package ctlog_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

func TestTheSameSubmissionGivesTheSameSCT(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		precert := w.precert(t)
		first := w.promise(t, precert)
		w.clock.Advance(time.Hour)
		if again := w.promise(t, precert); !reflect.DeepEqual(again, first) {
			t.Errorf("got %+v, want %+v", again, first)
		}
		w.sequence(t, 1)
		other := w.open(t)                                                         // as after a restart, or on another node
		sct, err := other.AddPreChain(t.Context(), [][]byte{precert, w.ca.Issuer}) // without the root
		if err != nil || !reflect.DeepEqual(sct, first.sct) {
			t.Errorf("got %+v (%v), want %+v", sct, err, first.sct)
		}
		w.sequence(t, 0)
	})
}

// Many callers at once, on two nodes, with one pre-certificate.
func TestConcurrentDuplicatesGetOneSCT(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		nodes := []*ctlog.Log{w.log, w.open(t)}
		chain := append([][]byte{w.precert(t)}, w.ca.Chain()...)
		scts := make([]ct.SCT, 16)
		var wg sync.WaitGroup
		for i := range scts {
			wg.Go(func() {
				var err error
				if scts[i], err = nodes[i%2].AddPreChain(t.Context(), chain); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, sct := range scts {
			if !reflect.DeepEqual(sct, scts[0]) {
				t.Fatalf("different SCTs: %+v and %+v", sct, scts[0])
			}
		}
		w.sequence(t, 1)
	})
}

// signingCA makes a precertificate signing certificate and a pre-certificate of it.
func signingCA(t *testing.T, w *world) [][]byte {
	t.Helper()
	key := cttest.Key(t)
	issuerKey := cttest.Key(t)
	root := selfSigned(t, "Own Root", issuerKey)
	if err := w.log.SetRoots([][]byte{w.ca.Root, root.Raw}); err != nil {
		t.Fatal(err)
	}
	special := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Precertificate Signing"}, NotBefore: start, NotAfter: until, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 11129, 2, 4, 4}},
	}
	der, err := x509.CreateCertificate(rand.Reader, special, root, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: start, NotAfter: until, DNSNames: []string{"a.example"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}},
	}
	pre, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{pre, der, root.Raw}
}

func selfSigned(t *testing.T, name string, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: until.AddDate(1, 0, 0), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// RFC 6962, 3.1: what a log must and must not accept.
func TestWhatTheLogRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		special := signingCA(t, w)
		stranger := cttest.NewCA(t) // same names, other keys
		pre, plain := w.precert(t), w.ca.Certificate(t, "a.example", start, until)
		forged := bytes.Clone(pre)
		forged[len(forged)-1] ^= 1
		with := func(leaf []byte) [][]byte { return append([][]byte{leaf}, w.ca.Chain()...) }
		long := with(pre)
		for range ctlog.MaxChain {
			long = append(long, w.ca.Root)
		}
		add, addPre := w.log.AddChain, w.log.AddPreChain
		for _, c := range []struct {
			name  string
			add   func(chain [][]byte) error
			chain [][]byte
			code  string
		}{
			{"nothing", nil, nil, "ctlog.chain"},
			{"what is no certificate", nil, [][]byte{[]byte("x")}, "ctlog.chain"},
			{"too many certificates", nil, long, "ctlog.chain"},
			{"too large a certificate", nil, [][]byte{make([]byte, ctlog.MaxCertificate+1)}, "ctlog.chain"},
			{"a chain in the wrong order", nil, [][]byte{pre, w.ca.Root, w.ca.Issuer}, "ctlog.chain"},
			{"a chain with a gap", nil, [][]byte{pre, w.ca.Root}, "ctlog.chain"},
			{"a forged signature", nil, with(forged), "ctlog.chain"},
			{"an unknown root of a known name", nil, [][]byte{stranger.Precert(t, "a.example", start, until), stranger.Issuer, stranger.Root}, "ctlog.root"},
			{"a chain that ends too early", nil, [][]byte{pre}, "ctlog.root"},
			{"a certificate as a pre-certificate", nil, with(plain), "ctlog.poison"},
			{"a final certificate as a pre-certificate", nil, with(w.ca.Final(t, pre, []ct.SCT{{Signature: ct.Signature{Value: []byte{1}}}})), "ctlog.poison"},
			{"a pre-certificate as a certificate", func(chain [][]byte) error { _, err := add(t.Context(), chain); return err }, with(pre), "ctlog.poison"},
			{"a root as a pre-certificate", nil, [][]byte{w.ca.Root}, "ctlog.poison"},
			{"a precertificate signing certificate", nil, special, "ctlog.chain"},
			{"one that ends before the interval", nil, with(w.ca.Precert(t, "a.example", start.AddDate(0, -2, 0), start.Add(-time.Second))), "ctlog.shard"},
			{"one that ends at the limit", nil, with(w.ca.Precert(t, "a.example", start, start.AddDate(1, 0, 0))), "ctlog.shard"},
		} {
			t.Run(c.name, func(t *testing.T) {
				try := c.add
				if try == nil {
					try = func(chain [][]byte) error { _, err := addPre(t.Context(), chain); return err }
				}
				wantFault(t, try(c.chain), fault.Invalid, c.code)
			})
		}
		if _, err := addPre(t.Context(), with(w.ca.Precert(t, "a.example", start.AddDate(0, -2, 0), start))); err != nil {
			t.Errorf("the first moment of the interval: %v", err)
		}
		w.sequence(t, 1)
	})
}

// A crash at any point of a submission: {not written, written but not told}.
func TestASubmissionSurvivesALostCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		lost := fault.Unavailablef(nil, "store.unknown", "The connection broke.")
		for _, c := range []struct {
			name    string
			written bool
		}{{"not written", false}, {"written but not told", true}} {
			t.Run(c.name, func(t *testing.T) {
				chain := append([][]byte{w.precert(t)}, w.ca.Chain()...)
				db.Interpose(func(update func() error) error {
					if c.written {
						if err := update(); err != nil {
							t.Error(err)
						}
					}
					return lost
				})
				_, err := w.log.AddPreChain(t.Context(), chain)
				db.Interpose(nil)
				if err == nil {
					t.Fatal("an SCT left although nobody knows whether its entry is durable")
				}
				w.clock.Advance(time.Minute)
				sct, err := w.log.AddPreChain(t.Context(), chain)
				if err != nil {
					t.Fatal(err)
				}
				if old := sct.Timestamp < ct.Millis(w.clock.Now()); old != c.written {
					t.Errorf("the SCT of the first try came back: %v", old)
				}
				w.sequence(t, 1)
			})
		}
	})
}

// The merge delay is a promise: a log that falls behind says so.
func TestALogThatIsBehindMakesNoPromises(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		early := w.precert(t)
		w.promise(t, early)
		w.clock.Advance(w.log.MMD()/2 + time.Minute)
		_, err := w.log.AddPreChain(t.Context(), append([][]byte{w.precert(t)}, w.ca.Chain()...))
		wantFault(t, err, fault.Unavailable, "ctlog.behind")
		if fault.Of(err).RetryAfter == 0 {
			t.Error("the refusal does not say when to come back")
		}
		w.promise(t, early) // was promised already
		w.sequence(t, 1)
		w.clock.Advance(2 * time.Second)
		w.promise(t, w.precert(t))
		w.sequence(t, 1)
		w.clock.Advance(w.log.MMD() + time.Second)
		_, err = w.log.AddPreChain(t.Context(), append([][]byte{w.precert(t)}, w.ca.Chain()...))
		wantFault(t, err, fault.Unavailable, "ctlog.behind")
	})
}

func TestTooManyWaitingEntriesAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		c := w.config()
		c.MaxPending = 3
		var err error
		if w.log, err = w.try(t, c); err != nil {
			t.Fatal(err)
		}
		w.submit(t, 3)
		w.clock.Advance(2 * time.Second)
		if s, err := w.log.Status(t.Context()); err != nil || s.Pending != 3 || s.Size != 0 || !s.Oldest.Equal(start) {
			t.Errorf("status %+v, %v", s, err)
		}
		_, err = w.log.AddPreChain(t.Context(), append([][]byte{w.precert(t)}, w.ca.Chain()...))
		wantFault(t, err, fault.TooMany, "ctlog.full")
		w.sequence(t, 3)
		w.clock.Advance(2 * time.Second)
		w.submit(t, 1)
	})
}

func TestTheLogDoesNotSignWhileTheClockIsBehind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.clock.Advance(-time.Minute)
		_, err := w.log.AddPreChain(t.Context(), append([][]byte{w.precert(t)}, w.ca.Chain()...))
		if fault.Of(err).Kind != fault.Unavailable {
			t.Errorf("got %v", err)
		}
	})
}
