package keycheck

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/goodkey"
)

// Limits of an import.
const (
	maxImport   = 32 << 20 // octets
	importBatch = 500      // keys per transaction
)

// An Imported tells what an import did.
type Imported struct {
	Added int // keys that were not blocked before
	Known int // keys that were
}

// Import blocks the keys of a file: text with a hash (see [HashOf]) on each line, or
// PEM with any number of certificates, requests, public and private keys. Empty lines
// and lines with "#" first are skipped. It needs authority.write for the installation.
//
// The file is read whole before anything is blocked, so that a mistake in it, which
// the fault names by line or block, blocks nothing. It is then written in batches; an
// import that was interrupted can be repeated.
func (r *Registry) Import(ctx context.Context, s access.Scope, file io.Reader, reason Reason, note string) (Imported, error) {
	if err := s.Require(access.AuthorityWrite, "", ""); err != nil {
		return Imported{}, err
	}
	if err := reason.check(); err != nil {
		return Imported{}, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxImport+1))
	if err != nil {
		return Imported{}, fault.Wrap(err, "read the list of keys")
	}
	if len(data) > maxImport {
		return Imported{}, fault.New(fault.TooLarge, "key.import_size", "The file is larger than %d MiB.", maxImport>>20).WithNext("Split it.")
	}
	keys, err := parseList(data)
	if err != nil {
		return Imported{}, err
	}
	var total Imported
	for len(keys) > 0 {
		n := min(len(keys), importBatch)
		added, err := r.importBatch(ctx, s, keys[:n], reason, note)
		if err != nil {
			return total, err
		}
		total.Added, total.Known = total.Added+added, total.Known+n-added
		keys = keys[n:]
	}
	return total, nil
}

// importBatch writes one audit entry for the batch: a list may hold a million keys.
func (r *Registry) importBatch(ctx context.Context, s access.Scope, keys []Blocked, reason Reason, note string) (added int, err error) {
	err = r.update(ctx, s, func(tx *store.Tx) error {
		added = 0
		for _, k := range keys {
			k.Reason, k.Source, k.Note = reason, "import", line(note, maxNote)
			n, err := r.insert(tx, k)
			if err != nil {
				return err
			}
			added += int(n)
		}
		if added == 0 {
			return nil
		}
		return r.note(tx, "key.import", keys[0].SPKI, "reason", string(reason), "added", strconv.Itoa(added), "last", keys[len(keys)-1].SPKI, "note", line(note, maxNote))
	})
	return added, err
}

func parseList(data []byte) ([]Blocked, error) {
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return parsePEM(data)
	}
	var keys []Blocked
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		hash, err := parseHash(text)
		if err != nil {
			return nil, badList("line", n, "is not the SHA-256 hash of a public key")
		}
		keys = append(keys, Blocked{SPKI: hash})
	}
	if err := lines.Err(); err != nil {
		return nil, badList("a", 0, "line is too long")
	}
	return keys, nil
}

func badList(what string, n int, why string) error {
	at := what
	if n > 0 {
		at = fmt.Sprintf("%s %d", what, n)
	}
	return fault.Invalidf("key.import", "Nothing was imported: %s %s.", at, why).
		WithNext("Give one hash of 64 hexadecimal digits on each line, or PEM blocks of certificates and keys.").WithField("file")
}

func parsePEM(data []byte) ([]Blocked, error) {
	var keys []Blocked
	for n := 1; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil {
			if bytes.Contains(rest, []byte("-----BEGIN ")) {
				return nil, badList("PEM block", n, "is damaged")
			}
			return keys, nil
		}
		pub, err := blockKey(block)
		if err != nil {
			return nil, badList("PEM block", n, "of type "+strconv.Quote(clip(block.Type, 40))+" holds no key that can be read")
		}
		if pub != nil {
			spki, err := x509.MarshalPKIXPublicKey(pub)
			if err != nil {
				return nil, badList("PEM block", n, "holds a key of a kind that is not certified here")
			}
			keys = append(keys, Blocked{SPKI: HashOf(spki), Number: numberOf(pub)})
		}
		data = rest
	}
}

// blockKey finds the key in a PEM block; there is none in parameters, which OpenSSL
// writes before an elliptic-curve key.
func blockKey(block *pem.Block) (crypto.PublicKey, error) {
	switch {
	case block.Type == "EC PARAMETERS":
		return nil, nil
	case strings.HasSuffix(block.Type, "CERTIFICATE"):
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
		c, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return publicOf(block.Bytes)
	}
	return nil, errors.New("unknown type")
}

// LoadWeakKeys reads the lists of weak keys that the configuration names: files, or
// directories of which all files are lists. See [goodkey.ReadWeakKeys] for the forms.
// A list that is missing or damaged is a fault: the installation shall not start and
// certify what it was told to refuse.
func LoadWeakKeys(paths []string) (*goodkey.WeakKeys, error) {
	var files []io.Reader
	for _, path := range paths {
		names, err := filesOf(path)
		if err != nil {
			return nil, badWeakList(path, err)
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				return nil, badWeakList(name, err)
			}
			defer f.Close()
			files = append(files, f)
		}
	}
	weak, err := goodkey.ReadWeakKeys(files...)
	if err != nil {
		return nil, badWeakList(strings.Join(paths, ", "), err)
	}
	return weak, nil
}

// maxListFiles keeps a directory that is not one of lists from being opened whole.
const maxListFiles = 200

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) > maxListFiles {
		return nil, fmt.Errorf("%d files in the directory, which are more than lists can be", len(names))
	}
	return names, nil
}

func badWeakList(path string, cause error) error {
	return fault.Invalidf("key.weak_list", "The list of weak keys %s cannot be read: %v.", path, cause).
		WithNext("Fetch it anew, or take it out of the configuration.").WithCause(cause)
}
