package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// documents is row sds: 1 MB with eight callers and 100 MB with two, up and
// down, in production over mutual TLS with connections that stay open.
func documents(ctx context.Context, s *session) error {
	dir, err := s.place("product")
	if err != nil {
		return err
	}
	p, err := s.install(ctx, plan{dir: dir})
	if err != nil {
		return err
	}
	defer func() { p.stop() }()
	certificate, err := p.clientCertificate(ctx, "sds")
	if err != nil {
		return err
	}
	files, err := s.place("reference")
	if err != nil {
		return err
	}
	var d bare
	reference, err := s.begin(ctx, &d, "files", "--dir", files)
	if err != nil {
		return err
	}
	defer reference.stop()
	trust, err := poolOf([]byte(d.Trust))
	if err != nil {
		return err
	}
	for _, x := range []struct {
		name    string
		size    int
		callers int
	}{{"1MB", 1 << 20, 8}, {"100MB", 100 << 20, 2}} {
		content := make([]byte, x.size)
		rand.Read(content)
		for _, n := range s.or(x.callers) {
			bare := &shelf{callers: newCallers(d.URL, trust, n, nil), path: "/", content: content, ids: newLedger[string](n)}
			ours := &shelf{callers: newCallers(p.Production, p.trust, n, certificate), path: "/doc/demo/sds", authorization: basicAuth("demo", p.Logins.Production), content: content, ids: newLedger[string](n)}
			if err := s.documents(ctx, x.name, n, p, reference, ours, bare); err != nil {
				return err
			}
		}
	}
	return nil
}

// or are the callers that were asked for, or n.
func (s *session) or(n int) []int {
	if len(s.Callers) > 0 {
		return s.Callers
	}
	return []int{n}
}

func (s *session) documents(ctx context.Context, name string, n int, p *installation, reference *process, ours, bare *shelf) error {
	err := s.compare(ctx, "put "+name, n,
		target{bareName, reference, bare.put, bare.clear},
		target{product, p.process, ours.put, ours.clear})
	if err != nil {
		return err
	}
	for _, x := range []*shelf{bare, ours} {
		if err := x.put(ctx, 0); err != nil {
			return err
		}
		x.one = x.ids.entries[0][0]
	}
	err = s.compare(ctx, "get "+name, n,
		target{name: bareName, server: reference, op: bare.get},
		target{name: product, server: p.process, op: ours.get})
	if err != nil {
		return err
	}
	if err := bare.clear(ctx); err != nil {
		return err
	}
	ours.callers.close()
	if err := p.killUnderLoad(ctx, n, ours.put); err != nil {
		return err
	}
	ours.callers.close()
	checkLedger(s, name+" documents", ours.ids, func(caller int, id string) error { return ours.fetch(ctx, caller, id) })
	return ours.clear(ctx)
}

// A shelf is where the callers put copies of one document.
type shelf struct {
	*callers
	path          string
	authorization string
	content       []byte
	ids           *ledger[string]
	one           string // id of the document that get fetches
}

func (f *shelf) ask(ctx context.Context, caller int, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/pdf")
	if f.authorization != "" {
		req.Header.Set("Authorization", f.authorization)
	}
	return f.clients[caller].Do(req)
}

func (f *shelf) put(ctx context.Context, caller int) error {
	resp, err := f.ask(ctx, caller, http.MethodPost, f.path, bytes.NewReader(f.content))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	id, err := io.ReadAll(resp.Body)
	if err == nil {
		err = answer{status: resp.StatusCode, body: id}.want(http.StatusCreated)
	}
	if err == nil {
		f.ids.add(caller, strings.TrimSpace(string(id)))
	}
	return err
}

func (f *shelf) get(ctx context.Context, caller int) error { return f.fetch(ctx, caller, f.one) }

// fetch reads a document and compares every byte of it.
func (f *shelf) fetch(ctx context.Context, caller int, id string) error {
	resp, err := f.ask(ctx, caller, http.MethodGet, strings.TrimSuffix(f.path, "/")+"/"+id, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d for document %s", resp.StatusCode, id)
	}
	buf := make([]byte, 256<<10)
	for rest := f.content; ; {
		n, err := resp.Body.Read(buf)
		if n > len(rest) || !bytes.Equal(buf[:n], rest[:n]) {
			return fmt.Errorf("the document %s came back changed", id)
		}
		rest = rest[n:]
		switch {
		case errors.Is(err, io.EOF) && len(rest) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the document %s came back without its last %d bytes", id, len(rest))
		case err != nil:
			return err
		}
	}
}

// clear reads every document again, so that nothing acknowledged goes
// unchecked, and deletes it, so that the disk does not fill up.
func (f *shelf) clear(ctx context.Context) error {
	errs := make([]error, len(f.ids.entries))
	var wg sync.WaitGroup
	for caller, ids := range f.ids.entries {
		wg.Go(func() {
			for _, id := range ids {
				errs[caller] = errors.Join(errs[caller], f.fetch(ctx, caller, id), f.remove(ctx, caller, id))
			}
		})
		f.ids.entries[caller] = nil
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f *shelf) remove(ctx context.Context, caller int, id string) error {
	resp, err := f.ask(ctx, caller, http.MethodDelete, strings.TrimSuffix(f.path, "/")+"/"+id, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return answer{status: resp.StatusCode}.want(http.StatusNoContent)
}
