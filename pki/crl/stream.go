package crl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxStreamedEntry bounds an entry of [StreamEntries]. Ours have about fifty
// octets.
const maxStreamedEntry = 4 << 10

// StreamEntries yields the DER of the entries of a list that is read from r, fit
// for [Entries], without holding the list: a way from one list to the next. The
// bytes stay unchanged until the next entry. It reads no further than the last
// entry, checks nothing but the lengths on the way there, and so is for lists
// that the caller has made and kept; for those of others there is [Parse]. It
// ends at the first error; input that is no list wraps [ErrMalformed].
func StreamEntries(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := stream{bufio.NewReaderSize(r, 64<<10)}
		left, err := in.skipFields()
		if err != nil {
			yield(nil, err)
			return
		}
		for left > 0 {
			n, header, err := in.peekHeader(tagSequence)
			size := n + int64(header)
			if err == nil && (size > left || size > maxStreamedEntry) {
				err = malformed("an entry of %d octets", size)
			}
			var entry []byte
			if err == nil {
				entry, err = in.Peek(int(size))
			}
			if err != nil {
				yield(nil, unexpected(err))
				return
			}
			if !yield(entry, nil) {
				return
			}
			if _, err := in.Discard(int(size)); err != nil {
				yield(nil, unexpected(err))
				return
			}
			left -= size
		}
	}
}

// EntrySerial is the serial number of an entry that [AppendEntry] made or a
// parser yielded, as a big-endian magnitude without leading zeros; nil if there
// is none.
func EntrySerial(entry []byte) []byte {
	// An entry and its serial number are shorter than 128 octets, and so have
	// lengths of one octet, unless somebody else made them.
	if len(entry) < 4 || entry[1] >= 0x80 || entry[2] != tagInteger || int(entry[3]) > len(entry)-4 {
		return nil
	}
	serial := entry[4 : 4+int(entry[3])]
	for len(serial) > 0 && serial[0] == 0 {
		serial = serial[1:]
	}
	return serial
}

type stream struct{ *bufio.Reader }

// skipFields reads up to the first entry and returns the octets of all entries.
func (s stream) skipFields() (int64, error) {
	for _, open := range []string{"CertificateList", "tbsCertList"} {
		_, header, err := s.peekHeader(tagSequence)
		if err == nil {
			_, err = s.Discard(header)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", open, unexpected(err))
		}
	}
	for _, tag := range []byte{tagInteger, tagSequence, tagSequence, 0, 0} { // version, signature, issuer, and the times
		if tag == 0 {
			b, err := s.Peek(1)
			if err != nil {
				return 0, unexpected(err)
			}
			if tag = b[0]; tag != tagUTCTime && tag != tagGeneralized {
				break // no nextUpdate
			}
		}
		n, header, err := s.peekHeader(tag)
		if err == nil && n > maxStreamedEntry {
			err = malformed("a field of %d octets before the entries", n)
		}
		if err == nil {
			_, err = s.Discard(header + int(n))
		}
		if err != nil {
			return 0, unexpected(err)
		}
	}
	if b, err := s.Peek(1); err != nil || b[0] != tagSequence {
		return 0, unexpected(err) // a list without entries, if there is no error
	}
	n, header, err := s.peekHeader(tagSequence)
	if err == nil {
		_, err = s.Discard(header)
	}
	return n, unexpected(err)
}

// peekHeader returns the length of the content and of the header before it.
func (s stream) peekHeader(tag byte) (n int64, header int, err error) {
	b, err := s.Peek(2)
	switch {
	case err != nil:
		return 0, 0, err
	case b[0] != tag:
		return 0, 0, malformed("tag %#x where %#x belongs", b[0], tag)
	case b[1] < 0x80:
		return int64(b[1]), 2, nil
	case b[1] == 0x80 || b[1] > 0x84:
		return 0, 0, malformed("a length that is not DER, or of more than 4 GiB")
	}
	header = 2 + int(b[1]&0x7f)
	if b, err = s.Peek(header); err != nil {
		return 0, 0, err
	}
	for _, octet := range b[2:] {
		n = n<<8 | int64(octet)
	}
	return n, header, nil
}

// unexpected makes the end of the input what it is inside a list.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrMalformed, io.ErrUnexpectedEOF)
	}
	return err
}
