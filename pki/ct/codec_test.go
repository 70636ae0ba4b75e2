package ct_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/certificate-transparency-go/testdata"

	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

func someSCT() ct.SCT {
	return ct.SCT{LogID: ct.LogID{9}, Timestamp: 1, Extensions: []byte{1, 2}, Signature: ct.Signature{Hash: 4, Algorithm: 3, Value: []byte{7}}}
}

func TestListsComeBackAsTheyWent(t *testing.T) {
	a, b := someSCT(), someSCT()
	b.Extensions = nil
	list := must[[]byte](t)(ct.MarshalList([]ct.SCT{a, b}))
	if back := must[[]ct.SCT](t)(ct.ParseList(list)); !reflect.DeepEqual(back, []ct.SCT{a, b}) {
		t.Errorf("got %+v", back)
	}
	// RFC 6962, 3.3: readers pass over SCTs of versions that they do not know.
	raw := must[[]byte](t)(a.Marshal())
	foreign := append([]byte{1}, raw[1:]...)
	mixed := join(foreign, raw)
	if back := must[[]ct.SCT](t)(ct.ParseList(mixed)); !reflect.DeepEqual(back, []ct.SCT{a}) {
		t.Errorf("got %+v", back)
	}
	if _, err := ct.ParseSCT(foreign); !errors.Is(err, ct.ErrVersion) {
		t.Errorf("another version: %v", err)
	}
}

func join(scts ...[]byte) []byte {
	var body []byte
	for _, s := range scts {
		body = append(append(body, byte(len(s)>>8), byte(len(s))), s...)
	}
	return append([]byte{byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestMalformedStructuresAreRefused(t *testing.T) {
	raw := must[[]byte](t)(someSCT().Marshal())
	late := bytes.Clone(raw)
	late[33] = 0x80 // the first octet of the timestamp
	for name, b := range map[string][]byte{
		"nothing": nil, "an SCT cut short": raw[:len(raw)-1], "trailing octets": append(bytes.Clone(raw), 0),
		"a timestamp of 2^63": late, "a version alone": {0},
	} {
		if _, err := ct.ParseSCT(b); err == nil {
			t.Errorf("%s is read as an SCT", name)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "no SCTs": {0, 0}, "an empty SCT": join(nil), "trailing octets": append(join(raw), 0), "a broken SCT": join(raw[:9]),
	} {
		if _, err := ct.ParseList(b); err == nil {
			t.Errorf("%s is read as a list", name)
		}
	}
	for name, sct := range map[string]ct.SCT{
		"a time before 1970": {Timestamp: -1}, "extensions too long": {Extensions: make([]byte, 1<<16)},
		"a signature too long": {Signature: ct.Signature{Value: make([]byte, 1<<16)}},
	} {
		if _, err := ct.MarshalList([]ct.SCT{sct}); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if _, err := ct.MarshalList(nil); err == nil {
		t.Error("an empty list is written")
	}
	for name, e := range map[string]ct.Entry{"nothing": {}, "a pre-certificate without content": {Type: ct.TypePrecert}, "another type": {Type: 2, TBS: []byte{1}}} {
		if _, err := e.Marshal(); err == nil {
			t.Errorf("%s is written as an entry", name)
		}
	}
	if _, _, err := ct.ParseExtra(7, []byte{0, 0, 0}); err == nil {
		t.Error("extra data of an unknown type is read")
	}
}

func TestEntriesNeedOneExtensionOfTheKind(t *testing.T) {
	ca := cttest.NewCA(t)
	plain, precert := ca.Certificate(t, "a.example", now, until), ca.Precert(t, "a.example", now, until)
	final := ca.Final(t, precert, []ct.SCT{someSCT()})
	for _, c := range []struct {
		name            string
		der             []byte
		entry, poisoned bool
		embedded        int
	}{
		{"a plain certificate", plain, false, false, 0},
		{"a pre-certificate", precert, true, true, 0},
		{"a final certificate", final, true, false, 1},
		{"an authority's certificate", ca.Root, false, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ct.PrecertEntry(c.der, ca.Issuer); (err == nil) != c.entry {
				t.Errorf("entry: %v", err)
			}
			if got := ct.IsPrecert(c.der); got != c.poisoned {
				t.Errorf("IsPrecert = %v", got)
			}
			list, err := ct.EmbeddedList(c.der)
			if err != nil || (list != nil) != (c.embedded > 0) {
				t.Errorf("embedded list %x, %v", list, err)
			}
		})
	}
	if _, err := ct.PrecertEntry(precert, []byte("x")); err == nil || !strings.Contains(err.Error(), "issuer") {
		t.Errorf("an issuer that is none: %v", err)
	}
	if _, err := ct.EmbeddedList([]byte("x")); err == nil {
		t.Error("nonsense has an SCT list")
	}
}

func TestAnswersComeBackAsTheyWent(t *testing.T) {
	plain := someSCT()
	plain.Extensions = nil
	for _, sct := range []ct.SCT{someSCT(), plain} {
		body := must[[]byte](t)(json.Marshal(must[ct.AddChainResponse](t)(sct.AddChainResponse())))
		if strings.Contains(string(body), "null") {
			t.Errorf("an answer with null: %s", body)
		}
		var r ct.AddChainResponse
		if err := json.Unmarshal(body, &r); err != nil {
			t.Fatal(err)
		}
		if back := must[ct.SCT](t)(r.SCT()); !reflect.DeepEqual(back, sct) {
			t.Errorf("got %+v, want %+v", back, sct)
		}
	}
	good := must[ct.AddChainResponse](t)(someSCT().AddChainResponse())
	for name, change := range map[string]func(*ct.AddChainResponse){
		"another version":         func(r *ct.AddChainResponse) { r.Version = 1 },
		"a short id":              func(r *ct.AddChainResponse) { r.ID = r.ID[1:] },
		"a time before 1970":      func(r *ct.AddChainResponse) { r.Timestamp = -1 },
		"a signature with a tail": func(r *ct.AddChainResponse) { r.Signature = append(bytes.Clone(r.Signature), 0) },
		"long extensions":         func(r *ct.AddChainResponse) { r.Extensions = make([]byte, 1<<16) },
	} {
		r := good
		change(&r)
		if _, err := r.SCT(); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	if _, err := (ct.TreeHeadResponse{Size: 1, Root: []byte{1}}).TreeHead(); err == nil {
		t.Error("a tree head with a short root is read")
	}
}

func FuzzParseSCT(f *testing.F) {
	f.Add(testdata.TestCertProof)
	f.Add(testdata.TestPreCertProof)
	f.Fuzz(func(t *testing.T, b []byte) {
		sct, err := ct.ParseSCT(b)
		if err != nil {
			return
		}
		if back, err := sct.Marshal(); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x is written as %x (%v)", b, back, err)
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add(join(testdata.TestCertProof, testdata.TestPreCertProof))
	f.Add(join([]byte{1, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := ct.SplitList(b)
		if err != nil {
			return
		}
		if !bytes.Equal(join(raw...), b) {
			t.Fatalf("%x is split into %x", b, raw)
		}
		scts, err := ct.ParseList(b)
		if err == nil && len(scts) == len(raw) {
			if back, err := ct.MarshalList(scts); err != nil || !bytes.Equal(back, b) {
				t.Fatalf("%x is written as %x (%v)", b, back, err)
			}
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	ca := cttest.NewCA(f)
	for _, e := range []ct.Entry{ct.CertificateEntry(ca.Root), precertEntry(f, ca.Precert(f, "a.example", now, until), ca.Issuer)} {
		f.Add(must[[]byte](f)(ct.Leaf{Timestamp: 1, Entry: e, Extensions: []byte{1}}.Marshal()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		leaf, err := ct.ParseLeaf(b)
		if err != nil {
			return
		}
		if back, err := leaf.Marshal(); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x is written as %x (%v)", b, back, err)
		}
	})
}

func FuzzParseExtra(f *testing.F) {
	chain := must[[]byte](f)(ct.MarshalChain([][]byte{{1}, {2, 3}}))
	f.Add(uint16(0), chain)
	f.Add(uint16(1), must[[]byte](f)(ct.PrecertExtra([]byte{9}, chain)))
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		precert, chain, err := ct.ParseExtra(ct.EntryType(kind), b)
		if err != nil {
			return
		}
		back, err := ct.MarshalChain(chain)
		if err == nil && ct.EntryType(kind) == ct.TypePrecert {
			back, err = ct.PrecertExtra(precert, back)
		}
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x is written as %x (%v)", b, back, err)
		}
	})
}

// Whatever is given as a certificate, the walkers end without a panic, and
// an entry that comes out can be written and read.
func FuzzCertificates(f *testing.F) {
	ca := cttest.NewCA(f)
	precert := ca.Precert(f, "a.example", now, until)
	f.Add(precert, ca.Issuer)
	f.Add(ca.Final(f, precert, []ct.SCT{someSCT()}), ca.Root)
	f.Fuzz(func(t *testing.T, der, issuer []byte) {
		list, _ := ct.EmbeddedList(der)
		_, _ = ct.ParseList(list)
		poisoned := ct.IsPrecert(der)
		e, err := ct.PrecertEntry(der, issuer)
		if err != nil {
			return
		}
		if poisoned == (list != nil) {
			t.Fatal("an entry of neither a pre-certificate nor a final certificate")
		}
		b, err := ct.Leaf{Entry: e}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ct.ParseLeaf(b); err != nil || !reflect.DeepEqual(back.Entry, e) {
			t.Fatalf("the leaf does not come back: %v", err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(newSigner(f, cttest.Key(f)).SPKI(), []byte{4, 3, 0, 1, 9})
	f.Fuzz(func(t *testing.T, spki, signature []byte) {
		key, err := ct.ParseKey(spki)
		if err != nil {
			return
		}
		g, err := ct.ParseSignature(signature)
		if err != nil {
			return
		}
		if key.VerifyTreeHead(ct.TreeHead{Signature: g}) == nil {
			t.Fatal("a made-up signature verifies")
		}
	})
}
