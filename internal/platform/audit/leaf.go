package audit

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Stored is an entry as it stands in the log.
type Stored struct {
	ID     string
	At     time.Time
	Origin Origin
	Entry  Entry
	Index  int64 // its leaf in the tree; Pending before it is sequenced
}

// Pending is the index of an entry that has no place in the tree yet.
const Pending int64 = -1

// Leaf is the entry's canonical form, over which its leaf hash is computed; the
// package comment describes it.
func (s Stored) Leaf() []byte {
	o, e := s.Origin, s.Entry
	b := make([]byte, 0, 512)
	b = appendMember(b, `{"action":`, e.Action)
	b = appendMember(b, `,"actor_id":`, o.ID)
	b = appendMember(b, `,"actor_kind":`, o.Kind)
	b = appendMember(b, `,"actor_name":`, o.Name)
	b = strconv.AppendInt(append(b, `,"at":`...), store.Micros(s.At), 10)
	b = appendMember(b, `,"client":`, e.Client)
	b = appendMember(b, `,"correlation":`, o.Correlation)
	b = appendDetail(append(b, `,"detail":`...), e.Detail)
	b = appendMember(b, `,"from":`, o.From)
	b = appendMember(b, `,"id":`, s.ID)
	b = appendMember(b, `,"object_id":`, e.ObjectID)
	b = appendMember(b, `,"object_kind":`, e.ObjectKind)
	b = appendMember(b, `,"realm":`, e.Realm)
	b = appendMember(b, `,"result":`, string(e.Result))
	b = appendMember(b, `,"service":`, e.Service)
	return append(b, `,"v":1}`...)
}

func (s Stored) hash() tlog.Hash { return tlog.RecordHash(s.Leaf()) }

// leafJSON reads the canonical form back.
type leafJSON struct {
	Action      string            `json:"action"`
	ActorID     string            `json:"actor_id"`
	ActorKind   string            `json:"actor_kind"`
	ActorName   string            `json:"actor_name"`
	At          int64             `json:"at"`
	Client      string            `json:"client"`
	Correlation string            `json:"correlation"`
	Detail      map[string]string `json:"detail"`
	From        string            `json:"from"`
	ID          string            `json:"id"`
	ObjectID    string            `json:"object_id"`
	ObjectKind  string            `json:"object_kind"`
	Realm       string            `json:"realm"`
	Result      Result            `json:"result"`
	Service     string            `json:"service"`
}

var errNotCanonical = errors.New("not an audit entry in canonical form")

// ParseLeaf reads an entry from its canonical form and refuses any other form.
// The index is not part of it and comes back as [Pending].
func ParseLeaf(leaf []byte) (Stored, error) {
	var j leafJSON
	if err := json.Unmarshal(leaf, &j); err != nil {
		return Stored{}, errNotCanonical
	}
	s := Stored{
		ID: j.ID, At: store.Time(j.At), Index: Pending,
		Origin: Origin{Kind: j.ActorKind, ID: j.ActorID, Name: j.ActorName, From: j.From, Correlation: j.Correlation},
		Entry: Entry{
			Action: j.Action, ObjectKind: j.ObjectKind, ObjectID: j.ObjectID, Realm: j.Realm, Client: j.Client,
			Service: j.Service, Result: j.Result, Detail: j.Detail,
		},
	}
	if string(s.Leaf()) != string(leaf) {
		return Stored{}, errNotCanonical
	}
	return s, nil
}

func appendMember(b []byte, name, value string) []byte {
	return appendString(append(b, name...), value)
}

func appendDetail(b []byte, m map[string]string) []byte {
	if len(m) == 0 {
		return append(b, "{}"...)
	}
	keys := make([]string, 0, 8)
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys) // bytes of UTF-8 sort as code points do
	for i, k := range keys {
		b = append(b, "{,"[min(i, 1)])
		b = append(appendString(b, k), ':')
		b = appendString(b, m[k])
	}
	return append(b, '}')
}

func parseDetail(text string) (map[string]string, error) {
	if text == "{}" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil || string(appendDetail(nil, m)) != text {
		return nil, errNotCanonical
	}
	return m, nil
}

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if k := strings.IndexByte("\"\\\b\t\n\f\r", c); k >= 0 {
			b = append(b, '\\', `"\btnfr`[k])
		} else {
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// maxText bounds each text of an entry, so that a hostile request cannot fill
// the log with one header.
const maxText = 4096

// clean makes all texts such that both engines keep them as they are.
func clean(s Stored) Stored {
	o, e := &s.Origin, &s.Entry
	for _, p := range []*string{
		&o.Kind, &o.ID, &o.Name, &o.From, &o.Correlation,
		&e.Action, &e.ObjectKind, &e.ObjectID, &e.Realm, &e.Client, &e.Service, (*string)(&e.Result),
	} {
		*p = cleanText(*p)
	}
	for k, v := range e.Detail {
		if cleanText(k) != k || cleanText(v) != v {
			e.Detail = cleanDetail(e.Detail)
			break
		}
	}
	return s
}

func cleanDetail(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out[cleanText(k)] = cleanText(m[k])
	}
	return out
}

func cleanText(s string) string {
	if len(s) <= maxText && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
	if len(s) <= maxText {
		return s
	}
	const cut = "…"
	end := maxText - len(cut)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cut
}
