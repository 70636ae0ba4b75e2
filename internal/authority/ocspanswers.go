package authority

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/ocsp"
)

// answers are OCSP answers that this node has signed, to be given again. They
// take 128 octets each in place of a thousand (see [ocsp.Mould]), hold no
// pointers that the garbage collector would follow, and grow with what is asked,
// up to a bound; then the oldest of those nearby makes room.
//
// They stay in memory: reading one from a table costs as much as reading the
// certificate's state there, and signing it anew only as much again, while ten
// million rows would be written with each renewal. The zero value is ready.
type answers struct {
	most    int64 // octets; zero is answersSize
	stripes [answerStripes]stripe
}

const (
	answersSize   = 128 << 20 // a million answers
	answerStripes = 64
	answerPage    = 512 // answers that are allocated together
	answerCost    = 128 // octets an answer takes, with its place in the index
)

// An answer is a signed statement of one mould.
type answer struct {
	mould      uint32
	number     uint32 // of the authority
	thisUpdate uint32 // Unix seconds, as far as 2106
	revokedAt  uint32
	size       uint8 // of the serial number
	hash       uint8 // that names the certificate
	status     uint8
	reason     uint8
	expired    bool
	serial     [20]byte
	signature  [64]byte // r and s
}

type stripe struct {
	mu      sync.Mutex
	version uint64 // grows when something is forgotten
	pages   []*[answerPage]answer
	used    int     // answers handed out of the pages
	free    []int32 // of those, the ones that were forgotten
	index   []entry // by hash, linear probing
	marks   int     // places of the index that are not empty
	hand    int     // the next to make room
}

// An entry of the index is empty, gone, or the number of an answer and one, below
// half of its hash, so that a look at the index tells most others apart.
type entry uint64

// gone marks a place of the index whose answer was forgotten.
const gone entry = 1<<32 - 1

func entryOf(h uint64, i int32) entry { return entry(h&^(1<<32-1)) | entry(i+1) } //nolint:gosec // it is not negative

func (e entry) answer() int32 { return int32(e&(1<<32-1)) - 1 } //nolint:gosec // it was one

func place(number uint32, serial []byte) uint64 {
	var tail [8]byte
	copy(tail[:], serial[max(0, len(serial)-8):]) // random bits, in serial numbers of ours
	h := (binary.LittleEndian.Uint64(tail[:]) ^ uint64(number)<<32 ^ uint64(len(serial))) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func (a *answers) stripe(h uint64) *stripe { return &a.stripes[h%answerStripes] }

// version is to be read before the state that an answer tells, and given to put.
func (a *answers) version(number uint32, serial []byte) uint64 {
	s := a.stripe(place(number, serial))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// versions are those of all stripes, for many answers.
func (a *answers) versions() (all [answerStripes]uint64) {
	for i := range a.stripes {
		s := &a.stripes[i]
		s.mu.Lock()
		all[i] = s.version
		s.mu.Unlock()
	}
	return all
}

func (a *answers) get(number uint32, hash crypto.Hash, serial []byte) (found answer, ok bool) {
	h := place(number, serial)
	s := a.stripe(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, x := s.find(h, number, hash, serial)
	if x == nil {
		return answer{}, false
	}
	return *x, true
}

// put keeps an answer, unless something was forgotten since version: perhaps
// that very certificate, after its state was read.
func (a *answers) put(x *answer, version uint64) {
	serial := x.serial[:x.size]
	h := place(x.number, serial)
	s := a.stripe(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != version {
		return
	}
	if _, was := s.find(h, x.number, crypto.Hash(x.hash), serial); was != nil {
		*was = *x
		return
	}
	i := s.room(a.most)
	*s.at(i) = *x
	if 3*(s.marks+1) > 2*len(s.index) {
		s.rebuild()
		return
	}
	s.enter(h, i)
}

// forget drops all answers about a certificate.
func (a *answers) forget(number uint32, serial []byte) {
	h := place(number, serial)
	s := a.stripe(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		if at, x := s.find(h, number, hash, serial); x != nil {
			s.free = append(s.free, s.index[at].answer())
			s.index[at], x.number = gone, 0
		}
	}
}

// reset drops everything.
func (a *answers) reset() {
	for i := range a.stripes {
		s := &a.stripes[i]
		s.mu.Lock()
		s.version++
		s.pages, s.used, s.free, s.index, s.marks, s.hand = nil, 0, nil, nil, 0, 0
		s.mu.Unlock()
	}
}

// full says whether the next answer will cost another.
func (a *answers) full() bool {
	s := &a.stripes[0] // all fill alike
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used-len(s.free) >= most(a.most)
}

func (s *stripe) at(i int32) *answer { return &s.pages[i/answerPage][i%answerPage] }

func (s *stripe) find(h uint64, number uint32, hash crypto.Hash, serial []byte) (at int, x *answer) {
	for at, left := s.start(h), len(s.index); left > 0; left-- {
		e := s.index[at]
		if e == 0 {
			break
		}
		if e != gone && uint64(e)>>32 == h>>32 {
			if x := s.at(e.answer()); x.number == number && crypto.Hash(x.hash) == hash && bytes.Equal(x.serial[:x.size], serial) {
				return at, x
			}
		}
		if at++; at == len(s.index) {
			at = 0
		}
	}
	return 0, nil
}

func (s *stripe) start(h uint64) int {
	if len(s.index) == 0 {
		return 0
	}
	return int((h >> 6 & (1<<32 - 1)) * uint64(len(s.index)) >> 32) //nolint:gosec // below the length
}

func (s *stripe) enter(h uint64, i int32) {
	at := s.start(h)
	for s.index[at] != 0 {
		at = (at + 1) % len(s.index)
	}
	s.index[at] = entryOf(h, i)
	s.marks++
}

func most(size int64) int {
	if size <= 0 {
		size = answersSize
	}
	return int(max(size/(answerStripes*answerCost), 8))
}

// room is the number of an answer to write over.
func (s *stripe) room(size int64) int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if s.used < most(size) {
		if s.used == len(s.pages)*answerPage {
			s.pages = append(s.pages, new([answerPage]answer))
		}
		s.used++
		return int32(s.used - 1) //nolint:gosec // a stripe holds far fewer
	}
	s.hand = (s.hand + 1) % s.used
	i := int32(s.hand) //nolint:gosec // as above
	x := s.at(i)
	if at, was := s.find(place(x.number, x.serial[:x.size]), x.number, crypto.Hash(x.hash), x.serial[:x.size]); was != nil {
		s.index[at] = gone
	}
	return i
}

// rebuild makes an index without marks of the forgotten, half full.
func (s *stripe) rebuild() {
	s.index, s.marks = make([]entry, max(64, 2*(s.used-len(s.free)))), 0
	for i := range s.used {
		if x := s.at(int32(i)); x.number != 0 { //nolint:gosec // as above
			s.enter(place(x.number, x.serial[:x.size]), int32(i)) //nolint:gosec // as above
		}
	}
}

// statement is what the answer says, for the mould of a desk.
func (x *answer) statement(d *desk) ocsp.Statement {
	s := ocsp.Statement{Serial: x.serial[:x.size], Status: ocsp.Status(x.status), ThisUpdate: time.Unix(int64(x.thisUpdate), 0), Reason: int(x.reason)}
	if s.Status == ocsp.Revoked {
		s.RevokedAt = time.Unix(int64(x.revokedAt), 0)
	}
	d.bound(&s, x.expired)
	return s
}

// pack makes an answer to keep; false if it does not fit into one.
func pack(s *ocsp.Statement, hash crypto.Hash, signature []byte, expired bool) (x answer, ok bool) {
	this, revoked := s.ThisUpdate.Unix(), int64(0)
	if s.Status == ocsp.Revoked {
		revoked = s.RevokedAt.Unix()
	}
	if len(s.Serial) > len(x.serial) || this != int64(uint32(this)) || revoked != int64(uint32(revoked)) || !packSignature(&x.signature, signature) { //nolint:gosec // what does not fit is refused
		return x, false
	}
	x.thisUpdate, x.revokedAt, x.expired = uint32(this), uint32(revoked), expired //nolint:gosec // checked above
	x.size, x.hash, x.status, x.reason = uint8(len(s.Serial)), uint8(hash), uint8(s.Status), uint8(s.Reason)
	copy(x.serial[:], s.Serial)
	return x, true
}

// packSignature takes a DER signature by a P-256 key apart.
func packSignature(out *[64]byte, der []byte) bool {
	in := cryptobyte.String(der)
	var body cryptobyte.String
	var r, s []byte
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(&r) || !body.ReadASN1Integer(&s) || !body.Empty() || len(r) > 32 || len(s) > 32 {
		return false
	}
	copy(out[32-len(r):], r)
	copy(out[64-len(s):], s)
	return true
}

// appendSignature is the inverse of packSignature.
func appendSignature(dst []byte, packed *[64]byte) []byte {
	start := len(dst)
	dst = append(dst, asn1.TagSequence|0x20, 0)
	for _, n := range [][]byte{packed[:32], packed[32:]} {
		for len(n) > 1 && n[0] == 0 {
			n = n[1:]
		}
		if n[0] >= 0x80 {
			dst = append(append(dst, asn1.TagInteger, byte(len(n)+1), 0), n...)
		} else {
			dst = append(append(dst, asn1.TagInteger, byte(len(n))), n...)
		}
	}
	dst[start+1] = byte(len(dst) - start - 2)
	return dst
}
