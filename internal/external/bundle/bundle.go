// Package bundle reads files of certificates as other authorities, servers and
// key stores hand them out, and the facts in each certificate.
//
// [Read] takes PEM with any number of blocks, DER, base64 without armour, and PKCS #7
// (RFC 5652, the certificates of a SignedData). A file with a private key, a PKCS #12
// file and a Java key store are refused whole: nobody shall send those here.
//
// [Parse] reads one certificate. It is more tolerant than crypto/x509, because what
// others have issued is there and ends on its day all the same: curves and algorithms
// that Go does not know, negative serial numbers, and names that are not quite right
// are read. What is bad about a certificate is told in its notes. Nothing here is a
// check of trust.
package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/cms"
)

// Limits of what is read.
const (
	MaxFile         = 4 << 20  // octets of a file
	MaxCertificate  = 64 << 10 // octets of a certificate
	MaxCertificates = 500      // in a file; other PEM blocks count too
)

// An Item is one place of a file where a certificate is, or should be.
type Item struct {
	Certificate *Certificate // nil where there is none that can be read
	Problem     string       // why not, for people
}

// Read finds the certificates of a file, in its order. What is wrong with one of them
// stands in its item. The whole file is refused, with a fault that says why, if it is
// empty ("external.empty"), too large ("external.size", "external.count"), nothing that
// could hold certificates ("external.form"), or may hold a private key
// ("external.private_key", "external.pkcs12", "external.keystore").
func Read(data []byte) ([]Item, error) {
	// The end is trimmed of text alone: the last octet of a signature may look like a
	// space.
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n")
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		return nil, fault.Invalidf("external.empty", "The file is empty.").WithField("file")
	case len(data) > MaxFile:
		return nil, fault.New(fault.TooLarge, "external.size", "The file is larger than %d MiB.", MaxFile>>20).WithNext("Split it.").WithField("file")
	case bytes.Contains(text, begin):
		return readPEM(text)
	}
	if der, ok := bareBase64(text); ok {
		data = der
	}
	return readDER(data)
}

var begin = []byte("-----BEGIN ")

// readPEM goes from one beginning to the next, because the decoder of the standard
// library passes over damaged blocks in silence.
func readPEM(data []byte) ([]Item, error) {
	var items []Item
	_, data, _ = bytes.Cut(data, begin)
	for more := true; more; {
		var block []byte
		block, data, more = bytes.Cut(data, begin)
		found, err := readBlock(block)
		if err != nil {
			return nil, err
		}
		if items = append(items, found...); len(items) > MaxCertificates {
			return nil, tooMany()
		}
	}
	return items, nil
}

// readBlock reads a PEM block whose "-----BEGIN " is cut off.
func readBlock(text []byte) ([]Item, error) {
	label, _, _ := bytes.Cut(text, []byte("-----"))
	kind := strings.ToUpper(string(label[:min(len(label), 60)]))
	if strings.Contains(kind, "PRIVATE KEY") {
		return nil, privateKey()
	}
	block, _ := pem.Decode(append(bytes.Clone(begin), text...))
	if block == nil {
		return []Item{{Problem: "The PEM block is damaged or cut off."}}, nil
	}
	der := block.Bytes
	switch kind {
	case "CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "PKCS #7 SIGNED DATA", "CMS":
	case "TRUSTED CERTIFICATE": // openssl puts settings of its own behind the certificate
		if e, ok := open(der); ok {
			der = der[:len(der)-len(e.rest)]
		}
	case "PKCS12", "PKCS #12":
		return nil, pkcs12()
	default:
		return []Item{{Problem: "The block is of the kind " + printable(strings.ToLower(kind)) + ", not a certificate."}}, nil
	}
	if kindOf(der) == isUnknown {
		return []Item{{Problem: "The PEM block holds no certificate."}}, nil
	}
	return readDER(der)
}

// readDER reads one certificate or PKCS #7 message, or several of them one after the
// other.
func readDER(data []byte) ([]Item, error) {
	var items []Item
	for len(data) > 0 {
		kind := kindOf(data)
		switch kind {
		case isPKCS12:
			return nil, pkcs12()
		case isPrivateKey:
			return nil, privateKey()
		case isKeyStore:
			return nil, keyStore()
		case isSignedData:
			found, err := readSignedData(data)
			return append(items, found...), err
		case isMessage:
			return append(items, Item{Problem: "The PKCS #7 message is encrypted or of another kind that holds no certificates."}), nil
		case isUnknown:
			if len(items) == 0 {
				return nil, noForm()
			}
			return append(items, Item{Problem: "What follows the last certificate cannot be read."}), nil
		}
		e, _ := open(data)
		items = append(items, read(data[:len(data)-len(e.rest)]))
		if len(items) > MaxCertificates {
			return nil, tooMany()
		}
		data = bytes.TrimLeft(e.rest, "\r\n")
	}
	return items, nil
}

func readSignedData(data []byte) ([]Item, error) {
	message, err := cms.Parse(data)
	switch {
	case err != nil:
		return []Item{{Problem: "The PKCS #7 message is damaged: " + strings.TrimPrefix(err.Error(), "cms: ") + "."}}, nil
	case len(message.Certificates) == 0:
		return []Item{{Problem: "The PKCS #7 message holds no certificates."}}, nil
	case len(message.Certificates) > MaxCertificates:
		return nil, tooMany()
	}
	var items []Item
	for _, der := range message.Certificates {
		items = append(items, read(der))
	}
	return items, nil
}

func read(der []byte) Item {
	c, err := Parse(der)
	if err != nil {
		return Item{Problem: "This is no X.509 certificate that can be read: " + printable(err.Error()) + "."}
	}
	return Item{Certificate: c}
}

// bareBase64 decodes text without the lines around it, as it is pasted into forms.
func bareBase64(data []byte) ([]byte, bool) {
	if data[0] != 'M' { // the first six bits of a SEQUENCE
		return nil, false
	}
	text := strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, string(data))
	der, err := base64.StdEncoding.DecodeString(text)
	return der, err == nil && len(der) > 0
}

func tooMany() error {
	return fault.New(fault.TooLarge, "external.count", "The file holds more than %d certificates.", MaxCertificates).WithNext("Split it.").WithField("file")
}

func noForm() error {
	return fault.Invalidf("external.form", "The file holds nothing that could be a certificate.").
		WithNext("Send certificates as PEM, DER or PKCS #7.").WithField("file")
}

func privateKey() error {
	return fault.Invalidf("external.private_key", "The file holds a private key. Nothing of it was kept.").
		WithNext("Send the certificates alone. A private key belongs on the machine that uses it; do not send it to anybody.").WithField("file")
}

func pkcs12() error {
	return fault.Invalidf("external.pkcs12", "This is a PKCS #12 file: it holds a private key. Nothing of it was kept; do not send it.").
		WithNext(`Take the certificates out of it and send those, for example with "openssl pkcs12 -in FILE -nokeys -out certificates.pem".`).WithField("file")
}

func keyStore() error {
	return fault.Invalidf("external.keystore", "This is a Java key store, which may hold private keys. Nothing of it was kept; do not send it.").
		WithNext(`Take the certificates out of it and send those, for example with "keytool -exportcert -rfc -keystore FILE -alias NAME".`).WithField("file")
}
