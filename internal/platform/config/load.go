package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Prefix begins the name of every variable of ours.
const Prefix = "SEALWRIGHT_"

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// Load reads the file, then the variables in env (as os.Environ gives them),
// and checks the whole. An empty path reads variables only. Mistakes come back
// as [Problems], all of them at once.
func Load(path string, env []string) (*Config, error) {
	var doc []byte
	if path != "" {
		var err error
		if doc, err = readFile(path); err != nil {
			return nil, Problems{{Source: path, What: err.Error()}}
		}
	}
	return parse(path, doc, env)
}

// Default is the configuration of an empty file.
func Default() *Config {
	c := basis()
	c.complete()
	return c
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	if len(doc) > maxFile {
		return nil, fmt.Errorf("the file is larger than %s", showSize(maxFile))
	}
	return doc, nil
}

// parse is Load behind the reading of the file.
func parse(path string, doc []byte, env []string) (*Config, error) {
	l := &loader{path: path, config: basis(), env: map[string]string{}, origin: map[string]Problem{}, wrong: map[string]bool{}}
	for _, pair := range env {
		if name, v, ok := strings.Cut(pair, "="); ok {
			l.env[name] = v
		}
	}
	l.settings = settings(l.config)
	if path != "" {
		l.readDocument(doc)
	}
	l.readVariables()
	l.config.complete()
	l.config.check(l.report)
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(boolRank(a.Line == 0), boolRank(b.Line == 0)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, l.problems
	}
	l.config.Database.join()
	return l.config, nil
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A loader collects values and mistakes.
type loader struct {
	path     string
	env      map[string]string
	config   *Config
	settings []setting
	origin   map[string]Problem // by key: where the value in force came from
	wrong    map[string]bool    // keys whose value was refused
	referred []string           // variables that secrets refer to
	problems Problems
}

// readDocument takes over every value of the TOML document.
func (l *loader) readDocument(doc []byte) {
	var tree map[string]any
	if err := toml.Unmarshal(doc, &tree); err != nil {
		p := Problem{Source: l.path, What: strings.TrimPrefix(err.Error(), "toml: ")}
		var d *toml.DecodeError
		if errors.As(err, &d) {
			p.Line, p.Column = d.Position()
			p.Key = strings.Join(d.Key(), ".")
		}
		l.problems = append(l.problems, p)
		return
	}
	l.walk(tree, "", positions(l.path, doc))
}

// walk reads the settings below prefix and reports what is none.
func (l *loader) walk(table map[string]any, prefix string, at map[string]Problem) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		key := prefix + name
		l.origin[key] = at[key]
		if i := slices.IndexFunc(l.settings, func(s setting) bool { return s.key == key }); i >= 0 && !strings.Contains(name, ".") {
			l.refer(table[name])
			l.set(l.settings[i], table[name], place{dir: filepath.Dir(l.path), env: l.env})
			continue
		}
		inner, isTable := table[name].(map[string]any)
		known := slices.ContainsFunc(l.settings, func(s setting) bool { return strings.HasPrefix(s.key, key+".") })
		switch {
		case known && isTable:
			l.walk(inner, key+".", at)
		case known:
			l.report(key, "is "+typeName(table[name]), "a table ["+key+"]")
		default:
			l.unknown(key, isTable)
		}
	}
}

func (l *loader) unknown(key string, isTable bool) {
	known, what := make([]string, 0, len(l.settings)), "is not a known key"
	for _, s := range l.settings {
		known = append(known, s.key)
	}
	if isTable {
		known, what = slices.Collect(maps.Keys(sections)), "is not a known table"
		slices.Sort(known)
	}
	if n := nearest(key, known); n != "" {
		what += fmt.Sprintf(", perhaps %q is meant", n)
	}
	l.report(key, what, "")
}

// set reads one value; a mistake is reported at the value's origin.
func (l *loader) set(s setting, raw any, at place) {
	if err := s.value.read(raw, at); err != nil {
		l.report(s.key, err.Error(), s.value.allowed)
	}
}

// report adds a problem at the origin of the key. Later mistakes of a key whose
// value was refused, or that follow from such a key, stay out.
func (l *loader) report(key, what, allowed string, from ...string) {
	if slices.ContainsFunc(append(from, key), func(k string) bool { return l.wrong[k] }) {
		return
	}
	l.wrong[key] = true
	p := l.origin[key]
	p.Key, p.What, p.Allowed = key, what, allowed
	if p.Source == "" { // a default
		p.Source = cmp.Or(l.path, VariableOf(key))
	}
	l.problems = append(l.problems, p)
}

// refer notes the variables that "env:NAME" stands for: they need not be
// settings even if their names begin like one.
func (l *loader) refer(raw any) {
	switch v := raw.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "env:"); ok {
			l.referred = append(l.referred, name)
		}
	case map[string]any:
		for _, inner := range v {
			l.refer(inner)
		}
	}
}

// VariableOf is the environment variable of a dotted key.
func VariableOf(key string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// readVariables puts the environment over the file.
func (l *loader) readVariables() {
	known := make([]string, 0, len(l.settings))
	for _, s := range l.settings {
		name := VariableOf(s.key)
		known = append(known, name)
		file := ""
		if s.value.secret {
			file = name + "_FILE"
			known = append(known, file)
		}
		l.readVariable(s, name, file)
	}
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		if !strings.HasPrefix(name, Prefix) || slices.Contains(known, name) || slices.Contains(l.referred, name) || foreign(name) {
			continue
		}
		what := "the variable is not known"
		if n := nearest(name, known); n != "" {
			what += fmt.Sprintf(", perhaps %s is meant", n)
		}
		l.problems = append(l.problems, Problem{Source: name, What: what})
	}
}

func (l *loader) readVariable(s setting, name, file string) {
	v, isSet := l.env[name]
	path, isFile := "", false
	if file != "" {
		path, isFile = l.env[file]
	}
	switch {
	case isSet && isFile:
		l.origin[s.key] = Problem{Source: file}
		l.report(s.key, "is given twice, by "+name+" too", "one of the two")
	case isFile:
		l.origin[s.key] = Problem{Source: file}
		l.set(s, map[string]any{"file": path}, place{env: l.env})
	case isSet:
		var raw any = v
		if s.value.split != nil {
			raw = s.value.split(v)
		}
		l.origin[s.key] = Problem{Source: name}
		l.set(s, raw, place{env: l.env})
	}
}

// foreign tells variables that begin like ours but are not settings: the path
// of the file, the passphrases of commands, those of the tests, and those that Kubernetes sets in every pod
// beside a service named sealwright.
func foreign(name string) bool {
	rest := strings.TrimPrefix(name, Prefix)
	return rest == "CONFIG" || rest == "PORT" || rest == "BACKUP_PASSPHRASE" || rest == "ROOT_PASSPHRASE" || rest == "SCREENSHOTS" ||
		strings.HasPrefix(rest, "TEST_") || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}

// complete fills in what follows from other settings.
func (c *Config) complete() {
	if c.Database.URL.Empty() {
		c.Database.URL = secret.New("sqlite:" + filepath.Join(c.Server.DataDir, "sealwright.db"))
	}
	if c.Blob.Kind == BlobFiles && c.Blob.Dir == "" {
		c.Blob.Dir = filepath.Join(c.Server.DataDir, "blobs")
	}
	m := &c.Keys.Master
	if m.File == "" && m.Key.Empty() && m.Passphrase.Empty() {
		m.File = filepath.Join(c.Server.DataDir, "master.key")
	}
}

// join makes the URL whole with the password that was given apart.
func (d *Database) join() {
	u, err := url.Parse(d.URL.Reveal())
	if err != nil || d.Password.Empty() {
		return
	}
	u.User = url.UserPassword(u.User.Username(), d.Password.Reveal())
	d.URL = secret.New(u.String())
}
