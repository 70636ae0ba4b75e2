package va

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"testing"
)

// Whatever a path holds, it is refused or decoded; what we encode comes back.
func FuzzDecode(f *testing.F) {
	f.Add("MEIwQDA%2BMDwwOjAJBgUrDgMCGgUABBQ%3D", []byte{0xfb, 0xff, 0xfe})
	f.Add("//+ _-==", []byte("x"))
	f.Fuzz(func(t *testing.T, path string, der []byte) {
		if got, err := decode(path); err == nil && len(got) == 0 {
			t.Errorf("%q is an empty request", path)
		}
		text := base64.StdEncoding.EncodeToString(der)
		for _, form := range []string{text, url.PathEscape(text), url.QueryEscape(text), base64.RawURLEncoding.EncodeToString(der)} {
			got, err := decode(form)
			if len(der) > 0 && len(form) <= maxEncoded && (err != nil || !bytes.Equal(got, der)) {
				t.Errorf("%q gives %x (%v); want %x", form, got, err, der)
			}
		}
	})
}
