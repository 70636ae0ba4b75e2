package goodkey

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the lists were made with it; nothing is signed
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sort"
)

// recordSize is how much of a hash is kept, in octets. Among ten million listed keys
// a good key is taken for a weak one with a chance of 2^-56.
const recordSize = 10

// maxRecords bounds the memory of a list: 200 MB. All that Debian's generator made
// is a fiftieth of that.
const maxRecords = 20_000_000

// WeakKeys is a list of keys that are known to everybody, above all those that
// Debian's OpenSSL made from 2006 to 2008 (CVE-2008-0166, TLS BR 6.1.1.3). It takes
// ten octets per key and is never written after it was read, so that any number of
// goroutines may ask. The nil list is empty.
type WeakKeys struct {
	bySHA1   []byte // of OpenSSL's line "Modulus=…", sorted records
	bySHA256 []byte // of the modulus or x-coordinate, sorted records
}

// ReadWeakKeys reads lists, each in one of these forms, which it recognises:
//
//   - text with lines of 20 hexadecimal digits, the last 80 bits of a SHA-1 over
//     the line that "openssl rsa -modulus" prints (Debian's openssl-blacklist);
//   - text with lines of 64 digits, the SHA-256 of the modulus or x-coordinate
//     without leading zeros (the "dwk" blocklists, recommended by the CA/Browser Forum);
//   - text with lines of 32 digits or sorted binary records of 16 octets, the first
//     15 octets of that SHA-256 and the number of the list (badkeys).
//
// Empty lines and lines with "#" first are skipped. Anything else is an error that
// names the line: a list that is read half would let weak keys pass.
func ReadWeakKeys(lists ...io.Reader) (*WeakKeys, error) {
	w := &WeakKeys{}
	for _, r := range lists {
		if err := w.read(bufio.NewReaderSize(r, 64<<10)); err != nil {
			return nil, fmt.Errorf("goodkey: list of weak keys: %w", err)
		}
	}
	w.bySHA1, w.bySHA256 = sorted(w.bySHA1), sorted(w.bySHA256)
	return w, nil
}

// Len is the number of different keys listed.
func (w *WeakKeys) Len() int {
	if w == nil {
		return 0
	}
	return (len(w.bySHA1) + len(w.bySHA256)) / recordSize
}

// Contains tells whether the key is listed. It costs two hashes and two binary
// searches.
func (w *WeakKeys) Contains(pub crypto.PublicKey) bool {
	if w == nil {
		return false
	}
	sum, ok := Fingerprint(pub)
	if !ok {
		return false
	}
	if has(w.bySHA256, sum[:recordSize]) {
		return true
	}
	key, ok := pub.(*rsa.PublicKey)
	if !ok || len(w.bySHA1) == 0 {
		return false
	}
	line := fmt.Sprintf("Modulus=%X\n", key.N) // upper-case digits without leading zeros, as OpenSSL prints them
	tail := sha1.Sum([]byte(line))             //nolint:gosec // see the import
	return has(w.bySHA1, tail[len(tail)-recordSize:])
}

// Fingerprint is the SHA-256 of the number that makes the key: the modulus, the
// x-coordinate or the octets of an Ed25519 key, without leading zeros. Keys that fall
// together have the same one: who can factor a modulus holds the keys of all its
// exponents, and who knows the key of a point knows that of its negative. It is false
// for other kinds of key.
func Fingerprint(pub crypto.PublicKey) (sum [sha256.Size]byte, ok bool) {
	number := numberOf(pub)
	if number == nil {
		return sum, false
	}
	return sha256.Sum256(number), true
}

// numberOf is what the SHA-256 lists hash: the modulus, the x-coordinate or the
// octets of an Ed25519 key, without leading zeros.
func numberOf(pub crypto.PublicKey) []byte {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N != nil {
			return k.N.Bytes()
		}
	case *ecdsa.PublicKey:
		if point, err := k.Bytes(); err == nil && len(point) > 1 { // 4, x, y (SEC 1, 2.3.3)
			return bytes.TrimLeft(point[1:1+len(point)/2], "\x00")
		}
	case ed25519.PublicKey:
		return bytes.TrimLeft(k, "\x00")
	}
	return nil
}

func has(records, want []byte) bool {
	n := len(records) / recordSize
	i := sort.Search(n, func(i int) bool { return bytes.Compare(record(records, i), want) >= 0 })
	return i < n && bytes.Equal(record(records, i), want)
}

func record(records []byte, i int) []byte { return records[i*recordSize : (i+1)*recordSize] }

func (w *WeakKeys) read(r *bufio.Reader) error {
	head, err := r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if isText(head) {
		return w.readText(r)
	}
	return w.readBinary(r)
}

// isText: hashes at the head of a binary list are all printable with a chance
// below 2^-16 even for one record of 16 octets.
func isText(head []byte) bool {
	for _, c := range head {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

func (w *WeakKeys) readText(r *bufio.Reader) error {
	lines := bufio.NewScanner(r)
	var sum [sha256.Size]byte
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if len(line) > 2*len(sum) {
			return fmt.Errorf("line %d is longer than a hash", n)
		}
		if _, err := hex.Decode(sum[:], line); err != nil {
			return fmt.Errorf("line %d is not hexadecimal", n)
		}
		switch len(line) {
		case 2 * recordSize:
			w.bySHA1 = append(w.bySHA1, sum[:recordSize]...)
		case 32, 64:
			w.bySHA256 = append(w.bySHA256, sum[:recordSize]...)
		default:
			return fmt.Errorf("line %d has %d digits; lists have 20, 32 or 64", n, len(line))
		}
		if w.full() {
			return tooMany()
		}
	}
	return lines.Err()
}

func (w *WeakKeys) readBinary(r io.Reader) error {
	var b [16]byte
	for {
		switch _, err := io.ReadFull(r, b[:]); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("binary list: %w", err)
		}
		w.bySHA256 = append(w.bySHA256, b[:recordSize]...)
		if w.full() {
			return tooMany()
		}
	}
}

func (w *WeakKeys) full() bool { return w.Len() > maxRecords }

func tooMany() error { return fmt.Errorf("more than %d keys", maxRecords) }

// sorted sorts the records in place, drops what occurs twice and gives back what
// growing the slice took too much.
func sorted(records []byte) []byte {
	sort.Sort(byValue(records))
	out := records[:0]
	for i := range len(records) / recordSize {
		r := record(records, i)
		if len(out) == 0 || !bytes.Equal(out[len(out)-recordSize:], r) {
			out = append(out, r...)
		}
	}
	return bytes.Clone(out)
}

// byValue sorts records by their octets.
type byValue []byte

func (v byValue) Len() int           { return len(v) / recordSize }
func (v byValue) Less(i, j int) bool { return bytes.Compare(record(v, i), record(v, j)) < 0 }
func (v byValue) Swap(i, j int) {
	var t [recordSize]byte
	a, b := record(v, i), record(v, j)
	copy(t[:], a)
	copy(a, b)
	copy(b, t[:])
}
