package transparency_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

// A35, A112: whatever one log does, the order gets its SCTs from others, and
// the evidence says what the log did.
func TestALogThatFailsIsReplaced(t *testing.T) {
	stranger := cttest.Key(t)
	for _, c := range []struct {
		name    string
		spoil   func(w *world) spoiler
		outcome transparency.Outcome
		detail  string
	}{
		{"down", nil, transparency.Unreachable, "connection"},
		{"an error inside", func(*world) spoiler { return status(500, "boom\x00\n") }, transparency.Failed, "boom"},
		{"a redirect", func(*world) spoiler {
			return status(301, "", "Location", "/elsewhere")
		}, transparency.Failed, ""},
		{"too many requests", func(*world) spoiler {
			return status(429, "slow down", "Retry-After", "7")
		}, transparency.Busy, "slow down"},
		{"overloaded", func(*world) spoiler { return status(503, "") }, transparency.Busy, ""},
		{"a full shard", func(*world) spoiler {
			return status(403, `{"error_message":"This shard is full."}`)
		}, transparency.Rejected, "This shard is full."},
		{"garbage", func(*world) spoiler { return status(200, "<html>") }, transparency.BadAnswer, "JSON"},
		{"an empty object", func(*world) spoiler { return status(200, "{}") }, transparency.BadAnswer, "version 1"},
		{"a huge body", func(*world) spoiler {
			return status(200, strings.Repeat(" ", 1<<20))
		}, transparency.BadAnswer, "larger"},
		{"another version", func(*world) spoiler {
			return changed(func(r *ct.AddChainResponse) { r.Version = 1 })
		}, transparency.BadAnswer, "version 1"},
		{"another log's id", func(w *world) spoiler {
			id := w.servers[1].log.Key().ID()
			return changed(func(r *ct.AddChainResponse) { r.ID = id[:] })
		}, transparency.WrongLog, "of log"},
		{"a changed timestamp", func(*world) spoiler {
			return changed(func(r *ct.AddChainResponse) { r.Timestamp-- })
		}, transparency.BadSignature, "signature"},
		{"a signature of another key", func(w *world) spoiler {
			return changed(func(r *ct.AddChainResponse) {
				s, err := ct.NewSigner(stranger)
				if err != nil {
					panic(err)
				}
				sct, err := s.SCT(ct.CertificateEntry([]byte{1}), r.Timestamp)
				if err != nil {
					panic(err)
				}
				r.Signature, _ = sct.Signature.Marshal()
			})
		}, transparency.BadSignature, "signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "a1", "b1", "c1")
			if c.spoil == nil {
				w.servers[0].http.Close()
			} else {
				w.servers[0].spoilWith(c.spoil(w))
			}
			request := w.request(t)
			r, err := w.Submit(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			w.final(t, request.Precert, r)
			wantOutcomes(t, r, "a1:"+string(c.outcome), "b1:ok", "c1:ok")
			for _, e := range r.Evidence {
				if e.Log == "a1" && (!strings.Contains(e.Detail, c.detail) || strings.ContainsAny(e.Detail, "\x00\n")) {
					t.Errorf("detail %q, want %q in it", e.Detail, c.detail)
				}
			}
		})
	}
}

// An SCT counts only if its time can be true: properly signed, but from the
// future or long before the certificate.
func TestSCTsOfImpossibleTimesDoNotCount(t *testing.T) {
	for _, c := range []struct {
		name string
		off  time.Duration
		ok   bool
	}{
		{"as far in the future as clocks may differ", 5 * time.Second, true},
		{"further in the future", 5*time.Second + time.Millisecond, false},
		{"as old as allowed", -48 * time.Hour, true},
		{"older", -48*time.Hour - time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "a1", "b1", "c1")
			request := w.request(t)
			key := cttest.Key(t)
			signer, err := ct.NewSigner(key)
			if err != nil {
				t.Fatal(err)
			}
			entry, err := ct.PrecertEntry(request.Precert, w.ca.Issuer)
			if err != nil {
				t.Fatal(err)
			}
			logs := w.list()
			logs[0].Key = signer.SPKI()
			if err := w.SetLogs(logs); err != nil {
				t.Fatal(err)
			}
			w.servers[0].spoilWith(changed(func(r *ct.AddChainResponse) {
				sct, err := signer.SCT(entry, ct.Millis(start.Add(c.off)))
				if err != nil {
					panic(err)
				}
				*r, _ = sct.AddChainResponse()
			}))
			r, err := w.Submit(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if c.ok {
				wantOutcomes(t, r, "a1:ok", "b1:ok")
			} else {
				wantOutcomes(t, r, "a1:bad_time", "b1:ok", "c1:ok")
			}
		})
	}
}
