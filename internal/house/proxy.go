package house

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// behindProxies takes the caller's address from X-Forwarded-For when the
// connection comes from a proxy that the configuration names. The header is
// read from its end, where proxies append, up to the first address that is not
// one of them: what stands before it was written by the caller.
func behindProxies(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	isProxy := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !isProxy(peer.Addr()) {
			next.ServeHTTP(w, r)
			return
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			r.RemoteAddr = netip.AddrPortFrom(a, 0).String()
			if !isProxy(a) {
				break
			}
		}
		next.ServeHTTP(w, r)
	})
}
