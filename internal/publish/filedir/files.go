package filedir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// FS is what publishing needs of a file system. Names are slash-separated and
// relative to the folder. Errors tell [fs.ErrNotExist] apart.
type FS interface {
	// Stat gives the size of what is there, and whether it is a regular file;
	// a symbolic link is not.
	Stat(name string) (size int64, regular bool, err error)
	// Read reads at most limit octets of a regular file.
	Read(name string, limit int64) ([]byte, error)
	// Create makes a new file, which must not exist, and makes its content durable.
	Create(name string, data []byte) error
	// Rename moves a file over whatever file is there, in one step.
	Rename(from, to string) error
	Remove(name string) error
	MkdirAll(name string) error
	// Sync makes changes to the names in a folder durable.
	Sync(folder string) error
}

// Put makes the file hold the data. Readers see the old file or the new one,
// never a part; after a crash at any point a repetition completes it. What is
// left of an attempt is a file whose name starts with a dot.
func Put(f FS, name string, data []byte) (changed bool, err error) {
	same, _, err := holds(f, name, data)
	if err != nil {
		return false, err
	}
	folder := path.Dir(name)
	if same {
		return false, f.Sync(folder) // the attempt that put it there may not have come so far
	}
	if folder != "." {
		if err := f.MkdirAll(folder); err != nil {
			return false, fmt.Errorf("make the folder %s: %w", folder, err)
		}
	}
	// The name is the same at each attempt, so that attempts leave one file at most.
	temporary := path.Join(folder, "."+path.Base(name)+".part")
	if err := f.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove what is left of an attempt: %w", err)
	}
	if err := f.Create(temporary, data); err != nil {
		_ = f.Remove(temporary) // tried again by the next attempt
		return false, fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Rename(temporary, name); err != nil {
		_ = f.Remove(temporary)
		return false, fmt.Errorf("put %s in its place: %w", name, err)
	}
	return true, f.Sync(folder)
}

// Remove deletes the file if it holds the data; another file of that name stays.
func Remove(f FS, name string, data []byte) (changed bool, err error) {
	same, there, err := holds(f, name, data)
	if err != nil || !there || !same {
		return false, err
	}
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove %s: %w", name, err)
	}
	return true, f.Sync(path.Dir(name))
}

// Probe writes and removes a small file.
func Probe(f FS) error {
	const name = ".sealwright.probe"
	if _, err := Put(f, name, []byte("This file can be removed.\n")); err != nil {
		return err
	}
	if err := f.Remove(name); err != nil {
		return fmt.Errorf("remove a file: %w", err)
	}
	return nil
}

// holds compares the file with the data. A pipe or a link is never read.
func holds(f FS, name string, data []byte) (same, there bool, err error) {
	size, regular, err := f.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("look at %s: %w", name, err)
	case !regular || size != int64(len(data)):
		return false, true, nil
	}
	have, err := f.Read(name, size+1)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, true, fmt.Errorf("read %s: %w", name, err)
	}
	return bytes.Equal(have, data), true, nil
}
