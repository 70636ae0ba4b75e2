package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Target is the empty installation to restore into.
type Target struct {
	DB    *store.DB // opened with store.Connect and not used yet
	Blobs string    // directory of the blob files; empty when they are in the database
	// MasterKey is the file to put the master key of the backup into, if it
	// holds one. A file that exists must hold the same key. Empty: leave it out.
	MasterKey string
	Progress  Progress // may be nil
}

// Restore fills an empty installation. It commits the database as the last
// thing, after everything has been verified as [Verify] does. Whatever goes
// wrong before, also a crash, leaves an empty database, and Restore can be
// repeated.
//
// Faults are those of [Verify] and of store.DB.Load; Conflict
// ("blob.not_empty") for a directory that holds documents, "backup.documents"
// for an installation that keeps documents elsewhere than the backup does,
// "backup.master_key" for one that has another master key; and Unavailable
// ("backup.commit") when the database went away during the commit.
func Restore(ctx context.Context, r io.Reader, t Target, with ...age.Identity) (Contents, error) {
	w := &restorer{target: t}
	c, err := read(ctx, r, w, t.Progress, with)
	if err != nil {
		return Contents{}, w.undo(ctx, err)
	}
	return c, nil
}

// A restorer receives a backup for good.
type restorer struct {
	target Target
	blobs  *blob.Raw // being filled
	key    string    // master key file that was made
	ready  bool      // for the commit
}

// manifest refuses what cannot work before anything is written.
func (w *restorer) manifest(ctx context.Context, m Manifest) error {
	here := InFiles
	if w.target.Blobs == "" {
		here = InTable
	}
	if m.Documents != here {
		return fault.Conflictf("backup.documents", "The backup keeps documents in the %s, but this installation in the %s.", place(m.Documents), place(here)).WithNext("Set blob.kind = %q in the configuration.", m.Documents)
	}
	if newest := store.NewestSchema(); m.Schema > newest {
		return fault.Invalidf("backup.newer", "The backup was made by Sealwright %s, with schema %d; this program knows schemas up to %d.", m.Version, m.Schema, newest).WithNext("Install Sealwright %s or later.", m.Version)
	}
	if err := w.target.DB.CheckEmpty(ctx); err != nil {
		return err
	}
	if w.target.Blobs == "" {
		return nil
	}
	raw := blob.OpenRaw(w.target.Blobs)
	if err := raw.Begin(ctx); err != nil {
		return err
	}
	w.blobs = raw
	return nil
}

func place(documents string) string {
	if documents == InTable {
		return "database"
	}
	return "file system"
}

func (w *restorer) masterKey(key []byte) error {
	path := w.target.MasterKey
	if path == "" {
		return nil
	}
	have, err := os.ReadFile(path)
	if err == nil {
		if !bytes.Equal(bytes.TrimSpace(have), bytes.TrimSpace(key)) {
			return fault.Conflictf("backup.master_key", "The master key in %s is not the one in the backup.", path).WithNext("Move it to a safe place, then restore again.")
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w.key = path
	_, err = f.Write(key)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

func (w *restorer) blob(id string, r io.Reader) error {
	if w.blobs == nil {
		return damaged(errors.New("document files in a backup that has none"))
	}
	return w.blobs.Write(id, r)
}

func (w *restorer) database(ctx context.Context, r io.Reader, confirm func(store.DumpReport) error) error {
	_, err := w.target.DB.Load(ctx, r, func(report store.DumpReport) error {
		if err := confirm(report); err != nil {
			return err
		}
		if w.blobs != nil {
			if err := w.blobs.End(); err != nil {
				return err
			}
		}
		w.ready = true // from here on only the commit is left
		return nil
	})
	return err
}

// undo takes back what was written outside of the database. When the commit
// itself failed, the rows may be there after all, and need it.
func (w *restorer) undo(ctx context.Context, cause error) error {
	if w.ready {
		return fault.Unavailablef(cause, "backup.commit", "The database went away while the restored rows were being saved.").
			WithNext("See whether the database is empty. If so, empty the directory of the documents too and restore again; otherwise the restore is complete.")
	}
	if w.blobs != nil {
		// What cannot be deleted now, the next restore deletes.
		cause = errors.Join(cause, w.blobs.Abort(context.WithoutCancel(ctx)))
	}
	if w.key != "" {
		cause = errors.Join(cause, os.Remove(w.key))
	}
	return cause
}
