package crl_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
)

func TestBadListsAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	a := newAuthority(t, p256(t))
	huge := new(big.Int).Lsh(big.NewInt(1), 159)
	for name, spoil := range map[string]func(*crl.List, *crl.Entries){
		"no issuer":             func(l *crl.List, _ *crl.Entries) { l.Issuer = nil },
		"no key identifier":     func(l *crl.List, _ *crl.Entries) { l.IssuerKeyID = nil },
		"no number":             func(l *crl.List, _ *crl.Entries) { l.Number = nil },
		"negative number":       func(l *crl.List, _ *crl.Entries) { l.Number = big.NewInt(-1) },
		"number of 21 octets":   func(l *crl.List, _ *crl.Entries) { l.Number = huge },
		"update runs backwards": func(l *crl.List, _ *crl.Entries) { l.NextUpdate = l.ThisUpdate },
		"year 10000":            func(l *crl.List, _ *crl.Entries) { l.NextUpdate = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"delta over itself":     func(l *crl.List, _ *crl.Entries) { l.DeltaBase = l.Number },
		"delta with freshest":   func(l *crl.List, _ *crl.Entries) { l.DeltaBase, l.Freshest = big.NewInt(1), []string{"http://a/"} },
		"empty scope":           func(l *crl.List, _ *crl.Entries) { l.IDP = &crl.DistributionPoint{} },
		"two kinds of scope": func(l *crl.List, _ *crl.Entries) {
			l.IDP = &crl.DistributionPoint{OnlyCACerts: true, OnlyUserCerts: true}
		},
		"URI outside ASCII":       func(l *crl.List, _ *crl.Entries) { l.IDP = &crl.DistributionPoint{URIs: []string{"http://æ/"}} },
		"entry that is no entry":  func(_ *crl.List, e *crl.Entries) { e.Each = each([][]byte{{4, 1, 0}}) },
		"entry with a tail":       func(_ *crl.List, e *crl.Entries) { e.Each = each([][]byte{{0x30, 0, 0}}) },
		"entries beyond the size": func(_ *crl.List, e *crl.Entries) { e.Size = 1 },
		"more than DER can count": func(_ *crl.List, e *crl.Entries) { e.Size = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			list, entries := a.list(), crl.Entries{Each: each(encode(t, rows()))}
			spoil(list, &entries)
			var out bytes.Buffer
			if n, err := crl.Write(&out, list, entries, a.alg, a.signer); err == nil || n != 0 || out.Len() != 0 {
				t.Errorf("wrote %d octets, error %v", out.Len(), err)
			}
		})
	}
	if _, err := crl.Write(io.Discard, a.list(), crl.Entries{}, tbs.SHA256WithRSA, a.signer); err == nil {
		t.Error("a list was signed with an algorithm that the key has not")
	}
}

func TestAListTooLongForEd25519SaysSo(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	a := newAuthority(t, key)
	_, err = crl.Write(io.Discard, a.list(), crl.Entries{Size: 17 << 20}, a.alg, a.signer)
	if err == nil || !strings.Contains(err.Error(), "shard it") {
		t.Error(err)
	}
}

func TestBadEntriesAreRefused(t *testing.T) {
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name           string
		serial         []byte
		at, invalidity time.Time
		reason         int
	}{
		{"no serial", nil, now, time.Time{}, 0},
		{"serial zero", []byte{0, 0}, now, time.Time{}, 0},
		{"serial of 21 octets", bytes.Repeat([]byte{1}, 21), now, time.Time{}, 0},
		{"serial 2^159", append([]byte{0x80}, make([]byte, 19)...), now, time.Time{}, 0},
		{"reason 7", []byte{1}, now, time.Time{}, 7},
		{"reason 11", []byte{1}, now, time.Time{}, 11},
		{"negative reason", []byte{1}, now, time.Time{}, -1},
		{"no date", []byte{1}, time.Time{}, time.Time{}, 0},
		{"invalid in the year 10000", []byte{1}, now, late, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := []byte("kept")
			out, err := crl.AppendEntry(dst, c.serial, c.at, c.reason, c.invalidity)
			if err == nil || string(out) != "kept" {
				t.Errorf("%x, error %v", out, err)
			}
		})
	}
}
