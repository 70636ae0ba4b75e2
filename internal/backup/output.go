package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// An Output is a file that gets its name when it is complete. Until then it is
// a hidden file beside it, for its owner only.
type Output struct {
	*os.File
	path string
}

// Create begins the file at path. It never replaces one: a file of that name
// gives Conflict ("backup.exists").
func Create(path string) (*Output, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = exists(path)
		}
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*")
	if err != nil {
		return nil, fault.Invalidf("backup.output", "The file %s cannot be made.", path).WithCause(err)
	}
	return &Output{f, path}, nil
}

func exists(path string) error {
	return fault.Conflictf("backup.exists", "The file %s exists already.", path).WithNext("Choose another name; a backup never replaces a file.")
}

// Commit makes the file durable under its name.
func (o *Output) Commit() error {
	if err := errors.Join(o.Sync(), o.Close()); err != nil {
		return errors.Join(err, os.Remove(o.Name()))
	}
	if err := rename(o.Name(), o.path); err != nil {
		return errors.Join(err, os.Remove(o.Name()))
	}
	return syncDir(filepath.Dir(o.path))
}

// Abort deletes what was written.
func (o *Output) Abort() error { return errors.Join(o.Close(), os.Remove(o.Name())) }

// rename gives a file its name unless somebody else has taken it meanwhile. A
// link does that in one step, where the file system has links.
func rename(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return exists(to)
	}
	return os.Rename(from, to)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
