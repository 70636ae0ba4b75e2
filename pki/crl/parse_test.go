package crl_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
)

func collect(tb testing.TB, c *crl.CRL) []crl.Entry {
	tb.Helper()
	var out []crl.Entry
	for entry, err := range c.Entries() {
		must(tb, err)
		out = append(out, entry)
	}
	return out
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	a := newAuthority(t, p256(t))
	full, shard, delta := a.list(), a.list(), a.list()
	full.Freshest = []string{"http://crl.example.test/delta.crl", "http://b.example.test/delta.crl"}
	full.ExpiredCertsOnCRL = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	full.NextUpdate = time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	shard.IDP = &crl.DistributionPoint{URIs: []string{"http://crl.example.test/7.crl"}, OnlyUserCerts: true}
	delta.IDP = &crl.DistributionPoint{OnlyCACerts: true}
	delta.DeltaBase = big.NewInt(1)
	for name, list := range map[string]*crl.List{"full": full, "shard": shard, "delta": delta} {
		t.Run(name, func(t *testing.T) {
			der := a.write(t, list, crl.Entries{Each: each(encode(t, rows()))})
			got, err := crl.Parse(der)
			must(t, err)
			must(t, got.Verify(a.cert))
			if !reflect.DeepEqual(&got.List, list) {
				t.Errorf("read %+v\nwant %+v", got.List, *list)
			}
			entries := collect(t, got)
			if len(entries) != len(rows()) {
				t.Fatalf("%d entries, want %d", len(entries), len(rows()))
			}
			for i, r := range rows() {
				e := entries[i]
				if !bytes.Equal(e.Serial, r.number().Bytes()) || !e.At.Equal(r.at) || e.Reason != r.reason || !e.Invalidity.Equal(r.invalidity) {
					t.Errorf("entry %d is %+v, want %+v", i, e, r)
				}
				if !bytes.Equal(e.Raw, encode(t, rows())[i]) {
					t.Errorf("entry %d is not raw as written", i)
				}
			}
		})
	}
}

// The list is made by `openssl ca -gencrl` from its own database.
func TestAListMadeByOpenSSLIsRead(t *testing.T) {
	key := p256(t)
	a := newAuthority(t, key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	must(t, os.WriteFile(path("number"), []byte("0100\n"), 0o600))
	must(t, os.WriteFile(path("index"), []byte(
		"R\t350101000000Z\t250102030405Z\t0A\tunknown\t/CN=one\n"+
			"V\t350101000000Z\t\t0B\tunknown\t/CN=two\n"+
			"R\t350101000000Z\t250102030406Z,keyTime,20250101000000Z\tF00DF00DF00DF00DF00DF00DF00DF00D\tunknown\t/CN=three\n"), 0o600))
	must(t, os.WriteFile(path("conf"), fmt.Appendf(nil, `
[ca]
default_ca = d
[d]
database = %s
crlnumber = %s
default_md = sha256
default_crl_days = 3
crl_extensions = e
[e]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical,@idp
[idp]
fullname = URI:http://crl.example.test/1.crl
onlyuser = TRUE
`, path("index"), path("number")), 0o600))
	run(t, "openssl", "ca", "-config", path("conf"), "-gencrl", "-cert", a.file, "-keyfile", path("key.pem"), "-out", path("crl.pem"))
	run(t, "openssl", "crl", "-in", path("crl.pem"), "-outform", "DER", "-out", path("crl.der"))
	der, err := os.ReadFile(path("crl.der"))
	must(t, err)

	got, err := crl.Parse(der)
	must(t, err)
	must(t, got.Verify(a.cert))
	if got.Number.Int64() != 256 || !got.IDP.OnlyUserCerts || got.IDP.URIs[0] != "http://crl.example.test/1.crl" {
		t.Errorf("header %+v", got.List)
	}
	entries := collect(t, got)
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2", len(entries))
	}
	if e := entries[0]; !bytes.Equal(e.Serial, []byte{10}) || e.Reason != crl.Unspecified || !e.At.Equal(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("first entry %+v", e)
	}
	if e := entries[1]; e.Reason != crl.KeyCompromise || !e.Invalidity.Equal(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("second entry %+v", e)
	}
}

func TestAListOfAnotherIssuerOrKeyOrOneAlteredDoesNotVerify(t *testing.T) {
	a, sameName := newAuthority(t, p256(t)), newAuthority(t, p256(t))
	der := a.write(t, a.list(), crl.Entries{Each: each(encode(t, rows()))})
	parsed, err := crl.Parse(der)
	must(t, err)
	if err := parsed.Verify(sameName.cert); !errors.Is(err, tbs.ErrBadSignature) {
		t.Errorf("another key: %v", err)
	}
	for name, spoil := range map[string]func(*x509.Certificate){
		"name":           func(c *x509.Certificate) { c.RawSubject = []byte("another") },
		"key identifier": func(c *x509.Certificate) { c.SubjectKeyId = []byte("another") },
		"key usage":      func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign },
	} {
		cert := *a.cert
		spoil(&cert)
		if parsed.Verify(&cert) == nil {
			t.Errorf("verifies with a certificate of another %s", name)
		}
	}
	at := bytes.Index(der, []byte{0x12, 0x34, 0x56, 0x78})
	der[at+4] ^= 1
	altered, err := crl.Parse(der)
	must(t, err)
	if err := altered.Verify(a.cert); !errors.Is(err, tbs.ErrBadSignature) {
		t.Errorf("an altered serial number: %v", err)
	}
}

// Each case replaces one element of a good list by another of equal length, so
// that all the lengths around it stay right.
func TestBadListsAreNotRead(t *testing.T) {
	a := newAuthority(t, p256(t))
	list := a.list()
	list.ThisUpdate = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list.IDP = &crl.DistributionPoint{URIs: []string{"http://a/1"}, OnlyUserCerts: true}
	good := a.write(t, list, crl.Entries{Each: each(encode(t, rows()))})
	for _, c := range []struct {
		name, from, to string
		want           error
	}{
		{"version 1", "\x02\x01\x01\x30", "\x02\x01\x00\x30", crl.ErrMalformed},
		{"another algorithm inside", "\x02\x01\x01\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", "\x02\x01\x01\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", crl.ErrMalformed},
		{"the 13th month", "260102030405Z", "261302030405Z", crl.ErrMalformed},
		{"a time without seconds", "260102030405Z", "2601020304+00", crl.ErrMalformed},
		{"an unknown critical extension", "\x55\x1d\x1c\x01\x01\xff", "\x55\x1d\x7f\x01\x01\xff", crl.ErrUnsupported},
		{"a boolean that is not DER", "\x55\x1d\x1c\x01\x01\xff", "\x55\x1d\x1c\x01\x01\x01", crl.ErrMalformed},
		{"a default written out", "\x55\x1d\x1c\x01\x01\xff", "\x55\x1d\x1c\x01\x01\x00", crl.ErrMalformed},
		{"an extension twice", "\x55\x1d\x14", "\x55\x1d\x23", crl.ErrMalformed},
		{"a negative number", "\x02\x02\x01\x02", "\x02\x02\xff\x02", crl.ErrMalformed},
		{"an indirect list", "\x81\x01\xff", "\x84\x01\xff", crl.ErrUnsupported},
		{"a list for some reasons", "\x81\x01\xff", "\x83\x01\x06", crl.ErrUnsupported},
		{"a scope named by a directory name", "\x86\x0ahttp://a/1", "\xa4\x0ahttp://a/1", crl.ErrUnsupported},
		{"a URI with a line break", "http://a/1", "http://a\n1", crl.ErrMalformed},
		{"an entry with reason 7", "\x0a\x01\x01", "\x0a\x01\x07", crl.ErrMalformed},
		{"an entry of another issuer", "\x55\x1d\x15", "\x55\x1d\x1d", crl.ErrUnsupported},
		{"an entry with a negative serial", "\x02\x02\x00\x80", "\x02\x02\xff\x01", crl.ErrMalformed},
		{"an entry with a padded serial", "\x02\x02\x00\x80", "\x02\x02\x00\x01", crl.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(string(good), c.from) {
				t.Fatalf("the good list does not hold %x", c.from)
			}
			bad := bytes.Replace(good, []byte(c.from), []byte(c.to), 1)
			if err := readAll(bad); !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
		})
	}
	for n := range len(good) {
		if err := readAll(good[:n]); !errors.Is(err, crl.ErrMalformed) {
			t.Fatalf("cut after %d octets: %v", n, err)
		}
	}
	if err := readAll(append(good, 0)); !errors.Is(err, crl.ErrMalformed) {
		t.Errorf("with a tail: %v", err)
	}
}

func readAll(der []byte) error {
	parsed, err := crl.Parse(der)
	if err != nil {
		return err
	}
	for _, err := range parsed.Entries() {
		if err != nil {
			return err
		}
	}
	return nil
}

// Whatever is read, and can be written, is read again as the same.
func FuzzParse(f *testing.F) {
	a := newAuthority(f, p256(f))
	list := a.list()
	f.Add(a.write(f, list, crl.Entries{Each: each(encode(f, rows()))}))
	list.Freshest = []string{"http://a/1"}
	f.Add(a.write(f, list, crl.Entries{}))
	list.Freshest, list.DeltaBase = nil, big.NewInt(3)
	list.IDP = &crl.DistributionPoint{URIs: []string{"http://a/1"}, OnlyCACerts: true}
	list.ExpiredCertsOnCRL = now
	f.Add(a.write(f, list, crl.Entries{Each: each(encode(f, rows()))}))
	f.Fuzz(func(t *testing.T, der []byte) {
		parsed, err := crl.Parse(der)
		if err != nil {
			if !errors.Is(err, crl.ErrMalformed) && !errors.Is(err, crl.ErrUnsupported) {
				t.Errorf("an error of neither kind: %v", err)
			}
			return
		}
		var raws [][]byte
		for entry, err := range parsed.Entries() {
			if err != nil {
				return
			}
			raws = append(raws, entry.Raw)
		}
		var out bytes.Buffer
		if _, err := crl.Write(&out, &parsed.List, crl.Entries{Each: each(raws)}, a.alg, a.signer); err != nil {
			return // a list may be readable and yet lack what RFC 5280 asks of authorities
		}
		again, err := crl.Parse(out.Bytes())
		must(t, err)
		if !reflect.DeepEqual(again.List, parsed.List) || len(collect(t, again)) != len(raws) {
			t.Errorf("read %+v, then %+v", parsed.List, again.List)
		}
	})
}

func BenchmarkReadMillionEntries(b *testing.B) {
	a := newAuthority(b, p256(b))
	const n = 1_000_000
	der := a.write(b, a.list(), crl.Entries{Each: generate(n, func(err error) { b.Error(err) })})
	b.ReportAllocs()
	for b.Loop() {
		must(b, readAll(der))
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
