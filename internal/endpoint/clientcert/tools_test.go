package clientcert_test

import (
	"crypto/tls"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func run(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// N3, N7: the clients that integrators use, over TLS 1.2 and 1.3.
func TestForeignClientsAuthenticate(t *testing.T) {
	w := certtest.New(t, storetest.Open(t, storetest.SQLite(t)))
	service := w.Service(t, access.Production, "demo")
	v := verifier(w)
	server := certtest.Serve(t, v, string(access.Production), gate(v, service))
	chain, key := certtest.WriteFiles(t, w.Issue(t, service, certtest.Order{}))
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	const request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out := run(t, request, "openssl", "s_client", "-connect", u.Host, "-CAfile", server.CAFile, "-cert", chain, "-key", key, version, "-ign_eof")
		if !strings.Contains(out, "demo-ws-ssl-test of demo") {
			t.Errorf("openssl %s with the certificate: %s", version, out)
		}
		// What a client goes by when it has several: both authorities are named, and
		// those of the other environment are not.
		_, named, _ := strings.Cut(out, "Acceptable client certificate CA names")
		named, _, _ = strings.Cut(named, "Server Temp Key")
		if !strings.Contains(named, "Test Client CA production") || !strings.Contains(named, "Test Root production") || strings.Contains(named, "preprod") {
			t.Errorf("openssl %s was asked for: %s", version, named)
		}
		out = run(t, request, "openssl", "s_client", "-connect", u.Host, "-CAfile", server.CAFile, version, "-ign_eof")
		if !strings.Contains(out, "HTTP/1.1 403 Forbidden") || !strings.Contains(out, "(clientcert.missing,") {
			t.Errorf("openssl %s without: %s", version, out)
		}
	}
	out := run(t, "", "curl", "-sS", "--cacert", server.CAFile, "--cert", chain, "--key", key, server.URL)
	if out != "demo-ws-ssl-test of demo" {
		t.Errorf("curl with the certificate: %s", out)
	}
	if out := run(t, "", "curl", "-sS", "--cacert", server.CAFile, server.URL); !strings.Contains(out, "(clientcert.missing,") {
		t.Errorf("curl without: %s", out)
	}
	// Go's own client chooses by the names; a wrong one it keeps back.
	twin := w.Issue(t, w.Service(t, access.Preprod, "demo"), certtest.Order{})
	cfg := server.ClientConfig(nil)
	cfg.Certificates = []tls.Certificate{twin}
	conn, err := tls.Dial("tcp", u.Host, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
