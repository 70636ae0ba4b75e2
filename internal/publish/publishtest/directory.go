package publishtest

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What every [Directory] holds: an account that may write below Base except
// below ou=closed, entries for people and authorities, and one person.
const (
	Base     = "dc=example,dc=org"
	People   = "ou=people," + Base
	Closed   = "ou=closed," + Base
	BindDN   = "cn=publisher," + Base
	Password = "mallard.42!bind"
)

const content = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=closed,dc=example,dc=org
objectClass: organizationalUnit
ou: closed

dn: ou=authorities,dc=example,dc=org
objectClass: organizationalUnit
ou: authorities

dn: cn=publisher,dc=example,dc=org
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: publisher
userPassword: mallard.42!bind

dn: mail=first@example.org,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: First Person
sn: Person
mail: first@example.org
`

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/server.pem
TLSCertificateKeyFile %[1]s/server.key
sizelimit 50
database mdb
maxsize 67108864
dbnosync
suffix "dc=example,dc=org"
rootdn "cn=root,dc=example,dc=org"
rootpw root
directory %[1]s/data
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=closed,dc=example,dc=org" by * read
access to * by dn.exact="cn=publisher,dc=example,dc=org" write by * read
`

// A Directory is an OpenLDAP server of the test's own, on loopback.
type Directory struct {
	CA      *CA
	Port    int // LDAP and StartTLS
	TLSPort int // ldaps
	tb      testing.TB
	dir     string
	cmd     *exec.Cmd
}

// StartDirectory starts an OpenLDAP server (Debian packages slapd and
// ldap-utils) that ends with the test.
func StartDirectory(tb testing.TB) *Directory {
	tb.Helper()
	d := &Directory{CA: NewCA(tb, "Directory Root"), Port: FreePort(tb), TLSPort: FreePort(tb), tb: tb, dir: tb.TempDir()}
	certificate, key := d.CA.server(tb)
	for name, data := range map[string][]byte{
		"ca.pem": []byte(d.CA.PEM), "server.pem": certificate, "server.key": key, "slapd.conf": fmt.Appendf(nil, slapdConf, d.dir), "content.ldif": []byte(content),
	} {
		must(tb, os.WriteFile(filepath.Join(d.dir, name), data, 0o600))
	}
	must(tb, os.Mkdir(filepath.Join(d.dir, "data"), 0o700))
	d.run("slapadd", "-q", "-f", filepath.Join(d.dir, "slapd.conf"), "-l", filepath.Join(d.dir, "content.ldif"))
	d.Up()
	tb.Cleanup(d.Down)
	return d
}

// Up starts the server and waits until it answers.
func (d *Directory) Up() {
	d.tb.Helper()
	d.cmd = exec.Command(tool(d.tb, "slapd"), "-d", "0", "-f", filepath.Join(d.dir, "slapd.conf"), "-h",
		fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", d.Port, d.TLSPort))
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(d.tb, d.cmd.Start())
	await(d.tb, d.Port)
	await(d.tb, d.TLSPort)
}

// Down ends the server, as a machine that fails would.
func (d *Directory) Down() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait() // its exit status says how it was ended
		d.cmd = nil
	}
}

func (d *Directory) run(name string, args ...string) string {
	d.tb.Helper()
	out, err := exec.Command(tool(d.tb, name), args...).CombinedOutput()
	if err != nil {
		d.tb.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// Modify applies LDIF as the administrator of the directory.
func (d *Directory) Modify(ldif string) {
	d.tb.Helper()
	cmd := exec.Command(tool(d.tb, "ldapmodify"), "-x", "-H", d.url(), "-D", "cn=root,"+Base, "-w", "root")
	cmd.Stdin = strings.NewReader(ldif)
	if out, err := cmd.CombinedOutput(); err != nil {
		d.tb.Fatalf("ldapmodify: %v\n%s", err, out)
	}
}

func (d *Directory) url() string { return "ldap://127.0.0.1:" + strconv.Itoa(d.Port) }

// Find asks ldapsearch for the attribute of all entries below base that match
// the filter: the values by the names of the entries.
func (d *Directory) Find(base, filter, attribute string) map[string][]string {
	d.tb.Helper()
	out := d.run("ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", d.url(), "-b", base, filter, attribute)
	found, name := map[string][]string{}, ""
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			continue
		}
		if encoded, ok := strings.CutPrefix(value, ":"); ok {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
			must(d.tb, err)
			value = string(raw)
		} else {
			value = strings.TrimPrefix(value, " ")
		}
		if key == "dn" {
			name = value
			found[name] = nil
		} else {
			found[name] = append(found[name], value)
		}
	}
	return found
}

// Certificates are the values of an attribute of one entry, and whether the
// entry exists.
func (d *Directory) Certificates(name, attribute string) (values []string, exists bool) {
	d.tb.Helper()
	parent := name[strings.Index(name, ",")+1:]
	for dn, v := range d.Find(parent, "(objectClass=*)", attribute) {
		if strings.EqualFold(dn, name) {
			return v, true
		}
	}
	return nil, false
}

// Holds tells whether an entry holds the value in the attribute.
func (d *Directory) Holds(name, attribute string, der []byte) bool {
	d.tb.Helper()
	values, _ := d.Certificates(name, attribute)
	return slices.Contains(values, string(der))
}

// FreePort finds a port on loopback that nobody listens on.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func await(tb testing.TB, port int) {
	tb.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the server on port %d did not start", port)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tool(tb testing.TB, name string) string {
	tb.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/", "/usr/lib/openssh/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	tb.Fatalf("%s is missing (Debian packages slapd, ldap-utils, openssh-server)", name)
	return ""
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
