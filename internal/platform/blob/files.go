package blob

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A blob file: magic, length of the header (2 bytes), header, body.
const magic = "swb1"

const maxHeader = 512

// files keeps each blob in a file: DIR/tmp/ID while it is written, then
// DIR/a/b/ID where a and b are the first two characters of the id: 1,024
// directories, ten thousand files each at ten million blobs.
type files struct {
	dir      string
	makeFile func(path string) (file, error)
}

// file is what an upload needs of *os.File, so that tests can fill the disk.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// NewFiles keeps blobs in a directory, which is created with mode 0700. Several
// nodes may share it when its file system renames atomically and honours fsync.
func NewFiles(dir string, sealer Sealer) (*Store, error) {
	f := &files{dir: dir, makeFile: createFile}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, failed(err, "create directory")
	}
	if err := f.makeLeaves(); err != nil {
		return nil, failed(err, "create directory")
	}
	return &Store{f, sealer}, nil
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (f *files) temp(id string) string { return filepath.Join(f.dir, "tmp", id) }
func (f *files) leaf(id string) string { return filepath.Join(f.dir, id[:1], id[1:2]) }
func (f *files) path(id string) string { return filepath.Join(f.leaf(id), id) }

func (f *files) create(_ context.Context, id string, header []byte) (upload, error) {
	out, err := f.makeFile(f.temp(id))
	if err != nil {
		return nil, err
	}
	return &fileUpload{files: f, id: id, out: out, head: encodeHeader(header)}, nil
}

func encodeHeader(header []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte(magic), uint16(len(header)))
	return append(b, header...)
}

// readHeader returns the header and where the body begins.
func readHeader(r io.Reader) ([]byte, int64, error) {
	var head [len(magic) + 2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	n := int(binary.BigEndian.Uint16(head[len(magic):]))
	if string(head[:len(magic)]) != magic || n > maxHeader {
		return nil, 0, errDamaged
	}
	header := make([]byte, n)
	_, err := io.ReadFull(r, header)
	return header, int64(len(head) + n), err
}

type fileUpload struct {
	files    *files
	id       string
	out      file
	head     []byte // not written yet
	unsynced int
	named    bool
}

// flushEvery starts the disk on what was written so far, so that the fsync at
// the end of a large blob does not wait for all of it.
const flushEvery = 8 << 20

func (u *fileUpload) write(_ context.Context, p []byte) error {
	if u.head != nil {
		if _, err := u.out.Write(u.head); err != nil {
			return err
		}
		u.head = nil
	}
	_, err := u.out.Write(p)
	if u.unsynced += len(p); u.unsynced >= flushEvery {
		startFlush(u.out)
		u.unsynced = 0
	}
	return err
}

// commit gives the file its name first and then makes both durable: on
// journaling file systems the two fsyncs then share one commit of the journal,
// which halves the time of a small blob. Nobody opens it early, because nobody
// has the id yet. A crash before the end leaves a temporary file, or a blob that
// nobody refers to; sweep removes either.
func (u *fileUpload) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Rename(u.files.temp(u.id), u.files.path(u.id)); err != nil {
		return err
	}
	u.named = true
	err := errors.Join(u.out.Sync(), u.out.Close())
	u.out = nil
	if err != nil {
		return err
	}
	return syncDir(u.files.leaf(u.id))
}

func (u *fileUpload) abort() {
	if u.out != nil {
		_ = u.out.Close() // the blob is given up
	}
	path := u.files.temp(u.id)
	if u.named {
		path = u.files.path(u.id)
	}
	_ = os.Remove(path) // what cannot be removed now, sweep removes
}

// makeLeaves creates the directories of all ids durably.
func (f *files) makeLeaves() error {
	for _, a := range letters {
		branch := filepath.Join(f.dir, string(a))
		for _, b := range letters {
			if err := os.MkdirAll(filepath.Join(branch, string(b)), 0o700); err != nil {
				return err
			}
		}
		if err := syncDir(branch); err != nil {
			return err
		}
	}
	return syncDir(f.dir)
}

const letters = "abcdefghijklmnopqrstuvwxyz234567"

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *files) open(_ context.Context, id string) (source, error) {
	in, err := os.Open(f.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNone
	}
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	header, begin, err := readHeader(in)
	if err != nil {
		return nil, errors.Join(damaged(id, err), in.Close())
	}
	return &fileSource{in, header, begin, info.Size() - begin}, nil
}

type fileSource struct {
	in    *os.File
	head  []byte
	begin int64
	size  int64
}

func (s *fileSource) header() []byte  { return s.head }
func (s *fileSource) bodySize() int64 { return s.size }
func (s *fileSource) close() error    { return s.in.Close() }

func (s *fileSource) readBody(p []byte, off int64) error {
	_, err := io.ReadFull(io.NewSectionReader(s.in, s.begin+off, int64(len(p))), p)
	return err
}

func (f *files) remove(_ context.Context, id string) error {
	err := os.Remove(f.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(f.leaf(id)) // a power cut must not bring it back
}

func (f *files) sweep(ctx context.Context, before time.Time, each func([]string) error) (int, error) {
	removed := 0
	err := f.old(ctx, filepath.Join(f.dir, "tmp"), before, func(ids []string) error {
		for _, id := range ids {
			if err := os.Remove(f.temp(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			removed++
		}
		return nil
	})
	if err != nil {
		return removed, err
	}
	leaves, err := filepath.Glob(filepath.Join(f.dir, "[a-z2-7]", "[a-z2-7]"))
	if err != nil {
		return removed, err
	}
	for _, leaf := range leaves {
		if err := f.old(ctx, leaf, before, each); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// old gives the ids in a directory that were last written before a time.
func (f *files) old(ctx context.Context, dir string, before time.Time, each func([]string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := d.ReadDir(sweepBatch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var ids []string
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && validID(e.Name()) && info.Mode().IsRegular() && info.ModTime().Before(before) {
				ids = append(ids, e.Name()) // an error means that somebody deleted it meanwhile
			}
		}
		if len(ids) > 0 {
			if err := each(ids); err != nil {
				return err
			}
		}
	}
}
