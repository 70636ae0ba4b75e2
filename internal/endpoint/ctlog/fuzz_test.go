package ctlog

import (
	"net/http/httptest"
	"net/url"
	"testing"
)

// Whatever a caller sends, it is refused or decoded.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"chain":["AQ==","Ag=="],"more":1}`), "1", "AAAA")
	f.Add([]byte(`{"chain":[null]}`), "-1", "")
	f.Fuzz(func(t *testing.T, body []byte, a, b string) {
		if chain, err := decodeChain(body); err == nil && len(chain) == 0 {
			t.Error("an empty chain is accepted")
		}
		query := url.Values{"start": {a}, "hash": {b}}
		r := httptest.NewRequest("GET", "/?"+query.Encode(), nil)
		if n, err := number(r, "start"); err == nil && n < 0 {
			t.Errorf("%q is %d", a, n)
		}
		_, _ = hash(r)
	})
}
