package store

import (
	"encoding/base64"
	"encoding/json"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Page asks for a part of a list by key: the rows after the cursor.
type Page struct {
	Cursor string // from the previous page; empty for the first
	Limit  int    // rows wanted; see Size
}

// DefaultLimit and MaxLimit bound a page.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// Size is the number of rows to give: DefaultLimit when unset, at most MaxLimit.
func (p Page) Size() int {
	if p.Limit <= 0 {
		return DefaultLimit
	}
	return min(p.Limit, MaxLimit)
}

// A Key is the position of a row in its list: the sort value and the id that
// breaks ties.
type Key struct {
	Sort int64  `json:"s"`
	ID   string `json:"i"`
}

// Cursor writes the key in a form that is safe in URLs.
func (k Key) Cursor() string {
	b, _ := json.Marshal(k) // an integer and a string always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

// Key reads the page's cursor; ok is false on the first page.
func (p Page) Key() (k Key, ok bool, err error) {
	if p.Cursor == "" {
		return Key{}, false, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return Key{}, false, fault.Invalidf("page.cursor", "The page cursor cannot be read.").WithNext("Start from the first page.").WithField("cursor")
	}
	return k, true, nil
}
