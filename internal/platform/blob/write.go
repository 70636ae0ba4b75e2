package blob

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A batch holds up to four chunks, first as plaintext with gaps for the tags,
// then as ciphertext without.
type batch struct {
	buf  [batchSize]byte
	n    int   // bytes of plaintext
	from int64 // number of the first chunk
	last bool
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// queued bounds the batches between reading and writing: with the two being
// worked on, a blob in transit takes 1 MiB.
const queued = 2

// A writer moves one blob from its reader to an upload. For blobs of more than
// one batch, the calling goroutine reads and hashes while another encrypts and
// writes: on two cores, neither waits for the other.
type writer struct {
	ctx    context.Context
	in     io.Reader
	limit  int64
	stream stream
	hash   hash.Hash
	size   int64
	chunks int64

	next  [1]byte // read ahead
	ahead bool
	ended bool
}

func (w *writer) run(create func() (upload, error)) (err error) {
	b, err := w.read()
	if err != nil {
		batches.Put(b)
		return err
	}
	up, err := create()
	if err != nil {
		batches.Put(b)
		return failed(err, "create")
	}
	defer func() {
		if err != nil {
			up.abort()
		}
	}()
	if b.last {
		err = w.store(up, b)
	} else {
		err = w.pipe(up, b)
	}
	if err != nil {
		return err
	}
	return failed(up.commit(w.ctx), "save")
}

// pipe reads batch after batch while the ones before it are stored.
func (w *writer) pipe(up upload, first *batch) error {
	queue := make(chan *batch, queued)
	stored := make(chan struct{})
	var storeErr error
	go func() {
		defer close(stored)
		for b := range queue {
			if storeErr = w.store(up, b); storeErr != nil {
				return
			}
		}
	}()
	readErr := w.feed(queue, stored, first)
	close(queue)
	<-stored
	for b := range queue { // what a failed store left
		batches.Put(b)
	}
	return errors.Join(storeErr, readErr)
}

// feed queues the first batch and those that it reads, up to the last or until
// storing ended early.
func (w *writer) feed(queue chan<- *batch, stored <-chan struct{}, b *batch) error {
	for {
		last := b.last
		select {
		case queue <- b:
		case <-stored:
			batches.Put(b)
			return nil
		}
		if last {
			return nil
		}
		var err error
		if b, err = w.read(); err != nil {
			batches.Put(b)
			return err
		}
	}
}

// read fills a batch and hashes it. The batch is returned with an error too.
func (w *writer) read() (*batch, error) {
	b := batches.Get().(*batch)
	b.n, b.from, b.last = 0, w.chunks, false
	w.chunks += batchChunks
	if err := w.ctx.Err(); err != nil {
		return b, err
	}
	for i := 0; i < batchChunks && !b.last; i++ {
		n, err := w.fill(b.buf[i*cellSize:][:chunkSize])
		b.n += n
		w.size += int64(n)
		if w.size > w.limit {
			return b, fault.New(fault.TooLarge, "blob.too_large", "The document is larger than %d bytes.", w.limit)
		}
		if err != nil {
			return b, fmt.Errorf("read document: %w", err)
		}
		b.last = w.ended
	}
	return b, nil
}

// fill reads a chunk and one byte more, which tells whether this chunk is the
// last: the last one is not empty. Only io.EOF ends a document. io.ReadFull
// would not do: it says io.ErrUnexpectedEOF at a proper end, and so does an HTTP
// body whose sender went away.
func (w *writer) fill(p []byte) (n int, err error) {
	if w.ahead {
		p[0], n, w.ahead = w.next[0], 1, false
	}
	for n < len(p) && err == nil {
		var k int
		k, err = w.in.Read(p[n:])
		n += k
	}
	for err == nil && !w.ahead {
		var k int
		k, err = w.in.Read(w.next[:])
		w.ahead = k == 1
	}
	w.hash.Write(p[:n])
	if err == io.EOF {
		w.ended, err = !w.ahead, nil
	}
	return n, err
}

// store encrypts a batch and appends it to the upload.
func (w *writer) store(up upload, b *batch) error {
	defer batches.Put(b)
	chunks := max(1, (b.n+chunkSize-1)/chunkSize)
	for i := range chunks {
		p := b.buf[i*cellSize:][:min(chunkSize, b.n-i*chunkSize)]
		w.stream.seal(p, b.from+int64(i), b.last && i == chunks-1)
	}
	return failed(up.write(w.ctx, b.buf[:b.n+chunks*tagSize]), "write")
}
