// Package crl builds and reads X.509 certificate revocation lists (RFC 5280,
// section 5), full, sharded and delta, of millions of entries.
//
// [Write] streams. DER puts lengths before contents, and the length of a
// signature is known only once it is made, so a list is gone through three
// times: to measure it, to hash it, and, signed, to write it out. The caller
// keeps entries as ready DER (see [AppendEntry]), so that each time is a plain
// copy: a million entries cost about a tenth of a second beyond what their
// iterator costs, and under a megabyte of memory. With a spool the caller's
// store is gone through only once.
//
// [Parse] reads a list in place and yields its entries one by one. It accepts
// version 2 lists in strict DER, and refuses what a relying party cannot
// judge: indirect lists, lists split by reason, unknown critical extensions.
package crl

import (
	"bufio"
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"math/big"
	"time"

	"github.com/sealwright/sealwright/pki/tbs"
)

// maxWhole bounds lists signed with Ed25519, which takes the message whole and
// so in memory; other algorithms take a digest and have no such bound.
const maxWhole = 16 << 20

// ErrEntriesChanged is returned, wrapped, by [Write] when the entries were not
// the same each time they were gone through. Read them in one snapshot.
var ErrEntriesChanged = errors.New("crl: the entries changed while the list was being made")

// A List is everything in a CRL but its entries and signature.
type List struct {
	Issuer      []byte // the issuer's Name, DER, exactly as in its certificate
	IssuerKeyID []byte // its subject key identifier (5.2.1)
	// Number is the CRL number (5.2.3), from 0 to below 2^159, larger each time.
	// Full and delta lists of one scope share one sequence.
	Number     *big.Int
	ThisUpdate time.Time // whole seconds; fractions are cut off
	NextUpdate time.Time

	DeltaBase *big.Int           // makes a delta list over the full list of this number (5.2.4)
	IDP       *DistributionPoint // scope, for a sharded or partial list (5.2.5); nil covers all
	Freshest  []string           // in a full list, URIs of its delta list (5.2.6)
	// ExpiredCertsOnCRL says that certificates that expired since this time stay
	// on the list (X.509, 9.5.2.8; used by ETSI EN 319 411-2). Zero: not said.
	ExpiredCertsOnCRL time.Time
}

// A DistributionPoint is the scope of a list: RFC 5280, 5.2.5, without indirect
// lists and without splitting by reason, which TLS BR 7.2.2.1 forbids. At most
// one of the Only fields may be true.
type DistributionPoint struct {
	URIs               []string // one must equal the URI in the certificates of this shard
	OnlyUserCerts      bool
	OnlyCACerts        bool
	OnlyAttributeCerts bool
}

// Entries are the revokedCertificates of a list.
type Entries struct {
	// Each yields the DER of each entry, in the order of the list; the bytes need
	// stay unchanged only until the next. It must yield the same every time it is
	// run. An error it yields ends [Write], which returns it wrapped. Nil: none.
	Each iter.Seq2[[]byte, error]
	// Size is the sum of all entries' lengths, where the caller has it cheaper
	// than by a run of Each. Zero: not known. With a Spool it is not used.
	Size int64
	// Spool, if given, receives the entries in the only run of Each and is read
	// back in place of the others. An empty temporary file will do; removing it
	// stays with the caller.
	Spool io.ReadWriteSeeker
}

// Write makes the list, signed by signer with alg, and writes its DER to w. It
// returns the number of octets written. After an error, what w received, if
// anything, is to be thrown away; nothing is written before the list is signed.
//
// Each runs three times; twice with Size, once with Spool. Entries that changed
// between runs are [ErrEntriesChanged]. Lists end at 4 GiB, those signed with
// Ed25519 at 16 MiB.
func Write(w io.Writer, list *List, entries Entries, alg tbs.Algorithm, signer crypto.Signer) (int64, error) {
	doc, err := prepare(list, entries, alg)
	if err != nil {
		return 0, err
	}
	signature, err := doc.sign(alg, signer)
	if err != nil {
		return 0, err
	}
	return doc.emit(w, alg, signature)
}

// A document is a tbsCertList whose entries are still outside.
type document struct {
	head, tail []byte // what goes before and after the entries
	entries    Entries
	spooled    bool
	check      uint32 // of the signed bytes, to notice a change before w keeps it
}

// prepare is the first pass: it measures, so that the headers can be written.
func prepare(list *List, entries Entries, alg tbs.Algorithm) (*document, error) {
	fields, err := list.fields(alg)
	if err != nil {
		return nil, err
	}
	tail, err := list.extensions()
	if err != nil {
		return nil, err
	}
	doc := &document{tail: tail, entries: entries}
	if err := doc.measure(); err != nil {
		return nil, err
	}
	size := doc.entries.Size
	if size < 0 || size > math.MaxUint32-1<<20 {
		return nil, fmt.Errorf("crl: %d octets of entries do not fit into one list; shard it", size)
	}
	// RFC 5280, 5.1.2.6: with no revoked certificates the list is absent, not empty.
	if size > 0 {
		fields = appendHeader(fields, tagSequence, size)
	}
	doc.head = appendHeader(nil, tagSequence, int64(len(fields))+size+int64(len(tail)))
	doc.head = append(doc.head, fields...)
	return doc, nil
}

func (d *document) measure() (err error) {
	if d.entries.Spool == nil {
		if d.entries.Size == 0 {
			d.entries.Size, err = d.copyEntries(io.Discard)
		}
		return err
	}
	spool := bufio.NewWriterSize(d.entries.Spool, 64<<10)
	if d.entries.Size, err = d.copyEntries(spool); err != nil {
		return err
	}
	d.spooled = true
	if err := spool.Flush(); err != nil {
		return fmt.Errorf("crl: write the spool: %w", err)
	}
	return nil
}

// sign is the second pass.
func (d *document) sign(alg tbs.Algorithm, signer crypto.Signer) ([]byte, error) {
	check := newCheck()
	if alg.Hash() != 0 {
		signed := alg.Hash().New()
		if err := d.writeTo(io.MultiWriter(signed, check)); err != nil {
			return nil, err
		}
		d.check = check.Sum32()
		return alg.SignHash(signer, signed.Sum(nil))
	}
	if d.size() > maxWhole {
		return nil, fmt.Errorf("crl: a list of %d octets is too long for %v, which cannot sign in a stream; shard it, or use an RSA or ECDSA key", d.size(), alg)
	}
	whole := bytes.NewBuffer(make([]byte, 0, d.size()))
	if err := d.writeTo(io.MultiWriter(whole, check)); err != nil {
		return nil, err
	}
	d.check = check.Sum32()
	return alg.Sign(signer, whole.Bytes())
}

// newCheck notices a store that answers differently the second time, or a disk
// that does: accidents, for which CRC-32C suffices and costs next to nothing.
func newCheck() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// emit is the third pass.
func (d *document) emit(w io.Writer, alg tbs.Algorithm, signature []byte) (int64, error) {
	end := alg.DER()
	end = appendHeader(end, tagBitString, int64(len(signature))+1)
	end = append(append(end, 0), signature...)
	start := appendHeader(nil, tagSequence, d.size()+int64(len(end)))

	count := &counter{w: w}
	if _, err := count.Write(start); err != nil {
		return count.n, err
	}
	check := newCheck()
	if err := d.writeTo(io.MultiWriter(count, check)); err != nil {
		return count.n, err
	}
	if check.Sum32() != d.check {
		return count.n, ErrEntriesChanged
	}
	_, err := count.Write(end)
	return count.n, err
}

func (d *document) size() int64 {
	return int64(len(d.head)) + d.entries.Size + int64(len(d.tail))
}

// writeTo writes the tbsCertList.
func (d *document) writeTo(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	if _, err := buffered.Write(d.head); err != nil {
		return err
	}
	n, err := d.copyEntries(buffered)
	if err != nil {
		return err
	}
	if n != d.entries.Size {
		return fmt.Errorf("%w: %d octets, then %d", ErrEntriesChanged, d.entries.Size, n)
	}
	if _, err := buffered.Write(d.tail); err != nil {
		return err
	}
	return buffered.Flush()
}

func (d *document) copyEntries(w io.Writer) (n int64, err error) {
	if d.spooled {
		if _, err := d.entries.Spool.Seek(-d.entries.Size, io.SeekCurrent); err != nil {
			return 0, fmt.Errorf("crl: rewind the spool: %w", err)
		}
		return io.CopyN(w, d.entries.Spool, d.entries.Size)
	}
	if d.entries.Each == nil {
		return 0, nil
	}
	for der, err := range d.entries.Each {
		if err != nil {
			return n, fmt.Errorf("crl: read the entries, after %d octets: %w", n, err)
		}
		if !isSequence(der) {
			return n, fmt.Errorf("crl: the entry after %d octets is not one DER SEQUENCE; build entries with AppendEntry", n)
		}
		if _, err := w.Write(der); err != nil {
			return n, err
		}
		n += int64(len(der))
	}
	return n, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
