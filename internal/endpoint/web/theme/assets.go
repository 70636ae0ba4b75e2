package theme

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
)

//go:embed static/*.js static/*.svg static/vendor/*.js static/vendor/*.css css/*.css
var files embed.FS

// contentTypes lists what is served; a file of any other kind is not.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".wasm": "application/wasm",
	".json": "application/json",
}

// An asset is one file, ready to send in both forms.
type asset struct {
	contentType string
	plain       []byte
	zipped      []byte // nil when compression does not pay
}

// Assets is a set of static files under one content hash. All files of a set
// share the hash, so that style sheets and modules can name each other by
// relative address. A set never changes once made.
type Assets struct {
	prefix string // "/static/"
	hash   string
	byName map[string]asset
}

// NewAssets reads every servable file below fsys into memory, compressed once,
// to be served below prefix, which begins and ends with a slash. Use it for
// files that only some pages need, such as a document viewer.
func NewAssets(prefix string, fsys fs.FS) (*Assets, error) {
	named := map[string][]byte{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || contentTypes[path.Ext(name)] == "" {
			return err
		}
		named[name], err = fs.ReadFile(fsys, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	return newAssets(prefix, named)
}

func newAssets(prefix string, named map[string][]byte) (*Assets, error) {
	names := make([]string, 0, len(named))
	for name := range named {
		names = append(names, name)
	}
	sort.Strings(names)
	a := &Assets{prefix: prefix, byName: make(map[string]asset, len(names))}
	sum := sha256.New()
	for _, name := range names {
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(named[name]))
		sum.Write(named[name])
		zipped, err := compress(named[name])
		if err != nil {
			return nil, fmt.Errorf("compress %s: %w", name, err)
		}
		a.byName[name] = asset{contentType: contentTypes[path.Ext(name)], plain: named[name], zipped: zipped}
	}
	a.hash = hex.EncodeToString(sum.Sum(nil)[:8])
	return a, nil
}

func compress(b []byte) ([]byte, error) {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if buf.Len() >= len(b) {
		return nil, nil
	}
	return buf.Bytes(), nil
}

// URL is the address of a file of the set. It panics on an unknown name: a
// page that links a file which does not exist is a defect.
func (a *Assets) URL(name string) string {
	if _, ok := a.byName[name]; !ok {
		panic("theme: no static file " + strconv.Quote(name))
	}
	return a.prefix + a.hash + "/" + name
}

// ServeHTTP serves the set at prefix + hash + "/" + name.
//
// The current hash may be cached for ever. Another hash belongs to a page of a
// node that runs an older or newer version during an upgrade: it gets our file
// too, but must not keep it.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Static files are read with GET.", http.StatusMethodNotAllowed)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, a.prefix)
	hash, name, cut := strings.Cut(rest, "/")
	file, known := a.byName[name]
	if !ok || !cut || !known || !isHash(hash) {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if file.contentType == contentTypes[".svg"] {
		// An SVG opened on its own is a document; it gets to do nothing.
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if hash == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := file.plain
	if file.zipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body = file.zipped
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
	}
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 8
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3);
// a weight of zero is a refusal.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding = strings.TrimSpace(coding); coding != "gzip" && coding != "*" {
			continue
		}
		q, isQ := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		if v, err := strconv.ParseFloat(q, 64); isQ && err == nil && v == 0 {
			return false
		}
		return true
	}
	return false
}

// shared is the set that every page uses, built on first use.
var shared = sync.OnceValue(func() *Assets {
	a, err := sharedAssets()
	if err != nil {
		panic("theme: embedded files: " + err.Error())
	}
	return a
})

// sharedAssets names the embedded files as pages know them. The style sheets
// in css are one file, app.css, in the order of their numbers.
func sharedAssets() (*Assets, error) {
	named := map[string][]byte{}
	for _, dir := range []string{"static", "static/vendor", "css"} {
		entries, err := files.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() {
				continue
			}
			b, err := files.ReadFile(dir + "/" + e.Name())
			if err != nil {
				return nil, err
			}
			if dir == "css" {
				named["app.css"] = append(named["app.css"], b...)
				continue
			}
			named[e.Name()] = b
		}
	}
	return newAssets("/static/", named)
}

// Handler serves the files that every page uses; mount it at "/static/".
func Handler() http.Handler { return shared() }

// URL is the address of a file that every page uses: "app.css", "app.js",
// "tabler.min.css", "htmx.min.js", "favicon.svg", "rosette.svg". It panics on
// any other name.
func URL(name string) string { return shared().URL(name) }
