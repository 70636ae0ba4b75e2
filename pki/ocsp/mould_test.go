package ocsp_test

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/ocsp"
)

// mould is a mould of the world's responder, and an answer of its with nothing in it.
func (w *world) mould(tb testing.TB, hash crypto.Hash, certificate bool) (*ocsp.Mould, ocsp.Answer, crypto.Signer) {
	tb.Helper()
	key := w.responderKey
	answer := ocsp.Answer{ResponderKeyHash: keyHash(tb, key)}
	if certificate {
		answer.Certificates = [][]byte{w.responder.Raw}
	}
	m, err := ocsp.NewMould(w.issuer, hash, answer.ResponderKeyHash, answer.Certificates, algorithm(tb, key))
	must(tb, err)
	return m, answer, key
}

// agree checks that a mould gives what Build gives.
func agree(t *testing.T, w *world, hash crypto.Hash, certificate bool, s ocsp.Statement) {
	t.Helper()
	m, answer, key := w.mould(t, hash, certificate)
	id, err := w.issuer.CertID(hash, s.Serial)
	must(t, err)
	if !m.Fits(id) {
		t.Errorf("%x does not fit", id.Raw)
	}
	answer.ProducedAt = s.ThisUpdate
	answer.Responses = []ocsp.SingleResponse{{
		ID: id, Status: s.Status, RevokedAt: s.RevokedAt, Reason: s.Reason, ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate, ArchiveCutoff: s.ArchiveCutoff,
	}}
	want := w.build(t, &answer, key)
	signature, err := m.Sign(&s, key)
	must(t, err)
	if got := m.Append([]byte("kept"), &s, signature); !bytes.Equal(got, append([]byte("kept"), want...)) {
		t.Errorf("the mould gives %x\nBuild gives %x", got[4:], want)
	}
}

// Software ECDSA is deterministic, so that whole answers can be compared.
func TestAMouldGivesTheOctetsOfBuild(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	later := now.Add(24 * time.Hour)
	for name, s := range map[string]ocsp.Statement{
		"good":                        {Serial: []byte{1}, Status: ocsp.Good, ThisUpdate: now, NextUpdate: later},
		"good, without an end":        {Serial: []byte{0x7f, 1}, Status: ocsp.Good, ThisUpdate: now},
		"good, expired":               {Serial: []byte{0x80}, Status: ocsp.Good, ThisUpdate: now, NextUpdate: later, ArchiveCutoff: now.AddDate(-7, 0, 0)},
		"unknown":                     {Serial: bytes.Repeat([]byte{0xff}, 20), Status: ocsp.Unknown, ThisUpdate: now, NextUpdate: later},
		"revoked":                     {Serial: bytes.Repeat([]byte{1}, 31), Status: ocsp.Revoked, RevokedAt: now.Add(-time.Hour), ThisUpdate: now, NextUpdate: later},
		"revoked for a reason":        {Serial: []byte{1}, Status: ocsp.Revoked, RevokedAt: now, Reason: crl.KeyCompromise, ThisUpdate: now, NextUpdate: later},
		"revoked, and expired, in 99": {Serial: []byte{1}, Status: ocsp.Revoked, RevokedAt: time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), ThisUpdate: now, NextUpdate: later, ArchiveCutoff: now},
	} {
		t.Run(name, func(t *testing.T) {
			for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
				agree(t, w, hash, true, s)
				agree(t, w, hash, false, s)
			}
		})
	}
}

func TestAMouldAnswersOnlyWhatFitsIt(t *testing.T) {
	w, other := newWorld(t, newKey(t), newKey(t)), newWorld(t, newKey(t), newKey(t))
	m, _, key := w.mould(t, crypto.SHA1, true)
	for name, c := range map[string]struct {
		issuer *ocsp.Issuer
		hash   crypto.Hash
	}{"another authority of the same name": {other.issuer, crypto.SHA1}, "another hash": {w.issuer, crypto.SHA256}} {
		id, err := c.issuer.CertID(c.hash, []byte{1})
		must(t, err)
		if m.Fits(id) {
			t.Errorf("%s fits", name)
		}
	}
	// Without the NULL of its algorithm a CertID is as good, but another.
	id, err := w.issuer.CertID(crypto.SHA1, []byte{1})
	must(t, err)
	raw := bytes.Replace(id.Raw, []byte("\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00"), []byte("\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a"), 1)
	raw[1] -= 2
	parsed, err := ocsp.ParseRequest(wrapRequest(raw, nil))
	must(t, err)
	if m.Fits(parsed.IDs[0]) || !w.issuer.Matches(parsed.IDs[0]) {
		t.Error("a CertID without parameters is not answered as one of its own")
	}
	for name, s := range map[string]ocsp.Statement{
		"no serial number":           {Status: ocsp.Good, ThisUpdate: now},
		"a serial number of zero":    {Serial: []byte{0}, Status: ocsp.Good, ThisUpdate: now},
		"no status":                  {Serial: []byte{1}, ThisUpdate: now},
		"an end before the start":    {Serial: []byte{1}, Status: ocsp.Good, ThisUpdate: now, NextUpdate: now.Add(-time.Second)},
		"revoked at no time":         {Serial: []byte{1}, Status: ocsp.Revoked, ThisUpdate: now},
		"good, and revoked for good": {Serial: []byte{1}, Status: ocsp.Good, Reason: crl.Superseded, ThisUpdate: now},
	} {
		if _, err := m.Sign(&s, key); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
}

func FuzzMould(f *testing.F) {
	w := newWorld(f, newKey(f), newKey(f))
	f.Add([]byte{1}, uint8(1), uint8(1), int64(0), int64(3600), int64(1))
	f.Fuzz(func(t *testing.T, serial []byte, status, reason uint8, this, next, cutoff int64) {
		const horizon = 1 << 32 // seconds: all years have four digits
		at := func(seconds int64) time.Time { return time.Unix(((seconds%horizon)+horizon)%horizon, 0).UTC() }
		s := ocsp.Statement{Serial: bytes.TrimLeft(serial, "\x00"), Status: ocsp.Status(status%3) + ocsp.Good, ThisUpdate: at(this), NextUpdate: at(next), ArchiveCutoff: at(cutoff)}
		if s.Status == ocsp.Revoked {
			s.RevokedAt, s.Reason = at(cutoff), int(reason)
		}
		m, _, key := w.mould(t, crypto.SHA1, true)
		if _, err := m.Sign(&s, key); err == nil {
			agree(t, w, crypto.SHA1, true, s)
		}
	})
}

func BenchmarkMouldPutsAnAnswerTogether(b *testing.B) {
	w := newWorld(b, newKey(b), newKey(b))
	m, _, key := w.mould(b, crypto.SHA1, true)
	s := ocsp.Statement{Serial: bytes.Repeat([]byte{7}, 16), Status: ocsp.Good, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	signature, err := m.Sign(&s, key)
	must(b, err)
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		m.Append(buf, &s, signature)
	}
}
