package config_test

import (
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/config"
)

func TestALifeFollowsTheCalendar(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	cases := []struct{ name, life, from, to string }{
		{"two years over a leap day", "2y", "2023-06-15", "2025-06-15"}, // N31
		{"a year from a leap day ends on 28 February", "1y", "2024-02-29", "2025-02-28"},
		{"four years from a leap day", "4y", "2024-02-29", "2028-02-29"},
		{"a month from the last day of January", "1mo", "2025-01-31", "2025-02-28"},
		{"months over the end of a year", "14mo", "2025-11-30", "2027-01-30"},
		{"months first, then days", "1mo1d", "2025-01-31", "2025-03-01"},
		{"days", "14d", "2025-02-20", "2025-03-06"},
		{"hours", "48h", "2025-12-31", "2026-01-02"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l, err := config.ParseLife(c.life)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.AddTo(day(c.from)); !got.Equal(day(c.to)) {
				t.Errorf("%s from %s ends on %s, want %s", c.life, c.from, got.Format(time.DateOnly), c.to)
			}
		})
	}
	moment := time.Date(2024, 2, 29, 23, 59, 58, 7, time.UTC)
	if got := (config.Life{Years: 1, Rest: time.Second}).AddTo(moment); !got.Equal(time.Date(2025, 2, 28, 23, 59, 59, 7, time.UTC)) {
		t.Errorf("the time of day is lost: %s", got)
	}
}

func TestParseLifeTakesWholeNumbersFromLargeToSmall(t *testing.T) {
	good := map[string]config.Life{
		"2y": {Years: 2}, "1y6mo": {Years: 1, Months: 6}, "30m": {Rest: 30 * time.Minute}, "1d12h": {Days: 1, Rest: 12 * time.Hour},
		"1500ms": {Rest: 1500 * time.Millisecond}, "0s": {}, "1m1s1ms": {Rest: time.Minute + time.Second + time.Millisecond},
	}
	for s, want := range good {
		if got, err := config.ParseLife(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "2", "y", "2 y", "-2y", "1.5h", "2weeks", "30m1h", "1d1d", "2y ", "9999999y", "1mos", "1s1m", "2Y"} {
		if got, err := config.ParseLife(s); err == nil {
			t.Errorf("%q is taken for %s", s, got)
		}
	}
}

// FuzzParseLife checks that what is read is written so that it reads the same.
func FuzzParseLife(f *testing.F) {
	for _, s := range []string{"2y", "1y6mo10d12h30m5s7ms", "0s", "90m", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := config.ParseLife(s)
		if err != nil {
			return
		}
		again, err := config.ParseLife(l.String())
		if err != nil {
			// Smaller units may add up to more of a larger one than it may have.
			if l.Rest >= 1_000_000*time.Hour {
				return
			}
			t.Fatalf("%q is written as %q: %v", s, l, err)
		}
		if again != l {
			t.Fatalf("%q is %+v and written as %q is %+v", s, l, l, again)
		}
		start := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
		if l.AddTo(start).Before(start) {
			t.Fatalf("%q ends before it begins", s)
		}
	})
}
