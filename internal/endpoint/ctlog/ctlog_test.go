package ctlog_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	google "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"

	domain "github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/endpoint/ctlog"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

var (
	start = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	until = start.AddDate(0, 3, 0)
)

// A site is a log behind a TLS server.
type site struct {
	ca      *cttest.CA
	log     *domain.Log
	clock   *clock.Fake
	handler http.Handler
	server  *httptest.Server
	base    string
}

func newSite(t *testing.T, db *store.DB) *site {
	t.Helper()
	s := &site{ca: cttest.NewCA(t), clock: clock.NewFake(start)}
	var err error
	s.log, err = domain.Open(t.Context(), db, s.clock, audit.New(db, s.clock, nil, ""),
		domain.Config{Name: "test", Signer: cttest.Key(t), Roots: [][]byte{s.ca.Root}, Start: start, Limit: start.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = ctlog.New(s.log)
	s.server = httptest.NewTLSServer(s.handler)
	t.Cleanup(s.server.Close)
	s.base = s.server.URL + "/ctlog/test"
	return s
}

func (s *site) precert(t *testing.T, name string) []byte {
	t.Helper()
	return s.ca.Precert(t, name, start, until)
}

// foreign is the client of certificate-transparency-go, which checks the
// signatures of tree heads and of what it submits.
func (s *site) foreign(t *testing.T) *client.LogClient {
	t.Helper()
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.log.SPKI()}))
	c, err := client.New(s.base, s.server.Client(), jsonclient.Options{PublicKey: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func asn1(ders ...[]byte) (out []google.ASN1Cert) {
	for _, der := range ders {
		out = append(out, google.ASN1Cert{Data: der})
	}
	return out
}

func hashes(t *testing.T, raw [][]byte) []ct.Hash {
	t.Helper()
	var out []ct.Hash
	for _, b := range raw {
		if len(b) != 32 {
			t.Fatalf("a hash of %d bytes", len(b))
		}
		out = append(out, ct.Hash(b))
	}
	return out
}

// Pki-rules row 37: a client of somebody else submits, reads, and finds every
// SCT that it got in the next tree.
func TestAForeignClientAuditsTheLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		c, ctx := s.foreign(t), t.Context()
		var leaves [][32]byte
		var heads []*google.SignedTreeHead
		for round := range 3 {
			for i := range 3 {
				precert := s.precert(t, fmt.Sprintf("host%d-%d.example", round, i))
				chain := asn1(precert, s.ca.Issuer, s.ca.Root)
				sct, err := c.AddPreChain(ctx, chain)
				if err != nil {
					t.Fatal(err)
				}
				leaf, err := google.MerkleTreeLeafFromRawChain(chain, google.PrecertLogEntryType, sct.Timestamp)
				if err != nil {
					t.Fatal(err)
				}
				h, err := google.LeafHashForLeaf(leaf)
				if err != nil {
					t.Fatal(err)
				}
				leaves = append(leaves, h)
			}
			if _, err := c.AddChain(ctx, asn1(s.ca.Certificate(t, "plain.example", start, until), s.ca.Issuer)); err != nil {
				t.Fatal(err)
			}
			s.clock.Advance(time.Second)
			if _, err := s.log.Sequence(ctx); err != nil {
				t.Fatal(err)
			}
			head, err := c.GetSTH(ctx)
			if err != nil {
				t.Fatal(err)
			}
			heads = append(heads, head)
		}
		last := heads[2]
		if last.TreeSize != 12 {
			t.Fatalf("the tree has %d entries", last.TreeSize)
		}
		for _, head := range heads {
			proof, err := c.GetSTHConsistency(ctx, head.TreeSize, last.TreeSize)
			if err != nil {
				t.Fatal(err)
			}
			if err := ct.VerifyConsistency(int64(head.TreeSize), int64(last.TreeSize), ct.Hash(head.SHA256RootHash), ct.Hash(last.SHA256RootHash), hashes(t, proof)); err != nil {
				t.Error(err)
			}
		}
		for _, leaf := range leaves {
			p, err := c.GetProofByHash(ctx, leaf[:], last.TreeSize)
			if err != nil {
				t.Fatal(err)
			}
			if err := ct.VerifyInclusion(leaf, p.LeafIndex, int64(last.TreeSize), hashes(t, p.AuditPath), ct.Hash(last.SHA256RootHash)); err != nil {
				t.Error(err)
			}
		}
		entries, err := c.GetEntries(ctx, 0, 11)
		if err != nil || len(entries) != 12 || len(entries[0].Chain) != 2 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		one, err := c.GetEntryAndProof(ctx, 7, 9)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := c.GetSTHConsistency(ctx, 9, 12)
		if err != nil || len(proof) == 0 {
			t.Fatalf("%v, %v", proof, err)
		}
		if len(one.LeafInput) == 0 || len(one.AuditPath) != 4 {
			t.Errorf("an entry with a path of %d", len(one.AuditPath))
		}
		accepted, err := c.GetAcceptedRoots(ctx)
		if err != nil || len(accepted) != 1 || !bytes.Equal(accepted[0].Data, s.ca.Root) {
			t.Errorf("roots %v, %v", accepted, err)
		}
	})
}
