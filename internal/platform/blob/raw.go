package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Raw is the directory of [NewFiles] as a backup sees it: the files as they
// are, encrypted, without any key.
type Raw struct{ files files }

// OpenRaw does not touch the directory, which need not exist.
func OpenRaw(dir string) *Raw { return &Raw{files{dir: dir, makeFile: createFile}} }

// A RawFile is a complete blob, open for reading.
type RawFile struct {
	io.Reader
	ID      string
	Size    int64
	Changed time.Time // when its last byte was written, by the clock of the file system
}

// Each runs fn on every complete blob that want asks for, by id and time of
// change. One that is deleted meanwhile is left out, and one that is stored
// meanwhile may be.
func (r *Raw) Each(ctx context.Context, want func(id string, changed time.Time) bool, fn func(RawFile) error) error {
	return r.list(ctx, func(id string) error {
		in, err := os.Open(r.files.path(id))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return failed(err, "read")
		}
		defer in.Close()
		info, err := in.Stat()
		if err != nil {
			return failed(err, "read")
		}
		if !want(id, info.ModTime()) {
			return nil
		}
		return fn(RawFile{in, id, info.Size(), info.ModTime()})
	})
}

// list gives the ids of the complete blobs.
func (r *Raw) list(ctx context.Context, fn func(id string) error) error {
	leaves, err := filepath.Glob(filepath.Join(r.files.dir, "[a-z2-7]", "[a-z2-7]"))
	if err != nil {
		return failed(err, "list")
	}
	farFuture := time.Unix(1<<40, 0)
	for _, leaf := range leaves {
		err := r.files.old(ctx, leaf, farFuture, func(ids []string) error {
			for _, id := range ids {
				if err := fn(id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// filling is the name of the file that marks a directory which [Raw.Write] is
// filling: what is in it then is of no use to anybody.
const filling = "restoring"

// Begin readies an empty directory for Write; follow with End or Abort. One that is not empty gives
// Conflict ("blob.not_empty"), unless an earlier filling of it was cut off: what
// that left is deleted.
func (r *Raw) Begin(ctx context.Context) error {
	if _, err := NewFiles(r.files.dir, nil); err != nil {
		return err
	}
	mark := filepath.Join(r.files.dir, filling)
	_, err := os.Lstat(mark)
	if err == nil {
		return r.clear(ctx)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return failed(err, "read")
	}
	err = r.list(ctx, func(string) error {
		return fault.Conflictf("blob.not_empty", "The directory %s is not empty: there are documents in it.", r.files.dir).WithNext("Restore into a new, empty directory.")
	})
	if err != nil {
		return err
	}
	f, err := createFile(mark)
	if err != nil {
		return failed(err, "write")
	}
	// The mark is durable before any blob, and gone only after all of them are.
	return failed(errors.Join(f.Sync(), f.Close(), syncDir(r.files.dir)), "write")
}

func (r *Raw) clear(ctx context.Context) error {
	return r.list(ctx, func(id string) error { return failed(r.files.remove(ctx, id), "delete") })
}

// Write stores a blob as it came from [Raw.Each]; its bytes are durable when
// Write returns, its name with [Raw.End].
func (r *Raw) Write(id string, src io.Reader) error {
	if !ValidID(id) {
		return unknown(id)
	}
	out, err := createFile(r.files.path(id))
	if errors.Is(err, fs.ErrExist) {
		return fault.Conflictf("blob.exists", "The document %s exists already.", id).WithCause(err)
	}
	if err != nil {
		return failed(err, "write")
	}
	_, err = io.Copy(out, src)
	return failed(errors.Join(err, out.Sync(), out.Close()), "write")
}

// End makes the names of all written blobs durable and declares the directory
// complete: from then on nobody deletes what is in it.
func (r *Raw) End() error {
	for _, a := range letters {
		for _, b := range letters {
			if err := syncDir(filepath.Join(r.files.dir, string(a), string(b))); err != nil {
				return failed(err, "write")
			}
		}
	}
	return r.unmark()
}

func (r *Raw) unmark() error {
	return failed(errors.Join(os.Remove(filepath.Join(r.files.dir, filling)), syncDir(r.files.dir)), "write")
}

// Abort deletes everything again. It is not for after End.
func (r *Raw) Abort(ctx context.Context) error {
	if err := r.clear(ctx); err != nil {
		return err
	}
	return r.unmark()
}

// ValidID tells whether a text can be the id of a blob.
func ValidID(id string) bool { return validID(id) }
