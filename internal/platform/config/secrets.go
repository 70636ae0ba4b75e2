package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/secret"
)

// maxSecret bounds a secret's file, in bytes.
const maxSecret = 64 << 10

// Whether a secret may stand in the file itself.
const (
	literal  = true
	indirect = false
)

// hidden is a secret of at least so many characters. Its errors never show it.
func hidden(dst *secret.Text, least int, inFile bool) value {
	return secretValue(dst, secretForms(inFile)+leastText(least), inFile, func(s string) error {
		if len(s) < least {
			return errors.New("is too short")
		}
		return nil
	})
}

// databaseURL is secret because it may hold a password.
func databaseURL(dst *secret.Text) value {
	v := secretValue(dst, `"sqlite:/path/to/file" or "postgres://user@host/database?sslmode=verify-full"`, literal, func(s string) error {
		if file, ok := strings.CutPrefix(s, "sqlite:"); ok {
			if file == "" || strings.ContainsAny(file, "?#\x00") {
				return errors.New("names no file")
			}
			return nil
		}
		u, err := url.Parse(s)
		if strings.Contains(s, "{{") {
			return errors.New("is a template; number and text go into the body")
		}
		if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || strings.Trim(u.Path, "/") == "" {
			return errors.New("is not the address of a database")
		}
		return nil
	})
	read := v.read
	v.read = func(raw any, at place) error {
		if err := read(raw, at); err != nil {
			return err
		}
		if file, ok := strings.CutPrefix(dst.Reveal(), "sqlite:"); ok && !filepath.IsAbs(file) && at.dir != "" {
			*dst = secret.New("sqlite:" + filepath.Join(at.dir, file))
		}
		return nil
	}
	return v
}

// gatewayURL is secret because its query may hold credentials.
func gatewayURL(dst *secret.Text) value {
	return secretValue(dst, `an https URL such as "https://sms.example.org/send" (http for loopback only)`, literal, func(s string) error {
		u, err := url.Parse(s)
		if strings.Contains(s, "{{") {
			return errors.New("is a template; number and text go into the body")
		}
		if err != nil || u.Host == "" {
			return errors.New("is not a URL")
		}
		if u.Scheme != "https" && !(u.Scheme == "http" && isLocal(u.Hostname())) {
			return errors.New("is not encrypted")
		}
		return nil
	})
}

func secretValue(dst *secret.Text, allowed string, inFile bool, check func(string) error) value {
	return value{
		allowed: allowed,
		secret:  true,
		read: func(raw any, at place) error {
			s, err := resolve(raw, at, inFile)
			if err != nil {
				return err
			}
			if err := check(s); err != nil {
				return err
			}
			*dst = secret.New(s)
			return nil
		},
		write: func() string { return "" },
		split: func(s string) any { return fromVariable(s) },
	}
}

// headers is a table of HTTP headers whose values may be secrets.
func headers(dst *map[string]secret.Text) value {
	return value{
		allowed: `a table of header names and values, without Host, Content-Type and Content-Length`,
		read: func(raw any, at place) error {
			table, ok := raw.(map[string]any)
			if !ok {
				return errors.New("is " + typeName(raw) + ", not a table")
			}
			all := make(map[string]secret.Text, len(table))
			for name, raw := range table {
				s, err := headerValue(name, raw, at)
				if err != nil {
					return err
				}
				all[name] = secret.New(s)
			}
			*dst = all
			return nil
		},
		write: func() string { return "" },
		split: splitHeaders,
	}
}

func headerValue(name string, raw any, at place) (string, error) {
	const token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if name == "" || strings.Trim(name, token) != "" {
		return "", fmt.Errorf("header %q is not a name", name)
	}
	switch strings.ToLower(name) {
	case "host", "content-type", "content-length":
		return "", fmt.Errorf("header %q is set elsewhere", name)
	}
	s, err := resolve(raw, at, literal)
	if err != nil {
		return "", fmt.Errorf("header %q: the value %w", name, err)
	}
	if strings.ContainsAny(s, "\r\n\x00") {
		return "", fmt.Errorf("header %q: the value has more than one line", name)
	}
	return s, nil
}

// splitHeaders reads the lines "Name: value" of a variable.
func splitHeaders(s string) any {
	table := map[string]any{}
	for l := range strings.Lines(s) {
		if name, v, ok := strings.Cut(strings.TrimSpace(l), ":"); ok {
			table[name] = fromVariable(strings.TrimSpace(v))
		} else if name != "" {
			return s // not a table: refused as text
		}
	}
	return table
}

// fromVariable marks a secret that stood in a variable: there it is taken as
// it is, even where the file must not hold it.
type fromVariable string

// resolve follows the ways in which a secret may be given.
func resolve(raw any, at place, inFile bool) (string, error) {
	switch v := raw.(type) {
	case fromVariable:
		return string(v), nil
	case string:
		if name, ok := strings.CutPrefix(v, "env:"); ok {
			return at.variable(name)
		}
		if !inFile {
			return "", errors.New("must not stand in the file itself")
		}
		return v, nil
	case map[string]any:
		if len(v) == 1 {
			if file, ok := v["file"].(string); ok {
				return at.secretFile(file)
			}
			if name, ok := v["credential"].(string); ok {
				return at.credential(name)
			}
		}
	}
	return "", errors.New("is not one of the forms of a secret")
}

func (at place) variable(name string) (string, error) {
	v, ok := at.env[name]
	if !ok || v == "" {
		return "", fmt.Errorf("names the variable %q, which is not set", name)
	}
	return v, nil
}

// credential reads a file that systemd passed to the service
// (LoadCredential= in systemd.exec(5)).
func (at place) credential(name string) (string, error) {
	dir := at.env["CREDENTIALS_DIRECTORY"]
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return "", fmt.Errorf("names the credential %q, which is not a file name", name)
	case dir == "":
		return "", fmt.Errorf("names the credential %q, but $CREDENTIALS_DIRECTORY is not set: the process was not started by systemd with LoadCredential=", name)
	}
	return at.secretFile(filepath.Join(dir, name))
}

func (at place) secretFile(name string) (string, error) {
	if name != "" && !filepath.IsAbs(name) && at.dir != "" {
		name = filepath.Join(at.dir, name)
	}
	if err := readable(name); err != nil {
		return "", err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", cannotRead(name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", cannotRead(name, err)
	case len(b) > maxSecret:
		return "", fmt.Errorf("is in the file %q, which is larger than %d bytes", name, maxSecret)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r") // the newline that editors add
	if s == "" {
		return "", fmt.Errorf("is in the file %q, which is empty", name)
	}
	return s, nil
}

// readable tells why a regular file cannot be used. Pipes and devices are
// refused, as reading them may never end.
func readable(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return cannotRead(name, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("names %q, which is not a regular file", name)
	}
	return nil
}

func cannotRead(name string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("names the file %q, which cannot be read: %w", name, err)
}

func secretForms(inFile bool) string {
	forms := `{ file = "/path" }, { credential = "name" } or "env:NAME"`
	if inFile {
		return "a secret: text, " + forms
	}
	return "a secret: " + forms
}

func leastText(least int) string {
	if least > 1 {
		return fmt.Sprintf(", with at least %d characters", least)
	}
	return ""
}
