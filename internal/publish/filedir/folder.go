// Package filedir publishes into folders of the machine's file system, and
// holds what that has in common with folders of another machine: names made of
// what a certificate says ([Names]), and writing in a way that readers never
// see a part of a file ([Put]).
package filedir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sealwright/sealwright/internal/publish/place"
)

// Settings describe a folder.
type Settings struct {
	Directory string `json:"directory"`           // absolute; at or below a folder that the configuration allows; must exist
	FileMode  string `json:"file_mode,omitempty"` // octal; 0644 by default
	Names     Names  `json:"names"`
}

// A Folder is a destination whose settings were checked.
type Folder struct {
	base   string // a folder that the configuration allows
	below  string // from there to the folder
	mode   fs.FileMode
	naming Naming
}

// Compile checks the settings. allowed are the folders in which files may be
// published at all. A fault of kind Invalid names the field, such as
// "file.directory".
func (s Settings) Compile(allowed []string) (*Folder, error) {
	if s.FileMode == "" {
		s.FileMode = "0644"
	}
	mode, err := strconv.ParseUint(s.FileMode, 8, 32)
	if err != nil || mode&^0o666 != 0 || mode&0o200 == 0 {
		return nil, invalid("file.file_mode", "The file mode must be octal, let the owner write and nobody execute, such as 0644.")
	}
	if !filepath.IsAbs(s.Directory) || strings.ContainsRune(s.Directory, 0) {
		return nil, invalid("file.directory", "The directory must be an absolute path.")
	}
	f := &Folder{mode: fs.FileMode(mode)}
	directory := filepath.Clean(s.Directory)
	for _, base := range allowed {
		rel, err := filepath.Rel(filepath.Clean(base), directory)
		if err == nil && filepath.IsLocal(rel) {
			f.base, f.below = filepath.Clean(base), rel
		}
	}
	if f.base == "" {
		return nil, invalid("file.directory", "The directory %s is not one in which files may be published.", directory).
			WithNext("Add it to the configuration, or choose a directory below %s.", strings.Join(append(allowed, "one that is listed there"), " or "))
	}
	f.naming, err = s.Names.Compile("file.names")
	return f, err
}

// Takes implements [place.Destination].
func (f *Folder) Takes(k place.Kind) bool { return f.naming.Takes(k) }

// Exclusive implements [place.Destination].
func (f *Folder) Exclusive(place.Kind) bool { return true }

// Place implements [place.Destination].
func (f *Folder) Place(o place.Object) (string, error) { return f.naming.Place(o) }

// Open implements [place.Destination]. The folder is not made when it is
// missing: it may be where a disk should have been mounted. Symbolic links lead
// nowhere outside the allowed folder, whenever they are made.
func (f *Folder) Open(context.Context, place.Link) (place.Session, error) {
	base, err := os.OpenRoot(f.base)
	if err != nil {
		return nil, place.Unreachable(err)
	}
	defer base.Close()
	root, err := base.OpenRoot(f.below)
	if err != nil {
		return nil, place.Unreachable(err)
	}
	return &session{folder: f, files: rooted{root, f.mode}}, nil
}

type session struct {
	folder *Folder
	files  rooted
}

// Put implements [place.Session].
func (s *session) Put(_ context.Context, at string, o place.Object) (bool, error) {
	changed, err := Put(s.files, at, s.folder.naming.Data(o))
	return changed, place.Unreachable(err)
}

// Remove implements [place.Session].
func (s *session) Remove(_ context.Context, at string, o place.Object) (bool, error) {
	changed, err := Remove(s.files, at, s.folder.naming.Data(o))
	return changed, place.Unreachable(err)
}

// Probe implements [place.Session].
func (s *session) Probe(context.Context) error { return place.Unreachable(Probe(s.files)) }

// Close implements [place.Session].
func (s *session) Close() { _ = s.files.root.Close() }

// rooted is the FS of a folder that names cannot leave.
type rooted struct {
	root *os.Root
	mode fs.FileMode
}

func (r rooted) Stat(name string) (int64, bool, error) {
	info, err := r.root.Lstat(name)
	if err != nil {
		return 0, false, err
	}
	return info.Size(), info.Mode().IsRegular(), nil
}

func (r rooted) Read(name string, limit int64) ([]byte, error) {
	f, err := r.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (r rooted) Create(name string, data []byte) error {
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, r.mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(r.mode) // whatever the process's mask says
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (r rooted) Rename(from, to string) error { return r.root.Rename(from, to) }

func (r rooted) Remove(name string) error { return r.root.Remove(name) }

func (r rooted) MkdirAll(name string) error { return r.root.MkdirAll(name, 0o755) }

func (r rooted) Sync(folder string) error {
	d, err := r.root.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever put there
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
