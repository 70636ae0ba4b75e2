package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/sealwright/sealwright/internal/bench/peer"
)

// requestsAhead is how many certificate requests are made before a case begins,
// enough for a round on a small machine.
const requestsAhead = 20000

// caSign is row ca-sign: a request with an API token, direct issuance, the
// certificate back; order, certificate and audit entry durable.
func caSign(ctx context.Context, s *session) error {
	n := requestsAhead
	if s.Quick {
		n = 2000
	}
	requests, err := newPool(n)
	if err != nil {
		return err
	}
	dir, err := s.place("product")
	if err != nil {
		return err
	}
	p, err := s.install(ctx, plan{dir: dir})
	if err != nil {
		return err
	}
	defer func() { p.stop() }()
	reference, sign, err := s.bareSigner(ctx, requests)
	if err != nil {
		return err
	}
	defer reference.stop()
	ca, err := s.stepCA(ctx)
	if err != nil {
		return err
	}
	if ca != nil {
		defer ca.Stop()
	}
	for _, callers := range s.numbers() {
		if err := caSignWith(ctx, s, p, reference, sign, ca, requests, callers); err != nil {
			return err
		}
	}
	numbers := s.numbers()
	return caSignSyncs(ctx, s, p, requests, numbers[len(numbers)-1])
}

func caSignWith(ctx context.Context, s *session, p *installation, reference *process, sign func(int) operation, ca *peer.CA, requests *pool, callers int) error {
	acknowledged := newLedger[issued](callers)
	op, calls := p.issuing(requests, acknowledged)
	targets := []target{{name: bareName, server: reference, op: sign(callers)}, {name: product, server: p.process, op: op}}
	if ca != nil {
		tokens, err := ca.Tokens(requests.names())
		if err != nil {
			return err
		}
		targets = append(targets, target{name: "step-ca", server: pid(ca.PID()), op: s.stepSign(ca, callers, requests, tokens)})
	}
	if err := s.compare(ctx, "", callers, targets...); err != nil {
		return err
	}
	calls.close()
	if err := p.killUnderLoad(ctx, callers, op); err != nil {
		return err
	}
	again := newCallers(p.Pages, p.trust, callers, nil)
	defer again.close()
	checkLedger(s, "certificates", acknowledged, func(caller int, v issued) error { return p.reread(ctx, again, caller, v) })
	return nil
}

// caSignSyncs counts what both servers wait for the disk, each started anew.
func caSignSyncs(ctx context.Context, s *session, p *installation, requests *pool, callers int) error {
	p.stop()
	err := s.countSyncs(ctx, product, callers, p.args, func(t *process) (operation, error) {
		x := *p
		x.process = t
		op, _ := x.issuing(requests, newLedger[issued](callers))
		return op, nil
	})
	if err != nil {
		return err
	}
	dir, err := s.place("traced")
	if err != nil {
		return err
	}
	return s.countSyncs(ctx, bareName, callers, []string{"sign", "--dir", dir}, func(t *process) (operation, error) {
		op, err := bareSigning(t, requests)
		if err != nil {
			return nil, err
		}
		return op(callers), nil
	})
}

// issued is what the product acknowledged: an order with its certificate.
type issued struct {
	order string
	sum   [32]byte // SHA-256 of the certificate
}

type certificateAnswer struct{ Order, State, Serial, Certificate string }

// issuing asks for certificates and notes those that it got.
func (p *installation) issuing(requests *pool, acknowledged *ledger[issued]) (operation, *callers) {
	c := newCallers(p.Pages, p.trust, len(acknowledged.entries), nil)
	var count atomic.Int64
	header := map[string]string{"Authorization": "Bearer " + p.Logins.Token, "Content-Type": "application/json"}
	return func(ctx context.Context, caller int) error {
		n := count.Add(1)
		r := requests.take()
		body, err := json.Marshal(map[string]string{"realm": "production", "service": "demo", "shortName": fmt.Sprintf("bench %d", n), "csr": string(r.pem)})
		if err != nil {
			return err
		}
		a, err := c.do(ctx, caller, http.MethodPost, "/api/v1/certificates", body, header)
		if err == nil {
			err = a.want(http.StatusCreated)
		}
		if err != nil {
			return err
		}
		var v certificateAnswer
		if err := json.Unmarshal(a.body, &v); err != nil {
			return err
		}
		cert, err := checkCertificate([]byte(v.Certificate), r, p.issuer, int(n))
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("demo-ws-ssl-bench-%d", n); cert.Subject.CommonName != want {
			return fmt.Errorf("the certificate is for %q instead of %q", cert.Subject.CommonName, want)
		}
		if serial := hex.EncodeToString(cert.SerialNumber.FillBytes(make([]byte, len(v.Serial)/2))); serial != v.Serial {
			return fmt.Errorf("the certificate has the serial number %s instead of %s", serial, v.Serial)
		}
		acknowledged.add(caller, issued{v.Order, sha256.Sum256(cert.Raw)})
		return nil
	}, c
}

// reread fetches a certificate by its order and holds it against what was given.
func (p *installation) reread(ctx context.Context, c *callers, caller int, v issued) error {
	a, err := c.do(ctx, caller, http.MethodGet, "/api/v1/orders/"+v.order+"/certificate", nil, map[string]string{"Authorization": "Bearer " + p.Logins.Token, "Accept": "application/pkix-cert"})
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err == nil && sha256.Sum256(a.body) != v.sum {
		err = fmt.Errorf("the order %s has another certificate than was given", v.order)
	}
	return err
}

func (p *pool) names() []string {
	out := make([]string, len(p.all))
	for i, r := range p.all {
		out[i] = r.name
	}
	return out
}

// bareSigner starts the reference server of ca-sign.
func (s *session) bareSigner(ctx context.Context, requests *pool) (*process, func(callers int) operation, error) {
	dir, err := s.place("reference")
	if err != nil {
		return nil, nil, err
	}
	p, err := s.begin(ctx, &bare{}, "sign", "--dir", dir)
	if err != nil {
		return nil, nil, err
	}
	op, err := bareSigning(p, requests)
	return p, op, err
}

// bareSigning asks a reference server for certificates.
func bareSigning(p *process, requests *pool) (func(callers int) operation, error) {
	var d bare
	if err := json.Unmarshal(p.ready, &d); err != nil {
		return nil, err
	}
	trust, err := poolOf([]byte(d.Trust))
	if err != nil {
		return nil, err
	}
	issuer, err := parsePEM([]byte(d.Issuer))
	return func(n int) operation {
		c := newCallers(d.URL, trust, n, nil)
		var count atomic.Int64
		return func(ctx context.Context, caller int) error {
			r := requests.take()
			a, err := c.do(ctx, caller, http.MethodPost, "/sign", r.pem, nil)
			if err == nil {
				err = a.want(http.StatusCreated)
			}
			if err != nil {
				return err
			}
			_, err = checkCertificate(a.body, r, issuer, int(count.Add(1)))
			return err
		}
	}, err
}

// stepCA starts step-ca if it is on PATH.
func (s *session) stepCA(ctx context.Context) (*peer.CA, error) {
	program, err := peer.Find()
	if err != nil {
		s.say("step-ca is not on PATH; see scripts/bench-peers")
		return nil, nil
	}
	dir, err := s.place("step-ca")
	if err != nil {
		return nil, err
	}
	return peer.Start(ctx, program, dir, s.log)
}

// stepSign asks step-ca for certificates with one-time tokens made ahead. Their
// number is that of the requests, and each works once.
func (s *session) stepSign(ca *peer.CA, n int, requests *pool, tokens []string) operation {
	c := newCallers(ca.URL(), ca.Trust(), n, nil)
	var next atomic.Int64
	return func(ctx context.Context, caller int) error {
		i := int(next.Add(1)) - 1
		if i >= len(tokens) {
			return fmt.Errorf("all %d one-time tokens are used up", len(tokens))
		}
		r := requests.all[i]
		body, err := json.Marshal(map[string]string{"csr": string(r.pem), "ott": tokens[i]})
		if err != nil {
			return err
		}
		a, err := c.do(ctx, caller, http.MethodPost, "/1.0/sign", body, map[string]string{"Content-Type": "application/json"})
		if err == nil {
			err = a.want(http.StatusCreated)
		}
		if err != nil {
			return err
		}
		var v struct{ CRT string }
		if err := json.Unmarshal(a.body, &v); err != nil {
			return err
		}
		cert, err := checkCertificate([]byte(v.CRT), r, ca.Issuer(), i)
		if err == nil && (len(cert.DNSNames) != 1 || cert.DNSNames[0] != r.name) {
			err = fmt.Errorf("the certificate is for %v instead of %s", cert.DNSNames, r.name)
		}
		return err
	}
}

// pid is the gauge of a process that this package did not start.
type pid int

func (p pid) usage() (usage, error) { return usageOf(int(p)) }
