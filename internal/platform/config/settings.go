package config

import (
	"log/slog"
	"net/http"
	"time"
)

// A setting is one key of the file: what it means and where its value goes.
type setting struct {
	key    string // dotted: table and name
	doc    string // for the example file; one or more sentences
	sample string // TOML literal shown in the example file while there is no default
	value  value
}

// sections says what each table is for, in the example file.
var sections = map[string]string{
	"server":                     "The main listener: user interface and API over HTTPS.",
	"server.tls":                 "Certificate of the main listener. Without it one is issued by the installation's internal TLS authority.",
	"clientauth":                 "API calls with a client certificate instead of an API key.",
	"environment.preprod":        "Web services for trying out: no client certificates.",
	"environment.preprod.tls":    "Certificate of these web services. Without it one is issued by the installation's internal TLS authority.",
	"environment.production":     "Web services for real: mutual TLS on every call.",
	"environment.production.tls": "Certificate of these web services. Without it one is issued by the installation's internal TLS authority.",
	"database":                   "SQLite in the data directory, or PostgreSQL for several nodes.",
	"blob":                       "Documents and key files, always encrypted.",
	"keys":                       "Private keys of the authorities.",
	"keys.master":                "What protects the software keys. Set one of the three.",
	"mail":                       "Outgoing e-mail. Without a host none is sent.",
	"sms":                        "Outgoing text messages.",
	"sms.http":                   "A gateway with an HTTP interface, for kind = \"http\".",
	"sms.mail":                   "A gateway with a mailbox, for kind = \"mail\".",
	"webhook":                    "Notifications to subscribers.",
	"handover":                   "Delivery of key files to people.",
	"certificate":                "Client certificates.",
	"contact":                    "Whom to tell when a certificate is lost or misused.",
	"pki":                        "Orders for products of the managed PKI.",
	"pki.log_list":               "Certificate transparency logs of each environment.",
	"validation":                 "How control over domain names is looked at.",
	"publish":                    "Where certificates may be published.",
	"sds":                        "Session data storage.",
	"limits":                     "Protection of the servers.",
	"log":                        "The log.",
	"metrics":                    "Measurements for Prometheus.",
	"egress":                     "Connections that the product opens to other machines.",
	"dev":                        "Development.",
}

// basis are the defaults before those that follow from other settings.
func basis() *Config {
	return &Config{
		Server: Server{
			DataDir: "/var/lib/sealwright", Listen: "127.0.0.1:8443", HTTPListen: "127.0.0.1:8080",
			PublicURL: "https://sealwright.localhost:8443", PublicHTTPURL: "http://sealwright.localhost:8080",
		},
		ClientAuth: ClientAuth{Host: "clientauth.sealwright.localhost", Listen: "127.0.0.1:8446"},
		Environment: Environments{
			Preprod: Environment{
				Hosts: []string{"preprod.sealwright.localhost"}, Listen: "127.0.0.1:8444",
				PublicURL: "https://preprod.sealwright.localhost:8444",
			},
			Production: Environment{
				Hosts: []string{"production.sealwright.localhost"}, Listen: "127.0.0.1:8445",
				PublicURL: "https://production.sealwright.localhost:8445",
			},
		},
		Blob: Blob{Kind: BlobFiles},
		Mail: Mail{Port: 587, StartTLS: StartTLSRequired},
		SMS: SMS{
			Kind: SMSNone,
			HTTP: SMSOverHTTP{
				Method: http.MethodPost, ContentType: "application/json",
				Body: `{"to":{{json .To}},"text":{{json .Text}}}`, Success: []int{200, 201, 202, 204},
			},
			Mail: SMSOverMail{Subject: "SMS"},
		},
		Handover:    Handover{LinkLife: Life{Days: 14}, OTPLife: 30 * time.Minute, OTPTries: 5, OTPResendLimit: 5},
		Certificate: Certificate{Life: Life{Years: 2}, Reminders: []int{60, 30, 14, 7, 1}},
		PKI:         PKI{ApprovalLife: 14 * 24 * time.Hour},
		Validation:  Validation{TokenPrefix: "swiss-pki", DNSPort: 53},
		SDS:         SDS{Life: Life{Days: 30}, MaxSize: 2 << 30},
		Limits: Limits{
			MaxHeaders: 64 << 10, HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
			ShutdownTimeout: 20 * time.Second, SessionLife: 12 * time.Hour, SessionIdle: 30 * time.Minute,
			LoginTries: 5,
		},
		Log:     Log{Level: slog.LevelInfo, Format: "json"},
		Metrics: Metrics{Listen: "127.0.0.1:9464"},
		Egress:  Egress{Timeout: 10 * time.Second, MaxResponse: 4 << 20},
	}
}

// settings is the table of everything that can be set, bound to c. Its order
// is that of the example file; the keys of one table stand together.
func settings(c *Config) []setting {
	var all []setting
	for _, part := range [][]setting{
		serverSettings(&c.Server), clientAuthSettings(&c.ClientAuth),
		environmentSettings("environment.preprod", &c.Environment.Preprod),
		environmentSettings("environment.production", &c.Environment.Production),
		storageSettings(c), mailSettings(&c.Mail), smsSettings(&c.SMS), ruleSettings(c), pkiSettings(c), operationSettings(c),
	} {
		all = append(all, part...)
	}
	return all
}

func serverSettings(s *Server) []setting {
	return []setting{
		{"server.data_dir", "Where everything local lives: database, key file, documents.", "", path(&s.DataDir, false)},
		{"server.listen", "Address of the HTTPS listener. Port 0 picks a free one.", "", listen(&s.Listen)},
		{"server.http_listen", "Plain HTTP for CRLs, OCSP and CA certificates; everything else is redirected to HTTPS.", "", listen(&s.HTTPListen)},
		{"server.public_url", "What people type into the browser.", "", baseURL(&s.PublicURL, "https")},
		{"server.public_http_url", "Where http_listen is reached from outside. Certificates name it; it cannot be changed in those already issued.", "", baseURL(&s.PublicHTTPURL, "http")},
		{"server.trusted_proxies", "Reverse proxies whose X-Forwarded-For is believed. None by default.", `["10.0.0.5/32"]`, prefixes(&s.TrustedProxies)},
		{"server.tls.certificate", "PEM file with the certificate and its chain.", `"/etc/sealwright/tls.pem"`, path(&s.TLS.Certificate, true)},
		{"server.tls.key", "PEM file with the private key.", `"/etc/sealwright/tls.key"`, path(&s.TLS.Key, true)},
	}
}

func clientAuthSettings(a *ClientAuth) []setting {
	return []setting{
		{"clientauth.host", "Host name, by custom the main one with \"clientauth.\" before it.", "", host(&a.Host)},
		{"clientauth.listen", "Address of its HTTPS listener.", "", listen(&a.Listen)},
	}
}

func environmentSettings(table string, e *Environment) []setting {
	return []setting{
		{table + ".hosts", "Public host names of the web services.", "", hosts(&e.Hosts)},
		{table + ".listen", "Address of the HTTPS listener.", "", listen(&e.Listen)},
		{table + ".public_url", "What integrators are told to call.", "", baseURL(&e.PublicURL, "https")},
		{table + ".tls.certificate", "PEM file with the certificate and its chain.", `"/etc/sealwright/tls.pem"`, path(&e.TLS.Certificate, true)},
		{table + ".tls.key", "PEM file with the private key.", `"/etc/sealwright/tls.key"`, path(&e.TLS.Key, true)},
	}
}

func storageSettings(c *Config) []setting {
	return []setting{
		{"database.url", "By default the file sealwright.db in the data directory.", `"postgres://sealwright@db.example.org/sealwright?sslmode=verify-full"`, databaseURL(&c.Database.URL)},
		{"database.password", "Password for PostgreSQL, if it is not part of the URL.", `{ credential = "database-password" }`, hidden(&c.Database.Password, 1, literal)},
		{"blob.kind", "\"files\" in a directory, or \"table\" in the database, which several nodes share.", "", choice(&c.Blob.Kind, BlobFiles, BlobTable)},
		{"blob.dir", "By default the directory blobs in the data directory.", `"/srv/sealwright/blobs"`, path(&c.Blob.Dir, false)},
		{"keys.signer_socket", "Unix socket of sealwright-signer, when keys live in a PKCS#11 device.", `"/run/sealwright/signer.sock"`, path(&c.Keys.SignerSocket, false)},
		{"keys.master.file", "By default the file master.key in the data directory. `sealwright init` creates it.", `"/etc/sealwright/master.key"`, path(&c.Keys.Master.File, false)},
		{"keys.master.key", "The key itself, from a variable or a credential.", `"env:MASTER_KEY"`, hidden(&c.Keys.Master.Key, 32, indirect)},
		{"keys.master.passphrase", "A passphrase that the key is derived from.", `{ credential = "master-passphrase" }`, hidden(&c.Keys.Master.Passphrase, 12, indirect)},
	}
}

func mailSettings(m *Mail) []setting {
	return []setting{
		{"mail.host", "SMTP server.", `"smtp.example.org"`, host(&m.Host)},
		{"mail.port", "Its port.", "", number(&m.Port, 1, 65535)},
		{"mail.starttls", "Whether the connection must be encrypted. \"never\" is for a server on this machine only.", "", choice(&m.StartTLS, StartTLSRequired, StartTLSOpportunistic, StartTLSNever)},
		{"mail.user", "Login, if the server asks for one.", `"sealwright"`, line(&m.User)},
		{"mail.password", "Its password.", `{ credential = "smtp-password" }`, hidden(&m.Password, 1, literal)},
		{"mail.from", "Sender of every e-mail.", `"Sealwright <no-reply@example.org>"`, mailAddress(&m.From)},
	}
}

func smsSettings(s *SMS) []setting {
	return []setting{
		{"sms.kind", "\"http\", \"mail\", or \"none\", which sends nothing.", "", choice(&s.Kind, SMSNone, SMSHTTP, SMSMail)},
		{"sms.http.url", "Address of the gateway. Number and text go into the body, never here: addresses end up in logs on the way.", `"https://sms.example.org/send"`, gatewayURL(&s.HTTP.URL)},
		{"sms.http.method", "HTTP method.", "", choice(&s.HTTP.Method, http.MethodPost, http.MethodPut)},
		{"sms.http.headers", "Further headers; each value may be a secret.", `{ Authorization = { credential = "sms-authorization" } }`, headers(&s.HTTP.Headers)},
		{"sms.http.content_type", "Content type of the body.", "", line(&s.HTTP.ContentType)},
		{"sms.http.body", "Body; {{.To}} is the number, {{.Text}} the message, and json and urlquery encode them.", "", messageTemplate(&s.HTTP.Body)},
		{"sms.http.success", "HTTP statuses that mean that the message was accepted.", "", numbers(&s.HTTP.Success, 200, 299)},
		{"sms.mail.address", "Mailbox; {{.To}} is the number.", `"{{.To}}@sms.example.org"`, messageTemplate(&s.Mail.Address)},
		{"sms.mail.subject", "Subject line.", "", messageTemplate(&s.Mail.Subject)},
	}
}

func ruleSettings(c *Config) []setting {
	h, d := &c.Handover, 24*time.Hour
	return []setting{
		{"webhook.secret", "Key for the signature that subscribers check.", `{ credential = "webhook-secret" }`, hidden(&c.Webhook.Secret, 16, literal)},
		{"handover.link_life", "How long the link in the e-mail works.", "", life(&h.LinkLife, Life{Rest: time.Hour}, Life{Days: 90})},
		{"handover.otp_life", "How long the one-time password works.", "", duration(&h.OTPLife, time.Minute, d)},
		{"handover.otp_tries", "Wrong entries before the one-time password is void.", "", number(&h.OTPTries, 1, 10)},
		{"handover.otp_resend_limit", "How many times a new one-time password may be asked for.", "", number(&h.OTPResendLimit, 0, 20)},
		{"certificate.life", "Validity of a client certificate, in calendar units: 2y is the same day two years later.", "", life(&c.Certificate.Life, Life{Rest: time.Hour}, Life{Years: 10})},
		{"certificate.reminders", "Days before the end at which recipient and operators are reminded.", "", numbers(&c.Certificate.Reminders, 1, 365)},
		{"certificate.approval", "Whether a second operator approves each order.", "", flag(&c.Certificate.Approval)},
		{"contact.name", "Who answers when a certificate is lost; shown to the people who receive one.", `"Certificate desk"`, line(&c.Contact.Name)},
		{"contact.phone", "Its telephone number.", `"+47 00 00 00 00"`, line(&c.Contact.Phone)},
		{"contact.email", "Its e-mail address.", `"certificates@example.org"`, mailAddress(&c.Contact.Email)},
		{"contact.url", "Its web page.", `"https://example.org/certificates"`, line(&c.Contact.URL)},
		{"sds.life", "How long a stored document is kept.", "", life(&c.SDS.Life, Life{Rest: time.Minute}, Life{Years: 10})},
		{"sds.max_size", "Largest document.", "", size(&c.SDS.MaxSize, 1<<10, 1<<40)},
	}
}

func pkiSettings(c *Config) []setting {
	p, v, d := &c.PKI, &c.Validation, 24*time.Hour
	return []setting{
		{"pki.approval_life", "How long an approval waits for a decision, unless the product says.", "", duration(&p.ApprovalLife, time.Hour, 365*d)},
		{"pki.weak_keys", "Files, or directories of files, that list keys known to be weak, such as those of Debian's openssl-blacklist.", `["/etc/sealwright/weak-keys"]`, paths(&p.WeakKeys)},
		{"pki.data_sources", "JSON file of the databases and directories that products take records from: see the operator guide.", `"/etc/sealwright/sources.json"`, path(&p.DataSources, false)},
		{"pki.own_log", "Whether this installation runs a transparency log of its own, for environments without a list. Dev mode does in any case.", "", flag(&p.OwnLog)},
		{"pki.require_sync", "Whether time-stamps are refused while the operating system does not call its clock synchronised.", "", flag(&p.RequireSync)},
		{"pki.log_list.preprod", "Certificate transparency logs, as a JSON list in the form that browsers publish.", `"/etc/sealwright/logs-preprod.json"`, path(&p.LogLists.Preprod, false)},
		{"pki.log_list.production", "The same for production.", `"/etc/sealwright/logs.json"`, path(&p.LogLists.Production, false)},
		{"validation.token_prefix", "What stands before random values in DNS records and files.", "", line(&v.TokenPrefix)},
		{"validation.caa_issuers", "Our names in CAA records.", `["ca.example.org"]`, names(&v.CAAIssuers)},
		{"validation.require_mpic", "Whether publicly trusted names are looked at from several places in the network.", "", flag(&v.RequireMPIC)},
		{"validation.perspectives", "JSON file that lists the remote places: see the operator guide.", `"/etc/sealwright/perspectives.json"`, path(&v.Perspectives, false)},
		{"validation.dns_hints", "Addresses of root name servers. Those of IANA by default.", `["198.41.0.4"]`, addresses(&v.DNSHints)},
		{"validation.dns_port", "Port of all name servers; another one is for tests.", "", number(&v.DNSPort, 1, 65535)},
		{"validation.dns_anchors", "File with DS records that DNSSEC begins from. Those of IANA by default.", `"/etc/sealwright/anchors.zone"`, path(&v.DNSAnchors, false)},
		{"publish.directories", "Directories below which certificates may be published as files. None by default.", `["/srv/certificates"]`, paths(&c.Publish.Directories)},
		{"publish.plain_ldap", "Whether directories may be spoken to without TLS.", "", flag(&c.Publish.PlainLDAP)},
	}
}

func operationSettings(c *Config) []setting {
	l, d := &c.Limits, 24*time.Hour
	return []setting{
		{"limits.max_headers", "Largest headers of a request.", "", size(&l.MaxHeaders, 8<<10, 1<<20)},
		{"limits.header_timeout", "Time to receive the headers of a request.", "", duration(&l.HeaderTimeout, time.Second, 5*time.Minute)},
		{"limits.idle_timeout", "How long an unused connection is kept.", "", duration(&l.IdleTimeout, time.Second, time.Hour)},
		{"limits.shutdown_timeout", "Time for running requests when the server stops.", "", duration(&l.ShutdownTimeout, 0, time.Hour)},
		{"limits.session_life", "How long a login lasts at most.", "", duration(&l.SessionLife, 5*time.Minute, 30*d)},
		{"limits.session_idle", "How long a login lasts without requests.", "", duration(&l.SessionIdle, time.Minute, 30*d)},
		{"limits.login_tries", "Wrong passwords before a login has to wait, each time longer.", "", number(&l.LoginTries, 1, 100)},
		{"log.level", "How much is logged.", "", logLevel(&c.Log.Level)},
		{"log.format", "\"json\" for machines, \"text\" for people.", "", choice(&c.Log.Format, "json", "text")},
		{"log.file", "By default standard error. Opened anew by SIGHUP.", `"/var/log/sealwright/sealwright.log"`, path(&c.Log.File, false)},
		{"metrics.listen", "Plain HTTP without access control: keep it on loopback or a private network. Empty serves no measurements.", "", optionalListen(&c.Metrics.Listen)},
		{"egress.allow", "Private ranges that may be connected to. None by default.", `["10.0.0.0/8"]`, prefixes(&c.Egress.Allow)},
		{"egress.deny", "Ranges that are never connected to, even if public.", `["198.51.100.0/24"]`, prefixes(&c.Egress.Deny)},
		{"egress.ports", "Ports that may be connected to. Every port by default.", `[443, 587]`, ports(&c.Egress.Ports)},
		{"egress.timeout", "Time for a whole exchange.", "", duration(&c.Egress.Timeout, 100*time.Millisecond, 10*time.Minute)},
		{"egress.max_response", "Largest answer that is read.", "", size(&c.Egress.MaxResponse, 1<<10, 1<<30)},
		{"dev.enabled", "Shows outgoing e-mail and SMS at /outbox. Works on loopback only.", "", flag(&c.Dev.Enabled)},
	}
}
