package house

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestTheCallersAddressComesFromTrustedProxiesOnly(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		peer, header, want string
	}{
		"a stranger who claims to be somebody else": {"192.0.2.1:5", "198.51.100.7", "192.0.2.1:5"},
		"a proxy":                           {"10.0.0.1:5", "198.51.100.7", "198.51.100.7:0"},
		"two proxies":                       {"10.0.0.1:5", "198.51.100.7, 10.0.0.2", "198.51.100.7:0"},
		"a caller who wrote the header too": {"10.0.0.1:5", "203.0.113.9, 198.51.100.7", "198.51.100.7:0"},
		"IPv6":                              {"10.0.0.1:5", "2001:db8::1", "[2001:db8::1]:0"},
		"a proxy without the header":        {"10.0.0.1:5", "", "10.0.0.1:5"},
		"nonsense":                          {"10.0.0.1:5", "x", "10.0.0.1:5"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = c.peer
			if c.header != "" {
				r.Header.Set("X-Forwarded-For", c.header)
			}
			got := ""
			behindProxies(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(httptest.NewRecorder(), r)
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
