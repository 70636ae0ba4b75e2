// Package config reads the settings of an installation: one TOML file, then
// SEALWRIGHT_* variables over it.
//
// [Load] refuses what it does not know or cannot use, and reports every mistake
// at once with file, line, column, key and what is allowed, as [Problems].
// [Example] is the commented file that parses to [Default]; both come from the
// one table of settings in this package, so that they cannot drift apart.
//
// The variable of a key is its name in capitals with underscores: server.listen
// is SEALWRIGHT_SERVER_LISTEN. Lists are separated by commas. A secret may
// stand in the variable itself or in a file that the variable with _FILE at
// the end names.
//
// In the file a secret is written as { file = "/path" }, as
// { credential = "name" } for a file in systemd's $CREDENTIALS_DIRECTORY, as
// "env:NAME", or, where allowed, literally. Relative paths in the file count
// from the file's directory.
package config

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Config is the whole of the settings. After [Load] every field is valid and
// every path and default that follows from another setting is filled in.
type Config struct {
	Server      Server
	ClientAuth  ClientAuth
	Environment Environments
	Database    Database
	Blob        Blob
	Keys        Keys
	Mail        Mail
	SMS         SMS
	Webhook     Webhook
	Handover    Handover
	Certificate Certificate
	Contact     Contact
	PKI         PKI
	Validation  Validation
	Publish     Publish
	SDS         SDS
	Limits      Limits
	Log         Log
	Metrics     Metrics
	Egress      Egress
	Dev         Dev
}

// Server is the main listener (UI and API over HTTPS) and what it is called.
type Server struct {
	DataDir        string         // where everything local lives
	Listen         string         // HTTPS, host:port
	HTTPListen     string         // plain HTTP for CRLs, OCSP, CA certificates and the redirect to HTTPS
	PublicURL      string         // https URL that people use, no slash at the end
	PublicHTTPURL  string         // http URL that certificates name for CRLs and OCSP, no slash at the end
	TLS            TLS            // empty: issued by the installation's internal TLS authority
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed; empty believes none
}

// TLS names a certificate chain and its key in PEM files; both or neither are set.
type TLS struct {
	Certificate string
	Key         string
}

// ClientAuth is the host on which an API client certificate replaces the API key.
type ClientAuth struct {
	Host   string
	Listen string
}

// Environments are the two sides of an installation.
type Environments struct {
	Preprod    Environment // web services without client certificates
	Production Environment // web services under mutual TLS, always
}

// Environment is where the web services of one side are reached.
type Environment struct {
	Hosts     []string // public host names, at least one, lower case
	Listen    string   // HTTPS, host:port
	PublicURL string   // https URL that integrators use; its host is one of Hosts
	TLS       TLS      // empty: issued by the installation's internal TLS authority
}

// Database says where the rows are.
type Database struct {
	// URL is "sqlite:/path" or "postgres://…", complete with the password if
	// one is set apart, and therefore secret.
	URL      secret.Text
	Password secret.Text // as given; already part of URL
}

// The kinds of [Blob].
const (
	BlobFiles = "files"
	BlobTable = "table"
)

// Blob says where large encrypted bytes are: in a directory or in the database.
type Blob struct {
	Kind string // BlobFiles or BlobTable
	Dir  string // for BlobFiles
}

// Keys says what protects private keys.
type Keys struct {
	Master       Master
	SignerSocket string // unix socket of sealwright-signer for PKCS#11; empty without an HSM
}

// Master is the source of the master key. Exactly one field is set.
type Master struct {
	File       string      // path of the key file, which `sealwright init` creates; not read here
	Key        secret.Text // the key itself, encoded as in the file
	Passphrase secret.Text // a passphrase that the key is derived from
}

// The values of Mail.StartTLS.
const (
	StartTLSRequired      = "required"
	StartTLSOpportunistic = "opportunistic"
	StartTLSNever         = "never" // loopback only
)

// Mail is the SMTP server for outgoing e-mail. Without a Host none is sent.
type Mail struct {
	Host     string
	Port     int
	StartTLS string
	User     string
	Password secret.Text
	From     string // RFC 5322 address, with or without a name
}

// The kinds of [SMS].
const (
	SMSNone = "none"
	SMSHTTP = "http"
	SMSMail = "mail"
)

// SMS is the way text messages leave.
type SMS struct {
	Kind string // SMSNone, SMSHTTP or SMSMail
	HTTP SMSOverHTTP
	Mail SMSOverMail
}

// SMSOverHTTP is a gateway's request. URL and Body are templates for
// [ParseTemplate].
type SMSOverHTTP struct {
	URL         secret.Text // may hold credentials in its query
	Method      string      // POST, PUT or GET
	Headers     map[string]secret.Text
	ContentType string
	Body        string
	Success     []int // HTTP statuses that mean accepted
}

// SMSOverMail is a gateway's mailbox. Address and Subject are templates for
// [ParseTemplate].
type SMSOverMail struct {
	Address string
	Subject string
}

// Webhook signs what is posted to subscribers.
type Webhook struct {
	Secret secret.Text // empty: webhooks are not signed
}

// Handover bounds the delivery of key files (N17–N21).
type Handover struct {
	LinkLife       Life
	OTPLife        time.Duration // N18: 30 minutes
	OTPTries       int           // wrong entries before the password is void
	OTPResendLimit int           // how many times a new password may be asked for
}

// Certificate shapes client certificates.
type Certificate struct {
	Life      Life  // N31: two years
	Reminders []int // days before the end, descending
	Approval  bool  // a second operator approves each order
}

// A Contact is whom people tell when a certificate is lost (N30). All fields
// may be empty.
type Contact struct{ Name, Phone, Email, URL string }

// PKI shapes orders for products of the managed PKI.
type PKI struct {
	ApprovalLife time.Duration // how long an approval waits, unless the product says
	WeakKeys     []string      // files, or directories of files, that list keys known to be weak
	// LogLists are the certificate transparency logs of each environment, as the
	// JSON lists that browsers publish; empty: none but our own.
	LogLists    struct{ Preprod, Production string }
	DataSources string // JSON file of the data sources that products name; empty: none
	// OwnLog runs a transparency log of this installation, which serves the
	// environments that have no list. Dev mode has it in any case.
	OwnLog bool
	// RequireSync refuses time-stamps while the operating system does not call
	// its clock synchronised.
	RequireSync bool
}

// Validation says how control over names is looked at.
type Validation struct {
	TokenPrefix  string       // before random values in DNS and files
	CAAIssuers   []string     // our names in CAA records; the first is told to customers
	RequireMPIC  bool         // publicly trusted names are looked at from several places
	Perspectives string       // file that lists the remote places
	DNSHints     []netip.Addr // root servers; empty: those of IANA
	DNSPort      int          // of all name servers; other than 53 for tests
	DNSAnchors   string       // file with DS records; empty: those of IANA
}

// Publish bounds where certificates may be published.
type Publish struct {
	Directories []string // below which files may be written; empty: no file publishers
	PlainLDAP   bool     // directories without TLS
}

// SDS bounds session data storage.
type SDS struct {
	Life    Life
	MaxSize int64 // bytes of one document
}

// Limits protect the servers.
type Limits struct {
	MaxHeaders      int64         // bytes of a request's headers
	HeaderTimeout   time.Duration // to receive the headers
	IdleTimeout     time.Duration // of a kept connection
	ShutdownTimeout time.Duration // for running requests when the server stops
	SessionLife     time.Duration // of a login, used or not
	SessionIdle     time.Duration // of a login without requests
	LoginTries      int           // wrong passwords before the lock-out
}

// Log says how much is logged and where.
type Log struct {
	Level  slog.Level
	Format string // json or text
	File   string // empty: standard error
}

// Metrics is the Prometheus listener; an empty Listen serves none.
type Metrics struct {
	Listen string
}

// Egress bounds connections that the product opens.
type Egress struct {
	Allow       []netip.Prefix // ranges off the public internet that are allowed
	Deny        []netip.Prefix // ranges that are never connected to
	Ports       []uint16       // destination ports; empty allows every port
	Timeout     time.Duration
	MaxResponse int64 // bytes
}

// Dev shows outgoing mail and SMS at /outbox. It is refused unless everything
// is on loopback.
type Dev struct {
	Enabled bool
}
