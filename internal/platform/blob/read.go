package blob

import (
	"errors"
	"io"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Reader reads a blob from any position, as http.ServeContent does. It holds
// one decrypted chunk.
type Reader struct {
	id     string
	src    source
	stream stream
	chunks int64
	size   int64
	pos    int64
	at     int64  // number of the chunk in plain; -1 for none
	plain  []byte // part of buf
	buf    []byte
}

var _ io.ReadSeekCloser = (*Reader)(nil)

func newReader(sealer Sealer, id string, src source) (*Reader, error) {
	chunks, size, err := layout(src.bodySize())
	if err != nil {
		return nil, damaged(id, err)
	}
	key, err := sealer.Open(purpose(id), src.header())
	if err != nil {
		return nil, damaged(id, err)
	}
	s, err := newStream(key)
	if err != nil {
		return nil, damaged(id, err)
	}
	r := &Reader{id: id, src: src, stream: s, chunks: chunks, size: size, at: -1, buf: make([]byte, min(cellSize, src.bodySize()))}
	// The last chunk knows that it is the last: reading it first proves the size
	// before anybody is told.
	if err := r.load(chunks - 1); err != nil {
		return nil, err
	}
	return r, nil
}

// Size is the number of bytes of the blob.
func (r *Reader) Size() int64 { return r.size }

// Read implements io.Reader. Bytes that were changed give "blob.damaged", and
// no byte of their chunk is returned.
func (r *Reader) Read(p []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	chunk := r.pos / chunkSize
	if err := r.load(chunk); err != nil {
		return 0, err
	}
	n := copy(p, r.plain[r.pos-chunk*chunkSize:])
	r.pos += int64(n)
	return n, nil
}

// WriteTo implements io.WriterTo: whole chunks go out without being copied.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for r.pos < r.size {
		chunk := r.pos / chunkSize
		if err := r.load(chunk); err != nil {
			return total, err
		}
		n, err := w.Write(r.plain[r.pos-chunk*chunkSize:])
		r.pos += int64(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Seek implements io.Seeker. A position beyond the end is permitted; reading
// there gives io.EOF.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	case io.SeekStart:
	default:
		return 0, fault.Invalidf("blob.seek", "The seek mode %d is not known.", whence)
	}
	if offset < 0 {
		return 0, fault.Invalidf("blob.seek", "The position is before the beginning.")
	}
	r.pos = offset
	return offset, nil
}

// Close releases the blob.
func (r *Reader) Close() error { return r.src.close() }

// load decrypts a chunk unless it is there already.
func (r *Reader) load(chunk int64) error {
	if chunk == r.at {
		return nil
	}
	r.at = -1
	off := chunk * cellSize
	p := r.buf[:min(cellSize, r.src.bodySize()-off)]
	if err := r.src.readBody(p, off); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return damaged(r.id, err) // shorter than it was when it was opened
		}
		return failed(err, "read")
	}
	plain, err := r.stream.open(p, chunk, chunk == r.chunks-1)
	if err != nil {
		return damaged(r.id, err)
	}
	r.at, r.plain = chunk, plain
	return nil
}
