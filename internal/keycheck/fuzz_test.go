package keycheck

import (
	"os"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// FuzzParseList: whatever is imported or posted, there is a fault with words for
// people or a list of hashes, and no panic.
func FuzzParseList(f *testing.F) {
	for _, name := range []string{"good-p256.csr", "debian-weak.csr", "exponent1.der", "huge-16384.der"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("# c\n6a5fe0a26ec49ea11eda6c6c05ee63f01c8dda392fc771b6ececd2efe4f3f039\n"))
	f.Add([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseList(data)
		if err != nil && fault.Of(err).Code != "key.import" {
			t.Errorf("%v", err)
		}
		for _, k := range keys {
			if len(k.SPKI) != 64 {
				t.Errorf("%+v", k)
			}
		}
		if pub, err := publicOf(data); err == nil && pub == nil {
			t.Error("neither key nor fault")
		}
	})
}
