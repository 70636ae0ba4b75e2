package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// A player is somebody outside: it knows addresses and logins, and nothing of
// what goes on inside.
type player struct {
	ctx    context.Context
	out    io.Writer
	cfg    *config.Config
	logins Logins
	client *http.Client // without a client certificate
	dir    string

	order    orderView
	link     string
	session  *http.Cookie
	file     []byte
	password string
	mutual   *http.Client // with the certificate that was fetched
	stranger *http.Client // with another service's certificate
	document string       // id of the document in production
	content  []byte
}

type orderView struct {
	ID         string `json:"id"`
	State      string `json:"state"`
	CommonName string `json:"commonName"`
	Serial     string `json:"serial"`
}

// Play goes through the main job and prints each step with what it proves. It
// stops at the first that does not hold.
func (s *Site) Play(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "sealwright-play-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := &player{ctx: ctx, out: out, cfg: s.House.Config, logins: s.Logins, dir: dir}
	p.client = p.browser(s, nil)
	return p.play(s)
}

func (p *player) play(s *Site) error {
	start := time.Now()
	for i, step := range []struct {
		name string
		run  func(*Site) (string, error)
	}{
		{"Order a client certificate for an authorised person", p.placeOrder},
		{"The link comes by e-mail, the one-time password by SMS", p.readMessages},
		{"A wrong one-time password is refused", p.enterWrong},
		{"The right one opens the download", p.enterRight},
		{"No password has been sent for a file that has not left", p.noPasswordYet},
		{"Download the encrypted key file", p.download},
		{"The password arrives by SMS, and only now", p.readPassword},
		{"The file cannot be fetched a second time", p.downloadAgain},
		{"OpenSSL opens the file", p.openFile},
		{"A document goes up to production over mutual TLS", p.upload},
		{"… and comes down again", p.fetch},
		{"Without the certificate the call is refused", p.without},
		{"With another service's certificate the call is refused", p.withAnother},
		{"In preprod no certificate is needed", p.preprod},
		{"Withdraw the certificate", p.withdraw},
		{"From then on the call is refused", p.afterwards},
		{"OCSP says revoked", p.ocsp},
	} {
		proof, err := step.run(s)
		if err != nil {
			fmt.Fprintf(p.out, "%2d  FAILED  %s\n            %v\n", i+1, step.name, err)
			return fmt.Errorf("step %d, %s: %w", i+1, step.name, err)
		}
		fmt.Fprintf(p.out, "%2d  ok  %-62s\n        %s\n", i+1, step.name, proof)
	}
	fmt.Fprintf(p.out, "\nEvery step held, in %.1f seconds.\n", time.Since(start).Seconds())
	return nil
}

// browser trusts the site's own authority, follows no redirects, and shows a
// certificate if there is one.
func (p *player) browser(s *Site, certificate *tls.Certificate) *http.Client {
	t := &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		t.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: t, DialContext: dialLoopback},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dialLoopback reaches names under localhost without asking anybody: not every
// resolver knows that they are this machine (RFC 6761, section 6.3).
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// call makes one request and reads the whole answer.
func (p *player) call(c *http.Client, method, url string, body []byte, change func(*http.Request)) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(p.ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	return resp, text, err
}

// want turns an unexpected status into an error that shows the answer.
func want(resp *http.Response, body []byte, status int) error {
	if resp.StatusCode == status {
		return nil
	}
	return fmt.Errorf("%s %s answered %s instead of %d: %s", resp.Request.Method, resp.Request.URL.Path, resp.Status, status, firstLine(body))
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if len(line) > 200 {
		line = line[:200] + "…"
	}
	return line
}

// api calls the REST API with the service account's token.
func (p *player) api(path string, body, into any, status int) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, text, err := p.call(p.client, http.MethodPost, p.cfg.Server.PublicURL+"/api/v1"+path, b, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+p.logins.Token)
		r.Header.Set("Content-Type", "application/json")
	})
	if err != nil {
		return err
	}
	if err := want(resp, text, status); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (p *player) placeOrder(*Site) (string, error) {
	err := p.api("/orders", map[string]any{
		"realm": "production", "service": "demo", "shortName": "e-banking", "orderer": p.logins.Orderer, "mode": "generate",
	}, &p.order, http.StatusCreated)
	if err != nil {
		return "", err
	}
	if p.order.State != "ISSUED" {
		return "", fmt.Errorf("the order is %s", p.order.State)
	}
	return fmt.Sprintf("%s is %s, serial number %s", p.order.CommonName, p.order.State, p.order.Serial), nil
}

type message struct {
	Channel string `json:"channel"`
	To      string `json:"to"`
	Body    string `json:"body"`
}

// messages reads what was sent to an address or number, newest first. Delivery
// takes a moment, so it asks again until find is satisfied.
func (p *player) messages(to string, find func([]message) bool) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, text, err := p.call(p.client, http.MethodGet, p.cfg.Server.PublicURL+"/outbox?to="+strings.ReplaceAll(to, "+", "%2B"), nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
		if err != nil {
			return err
		}
		if err := want(resp, text, http.StatusOK); err != nil {
			return err
		}
		var list []message
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		if find(list) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the message to %s did not arrive", to)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

const (
	mailbox = "person@demo.example"
	mobile  = "+4790000000"
)

var (
	linkIn     = regexp.MustCompile(`https://\S+/pickup/\S+`)
	codeIn     = regexp.MustCompile(`: (\d{6}) `)
	passwordIn = regexp.MustCompile(`Password for \S+: (\S+)\. `)
)

// newest finds the first message that matches and returns its first group.
func newest(re *regexp.Regexp, into *string) func([]message) bool {
	return func(list []message) bool {
		for _, m := range list {
			if found := re.FindStringSubmatch(m.Body); found != nil {
				*into = found[len(found)-1]
				return true
			}
		}
		return false
	}
}

func (p *player) readMessages(*Site) (string, error) {
	var code string
	if err := p.messages(mailbox, newest(linkIn, &p.link)); err != nil {
		return "", err
	}
	if err := p.messages(mobile, newest(codeIn, &code)); err != nil {
		return "", err
	}
	return fmt.Sprintf("link %s…, one-time password of %d digits to %s", p.link[:min(60, len(p.link))], len(code), mobile), nil
}

func (p *player) enter(code string) (*http.Response, []byte, error) {
	return p.call(p.client, http.MethodPost, p.link+"/code", []byte("code="+code), func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") })
}

func (p *player) enterWrong(*Site) (string, error) {
	var code string
	if err := p.messages(mobile, newest(codeIn, &code)); err != nil {
		return "", err
	}
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	resp, text, err := p.enter(wrong)
	if err != nil {
		return "", err
	}
	return resp.Status + ", and one of five tries is gone", want(resp, text, http.StatusBadRequest)
}

func (p *player) enterRight(*Site) (string, error) {
	var code string
	if err := p.messages(mobile, newest(codeIn, &code)); err != nil {
		return "", err
	}
	resp, text, err := p.enter(code)
	if err != nil {
		return "", err
	}
	if err := want(resp, text, http.StatusSeeOther); err != nil {
		return "", err
	}
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-pickup" {
			p.session = c
			return "a session for this browser, half an hour", nil
		}
	}
	return "", fmt.Errorf("the answer sets no session")
}

func (p *player) noPasswordYet(*Site) (string, error) {
	resp, text, err := p.call(p.client, http.MethodGet, p.cfg.Server.PublicURL+"/outbox?to=%2B4790000000", nil, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
	if err != nil {
		return "", err
	}
	if err := want(resp, text, http.StatusOK); err != nil {
		return "", err
	}
	var list []message
	if err := json.Unmarshal(text, &list); err != nil {
		return "", err
	}
	var password string
	if newest(passwordIn, &password)(list) && strings.Contains(string(text), p.order.CommonName) {
		return "", p.passwordIsOld(list)
	}
	return fmt.Sprintf("%d SMS so far, none with a password", len(list)), nil
}

// passwordIsOld accepts passwords of earlier plays against the same site: they
// are older than this play's one-time password.
func (p *player) passwordIsOld(list []message) error {
	for _, m := range list {
		if codeIn.MatchString(m.Body) {
			return nil
		}
		if passwordIn.MatchString(m.Body) {
			return fmt.Errorf("a password was sent before the file had left")
		}
	}
	return nil
}

func (p *player) getFile() (*http.Response, []byte, error) {
	return p.call(p.client, http.MethodGet, p.link+"/file", nil, func(r *http.Request) { r.AddCookie(p.session) })
}

func (p *player) download(*Site) (string, error) {
	resp, file, err := p.getFile()
	if err != nil {
		return "", err
	}
	p.file = file
	return fmt.Sprintf("%d bytes of %s", len(file), resp.Header.Get("Content-Type")), want(resp, file, http.StatusOK)
}

func (p *player) readPassword(*Site) (string, error) {
	err := p.messages(mobile, func(list []message) bool {
		return len(list) > 0 && newest(passwordIn, &p.password)(list[:1])
	})
	return fmt.Sprintf("%d characters to %s", len(p.password), mobile), err
}

func (p *player) downloadAgain(*Site) (string, error) {
	resp, text, err := p.getFile()
	if err != nil {
		return "", err
	}
	return resp.Status, want(resp, text, http.StatusGone)
}

func (p *player) openFile(s *Site) (string, error) {
	key, leaf, chain, err := pkcs12.Decode(p.file, p.password)
	if err != nil {
		return "", err
	}
	certificate := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		certificate.Certificate = append(certificate.Certificate, c.Raw)
	}
	p.mutual = p.browser(s, certificate)
	path := filepath.Join(p.dir, "certificate.p12")
	if err := os.WriteFile(path, p.file, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(p.ctx, "openssl", "pkcs12", "-in", path, "-passin", "env:P12_PASSWORD", "-nodes", "-clcerts", "-nokeys")
	cmd.Env = append(os.Environ(), "P12_PASSWORD="+p.password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("openssl: %w: %s", err, firstLine(out))
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "subject=") {
			return strings.TrimSpace(line) + ", valid until " + leaf.NotAfter.Format(time.DateOnly), nil
		}
	}
	return "", fmt.Errorf("openssl shows no subject: %s", firstLine(out))
}
