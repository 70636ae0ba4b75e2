package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// raFlow is row ra-flow: the whole way of a client certificate whose recipient
// brings the request. Two accounts order and approve over the API; link and
// one-time password come from the messages that the product sent; the rest is
// what a browser does.
func raFlow(ctx context.Context, s *session) error {
	n := requestsAhead / 4
	if s.Quick {
		n = 500
	}
	requests, err := newPool(n)
	if err != nil {
		return err
	}
	dir, err := s.place("product")
	if err != nil {
		return err
	}
	p, err := s.install(ctx, plan{dir: dir, approval: true, messages: true})
	if err != nil {
		return err
	}
	defer func() { p.stop() }()
	var count atomic.Int64
	for _, callers := range s.numbers() {
		f := &flow{p: p, callers: newCallers(p.Pages, p.trust, callers, nil), requests: requests, count: &count, done: newLedger[delivered](callers), mail: newMailroom()}
		go f.mail.sort(p.process)
		if err := s.compare(ctx, "", callers, target{name: product, server: p.process, op: f.once}); err != nil {
			return err
		}
		f.close()
		if err := p.killUnderLoad(ctx, callers, f.once); err != nil {
			return err
		}
		f.callers = newCallers(p.Pages, p.trust, callers, nil)
		checkLedger(s, "hand-overs", f.done, func(caller int, d delivered) error { return f.reread(ctx, caller, d) })
		f.close()
	}
	return nil
}

// delivered is what was acknowledged at the end of a flow.
type delivered struct{ order, serial string }

type flow struct {
	*callers
	p        *installation
	requests *pool
	count    *atomic.Int64
	done     *ledger[delivered]
	mail     *mailroom
}

type orderAnswer struct {
	ID, State, CommonName, Serial string
	Delivered                     time.Time
}

// once goes the whole way, a dozen requests or so.
func (f *flow) once(ctx context.Context, caller int) error {
	n := f.count.Add(1)
	var o orderAnswer
	body := map[string]string{"realm": "production", "service": "demo", "shortName": fmt.Sprintf("flow %d", n), "orderer": f.p.Logins.Orderer, "mode": "bring"}
	name := fmt.Sprintf("demo-ws-ssl-flow-%d", n)
	letters := f.mail.expect(name)
	defer f.mail.forget(name)
	if err := f.json(ctx, caller, http.MethodPost, "/api/v1/orders", f.p.Logins.Token, body, &o, http.StatusCreated); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	if o.State != "PENDING_AUTH" || o.CommonName != name {
		return fmt.Errorf("the order %s is %s", o.CommonName, o.State)
	}
	if err := f.json(ctx, caller, http.MethodPost, "/api/v1/orders/"+o.ID+"/approve", f.p.Approver, nil, &o, http.StatusOK); err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	link, code, err := letters.read(ctx)
	if err != nil {
		return fmt.Errorf("order %s: %w", name, err)
	}
	serial, err := f.pickUp(ctx, caller, link, code, int(n))
	if err != nil {
		return fmt.Errorf("pick up %s: %w", name, err)
	}
	if err := f.json(ctx, caller, http.MethodGet, "/api/v1/orders/"+o.ID, f.p.Logins.Token, nil, &o, http.StatusOK); err != nil {
		return fmt.Errorf("look at the order: %w", err)
	}
	if o.State != "ISSUED" || o.Serial != serial || o.Delivered.IsZero() {
		return fmt.Errorf("the order %s is %s, delivered %s", name, o.State, o.Delivered)
	}
	f.done.add(caller, delivered{o.ID, serial})
	return nil
}

// pickUp is what the recipient does: page, one-time password, request, file.
func (f *flow) pickUp(ctx context.Context, caller int, link, code string, n int) (serial string, err error) {
	html := map[string]string{"Accept": "text/html"}
	a, err := f.do(ctx, caller, http.MethodGet, link, nil, html)
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err != nil {
		return "", fmt.Errorf("page: %w", err)
	}
	if a, err = f.post(ctx, caller, link+"/code", url.Values{"code": {code}}, ""); err != nil {
		return "", fmt.Errorf("one-time password: %w", err)
	}
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if cookie == "" {
		return "", fmt.Errorf("the answer to the one-time password sets no session")
	}
	r := f.requests.take()
	if _, err = f.post(ctx, caller, link+"/request", url.Values{"csr": {string(r.pem)}}, cookie); err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	a, err = f.do(ctx, caller, http.MethodGet, link+"/file", nil, map[string]string{"Cookie": cookie})
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err != nil {
		return "", fmt.Errorf("file: %w", err)
	}
	c, err := checkCertificate(a.body, r, f.p.issuer, n)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%032x", c.SerialNumber), nil
}

func (f *flow) post(ctx context.Context, caller int, address string, form url.Values, cookie string) (answer, error) {
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
	if cookie != "" {
		header["Cookie"] = cookie
	}
	a, err := f.do(ctx, caller, http.MethodPost, address, []byte(form.Encode()), header)
	if err == nil {
		err = a.want(http.StatusSeeOther)
	}
	return a, err
}

func (f *flow) reread(ctx context.Context, caller int, d delivered) error {
	var o orderAnswer
	if err := f.json(ctx, caller, http.MethodGet, "/api/v1/orders/"+d.order, f.p.Logins.Token, nil, &o, http.StatusOK); err != nil {
		return err
	}
	if o.State != "ISSUED" || o.Serial != d.serial || o.Delivered.IsZero() {
		return fmt.Errorf("the order %s is %s with serial number %s, delivered %s", d.order, o.State, o.Serial, o.Delivered)
	}
	return nil
}

// A mailroom sorts the product's messages by the certificate that they are
// about.
type mailroom struct {
	mu    sync.Mutex
	boxes map[string]*letters
}

func newMailroom() *mailroom { return &mailroom{boxes: map[string]*letters{}} }

// letters are the two messages that a recipient gets.
type letters struct{ link, code chan string }

func (m *mailroom) expect(name string) *letters {
	l := &letters{make(chan string, 1), make(chan string, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boxes[name] = l
	return l
}

func (m *mailroom) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.boxes, name)
}

// letterTime is how long a message may take to be delivered.
const letterTime = 20 * time.Second

func (l *letters) read(ctx context.Context) (link, code string, err error) {
	late := time.NewTimer(letterTime)
	defer late.Stop()
	for link == "" || code == "" {
		select {
		case link = <-l.link:
		case code = <-l.code:
		case <-late.C:
			return "", "", fmt.Errorf("link and one-time password did not come within %s", letterTime)
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
	}
	return link, code, nil
}

var (
	aboutIn = regexp.MustCompile(`demo-ws-ssl-flow-\d+`)
	linkIn  = regexp.MustCompile(`https://\S+/pickup/\S+`)
	codeIn  = regexp.MustCompile(`: (\d{6}) `)
)

// sort hands out the messages of a process until it ends.
func (m *mailroom) sort(p *process) {
	for line := range p.lines {
		var x Message
		if json.Unmarshal(line, &x) != nil {
			continue
		}
		m.mu.Lock()
		l := m.boxes[aboutIn.FindString(x.Subject+" "+x.Body)]
		m.mu.Unlock()
		if l == nil {
			continue
		}
		if link := linkIn.FindString(x.Body); link != "" {
			offer(l.link, link)
		} else if code := codeIn.FindStringSubmatch(x.Body); code != nil {
			offer(l.code, code[1])
		}
	}
}

// offer drops what is there already: the tap may repeat itself.
func offer(c chan string, v string) {
	select {
	case c <- v:
	default:
	}
}
