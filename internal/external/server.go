package external

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"syscall"

	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// maxShown bounds the chain that a server may show.
const maxShown = 20

// look connects to a server and gives the certificate that it shows, with those above
// it that it sends along. Nothing is sent but the name of the host, and nothing is
// believed: whether the certificate is to be trusted, or belongs to the host, is not
// the question. That is why old versions and weak suites of TLS are spoken as well. A
// server that shows its certificate and then wants one of ours has answered.
func (r *Registry) look(ctx context.Context, address string) (entry, error) {
	timeout := r.Egress.Timeout
	if timeout <= 0 {
		timeout = egress.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return entry{}, fault.Invalidf("external.address", "%q is not the address of a server.", address).WithField("address")
	}
	conn, err := r.Egress.Dialer().DialContext(ctx, "tcp", address)
	if err != nil {
		return entry{}, unreachable(address, err)
	}
	defer conn.Close()
	var shown [][]byte
	config := &tls.Config{
		ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, CipherSuites: suites(),
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			shown = raw
			return nil
		},
	}
	err = tls.Client(conn, config).HandshakeContext(ctx)
	if len(shown) == 0 {
		return entry{}, unreachable(address, err)
	}
	return readShown(address, shown)
}

func suites() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, s.ID)
	}
	return ids
}

func readShown(address string, shown [][]byte) (entry, error) {
	leaf, err := bundle.Parse(shown[0])
	if err != nil {
		return entry{}, fault.Unavailablef(err, "external.unreadable", "The certificate that %s shows cannot be read.", address)
	}
	var above []*bundle.Certificate
	for _, der := range shown[1:min(len(shown), maxShown)] {
		if c, err := bundle.Parse(der); err == nil {
			above = append(above, c)
		}
	}
	return entry{facts: leaf, chain: bundle.NewPool(above).Chain(leaf), shown: true}, nil
}

// unreachable says in words why a server showed nothing.
func unreachable(address string, err error) error {
	var f *fault.Fault
	var dns *net.DNSError
	var slow net.Error
	var record tls.RecordHeaderError
	say := func(code, format string) error {
		return fault.Unavailablef(err, code, format, address).WithNext("Check the address, and that the server is up and reachable from here.")
	}
	switch {
	case errors.As(err, &f): // the rules of egress
		return f
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return say("external.timeout", "No answer from %s in time.")
	case errors.As(err, &dns):
		return say("external.no_host", "The name of %s has no address.")
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("external.refused", "The server %s refuses the connection.")
	case errors.As(err, &record):
		return say("external.no_tls", "The server %s does not speak TLS.")
	}
	return say("external.unreachable", "The server %s shows no certificate.")
}
