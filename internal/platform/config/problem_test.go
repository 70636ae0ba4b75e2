package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Each case is a document with mistakes and the beginning of each problem's
// line, in order. The column is that of the last part of a dotted key.
func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	cases := []struct {
		name, doc string
		env       []string
		want      []string
	}{
		{
			name: "an unknown key with a near one", doc: "[server]\nlissten = \"127.0.0.1:1\"\n",
			want: []string{`file:2:1: server.lissten is not a known key, perhaps "server.listen" is meant`},
		},
		{name: "an unknown key without a near one", doc: "[server]\n  colour = \"red\"\n", want: []string{`file:2:3: server.colour is not a known key`}},
		{name: "an unknown table", doc: "\n[servers]\nlisten = 1\n", want: []string{`file:2:2: servers is not a known table, perhaps "server" is meant`}},
		{name: "an unknown environment", doc: "[environment.test]\nlisten = 1\n", want: []string{`file:1:14: environment.test is not a known table`}},
		{
			name: "an unknown key in an inline table", doc: "server.tls = { certificat = 'x' }\n",
			want: []string{`file:1:16: server.tls.certificat is not a known key, perhaps "server.tls.certificate" is meant`},
		},
		{name: "a known key in quotes as a whole", doc: "\"server.listen\" = \"127.0.0.1:1\"\n", want: []string{`file:1:1: server.listen is not a known key`}},
		{name: "a table that is not one", doc: "server = 5\n", want: []string{`file:1:1: server is a number; allowed: a table [server]`}},
		{name: "an array of tables", doc: "[[server]]\n", want: []string{`file:1:3: server is a list; allowed: a table [server]`}},
		{name: "tracing, which is not there", doc: "[tracing]\nendpoint = 'x'\n", want: []string{`file:1:2: tracing is not a known table`}},
		{name: "broken syntax", doc: "[server]\nlisten = \n", want: []string{`file:2:10: `}},
		{name: "a key that stands twice", doc: "[log]\nlevel = 'info'\nlevel = 'info'\n", want: []string{`file:3:1: `}},
		{
			name: "an unknown variable", env: []string{"SEALWRIGHT_SERVER_LISTN=x"},
			want: []string{`SEALWRIGHT_SERVER_LISTN: the variable is not known, perhaps SEALWRIGHT_SERVER_LISTEN is meant`},
		},
		{
			name: "a wrong value in a variable", env: []string{"SEALWRIGHT_HANDOVER_OTP_TRIES=many"},
			want: []string{`SEALWRIGHT_HANDOVER_OTP_TRIES: handover.otp_tries is not a whole number; allowed: a whole number from 1 to 10`},
		},
		{
			name: "a secret twice", env: []string{"SEALWRIGHT_WEBHOOK_SECRET=x", "SEALWRIGHT_WEBHOOK_SECRET_FILE=/x"},
			want: []string{`SEALWRIGHT_WEBHOOK_SECRET_FILE: webhook.secret is given twice, by SEALWRIGHT_WEBHOOK_SECRET too`},
		},

		{name: "text for a number", doc: "mail.port = '587'\n", want: []string{`file:1:6: mail.port is not a whole number; allowed: a whole number from 1 to 65535`}},
		{name: "a number for text", doc: "log.level = 3\n", want: []string{`file:1:5: log.level is a number, not text in quotes; allowed: "debug", "info", "warn", "error"`}},
		{name: "text for a flag", doc: "certificate.approval = 'yes'\n", want: []string{`file:1:13: certificate.approval is text, not true or false`}},
		{name: "text for a list", doc: "egress.allow = '10.0.0.0/8'\n", want: []string{`file:1:8: egress.allow is text, not a list`}},
		{name: "an unknown word", doc: "blob.kind = 's3'\n", want: []string{`file:1:6: blob.kind "s3" is not known; allowed: "files", "table"`}},
		{name: "a name to listen on", doc: "server.listen = 'localhost:1'\n", want: []string{`file:1:8: server.listen "localhost" is not an IP address`}},
		{name: "an address without a port", doc: "server.listen = '127.0.0.1'\n", want: []string{`file:1:8: server.listen "127.0.0.1" is not an address and port`}},
		{name: "a port too high", doc: "server.listen = ':70000'\n", want: []string{`file:1:8: server.listen port "70000" is not a number`}},
		{name: "a public URL in clear", doc: "server.public_url = 'http://sealwright.localhost'\n", want: []string{`file:1:8: server.public_url "http://sealwright.localhost" does not begin with https://`}},
		{
			name: "a production URL in clear", doc: "environment.production.public_url = 'http://production.sealwright.localhost'\n",
			want: []string{`file:1:24: environment.production.public_url "http://production.sealwright.localhost" does not begin with https://`},
		},
		{name: "a URL with a query", doc: "server.public_url = 'https://a.localhost?x'\n", want: []string{`file:1:8: server.public_url has a user, query or fragment`}},
		{name: "a host with an underscore", doc: "clientauth.host = 'a_b'\n", want: []string{`file:1:12: clientauth.host "a_b" is not a host name`}},
		{name: "no hosts", doc: "environment.preprod.hosts = []\n", want: []string{`file:1:21: environment.preprod.hosts is empty`}},
		{name: "a range with stray bits", doc: "egress.allow = ['10.1.2.3/8']\n", want: []string{`file:1:8: egress.allow "10.1.2.3/8" has bits behind its length; 10.0.0.0/8 is the range`}},
		{name: "a range of everything", doc: "egress.allow = ['0.0.0.0/0']\n", want: []string{`file:1:8: egress.allow "0.0.0.0/0" is too wide`}},
		{name: "a mapped range", doc: "egress.allow = ['::ffff:10.0.0.0/104']\n", want: []string{`file:1:8: egress.allow "::ffff:10.0.0.0/104" is not an IP range`}},
		{name: "a life that is none", doc: "certificate.life = '2 years'\n", want: []string{`file:1:13: certificate.life is not a span of time; allowed: a span from 1h to 10y`}},
		{name: "a life too long", doc: "certificate.life = '11y'\n", want: []string{`file:1:13: certificate.life "11y" is out of range`}},
		{name: "a duration in years", doc: "handover.otp_life = '1y'\n", want: []string{`file:1:10: handover.otp_life is too long`}},
		{name: "a size without a unit", doc: "sds.max_size = '5'\n", want: []string{`file:1:5: sds.max_size is not a size`}},
		{name: "a template of something unknown", doc: "sms.http.body = '{{.Number}}'\n", want: []string{`file:1:10: sms.http.body fails when used`}},
		{name: "a template that is none", doc: "sms.http.body = '{{'\n", want: []string{`file:1:10: sms.http.body is not a template`}},
		{name: "a sender that is none", doc: "mail = { host = 'localhost', from = 'x' }\n", want: []string{`file:1:30: mail.from "x" is not an e-mail address`}},
		{
			name: "a certificate that is not there", doc: "server.tls = { certificate = '/no/such.pem', key = '/no/such.key' }\n",
			want: []string{`file:1:16: server.tls.certificate names the file "/no/such.pem", which cannot be read: no such file or directory`, `file:1:46: server.tls.key names the file`},
		},
		{name: "a secret that is not there", doc: "webhook.secret = { file = '/no/such' }\n", want: []string{`file:1:9: webhook.secret names the file "/no/such", which cannot be read`}},
		{name: "a secret from a device", doc: "webhook.secret = { file = '/dev/zero' }\n", want: []string{`file:1:9: webhook.secret names "/dev/zero", which is not a regular file`}},
		{name: "a variable that is not set", doc: "webhook.secret = 'env:NONE'\n", want: []string{`file:1:9: webhook.secret names the variable "NONE", which is not set`}},
		{name: "a credential outside systemd", doc: "webhook.secret = { credential = 'x' }\n", want: []string{`file:1:9: webhook.secret names the credential "x", but $CREDENTIALS_DIRECTORY is not set`}},
		{
			name: "a credential that climbs", doc: "webhook.secret = { credential = '../x' }\n", env: []string{"CREDENTIALS_DIRECTORY=/x"},
			want: []string{`file:1:9: webhook.secret names the credential "../x", which is not a file name`},
		},
		{name: "a secret in an unknown form", doc: "webhook.secret = { vault = 'x' }\n", want: []string{`file:1:9: webhook.secret is not one of the forms of a secret`}},
		{name: "a master key in the file itself", doc: "keys.master.key = 'hush-hush-hush-hush-hush-hush-hush-hush'\n", want: []string{`file:1:13: keys.master.key must not stand in the file itself`}},
		{name: "a header set elsewhere", doc: "sms.http.headers = { Host = 'x' }\n", want: []string{`file:1:10: sms.http.headers header "Host" is set elsewhere`}},
		{name: "a header of two lines", doc: "sms.http.headers = { A = \"x\\ny\" }\n", want: []string{`file:1:10: sms.http.headers header "A": the value has more than one line`}},

		{name: "one address for two listeners", doc: "server.http_listen = '127.0.0.1:8443'\n", want: []string{`file:1:8: server.http_listen "127.0.0.1:8443" is taken by server.listen`}},
		{name: "one port for everything and one address", doc: "clientauth.listen = ':8443'\n", want: []string{`file:1:12: clientauth.listen ":8443" is taken by server.listen`}},
		{
			name: "one host for two environments", doc: "environment.production = { hosts = ['preprod.sealwright.localhost'], public_url = 'https://preprod.sealwright.localhost' }\n",
			want: []string{`file:1:28: environment.production.hosts "preprod.sealwright.localhost" is taken by environment.preprod.hosts`},
		},
		{
			name: "a URL off the hosts", doc: "environment.preprod.public_url = 'https://x.example.org'\n",
			want: []string{`file:1:21: environment.preprod.public_url names "x.example.org", which is not in environment.preprod.hosts`},
		},
		{name: "blobs in two places", doc: "blob = { kind = 'table', dir = '/x' }\n", want: []string{`file:1:26: blob.dir is not used with blob.kind = "table"`}},
		{
			name: "two master keys", doc: "keys.master = { file = '/x', passphrase = 'env:P' }\n", env: []string{"P=long enough for it"},
			want: []string{`file:1:30: keys.master.passphrase is given beside another master key`},
		},
		{name: "a remote database without a word on TLS", doc: "database.url = 'postgres://u@db.example.org/x'\n", want: []string{`file:1:10: database.url names another machine but says nothing of TLS`}},
		{name: "a database of another kind", doc: "database.url = 'mysql://u@h/x'\n", want: []string{`file:1:10: database.url is not the address of a database`}},
		{name: "a password for SQLite", doc: "database.password = 'x'\n", want: []string{`file:1:10: database.password is given, but SQLite has none`}},
		{name: "mail without a sender", doc: "mail.host = 'localhost'\n", want: []string{`file: mail.from is missing`}},
		{name: "a mail user without a password", doc: "mail = { host = 'localhost', from = 'a@b', user = 'u' }\n", want: []string{`file:1:44: mail.user has no mail.password beside it`}},
		{
			name: "mail in clear to another machine", doc: "mail = { host = 'smtp.example.org', from = 'a@b', starttls = 'never' }\n",
			want: []string{`file:1:51: mail.starttls "never" would send links in clear to another machine`},
		},
		{
			name: "a mail password perhaps in clear", doc: "mail = { host = 'smtp.example.org', from = 'a@b', starttls = 'opportunistic', user = 'u', password = 'p' }\n",
			want: []string{`file:1:51: mail.starttls "opportunistic" could send the password in clear`},
		},
		{name: "SMS over HTTP to nowhere", doc: "sms.kind = 'http'\n", want: []string{`file: sms.http.url is missing`}},
		{name: "SMS in clear", doc: "sms.http.url = 'http://sms.example.org/'\n", want: []string{`file:1:10: sms.http.url is not encrypted`}},
		{name: "SMS by mail without a server", doc: "sms.kind = 'mail'\nsms.mail.address = '{{.To}}@x.org'\n", want: []string{`file:1:5: sms.kind "mail" needs mail.host`}},
		{name: "a one-time password that outlives its link", doc: "handover = { otp_life = '2h', link_life = '1h' }\n", want: []string{`file:1:14: handover.otp_life is longer than handover.link_life`}},
		{name: "reminders out of order", doc: "certificate.reminders = [1, 7]\n", want: []string{`file:1:13: certificate.reminders has 7 after 1`}},
		{name: "development on a public name", doc: "dev.enabled = true\nserver.public_url = 'https://ca.example.org'\n", want: []string{`file:1:5: dev.enabled would show one-time passwords on ca.example.org`}},
		{name: "development on an open port", doc: "dev.enabled = true\nserver.listen = ':8443'\n", want: []string{`file:1:5: dev.enabled would show one-time passwords to other machines: server.listen is ":8443"`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, problems := load(t, c.doc, c.env...)
			if len(problems) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(problems), len(c.want), problems)
			}
			for i, p := range problems {
				if got := p.String(); !strings.HasPrefix(got, c.want[i]) {
					t.Errorf("got  %s\nwant %s…", got, c.want[i])
				}
			}
		})
	}
}

func TestAllMistakesComeAtOnceInTheOrderOfTheFile(t *testing.T) {
	_, problems := load(t, `
[log]
level = "loud"
colour = true

[server]
listen = "nowhere"
public_url = "ftp://x"

[mail]
host = "smtp.example.org"
starttls = "never"
password = { file = "/no/such" }
user = "u"

[handover]
otp_life = "1m1h"
`, "SEALWRIGHT_WHAT=1", "SEALWRIGHT_SDS_LIFE=x")
	var got []string
	for _, p := range problems {
		got = append(got, p.Key)
	}
	// mail.user has no password, but only because that was refused: left out.
	want := []string{"log.level", "log.colour", "server.listen", "server.public_url", "mail.starttls", "mail.password", "handover.otp_life", "sds.life", "", "mail.from"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q\n%v", got, want, problems)
	}
	if n := strings.Count(problems.Error(), "\n") + 1; n != len(want) {
		t.Errorf("%d lines", n)
	}
}

func TestProblemsAreAFaultThatTellsWhatToDo(t *testing.T) {
	_, problems := load(t, "log.level = 'x'\n")
	f := fault.Of(problems)
	if !errors.Is(problems, fault.Invalid) || f.Code != "config.invalid" || f.Field != "log.level" || !strings.Contains(f.Next, "config check") || !strings.Contains(f.Message, "log.level") {
		t.Errorf("%+v", f)
	}
}

func TestMistakesNeverShowSecrets(t *testing.T) {
	const hush = "topsecret"
	for _, doc := range []string{
		"webhook.secret = 'topsecret'", // too short
		"keys.master.passphrase = 'topsecret'",
		"database.url = 'postgres://u:topsecret@db.example.org/x'",
		"database.url = 'mysql://u:topsecret@h/x'",
		"database.url = 'postgres://u:topsecret@h:port/x'",
		"database = { url = 'postgres://u:a@localhost/x', password = 'topsecret' }",
		"sms.http.url = 'http://sms.example.org/?password=topsecret'",
		"sms.http.url = 'https://sms.example.org/?password=topsecret{{.X}}'",
		"sms.http.headers = { A = \"topsecret\\n\" }",
		"mail.password = 'topsecret'",
		"mail.password = ['topsecret']",
	} {
		_, problems := load(t, doc)
		if problems == nil || strings.Contains(problems.Error(), hush) {
			t.Errorf("%s: %v", doc, problems)
		}
	}
}

func TestAFileThatCannotBeReadIsAProblem(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	write(t, large, strings.Repeat("#\n", 1<<20))
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file", dir: "is a directory", large: "larger than 1MiB",
	} {
		_, err := config.Load(path, nil)
		var p config.Problems
		if !errors.As(err, &p) || len(p) != 1 || p[0].Source != path || !strings.Contains(p[0].What, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzParse feeds documents: none may panic, and each mistake has words and,
// if it is one of the file, a line within it.
func FuzzParse(f *testing.F) {
	f.Add(config.Example())
	for _, s := range []string{
		"server.listen = 1", "[server.tls]\ncertificate = 'x'", "[[mail]]\n", "a.b.c = { d = { e = [1, {f = 2}] } }", "mail = { password = { file = 'x' } }",
		"x = 1979-05-27", "\"\" = 1", "[server]\n\"listen\" = ''", "sms.http.headers = { A = { credential = 'x' } }", "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := config.Parse("fuzz.toml", doc, []string{"CREDENTIALS_DIRECTORY=" + os.DevNull})
		if err == nil {
			if c == nil || c.Server.Listen == "" || c.Database.URL.Empty() {
				t.Fatal("accepted without its values")
			}
			return
		}
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("an error without problems: %v", err)
		}
		lines := strings.Count(string(doc), "\n") + 1
		for _, p := range problems {
			if p.What == "" || p.Line > lines || (p.Line > 0) != (p.Column > 0) {
				t.Fatalf("%+v in %d lines", p, lines)
			}
		}
	})
}
