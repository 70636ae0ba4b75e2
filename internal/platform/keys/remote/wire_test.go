package remote

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

func TestFramesAndRequestsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := rapid.SampledFrom([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}).Draw(r, "hash")
		req := Request{
			Label:  rapid.StringN(0, 100, 300).Draw(r, "label"),
			Scheme: rapid.SampledFrom([]Scheme{PKCS1v15, PSS, ECDSA}).Draw(r, "scheme"),
			Hash:   h,
			Input:  rapid.SliceOfN(rapid.Byte(), h.Size(), h.Size()).Draw(r, "digest"),
		}
		copy(req.Fingerprint[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "fingerprint"))
		if req.Scheme == PSS {
			req.SaltLength = rapid.IntRange(0, h.Size()).Draw(r, "salt")
		}
		payload, err := req.encode()
		if err != nil {
			r.Fatal(err)
		}
		b, err := frame{rapid.Uint64().Draw(r, "id"), opSign, payload}.append(nil)
		if err != nil {
			r.Fatal(err)
		}
		f, err := readFrame(bytes.NewReader(b))
		if err != nil || f.code != opSign {
			r.Fatalf("%+v, %v", f, err)
		}
		got, err := decodeRequest(f.payload)
		got.Input = append([]byte(nil), got.Input...) // a cryptobyte.String otherwise
		if err != nil || !reflect.DeepEqual(got, req) {
			r.Fatalf("%+v, %v, want %+v", got, err, req)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	good, _ := frame{7, opSign, []byte("payload")}.append(nil)
	f.Add(good)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := got.append(nil)
		if err != nil || !bytes.HasPrefix(b, again) {
			t.Errorf("%x was read as %+v, which is written as %x (%v)", b, got, again, err)
		}
	})
}

func FuzzPayloads(f *testing.F) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	list, _ := encodeKeys([]KeyInfo{{"ca", key.Public()}})
	request, _ := Request{Label: "ca", Scheme: ECDSA, Hash: crypto.SHA256, Input: make([]byte, 32)}.encode()
	code, message := encodeFault(fault.NotFoundf("keys.unknown", "No key."))
	f.Add(byte(0), list)
	f.Add(byte(0), request)
	f.Add(code, message)
	f.Fuzz(func(t *testing.T, code byte, b []byte) {
		if r, err := decodeRequest(b); err == nil {
			if again, err := r.encode(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("request %x is written as %x (%v)", b, again, err)
			}
		}
		if keys, err := decodeKeys(b); err == nil {
			if _, err := encodeKeys(keys); err != nil {
				t.Errorf("keys %x cannot be written: %v", b, err)
			}
		}
		if decodeFault(code, b) == nil {
			t.Error("a fault was read as success")
		}
	})
}
