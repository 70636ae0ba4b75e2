package pickup

import (
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		header  string
		part    span
		partial bool
		err     error
	}{
		{"", span{0, 100}, false, nil},
		{"bytes=0-", span{0, 100}, true, nil},
		{"bytes=0-0", span{0, 1}, true, nil},
		{"bytes=10-19", span{10, 20}, true, nil},
		{"bytes=99-", span{99, 100}, true, nil},
		{"bytes=50-1000", span{50, 100}, true, nil},
		{"bytes=50-99999999999999999999999", span{50, 100}, true, nil},
		{"bytes=-1", span{99, 100}, true, nil},
		{"bytes=-1000", span{0, 100}, true, nil},
		{"bytes=-0", span{}, false, errSpan},
		{"bytes=100-", span{}, false, errSpan},
		{"bytes=99999999999999999999999-", span{}, false, errSpan},
		{"bytes=20-10", span{0, 100}, false, nil},
		{"bytes=0-1,5-6", span{0, 100}, false, nil},
		{"bytes=-", span{0, 100}, false, nil},
		{"bytes=+1-2", span{0, 100}, false, nil},
		{"lines=1-2", span{0, 100}, false, nil},
	} {
		part, partial, err := rangeOf(http.Header{"Range": {c.header}}, "e", 100)
		if part != c.part || partial != c.partial || err != c.err {
			t.Errorf("%q: %v, %v, %v; want %v, %v, %v.", c.header, part, partial, err, c.part, c.partial, c.err)
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-", "bytes=-5", "bytes=5-4", "bytes=9223372036854775807-9223372036854775807", "bytes= 1-2 "} {
		f.Add(s, int64(100))
	}
	f.Add("bytes=-9223372036854775808", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		size = max(0, size)
		part, partial, err := rangeOf(http.Header{"Range": {header}}, "", size)
		if err == nil && (part.from < 0 || part.to > size || part.from > part.to || partial && part.from == part.to) {
			t.Fatalf("%q of %d gives %v.", header, size, part)
		}
		if err == nil && !partial && part != (span{0, size}) {
			t.Fatalf("%q of %d gives %v as the whole.", header, size, part)
		}
	})
}

// The memory of sessions is bounded, whatever comes.
func TestTheMemoryOfSessionsIsBounded(t *testing.T) {
	c := clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	f := newFinished(c)
	for i := range maxDone + 10 {
		f.add(fmt.Sprint("session", i), "hnd-1")
	}
	if len(f.queue) != maxDone || f.has("session0", "hnd-1") || !f.has("session500", "hnd-1") || f.has("session500", "hnd-2") {
		t.Errorf("%d sessions are remembered.", len(f.queue))
	}
}

// Every language has every text, with the same places for names and numbers,
// and every fault that a page may show.
func TestLanguagesAreComplete(t *testing.T) {
	en := reflect.ValueOf(english())
	for _, tag := range tags {
		w := library(tag)
		if w.Tag != tag {
			t.Fatalf("%s gives %s.", tag, w.Tag)
		}
		v := reflect.ValueOf(w)
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).Kind() != reflect.String {
				continue
			}
			text, model := v.Field(i).String(), en.Field(i).String()
			if text == "" {
				t.Errorf("%s: %s is missing.", tag, name)
			}
			for _, verb := range []string{"%s", "%d"} {
				if strings.Count(text, verb) != strings.Count(model, verb) {
					t.Errorf("%s: %s has other places than %q.", tag, name, model)
				}
			}
		}
		for code := range danish().Faults {
			text, ok := w.Faults[code]
			if tag != "en" && (!ok || text[0] == "" || text[1] == "") {
				t.Errorf("%s: the fault %s is missing.", tag, code)
			}
		}
	}
}

func TestAFaultWithoutTranslationStaysInEnglish(t *testing.T) {
	f := fault.Invalidf("csr.key_too_small", "The key has 512 bits.")
	if message, _ := danish().fault(f, 3); message != "The key has 512 bits." {
		t.Errorf("It reads %q.", message)
	}
	f = fault.TooManyf(1500*time.Millisecond, "handover.code_pause", "Wait.")
	if _, next := swedish().fault(f, 3); !strings.Contains(next, "om 2 sekunder") {
		t.Errorf("It reads %q.", next)
	}
}
