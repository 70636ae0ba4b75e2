package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Life is a span in calendar units: a certificate of two years ends on the
// same day of the year, whatever leap days lie between. The zero Life is no
// time at all.
type Life struct {
	Years, Months, Days int
	Rest                time.Duration // hours and less; a whole number of milliseconds
}

// AddTo gives the end of a life that begins at t. Where the day does not exist
// in the month reached, the month's last day is taken: a month from 31 January
// ends on 28 or 29 February.
func (l Life) AddTo(t time.Time) time.Time {
	first := time.Date(t.Year()+l.Years, t.Month()+time.Month(l.Months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1+l.Days).Add(l.Rest)
}

// String is the form that [ParseLife] reads: "2y", "1y6mo", "14d", "30m".
func (l Life) String() string {
	var b strings.Builder
	write := func(n int64, unit string) {
		if n != 0 {
			b.WriteString(strconv.FormatInt(n, 10) + unit)
		}
	}
	write(int64(l.Years), "y")
	write(int64(l.Months), "mo")
	write(int64(l.Days), "d")
	write(int64(l.Rest/time.Hour), "h")
	write(int64(l.Rest%time.Hour/time.Minute), "m")
	write(int64(l.Rest%time.Minute/time.Second), "s")
	write(int64(l.Rest%time.Second/time.Millisecond), "ms")
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// maxCount bounds each number of a life, far from any overflow.
const maxCount = 1_000_000

var errLife = errors.New("is not a span of time")

// units are those of a life in the order in which they must stand.
var units = []string{"y", "mo", "d", "h", "m", "s", "ms"}

// ParseLife reads whole numbers with units from the largest to the smallest:
// y (years), mo (months), d (days), h, m (minutes), s, ms.
func ParseLife(s string) (Life, error) {
	var l Life
	if s == "" {
		return l, errLife
	}
	place := map[string]func(n int){
		"y": func(n int) { l.Years = n }, "mo": func(n int) { l.Months = n }, "d": func(n int) { l.Days = n },
		"h": func(n int) { l.Rest += time.Duration(n) * time.Hour }, "m": func(n int) { l.Rest += time.Duration(n) * time.Minute },
		"s": func(n int) { l.Rest += time.Duration(n) * time.Second }, "ms": func(n int) { l.Rest += time.Duration(n) * time.Millisecond },
	}
	next := 0 // index of the largest unit that may still come
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		letters := len(s[digits:]) - len(strings.TrimLeft(s[digits:], "ydhmso"))
		unit := s[digits : digits+letters]
		n, err := strconv.Atoi(s[:digits])
		if err != nil || n > maxCount {
			return Life{}, errLife
		}
		for next < len(units) && units[next] != unit {
			next++
		}
		if next == len(units) {
			return Life{}, errLife
		}
		place[unit](n)
		next, s = next+1, s[digits+letters:]
	}
	return l, nil
}

// parseDuration reads a life that has no months or years; a day is 24 hours.
func parseDuration(s string) (time.Duration, error) {
	l, err := ParseLife(s)
	if err != nil {
		return 0, err
	}
	if l.Years != 0 || l.Months != 0 || l.Days > 10_000 {
		return 0, errors.New("is too long")
	}
	return time.Duration(l.Days)*24*time.Hour + l.Rest, nil
}

// longer compares two lives from a fixed day.
func longer(a, b Life) bool {
	day := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	return a.AddTo(day).After(b.AddTo(day))
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// parseSize reads a whole number of bytes with a unit: "2GiB", "500MB".
func parseSize(s string) (int64, error) {
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err != nil || n < 0 || n > (1<<62)/u.bytes {
				break
			}
			return n * u.bytes, nil
		}
	}
	return 0, errors.New("is not a size")
}

func showSize(n int64) string {
	for _, u := range sizeUnits {
		if n > 0 && n%u.bytes == 0 {
			return fmt.Sprint(n/u.bytes, u.name)
		}
	}
	return "0B"
}
