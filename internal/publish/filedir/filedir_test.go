package filedir_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

func open(t *testing.T, base string, set filedir.Settings) (*filedir.Folder, place.Session) {
	t.Helper()
	f, err := set.Compile([]string{base})
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Open(t.Context(), place.Link{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return f, s
}

func object(der []byte, facts fact.Set) place.Object {
	return place.Object{Kind: place.Certificate, DER: der, Facts: facts}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAFileComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	f, s := open(t, dir, filedir.Settings{Directory: dir, Names: filedir.Names{Certificates: "{o}/{serial}.pem", Format: filedir.PEM}, FileMode: "0640"})
	der := publishtest.NewCA(t, "X").DER
	o := object(der, fact.Set{"o": "A/S & Co", "serial": "ab12"})
	at, err := f.Place(o)
	if err != nil || at != "A%2FS%20%26%20Co/ab12.pem" {
		t.Fatalf("%q, %v", at, err)
	}
	if changed, err := s.Put(t.Context(), at, o); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := s.Put(t.Context(), at, o); err != nil || changed {
		t.Fatal(changed, err)
	}
	name := filepath.Join(dir, at)
	out, err := exec.Command("openssl", "x509", "-in", name, "-outform", "DER").Output()
	if err != nil || !bytes.Equal(out, der) {
		t.Fatalf("openssl reads another certificate: %v", err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if list := files(t, dir); len(list) != 1 {
		t.Fatalf("left behind: %q", list)
	}

	// Another object of that name takes its place; the first one's removal leaves it alone.
	other := object(publishtest.NewCA(t, "Y").DER, o.Facts)
	if changed, err := s.Put(t.Context(), at, other); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := s.Remove(t.Context(), at, o); err != nil || changed {
		t.Fatal(changed, err)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(raw); block == nil || !bytes.Equal(block.Bytes, other.DER) {
		t.Fatal("the newer file is not there")
	}
	if changed, err := s.Remove(t.Context(), at, other); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := s.Remove(t.Context(), at, other); err != nil || changed {
		t.Fatal(changed, err)
	}
	if list := files(t, dir); len(list) != 0 {
		t.Fatalf("left behind: %q", list)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := files(t, dir); len(list) != 0 {
		t.Fatalf("the probe left %q", list)
	}
}

func TestNothingLeavesTheFolder(t *testing.T) {
	base := t.TempDir()
	dir, outside := filepath.Join(base, "in"), filepath.Join(base, "out")
	for _, d := range []string{dir, outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f, s := open(t, dir, filedir.Settings{Directory: dir, Names: filedir.Names{Certificates: "{cn}/{serial}.cer"}})
	for _, evil := range []string{"..", ".", "../../out", "/etc", "a/../../b", "..\\x", "\x00", "%2e%2e", ".hidden", "con", strings.Repeat("å", 300)} {
		o := object([]byte("x"), fact.Set{"cn": evil, "serial": evil})
		at, err := f.Place(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), at, o); err != nil {
			t.Fatalf("%q at %q: %v", evil, at, err)
		}
	}
	if list := files(t, base); len(list) != 11 {
		t.Fatalf("%d files: %q", len(list), list)
	}
	if list := files(t, outside); len(list) != 0 {
		t.Fatalf("outside: %q", list)
	}

	// A link that somebody plants leads nowhere, neither for writing nor for removing.
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "1.cer"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := object([]byte("x"), fact.Set{"cn": "link", "serial": "1"})
	if _, err := s.Put(t.Context(), "link/2.cer", o); err == nil {
		t.Fatal("wrote through a link")
	}
	if _, err := s.Remove(t.Context(), "link/1.cer", o); err == nil {
		t.Fatal("removed through a link")
	}
	if _, err := s.Put(t.Context(), "../out/3.cer", o); err == nil {
		t.Fatal("wrote above the folder")
	}
	if list := files(t, outside); len(list) != 1 {
		t.Fatalf("outside: %q", list)
	}
	// Neither does a link in the place of the folder itself.
	if _, err := (filedir.Settings{Directory: filepath.Join(dir, "link"), Names: filedir.Names{Certificates: "{serial}"}}).Compile([]string{outside}); !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	g, err := (filedir.Settings{Directory: filepath.Join(dir, "link"), Names: filedir.Names{Certificates: "{serial}"}}).Compile([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := g.Open(t.Context(), place.Link{}); err == nil {
		s.Close()
		t.Fatal("opened a folder behind a link out of the allowed one")
	}
}

func TestAPipeIsNotRead(t *testing.T) {
	dir := t.TempDir()
	_, s := open(t, dir, filedir.Settings{Directory: dir, Names: filedir.Names{Certificates: "{serial}"}})
	if err := syscall.Mkfifo(filepath.Join(dir, "1"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := object([]byte("x"), nil)
	if changed, err := s.Put(t.Context(), "1", o); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "1")); err != nil || string(raw) != "x" {
		t.Fatalf("%q, %v", raw, err)
	}
}

func TestAFolderThatIsMissingOrClosedIsUnreachable(t *testing.T) {
	base := t.TempDir()
	set := filedir.Settings{Directory: filepath.Join(base, "not-mounted"), Names: filedir.Names{Certificates: "{serial}"}}
	f, err := set.Compile([]string{base})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(t.Context(), place.Link{}); !place.IsUnreachable(err) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(set.Directory); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the folder was made")
	}
}

func TestSettingsSayWhichFieldIsWrong(t *testing.T) {
	base := t.TempDir()
	good := filedir.Settings{Directory: base, Names: filedir.Names{Certificates: "{serial}.cer"}}
	cases := []struct {
		name, field string
		change      func(*filedir.Settings)
	}{
		{"a relative directory", "file.directory", func(s *filedir.Settings) { s.Directory = "certs" }},
		{"a directory that is not allowed", "file.directory", func(s *filedir.Settings) { s.Directory = "/etc" }},
		{"a directory that only looks allowed", "file.directory", func(s *filedir.Settings) { s.Directory = base + "-other" }},
		{"a way out of the allowed directory", "file.directory", func(s *filedir.Settings) { s.Directory = base + "/../x" }},
		{"a mode that is none", "file.file_mode", func(s *filedir.Settings) { s.FileMode = "rw" }},
		{"an executable file", "file.file_mode", func(s *filedir.Settings) { s.FileMode = "0755" }},
		{"no names", "file.names.certificates", func(s *filedir.Settings) { s.Names.Certificates = "" }},
		{"an absolute name", "file.names.certificates", func(s *filedir.Settings) { s.Names.Certificates = "/x" }},
		{"a name above", "file.names.certificates", func(s *filedir.Settings) { s.Names.Certificates = "../{cn}" }},
		{"a hidden name", "file.names.crls", func(s *filedir.Settings) { s.Names.CRLs = ".x" }},
		{"a fact that nobody knows", "file.names.authorities", func(s *filedir.Settings) { s.Names.Authorities = "{x}" }},
		{"too deep", "file.names.certificates", func(s *filedir.Settings) { s.Names.Certificates = strings.Repeat("a/", 9) + "b" }},
		{"another format", "file.names.format", func(s *filedir.Settings) { s.Names.Format = "p7b" }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := good
			c.change(&s)
			_, err := s.Compile([]string{base})
			if !errors.Is(err, fault.Invalid) || fault.Of(err).Field != c.field {
				t.Fatalf("got %v in field %q", err, fault.Of(err).Field)
			}
		})
	}
	if _, err := good.Compile(nil); !errors.Is(err, fault.Invalid) {
		t.Fatalf("files without an allowed directory: %v", err)
	}
}

// FuzzPlace: whatever a certificate says, its file has one place below the
// folder, and two that differ in a fact differ in their place.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"a", "..", "/", ".", "a/b", "\x00", "%2F", "ø", "~"} {
		f.Add(s, s+"x")
	}
	n, err := filedir.Names{Certificates: "a/{cn}/{serial}.cer"}.Compile("x")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		one, err := n.Place(object(nil, fact.Set{"cn": a, "serial": "1"}))
		if err != nil {
			t.Fatal(err)
		}
		if a != "" && (!filepath.IsLocal(one) || strings.Count(one, "/") != 2 || filepath.Clean(one) != one || !strings.HasPrefix(one, "a/")) {
			t.Fatalf("%q became %q", a, one)
		}
		for part := range strings.SplitSeq(one, "/") {
			if len(part) > 200 || strings.HasPrefix(part, ".") {
				t.Fatalf("%q became %q", a, one)
			}
		}
		two, err := n.Place(object(nil, fact.Set{"cn": b, "serial": "1"}))
		if err != nil || a != b && one == two {
			t.Fatalf("%q and %q are both at %q, %v", a, b, one, err)
		}
	})
}
