package house

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Server certificates that the installation issues to itself live three months
// and are replaced a month before their end.
const (
	serverLife     = 90 * 24 * time.Hour
	serverReplaced = 30 * 24 * time.Hour
)

// serverKind marks these certificates among the authority's.
const serverKind = "tls"

// A serverCertificate gives a listener its certificate: from files, which are
// read again when they change hands, or from the installation's own authority.
type serverCertificate struct {
	h     *House
	files config.TLS
	hosts []string

	mu      sync.Mutex
	current *tls.Certificate
	until   time.Time
}

// config is the TLS configuration of a listener: TLS 1.2 and up, and at 1.2
// only suites with forward secrecy and authenticated encryption.
func (s *serverCertificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(info *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get(info.Context()) },
	}
}

// reread is how long a certificate from files is used before they are read again.
const reread = time.Minute

func (s *serverCertificate) get(ctx context.Context) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.h.Clock.Now()
	if s.current != nil && now.Before(s.until) {
		return s.current, nil
	}
	if s.files.Certificate != "" {
		c, err := tls.LoadX509KeyPair(s.files.Certificate, s.files.Key)
		if err != nil {
			if s.current != nil { // half-written files: keep what works
				s.h.Logger.Error("the TLS certificate cannot be read again", "file", s.files.Certificate, "error", err)
				return s.current, nil
			}
			return nil, fault.Invalidf("tls.files", "The TLS certificate %s cannot be used with the key %s.", s.files.Certificate, s.files.Key).WithCause(err)
		}
		s.current, s.until = &c, now.Add(reread)
		return s.current, nil
	}
	c, err := s.h.issueServer(context.WithoutCancel(ctx), s.hosts)
	if err != nil {
		return s.current, err
	}
	s.current, s.until = c, now.Add(serverLife-serverReplaced)
	return c, nil
}

// issueServer makes a key that lives in memory only and a certificate for it.
func (h *House) issueServer(ctx context.Context, hosts []string) (*tls.Certificate, error) {
	key, err := keys.Generate(keys.P256)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	subject, err := dn.Name{{Type: dn.CN, Value: hosts[0]}}.DER()
	if err != nil {
		return nil, err
	}
	var san tbs.SAN
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			san.IP = append(san.IP, ip)
		} else {
			san.DNS = append(san.DNS, host)
		}
	}
	issuer, err := h.Authority.Get(ctx, PlatformTLS)
	if err != nil {
		return nil, err
	}
	intent, err := h.Authority.Plan(ctx, issuer.ID, authority.Draft{
		Subject: subject, SPKI: spki, SAN: san, KeyUsage: x509.KeyUsageDigitalSignature,
		Validity: func(t time.Time) time.Time { return t.Add(serverLife) }, Kind: serverKind, CommonName: hosts[0],
	})
	if err != nil {
		return nil, err
	}
	if err := h.DB.Update(ctx, func(tx *store.Tx) error { return h.Authority.Hold(tx, intent) }); err != nil {
		return nil, err
	}
	signed, err := h.Authority.Sign(ctx, intent)
	if err != nil {
		return nil, err
	}
	if err := h.DB.Update(ctx, func(tx *store.Tx) error { return h.Authority.Record(tx, signed) }); err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{signed.DER, issuer.DER}, PrivateKey: key}, nil
}

// intentAge is how long ago a server certificate must have been begun to count
// as given up: its node died between the intent and the record.
const intentAge = 10 * time.Minute

// SweepOwnCertificates revokes certificates for the installation's own use whose
// issuing was cut short by a crash: they may have been signed. Their keys died
// with their nodes.
func (h *House) SweepOwnCertificates(ctx context.Context) error {
	var failed error
	for _, kind := range []string{serverKind, authority.KindOCSP, unitKind} {
		intents, err := h.Authority.OpenIntents(ctx, kind, h.Clock.Now().Add(-intentAge))
		failed = errors.Join(failed, err)
		for _, i := range intents {
			failed = errors.Join(failed, h.DB.Update(ctx, func(tx *store.Tx) error {
				return h.Authority.Revoke(tx, i.Authority, i.Serial, authority.CessationOfOperation)
			}))
		}
	}
	return failed
}

// TrustAnchor is the root of the installation's own servers, PEM: what clients
// of a fresh installation give to --cacert.
func (h *House) TrustAnchor(ctx context.Context) ([]byte, error) {
	root, err := h.Authority.Get(ctx, PlatformRoot)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.DER}), nil
}
