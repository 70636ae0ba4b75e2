// Package caa reads Certification Authority Authorization records (RFC 8659)
// and decides whether they let an authority issue.
//
// [Decide] climbs the tree of names through a look-up that the caller supplies,
// finds the relevant record set, and applies it to a [Request]: issue and
// issuewild of RFC 8659, issuemail of RFC 9495, accounturi and validationmethods
// of RFC 8657. It never permits what it cannot read: an unknown property with
// the critical flag refuses, and a value that does not follow the grammar
// counts as one that names no issuer.
//
// The package does no input or output. A name costs one look-up per label at
// most.
package caa

import (
	"errors"
	"fmt"
)

// The property tags that the package knows.
const (
	TagIssue     = "issue"     // RFC 8659, section 4.2
	TagIssueWild = "issuewild" // RFC 8659, section 4.3
	TagIodef     = "iodef"     // RFC 8659, section 4.4
	TagIssueMail = "issuemail" // RFC 9495, section 4
)

// critical is the Issuer Critical Flag, bit 0 counted from the left (RFC 8659,
// section 4.1). All other bits are reserved and ignored.
const critical = 0x80

// A Record is one CAA resource record.
type Record struct {
	Flags uint8  `json:"flags"`
	Tag   string `json:"tag"`   // in lower case, as tags are compared (section 4.1)
	Value string `json:"value"` // as it stood in the record, not yet parsed
}

// Critical tells whether an authority that does not know the tag must not issue.
func (r Record) Critical() bool { return r.Flags&critical != 0 }

// String gives the record in presentation form.
func (r Record) String() string { return fmt.Sprintf("%d %s %q", r.Flags, r.Tag, r.Value) }

// New makes a record of its three fields. It refuses an empty tag and one
// longer than 255 bytes, which cannot stand on the wire. A tag with other
// characters than letters and digits is kept: it is unknown, and counts if it
// is critical.
func New(flags uint8, tag string, value []byte) (Record, error) {
	if tag == "" || len(tag) > 255 {
		return Record{}, fmt.Errorf("CAA tag of %d bytes", len(tag))
	}
	return Record{Flags: flags, Tag: lower(tag), Value: string(value)}, nil
}

// Parse reads the RDATA of a record (RFC 8659, section 4.1).
func Parse(rdata []byte) (Record, error) {
	if len(rdata) < 2 {
		return Record{}, errors.New("CAA record is shorter than its flags and tag length")
	}
	n := int(rdata[1])
	if len(rdata) < 2+n {
		return Record{}, fmt.Errorf("CAA tag of %d bytes in a record of %d", n, len(rdata))
	}
	return New(rdata[0], string(rdata[2:2+n]), rdata[2+n:])
}

// Encode gives the RDATA of a record that New or Parse made.
func (r Record) Encode() []byte {
	out := append([]byte{r.Flags, byte(len(r.Tag))}, r.Tag...)
	return append(out, r.Value...)
}

// known tells whether the package understands the property.
func known(tag string) bool {
	return tag == TagIssue || tag == TagIssueWild || tag == TagIodef || tag == TagIssueMail
}

// lower is strings.ToLower for ASCII: a tag is bytes, not text, and must not grow.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
