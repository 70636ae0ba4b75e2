package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A reporter takes one mistake: the key to mend, what is wrong, what is allowed,
// and the other keys that it follows from: if the value of one of those was
// refused, the mistake may not be one.
type reporter func(key, what, allowed string, from ...string)

// check holds the settings against each other. Each value is already known to
// be right by itself.
func (c *Config) check(report reporter) {
	c.checkListeners(report)
	c.checkNames(report)
	c.checkTLS(report)
	c.checkStorage(report)
	c.checkMail(report)
	c.checkSMS(report)
	c.checkRules(report)
	c.checkDev(report)
}

type named struct{ key, value string }

// checkListeners finds two listeners on one address.
func (c *Config) checkListeners(report reporter) {
	all := c.listeners()
	for i, one := range all {
		for _, other := range all[:i] {
			if clash(one.value, other.value) {
				report(one.key, fmt.Sprintf("%q is taken by %s", one.value, other.key), "an address and port of its own", other.key)
				break
			}
		}
	}
}

func (c *Config) listeners() []named {
	return []named{
		{"server.listen", c.Server.Listen},
		{"server.http_listen", c.Server.HTTPListen},
		{"clientauth.listen", c.ClientAuth.Listen},
		{"environment.preprod.listen", c.Environment.Preprod.Listen},
		{"environment.production.listen", c.Environment.Production.Listen},
		{"metrics.listen", c.Metrics.Listen},
	}
}

// clash tells whether two listeners cannot both exist. Port 0 picks a free one.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB)
}

func everywhere(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// checkNames keeps the hosts apart, since the host decides which data and
// which rules apply.
func (c *Config) checkNames(report reporter) {
	used := map[string]string{hostOf(c.Server.PublicURL): "server.public_url"}
	claim := func(key, name string) {
		if owner, taken := used[name]; taken {
			report(key, fmt.Sprintf("%q is taken by %s", name, owner), "a host name of its own", owner)
			return
		}
		used[name] = key
	}
	claim("clientauth.host", c.ClientAuth.Host)
	for _, e := range c.environments() {
		for _, h := range e.Hosts {
			claim(e.table+".hosts", h)
		}
		if h := hostOf(e.PublicURL); !slices.Contains(e.Hosts, h) {
			report(e.table+".public_url", fmt.Sprintf("names %q, which is not in %s.hosts", h, e.table), "one of "+quotedList(e.Hosts), e.table+".hosts")
		}
	}
}

type namedEnvironment struct {
	table string
	*Environment
}

func (c *Config) environments() []namedEnvironment {
	return []namedEnvironment{{"environment.preprod", &c.Environment.Preprod}, {"environment.production", &c.Environment.Production}}
}

func (c *Config) checkTLS(report reporter) {
	both := func(table string, t TLS) {
		switch {
		case t.Certificate != "" && t.Key == "":
			report(table+".tls.certificate", "has no "+table+".tls.key beside it", "both or neither", table+".tls.key")
		case t.Key != "" && t.Certificate == "":
			report(table+".tls.key", "has no "+table+".tls.certificate beside it", "both or neither", table+".tls.certificate")
		}
	}
	both("server", c.Server.TLS)
	for _, e := range c.environments() {
		both(e.table, e.TLS)
	}
}

func (c *Config) checkStorage(report reporter) {
	if c.Blob.Kind == BlobTable && c.Blob.Dir != "" {
		report("blob.dir", `is not used with blob.kind = "table"`, "leave it out", "blob.kind")
	}
	m := c.Keys.Master
	if !m.Key.Empty() && m.File != "" {
		report("keys.master.key", "is given beside keys.master.file", "one of file, key and passphrase")
	}
	if !m.Passphrase.Empty() && (m.File != "" || !m.Key.Empty()) {
		report("keys.master.passphrase", "is given beside another master key", "one of file, key and passphrase")
	}
	c.checkDatabase(report)
}

// checkDatabase asks for a decision on TLS: without sslmode the driver falls
// back to plain text in silence.
func (c *Config) checkDatabase(report reporter) {
	raw := c.Database.URL.Reveal()
	if strings.HasPrefix(raw, "sqlite:") {
		if !c.Database.Password.Empty() {
			report("database.password", "is given, but SQLite has none", "leave it out", "database.url")
		}
		return
	}
	u, err := url.Parse(raw)
	if err != nil {
		report("database.url", "is not the address of a database", "") // without the text, which may hold a password
		return
	}
	if h := u.Hostname(); h != "" && !isLocal(h) && u.Query().Get("sslmode") == "" {
		report("database.url", "names another machine but says nothing of TLS",
			"?sslmode=verify-full at its end, or sslmode=disable on a network that you trust")
	}
	_, has := u.User.Password()
	if !c.Database.Password.Empty() && (has || u.User.Username() == "") {
		report("database.password", "needs a URL with a user and without a password", "postgres://user@host/database")
	}
}

func (c *Config) checkMail(report reporter) {
	m := c.Mail
	if m.Host == "" {
		for _, s := range []named{{"mail.from", m.From}, {"mail.user", m.User}} {
			if s.value != "" {
				report(s.key, "is given without mail.host", "set mail.host too", "mail.host")
			}
		}
		if !m.Password.Empty() {
			report("mail.password", "is given without mail.host", "set mail.host too", "mail.host")
		}
		return
	}
	if m.From == "" {
		report("mail.from", "is missing", `an e-mail address such as "Sealwright <no-reply@example.org>"`)
	}
	if m.User != "" && m.Password.Empty() {
		report("mail.user", "has no mail.password beside it", "both or neither", "mail.password")
	}
	if m.User == "" && !m.Password.Empty() {
		report("mail.password", "has no mail.user beside it", "both or neither", "mail.user")
	}
	if isLocal(m.Host) {
		return
	}
	if m.StartTLS == StartTLSNever {
		report("mail.starttls", `"never" would send links in clear to another machine`, quotedList([]string{StartTLSRequired, StartTLSOpportunistic}))
	}
	if m.StartTLS == StartTLSOpportunistic && m.User != "" {
		report("mail.starttls", `"opportunistic" could send the password in clear`, quotedList([]string{StartTLSRequired}))
	}
}

func (c *Config) checkSMS(report reporter) {
	switch c.SMS.Kind {
	case SMSHTTP:
		if c.SMS.HTTP.URL.Empty() {
			report("sms.http.url", `is missing for sms.kind = "http"`, "an https URL")
		}
		if len(c.SMS.HTTP.Success) == 0 {
			report("sms.http.success", "is empty", "at least one status such as 200")
		}
	case SMSMail:
		if !strings.Contains(c.SMS.Mail.Address, "{{") {
			report("sms.mail.address", "does not name the receiver", `a template such as "{{.To}}@sms.example.org"`)
		}
		if c.Mail.Host == "" {
			report("sms.kind", `"mail" needs mail.host`, "set mail.host too", "mail.host")
		}
	}
}

func (c *Config) checkRules(report reporter) {
	if longer(Life{Rest: c.Handover.OTPLife}, c.Handover.LinkLife) {
		report("handover.otp_life", "is longer than handover.link_life", "at most "+c.Handover.LinkLife.String(), "handover.link_life")
	}
	r := c.Certificate.Reminders
	for i := 1; i < len(r); i++ {
		if r[i] >= r[i-1] {
			report("certificate.reminders", fmt.Sprintf("has %d after %d", r[i], r[i-1]), "days from many to few, each once")
			break
		}
	}
	if c.Limits.SessionIdle > c.Limits.SessionLife {
		report("limits.session_idle", "is longer than limits.session_life", "at most "+Life{Rest: c.Limits.SessionLife}.String(), "limits.session_life")
	}
}

// checkDev keeps the page that shows one-time passwords away from everybody
// else's network.
func (c *Config) checkDev(report reporter) {
	if !c.Dev.Enabled {
		return
	}
	if h := hostOf(c.Server.PublicURL); !isLocal(h) {
		report("dev.enabled", fmt.Sprintf("would show one-time passwords on %s", h), "false, or a server.public_url on localhost", "server.public_url")
		return
	}
	for _, l := range c.listeners() {
		if h, _, err := net.SplitHostPort(l.value); err == nil && !isLocal(h) {
			report("dev.enabled", fmt.Sprintf("would show one-time passwords to other machines: %s is %q", l.key, l.value), "false, or listeners on loopback addresses only", l.key)
			return
		}
	}
}

// isLocal tells whether a host is this machine by its name alone: a loopback
// address, localhost, or a name below it (RFC 6761, section 6.3).
func isLocal(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func hostOf(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
