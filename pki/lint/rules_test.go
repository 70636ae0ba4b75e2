package lint

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"net"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func tbsSign(w *world, l *leaf, raw []byte) ([]byte, error) { return tbs.Sign(raw, l.Algorithm, w.key) }

// sctBytes is an SCT list in TLS encoding with SCTs of different logs, whose
// signatures nobody here verifies.
func sctBytes(logs int) []byte {
	var list []byte
	for i := range logs {
		sct := append([]byte{0}, bytes.Repeat([]byte{byte(i + 1)}, 32)...) // v1, log id
		sct = binary.BigEndian.AppendUint64(sct, uint64(signedAt.UnixMilli()))
		sct = append(sct, 0, 0)                      // no extensions
		sct = append(sct, 4, 3, 0, 4, 0x30, 2, 5, 0) // SHA-256, ECDSA, four octets
		list = binary.BigEndian.AppendUint16(list, uint16(len(sct)))
		list = append(list, sct...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
}

func sctList(t testing.TB, logs int) tbs.Extension {
	t.Helper()
	return must(tbs.Custom(oid(extSCTList), false, must(asn1.Marshal(sctBytes(logs)))))
}

func days(n int) func(*leaf) {
	return func(l *leaf) { l.NotAfter = l.NotBefore.Add(time.Duration(n)*24*time.Hour - time.Second) }
}

// A35, A111; rows 1, 11 to 13, 17 and 24 of the rules of the trade: each violation,
// made by hand, is found, and by the lint that is meant to find it. zlint's are here
// where a row relies on them.
func TestViolationsAreFound(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name    string
		profile Profile
		change  func(*leaf)
		lint    string
	}{
		{"a serial number of 63 bits", PublicTLS, func(l *leaf) { l.Serial = bytes.Repeat([]byte{0x47}, 7) }, "e_sw_serial"},
		{"a serial number that counts", Private, func(l *leaf) { l.Serial = append(bytes.Repeat([]byte{0x47}, 8), make([]byte, 8)...) }, "e_sw_serial"},

		{"dated back by 49 hours", PublicTLS, func(l *leaf) { l.NotBefore = signedAt.Add(-49 * time.Hour) }, "e_sw_not_before"},
		{"beginning in 49 hours", PublicSMIME, func(l *leaf) { l.NotBefore = signedAt.Add(49 * time.Hour) }, "e_sw_not_before"},
		{"201 days", PublicTLS, days(201), "e_sw_validity"},
		{"200 days and a second", PublicTLS, func(l *leaf) { days(200)(l); l.NotAfter = l.NotAfter.Add(time.Second) }, "e_sw_validity"},
		{"826 days", PublicSMIME, days(826), "e_sw_validity"},

		{"a common name from nowhere", PublicTLS, func(l *leaf) { l.cn = "other.example.com" }, "e_sw_common_name"},
		{"a common name in capitals", PublicTLS, func(l *leaf) { l.cn = "WWW.example.com" }, "e_sw_common_name"},
		{"a mailbox from nowhere", PublicSMIME, func(l *leaf) { l.cn = "ole@example.com" }, "e_sw_common_name"},
		{"no alternative name", PublicTLS, func(l *leaf) { l.san = tbs.SAN{} }, "e_ext_san_missing"},
		{"an e-mail address for a server", PublicTLS, func(l *leaf) { l.san.Email = []string{"a@example.com"} }, "e_ext_san_rfc822_name_present"},
		{"a URI for a server", PublicTLS, func(l *leaf) { l.san.URI = []string{"https://example.com/"} }, "e_ext_san_uniform_resource_identifier_present"},
		{"critical names beside a subject", PublicTLS, func(l *leaf) { l.critical = true }, "w_ext_san_critical_with_subject_dn"},

		{"a name without a dot", PublicTLS, func(l *leaf) { l.cn = ""; l.san.DNS = []string{"server"} }, "e_sw_names"},
		{"an internal name", PublicTLS, func(l *leaf) { l.cn = ""; l.san.DNS = []string{"server.corp.internal"} }, "e_sw_names"},
		{"a wildcard of an internal name", PublicTLS, func(l *leaf) { l.cn = ""; l.san.DNS = []string{"*.corp.local"} }, "e_sw_names"},
		{"a name of a reverse zone", PublicTLS, func(l *leaf) { l.cn = ""; l.san.DNS = []string{"1.2.0.192.in-addr.arpa"} }, "e_sw_names"},
		{"a private address", PublicTLS, func(l *leaf) { l.cn = ""; l.san = tbs.SAN{IP: []net.IP{ip("10.0.0.1")}} }, "e_sw_names"},
		{"a reserved address of IPv6", PublicTLS, func(l *leaf) { l.cn = ""; l.san = tbs.SAN{IP: []net.IP{ip("2001:db8::1")}} }, "e_sw_names"},
		{"an address as a DNS name", PublicTLS, func(l *leaf) { l.cn = ""; l.san.DNS = []string{"93.184.216.34"} }, "e_sw_names"},
		{"a mailbox of an internal domain", PublicSMIME, func(l *leaf) { l.cn = ""; l.san.Email = []string{"a@corp.internal"} }, "e_sw_names"},
		{"a wildcard of a public suffix", PublicTLS, func(l *leaf) { l.cn = ""; l.san.DNS = []string{"*.co.uk"} }, "n_dnsname_wildcard_left_of_public_suffix"},

		{"no reserved policy", PublicTLS, func(l *leaf) { l.policies = []tbs.Policy{policy("1.3.6.1.4.1.99999.1")} }, "e_sw_policy"},
		{"two reserved policies", PublicTLS, func(l *leaf) { l.policies = append(l.policies, policy("2.23.140.1.2.2")) }, "e_sw_policy"},
		{"the policy of servers on a mailbox", PublicSMIME, func(l *leaf) { l.policies = []tbs.Policy{policy("2.23.140.1.2.1")} }, "e_sw_policy"},
		{"no policy", PublicTLS, func(l *leaf) { l.drop = []string{"2.5.29.32"} }, "e_sw_policy"},

		{"no key usage", Private, func(l *leaf) { l.drop = []string{"2.5.29.15"} }, "e_sw_key_usage"},
		{"signing certificates without being a CA", Private, func(l *leaf) { l.usage |= x509.KeyUsageCertSign }, "e_sw_key_usage"},
		{"encipherment with an elliptic curve", PublicTLS, func(l *leaf) { l.usage |= x509.KeyUsageKeyEncipherment }, "e_sw_key_usage"},
		{"a server that can only commit", Private, func(l *leaf) {
			l.purposes = []asn1.ObjectIdentifier{tbs.ServerAuth}
			l.usage = x509.KeyUsageContentCommitment
		}, "e_sw_key_usage"},
		{"time stamping beside another purpose", Private, func(l *leaf) { l.purposes = []asn1.ObjectIdentifier{tbs.TimeStamping, tbs.ClientAuth} }, "e_sw_key_usage"},

		{"no purpose for servers", PublicTLS, func(l *leaf) { l.purposes = []asn1.ObjectIdentifier{tbs.ClientAuth} }, "e_sw_purpose"},
		{"e-mail beside servers", PublicTLS, func(l *leaf) { l.purposes = append(l.purposes, tbs.EmailProtection) }, "e_sw_purpose"},
		{"servers beside e-mail", PublicSMIME, func(l *leaf) { l.purposes = append(l.purposes, tbs.ServerAuth) }, "e_sw_purpose"},
		{"documents beside servers", PublicTLS, func(l *leaf) { l.purposes = append(l.purposes, tbs.DocumentSigning) }, "e_sw_purpose"},
		{"any purpose", PublicTLS, func(l *leaf) { l.purposes = append(l.purposes, oid("2.5.29.37.0")) }, "e_sw_purpose"},

		{"RSA named where the CA signs with ECDSA", PublicTLS, func(l *leaf) { l.Algorithm = tbs.SHA256WithRSA }, "e_sw_algorithm"},
		{"another authority key identifier", Private, func(l *leaf) { l.keyID = []byte("01234567890123456789") }, "e_sw_issuer"},
		{"no authority key identifier", Private, func(l *leaf) { l.drop = []string{"2.5.29.35"} }, "e_sw_issuer"},
		{"another issuer's name", Private, func(l *leaf) { l.Issuer = must(dn.Name{{Type: dn.CN, Value: "Test CA"}}.DER()) }, "e_sw_issuer"},
		{"longer than the CA", Private, func(l *leaf) { l.NotAfter = signedAt.AddDate(9, 0, 1) }, "e_sw_within_issuer"},
		{"earlier than the CA", Private, func(l *leaf) { l.NotBefore = signedAt.AddDate(-2, 0, 0) }, "e_sw_within_issuer"},
		{"poison and SCT list", PublicTLS, func(l *leaf) { l.extra = append(l.extra, tbs.Poison(), sctList(t, 2)) }, "e_sw_sct_list"},
		{"two SCTs of one log", PublicTLS, func(l *leaf) {
			list := sctBytes(2)
			copy(list[2+len(list)/2-1+3:], bytes.Repeat([]byte{1}, 32)) // the second log id becomes the first
			l.extra = append(l.extra, must(tbs.Custom(oid(extSCTList), false, must(asn1.Marshal(list)))))
		}, "e_sw_sct_list"},

		{"an organisational unit", PublicTLS, func(l *leaf) { l.Subject = nil }, "e_organizational_unit_name_prohibited"},
		{"neither CRL nor OCSP", PublicTLS, func(l *leaf) { l.drop = []string{"2.5.29.31", "1.3.6.1.5.5.7.1.1"} }, "e_sub_cert_aia_missing"},
		{"a key identifier, which is not recommended", PublicTLS, func(l *leaf) { l.extra = append(l.extra, must(tbs.SubjectKeyID(l.SPKI))) }, "w_ext_subject_key_identifier_not_recommended_subscriber"},
		{"a statement of ETSI that is malformed", ETSI, func(l *leaf) {
			l.extra = append(l.extra, must(tbs.Custom(oid("1.3.6.1.5.5.7.1.3"), true, must(asn1.Marshal([]asn1.RawValue{{FullBytes: must(asn1.Marshal([]asn1.ObjectIdentifier{oid("0.4.0.1862.1.1")}))}})))))
		}, "e_qcstatem_etsi_present_qcs_critical"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := map[Profile]func() *leaf{PublicTLS: w.tls, PublicSMIME: w.smime, ETSI: w.private, Private: w.private}[test.profile]()
			if good := w.presign(For(test.profile), l.raw(t)); good.Verdict == Error || good.Has(test.lint) {
				t.Fatalf("before the violation: %+v", good.Findings)
			}
			test.change(l)
			raw := func() []byte {
				if test.lint == "e_organizational_unit_name_prohibited" {
					l.Subject = must(dn.Name{{Type: dn.OU, Value: "Sales"}, {Type: dn.CN, Value: l.cn}}.DER())
					return l.rawWithSubject(t)
				}
				return l.raw(t)
			}()
			r := w.presign(For(test.profile), raw)
			if !r.Has(test.lint) || (test.lint[0] != 'w' && r.Verdict != Error) {
				t.Errorf("verdict %s: %+v", r.Verdict, r.Findings)
			}
		})
	}
}

// Row 12, with numbers that pki/tbs would not encode.
func TestSerialNumbers(t *testing.T) {
	one := big.NewInt(1)
	for _, test := range []struct {
		name string
		n    *big.Int
		want Result
	}{
		{"zero", new(big.Int), Failed},
		{"negative", new(big.Int).Neg(new(big.Int).Lsh(one, 100)), Failed},
		{"2^159", new(big.Int).Lsh(one, 159), Failed},
		{"2^158 and no more", new(big.Int).Lsh(one, 158), Failed}, // its last 64 bits are all zero
		{"2^158 and something", new(big.Int).Add(new(big.Int).Lsh(one, 158), big.NewInt(4711)), Passed},
		{"63 bits", new(big.Int).SetBit(big.NewInt(4711), 62, 1), Failed},
		{"64 bits", new(big.Int).SetBit(big.NewInt(4711), 63, 1), Passed},
	} {
		if got, details := checkSerial(&subject{cert: &zx509.Certificate{SerialNumber: test.n}}); got != test.want {
			t.Errorf("%s: %s %s", test.name, got, details)
		}
	}
}

// Row 24: no SHA-1 and nothing older, under any profile.
func TestBrokenHashesAreFoundInEveryProfile(t *testing.T) {
	w := newWorldWith(t, rsaKey(t))
	for name, last := range map[string]byte{"MD5": 4, "SHA-1": 5} {
		raw := bytes.Replace(w.tls().raw(t), []byte("\x01\x01\x0b\x05"), []byte{1, 1, last, 5}, 1)
		for _, p := range []Profile{PublicTLS, PublicSMIME, ETSI, Private} {
			if r := w.presign(For(p), raw); !r.Has("e_sw_algorithm") || r.Verdict != Error {
				t.Errorf("%s as %s: %+v", name, p, r.Findings)
			}
		}
	}
}

// Row 13: what package goodkey lets pass by mistake, zlint would still find.
func TestBadKeysAreFoundBeforeSigning(t *testing.T) {
	w := newWorld(t)
	for name, n := range map[string]*big.Int{
		"RSA-1024":          must(rand.Prime(rand.Reader, 1024)),
		"a factor of three": new(big.Int).Mul(big.NewInt(3), must(rand.Prime(rand.Reader, 2047))),
		"2047 bits":         must(rand.Prime(rand.Reader, 2047)),
	} {
		l := w.tls()
		l.SPKI = must(x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537}))
		if r := w.presign(For(PublicTLS), l.raw(t)); r.Verdict != Error {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}
