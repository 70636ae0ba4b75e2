package clientcert_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// BenchmarkMutualTLS compares a request over mutual TLS with the live check to
// the same request without it, and both to a bare server: on an open connection
// and with a new one each time, on both engines.
func BenchmarkMutualTLS(b *testing.B) {
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		w := certtest.New(b, storetest.Open(b, engine.url(b)))
		service := w.Service(b, access.Production, "demo")
		v := clientcert.New(w.Authorities, w.DB, w.Audit, w.Clock, nil)
		bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		cert := w.Issue(b, service, certtest.Order{})
		for _, h := range []struct {
			name    string
			handler http.Handler
		}{{"bare", bare}, {"live", gate(v, service)}} {
			server := certtest.Serve(b, v, string(access.Production), h.handler)
			b.Run(engine.name+"/open/"+h.name, func(b *testing.B) {
				client := server.Client(b, &cert)
				for b.Loop() {
					fetch(b, client, server.URL)
				}
			})
			b.Run(engine.name+"/new/"+h.name, func(b *testing.B) {
				client := server.Client(b, &cert)
				client.Transport.(*http.Transport).DisableKeepAlives = true
				for b.Loop() {
					fetch(b, client, server.URL)
				}
			})
		}
		b.Run(engine.name+"/identify", func(b *testing.B) {
			ctx := v.ConnContext(b.Context(), nil)
			state := stateOf(cert)
			for b.Loop() {
				if _, err := v.Identify(ctx, state, production); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func fetch(b *testing.B, c *http.Client, url string) {
	resp, err := c.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status, err)
	}
}
