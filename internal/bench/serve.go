package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/bench/reference"
	"github.com/sealwright/sealwright/internal/demo"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// A ServeOptions says which server a process is.
type ServeOptions struct {
	Kind     string // product, sign, files, mtls or static
	Dir      string
	Database string // of the product; empty: SQLite in Dir
	Approval bool
	Messages bool
	Clients  string // of mtls: PEM file with the authority of client certificates
}

// bare is what a reference server prints when it is ready.
type bare struct {
	URL    string
	Trust  string // PEM
	Issuer string // PEM, of kind sign
}

// Serve runs one server of a benchmark until in ends, and prints a line of
// JSON to out when it is ready. A line "profile FILE" on in begins a CPU
// profile, "end" ends it.
func Serve(ctx context.Context, o ServeOptions, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go obey(in, cancel)
	if o.Kind == "product" {
		return serveProduct(ctx, plan{o.Dir, o.Database, o.Approval, o.Messages}, out)
	}
	return serveReference(ctx, o, out)
}

// obey carries out the lines of the parent, and ends the process when it has gone.
func obey(in io.Reader, end func()) {
	defer end()
	defer pprof.StopCPUProfile()
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		file, start := strings.CutPrefix(sc.Text(), "profile ")
		if !start {
			pprof.StopCPUProfile()
			continue
		}
		if f, err := os.Create(file); err == nil {
			err = pprof.StartCPUProfile(f)
			if err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		}
	}
}

func serveProduct(ctx context.Context, p plan, out io.Writer) error {
	s, log, err := openSite(ctx, p)
	if err != nil {
		return err
	}
	defer log.Close()
	slog.SetDefault(log.Logger)
	d, err := describe(ctx, p, s)
	if err != nil {
		return errors.Join(err, s.House.Close())
	}
	enc := json.NewEncoder(out)
	failed := make(chan error, 1)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	err = s.House.Serve(serving, func([]*house.Listener) {
		if err := enc.Encode(d); err != nil {
			failed <- err
			stop()
			return
		}
		if p.messages {
			go tap(serving, s, enc)
		}
	})
	select {
	case e := <-failed:
		err = errors.Join(err, e)
	default:
	}
	return errors.Join(err, s.House.Close())
}

// A Message is one that the product sent, as its process prints it.
type Message struct{ Channel, Subject, Body string }

// tapEach is how often the tap looks: often enough not to be what is measured.
const tapEach = time.Millisecond

// tap prints every message that was delivered to the in-process sink.
func tap(ctx context.Context, s *demo.Site, enc *json.Encoder) {
	tick := time.NewTicker(tapEach)
	defer tick.Stop()
	for seen := s.House.Dev.Total(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		total := s.House.Dev.Total()
		if total == seen {
			continue
		}
		// Messages that come meanwhile are seen twice; the reader does not mind.
		for _, m := range s.House.Dev.List(outbox.DevFilter{Limit: total - seen + 8}) {
			if enc.Encode(Message{string(m.Channel), m.Subject, m.Body.Reveal()}) != nil {
				return // the parent has gone
			}
		}
		seen = total
	}
}

func serveReference(ctx context.Context, o ServeOptions, out io.Writer) error {
	var d bare
	handler, closer, err := referenceHandler(o, &d)
	if err != nil {
		return err
	}
	if closer != nil {
		defer closer.Close()
	}
	var clients *x509.CertPool
	if o.Clients != "" {
		text, err := os.ReadFile(o.Clients)
		if err != nil {
			return err
		}
		if clients, err = poolOf(text); err != nil {
			return err
		}
	}
	config, trust, err := reference.ServerTLS(clients)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.URL, d.Trust = fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port), string(trust)
	if err := json.NewEncoder(out).Encode(d); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(tls.NewListener(l, config)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func referenceHandler(o ServeOptions, d *bare) (http.Handler, io.Closer, error) {
	switch o.Kind {
	case "sign":
		s, err := reference.NewSigner(filepath.Join(o.Dir, "reference.db"))
		if err != nil {
			return nil, nil, err
		}
		d.Issuer = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.CA.Raw}))
		return s, s, nil
	case "files":
		f, err := reference.NewFiles(o.Dir)
		return f, nil, err
	case "mtls", "static":
		return reference.Fixed(fixedAnswer), nil, nil
	}
	return nil, nil, fmt.Errorf("there is no server %q", o.Kind)
}

// fixedAnswer is what the static and the bare mutual-TLS servers say, and the
// document that the product gives in the same benchmark.
const fixedAnswer = "a small answer, as small as the documents of a benchmark can be\n"
