package crl_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"iter"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A fresh authority, with a certificate made by the standard library. Foreign
// tools judge by the real clock, so that times are relative to it.
type authority struct {
	cert   *x509.Certificate
	signer crypto.Signer
	alg    tbs.Algorithm
	file   string // PEM
}

var now = time.Now().UTC().Truncate(time.Second)

func newAuthority(tb testing.TB, signer crypto.Signer) *authority {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "List CA", Country: []string{"DK"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0), SubjectKeyId: []byte("key identifier"),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	alg, err := tbs.ForKey(signer.Public())
	must(tb, err)
	a := &authority{cert: cert, signer: signer, alg: alg, file: filepath.Join(tb.TempDir(), "ca.pem")}
	must(tb, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

func p256(tb testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return key
}

func (a *authority) list() *crl.List {
	return &crl.List{
		Issuer: a.cert.RawSubject, IssuerKeyID: a.cert.SubjectKeyId, Number: big.NewInt(258),
		ThisUpdate: now.Add(-time.Minute), NextUpdate: now.AddDate(0, 0, 7),
	}
}

func (a *authority) write(tb testing.TB, list *crl.List, entries crl.Entries) []byte {
	tb.Helper()
	var out bytes.Buffer
	n, err := crl.Write(&out, list, entries, a.alg, a.signer)
	must(tb, err)
	if n != int64(out.Len()) {
		tb.Errorf("Write says %d octets, and wrote %d", n, out.Len())
	}
	return out.Bytes()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// run runs a foreign tool, which must succeed, and returns all it says.
func run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func save(tb testing.TB, der []byte) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "list.crl")
	must(tb, os.WriteFile(file, der, 0o600))
	return file
}

type row struct {
	serial     string // hexadecimal
	at         time.Time
	reason     int
	invalidity time.Time
}

func rows() []row {
	at := now.Add(-48 * time.Hour)
	return []row{
		{"01", at, crl.Unspecified, time.Time{}},
		{"80", at, crl.KeyCompromise, at.Add(-time.Hour)},
		{"00ff01", at, crl.CessationOfOperation, time.Time{}},
		{"7fffffffffffffffffffffffffffffffffffffff", at, crl.Superseded, time.Time{}},
		{"1234567890abcdef1234567890abcdef", at, crl.Unspecified, at.Add(-time.Hour)},
		{"1234567890abcdef1234567890abcdf0", at, crl.PrivilegeWithdrawn, time.Time{}},
	}
}

func (r row) number() *big.Int {
	n, _ := new(big.Int).SetString(r.serial, 16)
	return n
}

func encode(tb testing.TB, rows []row) [][]byte {
	tb.Helper()
	var out [][]byte
	for _, r := range rows {
		der, err := crl.AppendEntry(nil, r.number().Bytes(), r.at, r.reason, r.invalidity)
		must(tb, err)
		out = append(out, der)
	}
	return out
}

func each(entries [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, der := range entries {
			if !yield(der, nil) {
				return
			}
		}
	}
}

// PKI rule 20: number, reason left out when unspecified, critical scope; A7.
func TestListsAreAcceptedByForeignToolsWithEveryKindOfKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for name, signer := range map[string]crypto.Signer{"RSA": rsaKey, "P-256": p256(t), "P-384": p384, "Ed25519": ed} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, signer)
			der := a.write(t, a.list(), crl.Entries{Each: each(encode(t, rows()))})
			file := save(t, der)

			text := run(t, "openssl", "crl", "-inform", "DER", "-in", file, "-noout", "-text", "-verify", "-CAfile", a.file)
			for _, want := range []string{
				"verify OK", "Version 2", "C = DK, CN = List CA", "Key Compromise", "Invalidity Date",
				"Cessation Of Operation", "X509v3 CRL Number", "258", "Serial Number: 7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("openssl does not show %q:\n%s", want, text)
				}
			}
			if strings.Contains(text, "Unspecified") {
				t.Errorf("a reason code of unspecified was written:\n%s", text)
			}
			run(t, "openssl", "crl", "-inform", "DER", "-in", file, "-out", file+".pem")
			judged := run(t, "certtool", "--verify-crl", "--load-ca-certificate", a.file, "--infile", file+".pem")
			if !strings.Contains(judged, "Verification output: Verified") {
				t.Errorf("certtool: %s", judged)
			}
			checkStandardLibrary(t, a, der)
		})
	}
}

func checkStandardLibrary(t *testing.T, a *authority, der []byte) {
	t.Helper()
	parsed, err := x509.ParseRevocationList(der)
	must(t, err)
	must(t, parsed.CheckSignatureFrom(a.cert))
	if parsed.Number.Int64() != 258 || !bytes.Equal(parsed.AuthorityKeyId, a.cert.SubjectKeyId) {
		t.Errorf("number %v, key %x", parsed.Number, parsed.AuthorityKeyId)
	}
	if len(parsed.RevokedCertificateEntries) != len(rows()) {
		t.Fatalf("%d entries, want %d", len(parsed.RevokedCertificateEntries), len(rows()))
	}
	for i, r := range rows() {
		got := parsed.RevokedCertificateEntries[i]
		if got.SerialNumber.Cmp(r.number()) != 0 || !got.RevocationTime.Equal(r.at) || got.ReasonCode != r.reason {
			t.Errorf("entry %d is %x %v %d, want %+v", i, got.SerialNumber, got.RevocationTime, got.ReasonCode, r)
		}
	}
}

func TestAListWithoutEntriesLeavesTheFieldOut(t *testing.T) {
	a := newAuthority(t, p256(t))
	for name, entries := range map[string]crl.Entries{"nil": {}, "none yielded": {Each: each(nil)}, "spooled": {Spool: spool(t)}} {
		t.Run(name, func(t *testing.T) {
			text := run(t, "openssl", "crl", "-inform", "DER", "-in", save(t, a.write(t, a.list(), entries)), "-noout", "-text", "-verify", "-CAfile", a.file)
			if !strings.Contains(text, "verify OK") || !strings.Contains(text, "No Revoked Certificates.") {
				t.Error(text)
			}
		})
	}
}

func TestExtensionsOfShardsAndDeltasAreShownByOpenSSL(t *testing.T) {
	a := newAuthority(t, p256(t))
	list := a.list()
	list.DeltaBase = big.NewInt(200)
	list.IDP = &crl.DistributionPoint{URIs: []string{"http://crl.example.test/7.crl"}, OnlyUserCerts: true}
	list.ExpiredCertsOnCRL = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	delta := a.write(t, list, crl.Entries{Each: each(encode(t, rows()))})
	shows(t, a, delta, "verify OK", "X509v3 Delta CRL Indicator: critical", "200", "X509v3 Issuing Distribution Point: critical",
		"URI:http://crl.example.test/7.crl", "Only User Certificates", "2.5.29.60", "20200101000000Z")

	list = a.list()
	list.Freshest = []string{"http://crl.example.test/delta.crl"}
	list.NextUpdate = time.Date(2051, 6, 7, 8, 9, 10, 0, time.UTC)
	full := a.write(t, list, crl.Entries{})
	shows(t, a, full, "verify OK", "X509v3 Freshest CRL", "URI:http://crl.example.test/delta.crl", "Next Update: Jun  7 08:09:10 2051 GMT")
}

func shows(t *testing.T, a *authority, der []byte, wants ...string) {
	t.Helper()
	text := run(t, "openssl", "crl", "-inform", "DER", "-in", save(t, der), "-noout", "-text", "-verify", "-CAfile", a.file)
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not show %q:\n%s", want, text)
		}
	}
}

// The lengths of 2, 5, 1,500 and 400,000 entries take one to four octets.
func TestListsOfEveryLengthOfLengthVerify(t *testing.T) {
	a := newAuthority(t, p256(t))
	for _, n := range []int{2, 5, 1_500, 400_000} {
		der := a.write(t, a.list(), crl.Entries{Each: generate(n, func(err error) { t.Error(err) })})
		text := run(t, "openssl", "crl", "-inform", "DER", "-in", save(t, der), "-noout", "-verify", "-CAfile", a.file)
		if !strings.Contains(text, "verify OK") {
			t.Errorf("%d entries: %s", n, text)
		}
		parsed, err := crl.Parse(der)
		must(t, err)
		must(t, parsed.Verify(a.cert))
		got := 0
		for _, err := range parsed.Entries() {
			must(t, err)
			got++
		}
		if got != n {
			t.Errorf("%d entries, want %d", got, n)
		}
	}
}

func spool(tb testing.TB) io.ReadWriteSeeker {
	file, err := os.CreateTemp(tb.TempDir(), "spool")
	must(tb, err)
	tb.Cleanup(func() { file.Close() })
	return file
}

func TestSizeAndSpoolSpareRunsAndGiveTheSameList(t *testing.T) {
	a := newAuthority(t, p256(t))
	list := encode(t, rows())
	size := int64(0)
	for _, der := range list {
		size += int64(len(der))
	}
	plain := a.write(t, a.list(), crl.Entries{Each: each(list)})
	for _, c := range []struct {
		name    string
		entries crl.Entries
		runs    int
	}{
		{"neither", crl.Entries{}, 3},
		{"size", crl.Entries{Size: size}, 2},
		{"spool", crl.Entries{Spool: spool(t)}, 1},
		{"size and spool", crl.Entries{Size: size, Spool: spool(t)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 0
			c.entries.Each = func(yield func([]byte, error) bool) {
				runs++
				each(list)(yield)
			}
			// Software ECDSA is deterministic, so that whole lists can be compared.
			if der := a.write(t, a.list(), c.entries); !bytes.Equal(der, plain) {
				t.Error("the list differs")
			}
			if runs != c.runs {
				t.Errorf("the entries were run %d times, want %d", runs, c.runs)
			}
		})
	}
}

func TestEntriesThatChangeOrFailEndTheList(t *testing.T) {
	a := newAuthority(t, p256(t))
	list := encode(t, rows())
	other := slices.Clone(list[1])
	other[3] ^= 1
	broken := errors.New("disk on fire")
	for _, c := range []struct {
		name string
		runs [][][]byte // the entries of each run, the last repeated
		fail error
		want error
	}{
		{"longer in the second run", [][][]byte{list[:2], list}, nil, crl.ErrEntriesChanged},
		{"shorter in the second run", [][][]byte{list, list[:2]}, nil, crl.ErrEntriesChanged},
		{"longer in the third run", [][][]byte{list[:2], list[:2], list}, nil, crl.ErrEntriesChanged},
		{"of the same length but different in the third run", [][][]byte{{list[1]}, {list[1]}, {other}}, nil, crl.ErrEntriesChanged},
		{"an error of the iterator", [][][]byte{list}, broken, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := 0
			entries := crl.Entries{Each: func(yield func([]byte, error) bool) {
				for der := range each(c.runs[min(run, len(c.runs)-1)]) {
					if !yield(der, nil) {
						return
					}
				}
				if c.fail != nil {
					yield(nil, c.fail)
				}
				run++
			}}
			if _, err := crl.Write(io.Discard, a.list(), entries, a.alg, a.signer); !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
		})
	}
}
