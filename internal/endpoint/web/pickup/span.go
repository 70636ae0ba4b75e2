package pickup

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// A span is the part of a file from byte from up to, not including, byte to.
type span struct{ from, to int64 }

var errSpan = errors.New("the range lies outside the file")

// rangeOf reads which part is asked for (RFC 9110, section 14). One range is
// served; several, a unit other than bytes, and what cannot be read mean the
// whole file, as does a range of another version of it (If-Range).
func rangeOf(h http.Header, etag string, size int64) (part span, partial bool, err error) {
	whole := span{0, size}
	set, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	if !ok || strings.Contains(set, ",") || (h.Get("If-Range") != "" && h.Get("If-Range") != etag) {
		return whole, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok || !digits(first) || !digits(last) || first == "" && last == "" {
		return whole, false, nil
	}
	if first == "" {
		n := parse(last)
		if n == 0 || size == 0 {
			return span{}, false, errSpan
		}
		return span{max(0, size-n), size}, true, nil
	}
	part = span{parse(first), size}
	if last != "" {
		end := parse(last)
		if end < part.from {
			return whole, false, nil
		}
		part.to = min(size, max(end, end+1)) // the largest number stays the largest
	}
	if part.from >= size {
		return span{}, false, errSpan
	}
	return part, true, nil
}

func digits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// parse reads digits; more than fit are the largest number.
func parse(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // out of range gives the largest number, as wanted
	return n
}
