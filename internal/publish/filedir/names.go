package filedir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// The forms of a file.
const (
	DER = "der" // the object alone
	PEM = "pem" // RFC 7468
)

// Names say what files are called: paths below the folder, with facts, such as
// "{o}/{serial}.cer". An empty one keeps that kind of object out. The name of a
// CRL is made of the facts of its issuer.
type Names struct {
	Certificates string `json:"certificates,omitempty"`
	Authorities  string `json:"authorities,omitempty"`
	CRLs         string `json:"crls,omitempty"`
	Format       string `json:"format,omitempty"` // der by default
}

// Naming is Names that were checked. Both the file system and SFTP use it.
type Naming struct {
	templates map[place.Kind][]fact.Template // one for each part of the path
	format    string
}

const (
	maxDepth   = 8
	maxSegment = 200 // octets; file systems take 255, and a temporary name is longer
)

// Compile checks the names. Faults name the field below prefix, such as
// "file.names.certificates".
func (n Names) Compile(prefix string) (Naming, error) {
	if n.Format == "" {
		n.Format = DER
	}
	if n.Format != DER && n.Format != PEM {
		return Naming{}, invalid(prefix+".format", "The format must be %s or %s.", DER, PEM)
	}
	out := Naming{templates: map[place.Kind][]fact.Template{}, format: n.Format}
	for _, f := range []struct {
		kind        place.Kind
		field, text string
	}{{place.Certificate, ".certificates", n.Certificates}, {place.Authority, ".authorities", n.Authorities}, {place.CRL, ".crls", n.CRLs}} {
		if f.text == "" {
			continue
		}
		t, err := parsePath(f.text)
		if err != nil {
			return Naming{}, invalid(prefix+f.field, "The file name cannot be used: %v.", err)
		}
		out.templates[f.kind] = t
	}
	if len(out.templates) == 0 {
		return Naming{}, invalid(prefix+".certificates", "No kind of object has a file name.").WithNext("Give a name such as {serial}.cer.")
	}
	return out, nil
}

func parsePath(text string) ([]fact.Template, error) {
	segments := strings.Split(text, "/")
	if len(segments) > maxDepth {
		return nil, fmt.Errorf("it has more than %d parts", maxDepth)
	}
	var out []fact.Template
	for _, s := range segments {
		t, err := fact.Parse(s)
		switch {
		case err != nil:
			return nil, err
		case s == "":
			return nil, errors.New("a part between slashes is empty; names start below the folder")
		case strings.HasPrefix(s, "."):
			return nil, fmt.Errorf("the part %q starts with a dot", s)
		case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || strings.ContainsRune(`\:*?"<>`, r) }):
			return nil, fmt.Errorf("the part %q holds a character that file names do not take everywhere", s)
		}
		out = append(out, t)
	}
	return out, nil
}

// Takes tells whether there is a name for objects of the kind.
func (n Naming) Takes(k place.Kind) bool { return n.templates[k] != nil }

// Place is the path of the object below the folder. Whatever a fact says, it
// stays within its part of the path: characters other than letters, digits and
// a few signs are written as %XX, and a part that gets too long is cut and told
// apart by a hash.
func (n Naming) Place(o place.Object) (string, error) {
	templates := n.templates[o.Kind]
	if templates == nil {
		return "", fault.Invalidf("publisher.kind", "The folder has no name for this kind of object (%s).", o.Kind)
	}
	var segments []string
	for _, t := range templates {
		s, err := t.Fill(o.Facts, encode)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(s, ".") {
			s = "%2E" + s[1:]
		}
		if len(s) > maxSegment {
			sum := sha256.Sum256([]byte(s))
			s = s[:maxSegment-33] + "~" + hex.EncodeToString(sum[:16])
		}
		segments = append(segments, s)
	}
	return path.Join(segments...), nil
}

func encode(value string) string {
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._-@+=", c) >= 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// Data is the content of the object's file.
func (n Naming) Data(o place.Object) []byte {
	if n.format == DER {
		return o.DER
	}
	kind := "CERTIFICATE"
	if o.Kind == place.CRL {
		kind = "X509 CRL"
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: o.DER})
}

func invalid(field, format string, args ...any) *fault.Fault {
	return fault.Invalidf("publisher.file", format, args...).WithField(field)
}
