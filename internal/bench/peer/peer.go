// Package peer runs other people's servers beside the product, for comparison:
// step-ca, with the defaults of a fresh installation and a Badger database.
package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Find gives the path of step-ca.
func Find() (string, error) { return exec.LookPath("step-ca") }

// A CA is a running step-ca.
type CA struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	url    string
	trust  *x509.CertPool
	issuer *x509.Certificate
	key    *ecdsa.PrivateKey // of the provisioner
}

// URL is its base address.
func (c *CA) URL() string { return c.url }

// Trust holds the root that its TLS certificate stands under.
func (c *CA) Trust() *x509.CertPool { return c.trust }

// Issuer is the authority that signs.
func (c *CA) Issuer() *x509.Certificate { return c.issuer }

// PID is its process.
func (c *CA) PID() int { return c.cmd.Process.Pid }

// Stop ends it and waits.
func (c *CA) Stop() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.ended
}

// provisioner is the name of the only one, of type JWK.
const provisioner = "bench"

// Start initialises step-ca in an empty directory and waits until it answers.
func Start(ctx context.Context, program, dir string, log io.Writer) (*CA, error) {
	c := &CA{ended: make(chan struct{}), trust: x509.NewCertPool()}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c.url = "https://" + address
	if err := c.found(dir, address); err != nil {
		return nil, err
	}
	c.cmd = exec.Command(program, filepath.Join(dir, "ca.json"))
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Env = log, log, append(os.Environ(), "STEPPATH="+dir)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait() // a killed process ends with an error
		close(c.ended)
	}()
	if err := c.await(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// found makes root, intermediate and provisioner keys and the configuration.
func (c *CA) found(dir, address string) (err error) {
	if c.key, err = newKey(); err != nil {
		return err
	}
	rootKey, err := newKey()
	if err != nil {
		return err
	}
	root, err := authority("Peer Root CA", nil, rootKey, rootKey)
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	if c.issuer, err = authority("Peer Intermediate CA", root, key, rootKey); err != nil {
		return err
	}
	c.trust.AddCert(root)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	config, err := json.MarshalIndent(c.config(dir, address), "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, "root.crt"), "CERTIFICATE", root.Raw),
		writePEM(filepath.Join(dir, "intermediate.crt"), "CERTIFICATE", c.issuer.Raw),
		writePEM(filepath.Join(dir, "intermediate.key"), "EC PRIVATE KEY", der),
		os.WriteFile(filepath.Join(dir, "ca.json"), config, 0o600),
	)
}

// config is what `step ca init` writes, but for the paths and the encrypted
// copy of the provisioner's key, which only its own client needs.
func (c *CA) config(dir, address string) any {
	type object = map[string]any
	return object{
		"root": filepath.Join(dir, "root.crt"), "crt": filepath.Join(dir, "intermediate.crt"), "key": filepath.Join(dir, "intermediate.key"),
		"address": address, "insecureAddress": "", "dnsNames": []string{"127.0.0.1", "localhost"},
		"logger": object{"format": "text"},
		"db":     object{"type": "badgerv2", "dataSource": filepath.Join(dir, "db"), "badgerFileLoadingMode": ""},
		"authority": object{"provisioners": []any{object{
			"type": "JWK", "name": provisioner, "key": c.jwk(),
		}}},
		"tls": object{
			"cipherSuites": []string{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
			"minVersion":   1.2, "maxVersion": 1.3, "renegotiation": false,
		},
	}
}

func (c *CA) coordinates() (x, y string) {
	point, _ := c.key.PublicKey.Bytes() // a generated key is on its curve: 4, X, Y
	return b64(point[1:33]), b64(point[33:])
}

func (c *CA) jwk() map[string]string {
	x, y := c.coordinates()
	return map[string]string{"use": "sig", "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": c.keyID(), "x": x, "y": y}
}

// keyID is the thumbprint of the key (RFC 7638).
func (c *CA) keyID() string {
	x, y := c.coordinates()
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y))
	return b64(sum[:])
}

// Tokens makes a one-time token for each name, good for the next hour.
func (c *CA) Tokens(names []string) ([]string, error) {
	header, err := json.Marshal(map[string]string{"alg": "ES256", "kid": c.keyID(), "typ": "JWT"})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := make([]string, len(names))
	for i, name := range names {
		var id [32]byte
		rand.Read(id[:])
		claims, err := json.Marshal(map[string]any{
			"iss": provisioner, "aud": c.url + "/1.0/sign", "sub": name, "sans": []string{name}, "jti": hex.EncodeToString(id[:]),
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		})
		if err != nil {
			return nil, err
		}
		text := b64(header) + "." + b64(claims)
		digest := sha256.Sum256([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, c.key, digest[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		out[i] = text + "." + b64(signature)
	}
	return out, nil
}

// await asks for its health until it answers.
func (c *CA) await(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.trust, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		if resp, err := client.Get(c.url + "/health"); err == nil {
			_ = resp.Body.Close() // only the status counts
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-c.ended:
			return errors.New("step-ca ended before it answered")
		case <-late:
			return errors.New("step-ca did not answer within 30 seconds")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func authority(name string, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
