package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/pki/ocsp"
)

func keptAnswer(number uint32, hash crypto.Hash, serial []byte, mark uint32) *answer {
	x := &answer{number: number, hash: uint8(hash), size: uint8(len(serial)), thisUpdate: mark}
	copy(x.serial[:], serial)
	return x
}

// Whatever is put, forgotten and asked for in whatever order: what is found is
// what was put last, nothing that was forgotten is found, and no more is held
// than is allowed.
func TestAnswersAreAMapThatForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &answers{most: answerStripes * answerCost * 10}
		type key struct {
			number uint32
			hash   crypto.Hash
			serial string
		}
		model := map[key]uint32{}
		for step := range rapid.IntRange(1, 4000).Draw(t, "steps") {
			n := rapid.Uint16Range(0, 1500).Draw(t, "serial")
			serial := binary.BigEndian.AppendUint16([]byte{1}, n)
			k := key{uint32(1 + n%3), []crypto.Hash{crypto.SHA1, crypto.SHA256}[n/3%2], string(serial)}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				a.forget(k.number, serial)
				delete(model, k)
			case 1, 2, 3:
				x, ok := a.get(k.number, k.hash, serial)
				if want, had := model[k]; ok && (!had || x.thisUpdate != want || !bytes.Equal(x.serial[:x.size], serial)) {
					t.Fatalf("found %d; put was %d (%v)", x.thisUpdate, want, had)
				}
			case 4:
				// Read before something was forgotten, and so not kept.
				v := a.version(k.number, serial)
				a.forget(k.number, serial)
				a.put(keptAnswer(k.number, k.hash, serial, uint32(step)), v)
				delete(model, k)
			default:
				a.put(keptAnswer(k.number, k.hash, serial, uint32(step)), a.version(k.number, serial))
				model[k] = uint32(step)
				if x, ok := a.get(k.number, k.hash, serial); !ok || x.thisUpdate != uint32(step) {
					t.Fatalf("not found right after it was put")
				}
			}
		}
		held := 0
		for k, want := range model {
			if x, ok := a.get(k.number, k.hash, []byte(k.serial)); ok {
				held++
				if x.thisUpdate != want {
					t.Fatalf("found %d, put was %d", x.thisUpdate, want)
				}
			}
		}
		if held > 10*answerStripes {
			t.Fatalf("%d are held, where %d are allowed", held, 10*answerStripes)
		}
		a.reset()
		for k := range model {
			if _, ok := a.get(k.number, k.hash, []byte(k.serial)); ok {
				t.Fatal("found after a reset")
			}
		}
	})
}

func TestAnswersStayWithinTheirBound(t *testing.T) {
	const bound = 4 << 20
	a := &answers{most: bound}
	for i := range uint64(200_000) {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
		a.put(keptAnswer(1, crypto.SHA1, sum[:16], 1), 0)
	}
	held, octets := 0, 0
	for i := range a.stripes {
		s := &a.stripes[i]
		held += s.used - len(s.free)
		octets += len(s.pages)*answerPage*int(unsafe.Sizeof(answer{})) + 8*len(s.index)
	}
	// Pages are allocated whole, one too many in each stripe.
	if spare := answerStripes * answerPage * int(unsafe.Sizeof(answer{})); octets > bound+spare || held < bound/answerCost*9/10 {
		t.Errorf("%d answers in %d octets", held, octets)
	}
	if !a.full() {
		t.Error("it is full and does not say so")
	}
}

func TestSignaturesArePackedAndComeBack(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[int]bool{}
	for i := range 3000 {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		der, err := key.Sign(nil, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		var packed [64]byte
		if !packSignature(&packed, der) || !bytes.Equal(appendSignature(nil, &packed), der) {
			t.Fatalf("%x comes back as %x", der, appendSignature(nil, &packed))
		}
		sizes[len(der)] = true
	}
	if len(sizes) < 3 {
		t.Errorf("only lengths %v were tried", sizes)
	}
	for name, der := range map[string][]byte{"nothing": nil, "an Ed25519 signature": make([]byte, 64), "a number of 33 octets": append([]byte{0x30, 38, 2, 33, 1}, append(make([]byte, 32), 2, 1, 1)...)} {
		var packed [64]byte
		if packSignature(&packed, der) {
			t.Errorf("%s was packed", name)
		}
	}
}

func TestStatementsThatDoNotFitAreNotKept(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	signature := []byte{0x30, 6, 2, 1, 1, 2, 1, 1}
	good := ocsp.Statement{Serial: []byte{1}, Status: ocsp.Good, ThisUpdate: now}
	if _, ok := pack(&good, crypto.SHA1, signature, false); !ok {
		t.Error("an ordinary statement does not fit")
	}
	for name, change := range map[string]func(*ocsp.Statement){
		"a serial number of 21 octets": func(s *ocsp.Statement) { s.Serial = make([]byte, 21) },
		"the year 2200":                func(s *ocsp.Statement) { s.ThisUpdate = now.AddDate(200, 0, 0) },
		"revoked in 1960":              func(s *ocsp.Statement) { s.Status, s.RevokedAt = ocsp.Revoked, time.Unix(-300_000_000, 0) },
	} {
		s := good
		change(&s)
		if _, ok := pack(&s, crypto.SHA1, signature, false); ok {
			t.Errorf("%s was packed", name)
		}
	}
}

// What an answer costs more among ten million than among ten thousand.
func BenchmarkAnswersGet(b *testing.B) {
	for _, n := range []uint64{10_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("answers=%d", n), func(b *testing.B) {
			a := &answers{most: int64(n)*140 + 1<<20}
			var serial [16]byte
			at := func(i uint64) []byte {
				binary.BigEndian.PutUint64(serial[8:], i*0x9e3779b97f4a7c15)
				return serial[:]
			}
			for i := range n {
				a.put(keptAnswer(1, crypto.SHA1, at(i), 1), 0)
			}
			i := uint64(0)
			for b.Loop() {
				if _, ok := a.get(1, crypto.SHA1, at(i%n)); !ok {
					b.Fatal("gone")
				}
				i += 2_147_483_647
			}
		})
	}
}
