package guide_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/web/guide"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

const asked = filePass + "\n"

func expect(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %q in:\n%s", what, want, text)
		}
	}
}

func both(t *testing.T, fn func(t *testing.T, s *site)) {
	t.Run("with a key file", func(t *testing.T) { fn(t, newSite(t, false)) })
	t.Run("with a key of one's own", func(t *testing.T) { fn(t, newSite(t, true)) })
}

// N28: the curl guide, followed to the letter, reaches a service that takes
// this certificate only.
func TestCurlGuideSendsADocument(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		g := s.guide("curl")
		s.typed(g.Steps[0].Code, "")
		settings := s.step(g, "Write the settings")
		text := strings.NewReplacer("the password from the SMS", filePass, "the password of the service", servicePass).Replace(settings.Code)
		s.write(settings.File, []byte(text))
		expect(t, "answer", s.typed(s.step(g, "Send").Code, ""), "received from "+commonName)
	})
}

// N28: every command of the OpenSSL guide works as it is printed.
func TestOpenSSLGuideConvertsChecksAndConnects(t *testing.T) {
	s := newSite(t, false)
	g := s.guide("openssl")
	s.typed(s.step(g, "Take the certificate").Code, asked)
	s.typed(s.step(g, "Take the private key").Code, asked)
	if info, err := os.Stat(filepath.Join(s.dir, commonName+".key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("The key is readable to others: %v %v.", info.Mode(), err)
	}
	expect(t, "certificate", s.typed(s.step(g, "Look at").Code, ""), commonName, "URI:urn:x-sealwright:service:production:foo")
	digests := strings.Fields(s.typed(s.step(g, "See that key").Code, ""))
	if len(digests) != 4 || digests[1] != digests[3] {
		t.Errorf("Key and certificate do not match: %q.", digests)
	}
	expect(t, "connection", s.typed(s.step(g, "Try").Code, ""), "CONNECTION ESTABLISHED", "Verification: OK")

	// D12: the way out for importers that know the old encryption only.
	s.typed(s.step(g, "For an old importer").Code, strings.Repeat(asked, 2))
	key, cert, chain, err := pkcs12.Decode(must(os.ReadFile(filepath.Join(s.dir, commonName+"-legacy.p12")))(t), filePass)
	if err != nil || key == nil || cert.Subject.CommonName != commonName || len(chain) != 1 {
		t.Errorf("The converted file holds %v, %d authorities: %v.", cert, len(chain), err)
	}
	expect(t, "encryption", s.typed("openssl pkcs12 -in "+commonName+"-legacy.p12 -info -noout -legacy 2>&1", asked), "pbeWithSHA1And3-KeyTripleDES-CBC", "MAC: sha1")
}

func TestOpenSSLGuideMakesAKeyFileOfOnesOwnKey(t *testing.T) {
	s := newSite(t, true)
	g := s.guide("openssl")
	s.typed(s.step(g, "Put key").Code, strings.Repeat(asked, 2))
	expect(t, "connection", s.typed(s.step(g, "Try").Code, ""), "CONNECTION ESTABLISHED", "Verification: OK")
	if _, cert, _, err := pkcs12.Decode(must(os.ReadFile(filepath.Join(s.dir, commonName+".p12")))(t), filePass); err != nil || cert.Subject.CommonName != commonName {
		t.Errorf("The file does not open: %v.", err)
	}
}

// N28: the Java guide, in the Java that is installed: key store, trust store,
// the program as printed, and the system properties for other people's code.
func TestJavaGuideRuns(t *testing.T) {
	s := newSite(t, false)
	g := s.guide("java")
	expect(t, "key store", s.typed(s.step(g, "See that Java").Code, asked), commonName, "PrivateKeyEntry")
	s.typed(s.step(g, "Make the host's").Code, "")
	program := s.step(g, "Use it")
	s.write(program.File, []byte(program.Code))
	run := strings.NewReplacer("P12_PASSWORD=…", "P12_PASSWORD="+filePass, "SERVICE_PASSWORD=…", "SERVICE_PASSWORD="+servicePass).Replace(s.step(g, "Run it").Code)
	expect(t, "answer", s.typed(run, ""), "201 received from "+commonName)

	properties := s.step(g, "For code")
	s.write(properties.File, []byte(strings.ReplaceAll(properties.Code, "the password of the file", filePass)))
	s.write("Plain.java", []byte(fmt.Sprintf(`import java.net.*; import java.util.*;
public class Plain { public static void main(String[] a) throws Exception {
  HttpURLConnection c = (HttpURLConnection) new URL("https://localhost:%d/doc/foo/sds").openConnection();
  c.setDoOutput(true); c.setRequestProperty("Content-Type", "text/plain");
  c.setRequestProperty("Authorization", "Basic " + Base64.getEncoder().encodeToString("foo:%s".getBytes()));
  c.getOutputStream().write("Hello".getBytes());
  System.out.println(c.getResponseCode()); } }`, s.params.Port, servicePass)))
	expect(t, "answer", s.typed("java @"+properties.File+" Plain.java", ""), "201")
}

// N28: the nginx guide's configuration, in the nginx that is installed.
func TestNginxGuideForwardsForProgramsWithoutCertificates(t *testing.T) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx" // where Debian keeps it, outside the path of ordinary users
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("The guide is tried with nginx, which is not installed (Debian: apt-get install nginx-light): %v", err)
	}
	both(t, func(t *testing.T, s *site) {
		g := s.guide("nginx")
		if s.params.KeyFile == "" {
			s.typed(s.step(g, "Take the certificate").Code, asked)
			s.typed(s.step(g, "Take the private key").Code, asked)
		}
		s.typed(strings.ReplaceAll(s.step(g, "Put the files").Code, "sudo ", ""), "")
		if _, err := os.Stat(filepath.Join(s.dir, commonName+".key")); err == nil {
			t.Error("A copy of the key is left over (N35).")
		}
		port := freePort(t)
		s.write("nginx.conf", []byte("daemon off; master_process off; pid nginx.pid; error_log stderr; events {}\nhttp { access_log off;\n"+
			"client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"+
			strings.ReplaceAll(s.step(g, "Tell nginx").Code, ":8080", ":"+port)+"}\n"))
		startNginx(t, binary, s.dir, port)
		try := strings.NewReplacer("sudo nginx -t && sudo nginx -s reload\n", "", ":8080", ":"+port, "--user foo", "--user foo:"+servicePass).Replace(s.step(g, "Try").Code)
		expect(t, "answer", s.typed(try, ""), "received from "+commonName)
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func startNginx(t *testing.T, binary, dir, port string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c := exec.CommandContext(ctx, binary, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	var log bytes.Buffer
	c.Dir, c.Stderr, c.Stdout = dir, &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, log.String())
		default:
		}
	}
}

// N28: each guide carries the user's own names, and no password on a command
// line but the trust store's, which protects nothing secret.
func TestEveryGuideIsWrittenWithTheUsersOwnNames(t *testing.T) {
	p := guide.Params{FileName: "my-ws-ssl-a.p12", CommonName: "my-ws-ssl-a", Service: "my", Realm: "production", Host: "ws.example.com"}
	var ids []string
	for _, g := range guide.Guides(p) {
		ids = append(ids, g.ID)
		var all strings.Builder
		fmt.Fprintf(&all, "%+v", g)
		expect(t, g.ID, all.String(), "my", "my-ws-ssl-a", "ws.example.com")
		if g.Title == "" || g.Summary == "" || len(g.Steps) == 0 || len(g.Cures) == 0 {
			t.Errorf("The guide %s is incomplete.", g.ID)
		}
		for _, banned := range []string{"-passin pass:", "-passout pass:", "--pass ", ":443/", "--insecure", "-k ", "web-services.pem"} {
			if strings.Contains(all.String(), banned) {
				t.Errorf("The guide %s says %q.", g.ID, banned)
			}
		}
		var page bytes.Buffer
		if err := guide.View(g).Render(t.Context(), &page); err != nil {
			t.Fatal(err)
		}
		expect(t, "page of "+g.ID, page.String(), `id="guide-`+g.ID+`"`, "data-sw-copy")
	}
	if got := strings.Join(ids, " "); got != "about curl openssl java dotnet nginx" {
		t.Errorf("The guides are %s.", got)
	}
	if g := guide.Find(guide.Guides(p), "nonsense"); g.ID != "about" {
		t.Errorf("An unknown guide leads to %s.", g.ID)
	}
}

// N8, N30, N31 to N36: what the general page tells.
func TestTheGeneralPageSaysHowToKeepACertificate(t *testing.T) {
	text := fmt.Sprintf("%+v", guide.Find(guide.Guides(guide.Params{FileName: "a.p12", CommonName: "a", Service: "foo", Realm: "production", Host: "ws.example.com"}), "about"))
	expect(t, "about", text, "Whoever holds it can call in your name", "all data of the service foo, and of no other", "Delete copies", "keep none", "side by side", "Report it at once", "works at once")
}

func TestNamesAreQuotedForTheShell(t *testing.T) {
	p := guide.Params{FileName: "it's $(here).p12", CommonName: "a", Service: "foo", Realm: "production", Host: "h"}
	expect(t, "openssl", fmt.Sprintf("%+v", guide.Find(guide.Guides(p), "openssl")), `-in 'it'\''s $(here).p12'`)
}
