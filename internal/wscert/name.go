package wscert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"
	"unicode"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/dn"
)

// ServiceURI is how a certificate names the one service whose data it opens
// (N9): a URI in its subject alternative name. The common name carries the
// service for people, the URI for programs.
func ServiceURI(realm access.Realm, service string) string {
	return "urn:x-sealwright:service:" + string(realm) + ":" + service
}

// maxCommonName is the upper bound of X.520 for a common name.
const maxCommonName = 64

// commonName builds {service}-ws-ssl-{slug} from a short name such as
// "e-banking" or "my page" (N12).
func commonName(service, shortName string) (slug, cn string, err error) {
	slug = slugOf(shortName)
	if slug == "" {
		return "", "", fault.Invalidf("order.short_name", "The short name %q has no letter or digit.", shortName).WithField("short_name").
			WithNext("Name the application that will use the certificate, such as e-banking.")
	}
	cn = service + "-ws-ssl-" + slug
	if len(cn) > maxCommonName {
		return "", "", fault.Invalidf("order.short_name", "The certificate's name %s would have %d characters; the limit is %d.", cn, len(cn), maxCommonName).
			WithField("short_name").WithNext("Choose a shorter name.")
	}
	return slug, cn, nil
}

var transliterated = strings.NewReplacer("æ", "ae", "ø", "o", "å", "a", "ä", "a", "ö", "o", "ü", "u", "ß", "ss", "é", "e", "è", "e", "à", "a", "ç", "c")

// slugOf lower-cases, writes the letters of our users' languages in ASCII and
// joins the words with dashes.
func slugOf(s string) string {
	words := strings.FieldsFunc(transliterated.Replace(strings.ToLower(s)), func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "-")
}

// subjectOf is the name of a client certificate, after the model of the old
// provider's: country and organisation of the client, a fixed unit, the name.
func subjectOf(c access.Client, cn string) ([]byte, error) {
	var n dn.Name
	if c.Country != "" {
		n = append(n, dn.Attribute{Type: dn.C, Value: c.Country})
	}
	return append(n,
		dn.Attribute{Type: dn.O, Value: truncate(c.Name, maxCommonName)},
		dn.Attribute{Type: dn.OU, Value: "Web Service SSL"},
		dn.Attribute{Type: dn.CN, Value: cn}).DER()
}

func truncate(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return strings.TrimSpace(string(r[:n]))
	}
	return s
}

func describeKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", pub)
}

// searchKey is what the index of names holds: bytes, so that both engines
// order them alike.
func searchKey(cn string) []byte { return []byte(strings.ToLower(cn)) }
