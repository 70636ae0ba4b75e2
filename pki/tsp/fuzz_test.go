package tsp_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sealwright/sealwright/pki/cms"
	"github.com/sealwright/sealwright/pki/tsp"
)

// A request that is read and written again says the same.
func FuzzParseRequest(f *testing.F) {
	for _, certs := range []bool{true, false} {
		r := request(certs)
		r.Policy = policy
		r.Extensions = []tsp.Extension{{ID: policy, Critical: certs, Value: []byte{5, 0}}}
		der, err := r.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	w := newWorld(f, "p256")
	w.file("data", data)
	w.run("openssl", "ts", "-query", "-data", "data", "-sha512", "-cert", "-out", "query")
	f.Add(w.read("query"))
	stamper := w.stamper()
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := tsp.ParseRequest(in)
		var why *tsp.Rejection
		if err != nil {
			if !errors.As(err, &why) || len(why.Response()) < 10 {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		der, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := tsp.ParseRequest(der)
		if err != nil || !again.Imprint.Equal(r.Imprint) || !bytes.Equal(again.Nonce, r.Nonce) || !again.Policy.Equal(r.Policy) ||
			again.CertReq != r.CertReq || len(again.Extensions) != len(r.Extensions) {
			t.Fatalf("%+v became %+v: %v", r, again, err)
		}
		if err := stamper.Admit(r); err != nil && !errors.As(err, &why) {
			t.Fatalf("an error of another kind: %v", err)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	w := newWorld(f, "p256")
	f.Add(tsp.Granted(w.stamp(request(true))))
	f.Add(tsp.Granted(w.stamp(request(false))))
	f.Add(tsp.Reject(tsp.SystemFailure, "something").Response())
	o := w.options()
	o.Unit = w.unit.Certificate
	f.Fuzz(func(t *testing.T, in []byte) {
		der, err := tsp.ParseResponse(in)
		var why *tsp.Rejection
		if err != nil {
			if !errors.As(err, &why) && !errors.Is(err, tsp.ErrMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		token, err := tsp.ParseToken(der)
		if err != nil {
			if !errors.Is(err, tsp.ErrMalformed) && !errors.Is(err, cms.ErrMalformed) && !errors.Is(err, cms.ErrUnsupported) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if v, err := token.Verify(o); err == nil && v.Answers(request(true)) != nil {
			t.Fatalf("verified %+v", v.Info)
		}
	})
}
