package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/config"
)

// load writes doc to a file named sealwright.toml and loads it.
func load(t *testing.T, doc string, env ...string) (*config.Config, config.Problems) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sealwright.toml")
	write(t, path, doc)
	c, err := config.Load(path, env)
	if err == nil {
		return c, nil
	}
	problems, ok := err.(config.Problems)
	if !ok {
		t.Fatalf("an error of another type: %T %v", err, err)
	}
	for i := range problems {
		if problems[i].Source == path {
			problems[i].Source = "file"
		}
	}
	return nil, problems
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T, doc string, env ...string) *config.Config {
	t.Helper()
	c, problems := load(t, doc, env...)
	if problems != nil {
		t.Fatal(problems)
	}
	return c
}

func TestDefaultsAreThoseOfTheRequirements(t *testing.T) {
	c := config.Default()
	if c.Handover.OTPLife != 30*time.Minute { // N18
		t.Errorf("one-time password: %s", c.Handover.OTPLife)
	}
	if c.Certificate.Life != (config.Life{Years: 2}) { // N31
		t.Errorf("certificate: %s", c.Certificate.Life)
	}
	if c.Handover.OTPTries != 5 || c.Handover.LinkLife != (config.Life{Days: 14}) || !reflect.DeepEqual(c.Certificate.Reminders, []int{60, 30, 14, 7, 1}) {
		t.Errorf("%+v %+v", c.Handover, c.Certificate)
	}
	if c.Database.URL.Reveal() != "sqlite:/var/lib/sealwright/sealwright.db" || c.Blob.Dir != "/var/lib/sealwright/blobs" || c.Keys.Master.File != "/var/lib/sealwright/master.key" {
		t.Errorf("%s %+v %+v", c.Database.URL.Reveal(), c.Blob, c.Keys)
	}
	if c.Server.TrustedProxies != nil || c.Egress.Allow != nil || c.Dev.Enabled {
		t.Error("something is open by default")
	}
}

func TestTheExampleFileParsesToTheDefaults(t *testing.T) {
	if c := mustLoad(t, string(config.Example())); !reflect.DeepEqual(c, config.Default()) {
		t.Errorf("example:\n%+v\ndefault:\n%+v", c, config.Default())
	}
	if c := mustLoad(t, ""); !reflect.DeepEqual(c, config.Default()) {
		t.Errorf("empty file: %+v", c)
	}
	c, err := config.Load("", nil)
	if err != nil || !reflect.DeepEqual(c, config.Default()) {
		t.Errorf("no file: %v", err)
	}
}

func TestTheExampleFileExplainsEverySetting(t *testing.T) {
	if missing := config.Undocumented(); len(missing) > 0 {
		t.Errorf("without explanation, allowed values or sample: %v", missing)
	}
	example, tables := string(config.Example()), map[string]bool{}
	for key := range config.Samples() {
		table, name := key[:strings.LastIndex(key, ".")], key[strings.LastIndex(key, ".")+1:]
		tables[table] = true
		_, rest, found := strings.Cut(example, "\n["+table+"]\n")
		body, _, _ := strings.Cut(rest, "\n[")
		if !found || !strings.Contains("\n"+body, "\n"+name+" = ") && !strings.Contains("\n"+body, "\n# "+name+" = ") {
			t.Errorf("%s is not in the example", key)
		}
		if n := strings.Count(example, "\n["+table+"]\n"); n != 1 {
			t.Errorf("table %s stands %d times in the example", table, n)
		}
		if config.Tables()[table] == "" {
			t.Errorf("table %s has no heading", table)
		}
	}
	for table := range config.Tables() {
		if !tables[table] {
			t.Errorf("table %s has a heading and no settings", table)
		}
	}
}

// The samples that are commented out must work when someone uncomments them,
// with the files and variables that they name in place.
func TestEverySampleOfTheExampleFileIsRight(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"database-password", "master-passphrase", "smtp-password", "sms-authorization", "webhook-secret", "tls.pem", "tls.key"} {
		write(t, filepath.Join(dir, name), "correct horse battery staple, long enough")
	}
	env := []string{"CREDENTIALS_DIRECTORY=" + dir, "MASTER_KEY=" + strings.Repeat("k", 44)}
	for key, sample := range config.Samples() {
		if sample == "" {
			continue
		}
		t.Run(key, func(t *testing.T) {
			_, problems := load(t, key+" = "+strings.ReplaceAll(sample, "/etc/sealwright/tls", dir+"/tls"), env...)
			for _, p := range problems {
				if p.Key == key && !strings.Contains(p.What, "beside it") && !strings.Contains(p.What, "without") && !strings.Contains(p.What, "SQLite has none") {
					t.Error(p)
				}
				if p.Key != key && p.Key != "mail.from" { // mail.host alone asks for a sender
					t.Error(p)
				}
			}
		})
	}
}

func TestVariablesOverrideTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "from a file\n")
	c := mustLoad(t, `
server.listen = "127.0.0.1:1"
[log]
level = "error"
[mail]
host = "localhost"
from = "a@example.org"
user = "u"
`,
		"SEALWRIGHT_SERVER_LISTEN=127.0.0.1:2", "SEALWRIGHT_CERTIFICATE_REMINDERS=9, 3", "SEALWRIGHT_CERTIFICATE_APPROVAL=true",
		"SEALWRIGHT_HANDOVER_OTP_TRIES=3", "SEALWRIGHT_HANDOVER_LINK_LIFE=2d", "SEALWRIGHT_EGRESS_ALLOW=10.0.0.0/8,fd00::/8",
		"SEALWRIGHT_EGRESS_PORTS=443", "SEALWRIGHT_MAIL_PASSWORD_FILE="+file, "SEALWRIGHT_METRICS_LISTEN=",
		"SEALWRIGHT_ENVIRONMENT_PREPROD_HOSTS=preprod.sealwright.localhost,Pre.example.org",
		"SEALWRIGHT_SMS_HTTP_HEADERS=X-Key: env:literal\nX-Other: b", "SEALWRIGHT_KEYS_MASTER_PASSPHRASE=a long enough passphrase",
		"SEALWRIGHT_SDS_MAX_SIZE=10MiB")
	switch {
	case c.Server.Listen != "127.0.0.1:2", c.Log.Level.String() != "ERROR", !reflect.DeepEqual(c.Certificate.Reminders, []int{9, 3}),
		!c.Certificate.Approval, c.Handover.OTPTries != 3, c.Handover.LinkLife.Days != 2, fmt.Sprint(c.Egress.Allow) != "[10.0.0.0/8 fd00::/8]",
		fmt.Sprint(c.Egress.Ports) != "[443]", c.Mail.Password.Reveal() != "from a file", c.Metrics.Listen != "",
		fmt.Sprint(c.Environment.Preprod.Hosts) != "[preprod.sealwright.localhost pre.example.org]",
		c.SMS.HTTP.Headers["X-Key"].Reveal() != "env:literal", c.SMS.HTTP.Headers["X-Other"].Reveal() != "b",
		c.Keys.Master.Passphrase.Reveal() != "a long enough passphrase", c.Keys.Master.File != "", c.SDS.MaxSize != 10<<20:
		t.Errorf("%+v", c)
	}
}

func TestEverySettingHasAVariableOfItsOwn(t *testing.T) {
	names := map[string]string{}
	for key := range config.Samples() {
		for _, name := range []string{config.VariableOf(key), config.VariableOf(key) + "_FILE"} {
			if other, taken := names[name]; taken {
				t.Errorf("%s stands for %s and %s", name, key, other)
			}
			names[name] = key
		}
	}
}

func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	mustLoad(t, `keys.master.key = "env:SEALWRIGHT_MASTER"`,
		"SEALWRIGHT_MASTER="+strings.Repeat("k", 32), "SEALWRIGHT_CONFIG=/x", "SEALWRIGHT_SERVICE_HOST=10.0.0.1", "SEALWRIGHT_PORT=tcp://10.0.0.1:80",
		"SEALWRIGHT_PORT_80_TCP_ADDR=10.0.0.1", "SEALWRIGHT_TEST_POSTGRES=x", "PATH=/bin", "malformed")
}

func TestSecretsComeFromFilesCredentialsAndVariables(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "smtp"), "pass word \r\n")
	forms := map[string]string{
		`"literal"`: "literal", `{ file = "` + dir + `/smtp" }`: "pass word ", `{ credential = "smtp" }`: "pass word ", `"env:SMTP"`: "from env",
	}
	for form, want := range forms {
		c := mustLoad(t, "[mail]\nhost = \"localhost\"\nfrom = \"a@example.org\"\nuser = \"u\"\npassword = "+form, "CREDENTIALS_DIRECTORY="+dir, "SMTP=from env")
		if got := c.Mail.Password.Reveal(); got != want {
			t.Errorf("%s gives %q, want %q", form, got, want)
		}
		if shown := fmt.Sprintf("%v %+v %#v", c, c, c.Mail); strings.Contains(shown, want) {
			t.Error("the configuration prints its secrets")
		}
		if b, err := json.Marshal(c); err != nil || strings.Contains(string(b), want) {
			t.Errorf("as JSON the configuration shows its secrets: %v", err)
		}
	}
}

func TestPathsCountFromTheFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tls.pem"), "x")
	write(t, filepath.Join(dir, "pw"), "a secret that is long enough")
	path := filepath.Join(dir, "sealwright.toml")
	write(t, path, `
server.data_dir = "data"
server.tls = { certificate = "tls.pem", key = "./tls.pem" }
webhook.secret = { file = "pw" }
database.url = "sqlite:db/x.db"
`)
	c, err := config.Load(path, []string{"SEALWRIGHT_LOG_FILE=relative.log"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.DataDir != dir+"/data" || c.Blob.Dir != dir+"/data/blobs" || c.Server.TLS.Key != dir+"/tls.pem" || c.Webhook.Secret.Empty() ||
		c.Database.URL.Reveal() != "sqlite:"+dir+"/db/x.db" || c.Log.File != "relative.log" {
		t.Errorf("%+v", c)
	}
}

func TestTheDatabasePasswordJoinsItsURL(t *testing.T) {
	c := mustLoad(t, "[database]\nurl = \"postgres://sealwright@db.example.org/sealwright?sslmode=verify-full\"\npassword = \"p@ss/word\"\n")
	if got := c.Database.URL.Reveal(); got != "postgres://sealwright:p%40ss%2Fword@db.example.org/sealwright?sslmode=verify-full" {
		t.Error(got)
	}
	mustLoad(t, `database.url = "postgres:///sealwright?host=/run/postgresql"`)
	mustLoad(t, `database.url = "postgres://u:p@127.0.0.1:5432/sealwright"`)
}

func TestTemplatesEncodeWhatTheyAreGiven(t *testing.T) {
	for text, want := range map[string]string{
		config.Default().SMS.HTTP.Body:                `{"to":"+4512345678","text":"a \"b\" \u0026 c"}`,
		"to={{urlquery .To}}&text={{urlquery .Text}}": "to=%2B4512345678&text=a+%22b%22+%26+c",
		"{{.To}}@sms.example.org":                     "+4512345678@sms.example.org",
	} {
		tmpl, err := config.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := tmpl.Execute(&b, config.Message{To: "+4512345678", Text: `a "b" & c`}); err != nil || b.String() != want {
			t.Errorf("%s gives %s, want %s, %v", text, b.String(), want, err)
		}
	}
}
