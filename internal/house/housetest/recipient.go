package housetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"regexp"
	"time"

	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/outbox"
)

var (
	linkIn     = regexp.MustCompile(`/pickup/([A-Za-z0-9_-]+)`)
	codeIn     = regexp.MustCompile(`: (\d{6}) `)
	passwordIn = regexp.MustCompile(`: ([A-Za-z0-9]{12})\. It stays`)
)

// A Recipient reads what was sent about one order, as the authorised person
// does. Messages come from the outbox of development mode.
type Recipient struct {
	Site  *Site
	Order string
}

// Link is the secret of the newest link, Code the newest one-time password,
// Password the newest file password; empty if none has arrived.
func (r Recipient) Link() string     { return r.newest(outbox.Email, linkIn) }
func (r Recipient) Code() string     { return r.newest(outbox.SMS, codeIn) }
func (r Recipient) Password() string { return r.newest(outbox.SMS, passwordIn) }

func (r Recipient) newest(c outbox.Channel, re *regexp.Regexp) string {
	for _, m := range r.Site.House.Dev.List(outbox.DevFilter{Channel: c, ObjectID: r.Order}) {
		if found := group(re, m.Body.Reveal()); found != "" {
			return found
		}
	}
	return ""
}

// LinkIn, CodeIn and PasswordIn find the secret in the text of a message; empty
// if the message is of another sort.
func LinkIn(text string) string     { return group(linkIn, text) }
func CodeIn(text string) string     { return group(codeIn, text) }
func PasswordIn(text string) string { return group(passwordIn, text) }

func group(re *regexp.Regexp, text string) string {
	if found := re.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// ErrNoMessage says that link and one-time password did not arrive in time.
var ErrNoMessage = errors.New("link and one-time password did not arrive")

// Await waits until link and one-time password have been delivered by the
// queue, which must be running.
func (r Recipient) Await(ctx context.Context) (token, code string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		if token, code = r.Link(), r.Code(); token != "" && code != "" {
			return token, code, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "", "", errors.Join(ErrNoMessage, ctx.Err())
		}
	}
}

// Fetch enters the one-time password, takes the whole file and reports its last
// byte. begin, if given, is called before the delivery is completed.
func (r Recipient) Fetch(ctx context.Context, token, session string, begin func()) ([]byte, handover.Delivery, error) {
	file, d, err := r.Site.House.Handover.File(ctx, token, session)
	if err != nil {
		return nil, d, err
	}
	if begin != nil {
		begin()
	}
	return file, d, r.Site.House.WSCerts.CompletePickup(ctx, d, session)
}

// NewCSR makes a P-256 key and a certificate request for it in PEM.
func NewCSR() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
}
