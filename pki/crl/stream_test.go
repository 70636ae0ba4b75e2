package crl_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
)

func streamed(r io.Reader) (list [][]byte, err error) {
	for der, err := range crl.StreamEntries(r) {
		if err != nil {
			return list, err
		}
		list = append(list, slices.Clone(der))
	}
	return list, nil
}

func TestEntriesAreStreamedAsTheyWereWritten(t *testing.T) {
	a := newAuthority(t, p256(t))
	short := encode(t, rows())
	var long [][]byte
	for der := range generate(5000, func(err error) { t.Error(err) }) {
		long = append(long, slices.Clone(der))
	}
	for name, want := range map[string][][]byte{"none": nil, "a few": short, "more than a buffer": long} {
		der := a.write(t, a.list(), crl.Entries{Each: each(want)})
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader(der), "octet by octet": iotest.OneByteReader(bytes.NewReader(der))} {
			got, err := streamed(r)
			if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("%s, %s: %d entries, want %d: %v", name, how, len(got), len(want), err)
			}
		}
		parsed, err := crl.Parse(der)
		must(t, err)
		i := 0
		for e, err := range parsed.Entries() {
			must(t, err)
			if !bytes.Equal(crl.EntrySerial(want[i]), e.Serial) {
				t.Errorf("%s: serial number %x, want %x", name, crl.EntrySerial(want[i]), e.Serial)
			}
			i++
		}
	}
}

func TestAListThatIsCutOffOrNoneIsNoticed(t *testing.T) {
	a := newAuthority(t, p256(t))
	want := encode(t, rows())
	der := a.write(t, a.list(), crl.Entries{Each: each(want)})
	end := bytes.Index(der, want[len(want)-1]) + len(want[len(want)-1])
	for n := range end {
		if _, err := streamed(bytes.NewReader(der[:n])); !errors.Is(err, crl.ErrMalformed) {
			t.Fatalf("cut off after %d octets: %v", n, err)
		}
	}
	broken := errors.New("disk on fire")
	if _, err := streamed(io.MultiReader(bytes.NewReader(der[:end-1]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	for name, in := range map[string][]byte{"text": []byte("hello, world"), "an endless length": {0x30, 0x85, 1, 1, 1, 1, 1}, "an indefinite length": {0x30, 0x80, 0, 0}} {
		if _, err := streamed(bytes.NewReader(in)); !errors.Is(err, crl.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, entry := range map[string][]byte{"nothing": nil, "a header": {0x30, 2, 2, 9}, "another type": {0x30, 3, 4, 1, 1}} {
		if serial := crl.EntrySerial(entry); serial != nil {
			t.Errorf("%s has the serial number %x", name, serial)
		}
	}
}

// Whatever the parser accepts is streamed alike, and nothing makes it panic.
func FuzzStreamEntries(f *testing.F) {
	a := newAuthority(f, p256(f))
	entry, err := crl.AppendEntry(nil, []byte{0x80, 1}, now, crl.Superseded, time.Time{})
	must(f, err)
	f.Add(a.write(f, a.list(), crl.Entries{Each: each([][]byte{entry, entry})}))
	f.Add(a.write(f, a.list(), crl.Entries{}))
	f.Fuzz(func(t *testing.T, der []byte) {
		got, streamErr := streamed(bytes.NewReader(der))
		for _, e := range got {
			crl.EntrySerial(e)
		}
		parsed, err := crl.Parse(der)
		if err != nil {
			return
		}
		i := 0
		for e, err := range parsed.Entries() {
			if err != nil {
				return
			}
			if len(e.Raw) > 4<<10 {
				return // more than is streamed
			}
			if i >= len(got) || !bytes.Equal(got[i], e.Raw) {
				t.Fatalf("entry %d differs (%v)", i, streamErr)
			}
			i++
		}
	})
}
