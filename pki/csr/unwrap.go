package csr

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// unwrap finds the DER in whatever form data has.
func unwrap(data []byte) ([]byte, error) {
	if len(data) > MaxSize {
		return nil, refuse(TooLarge, "The request has %d octets; at most %d are read.", len(data), MaxSize)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, refuse(NotARequest, "The text is in UTF-16. Save it as UTF-8 or ASCII and send it again.")
	}
	if len(data) > 0 && data[0] == 0x30 { // a DER SEQUENCE; base64 of one begins with "M"
		return data, nil
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case len(text) == 0:
		return nil, refuse(Empty, "The request is empty. Send a PKCS #10 request, beginning with -----BEGIN CERTIFICATE REQUEST-----.")
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return fromPEM(text)
	}
	return decodeBase64(text)
}

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemDash  = "-----"
)

// fromPEM reads the only PEM block in text. It is more patient than encoding/pem
// with indentation and lost line breaks, and unlike it says what is wrong.
func fromPEM(text []byte) ([]byte, error) {
	labels := pemLabels(text)
	for _, label := range labels {
		if err := refuseLabel(label); err != nil {
			return nil, err
		}
	}
	if len(labels) != 1 {
		return nil, refuse(SeveralBlocks, "The text holds %d PEM blocks. Send exactly one request.", len(labels))
	}
	_, rest, _ := bytes.Cut(text, []byte(pemBegin+labels[0]+pemDash))
	body, _, closed := bytes.Cut(rest, []byte(pemEnd+labels[0]+pemDash))
	if !closed {
		return nil, refuse(Malformed, "The line -----END %s----- is missing. The text was cut off; send all of it.", labels[0])
	}
	return decodeBase64(body)
}

// pemLabels lists the labels of all BEGIN lines.
func pemLabels(text []byte) []string {
	var labels []string
	for {
		_, rest, found := bytes.Cut(text, []byte(pemBegin))
		if !found {
			return labels
		}
		label, _, _ := bytes.Cut(rest, []byte(pemDash))
		labels = append(labels, string(label))
		text = rest
	}
}

func refuseLabel(label string) error {
	switch {
	case label == "CERTIFICATE REQUEST" || label == "NEW CERTIFICATE REQUEST":
		return nil
	case strings.HasSuffix(label, "PRIVATE KEY"):
		return isPrivateKey()
	case label == "CERTIFICATE" || label == "X509 CERTIFICATE" || label == "TRUSTED CERTIFICATE":
		return isCertificate()
	case strings.HasSuffix(label, "PUBLIC KEY"):
		return isPublicKey()
	case label == "PKCS7" || label == "CMS":
		return isCMS()
	case len(label) > 40 || strings.ContainsAny(label, "\r\n"):
		return refuse(Malformed, "The BEGIN line is damaged. It must read -----BEGIN CERTIFICATE REQUEST-----.")
	}
	return refuse(NotARequest, "This is a PEM block of type %q, not a certificate request.", label)
}

// decodeBase64 ignores white space, header lines such as "Proc-Type: …" before
// the body, and missing padding.
func decodeBase64(text []byte) ([]byte, error) {
	for {
		line, rest, found := bytes.Cut(text, []byte("\n"))
		if !found || len(bytes.TrimSpace(line)) > 0 && !bytes.ContainsRune(line, ':') {
			break
		}
		text = rest
	}
	packed := bytes.Join(bytes.Fields(text), nil)
	packed = bytes.TrimRight(packed, "=")
	der := make([]byte, base64.RawStdEncoding.DecodedLen(len(packed)))
	n, err := base64.RawStdEncoding.Decode(der, packed)
	if err != nil || n == 0 {
		return nil, refuse(NotARequest, "This is neither PEM, base64 nor DER. Send a PKCS #10 request, beginning with -----BEGIN CERTIFICATE REQUEST-----.")
	}
	return der[:n], nil
}

// unrecognised says what DER is that is not a request. It runs on the way to an
// error only, so it may take its time.
func unrecognised(der []byte) error {
	if _, err := x509.ParseCertificate(der); err == nil {
		return isCertificate()
	}
	if isKey(der) {
		return isPrivateKey()
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return isPublicKey()
	}
	input := cryptobyte.String(der)
	var fields cryptobyte.String
	var version int
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) {
		return refuse(Malformed, "This is not a certificate request, or it was damaged on the way. Create it again.")
	}
	if fields.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER) {
		return isCMS()
	}
	if fields.ReadASN1Integer(&version) && version == 3 && fields.PeekASN1Tag(cbasn1.SEQUENCE) {
		return refuse(PrivateKey, "This is a PKCS #12 file, which holds a private key. Never send it to anybody; send a certificate request.")
	}
	return refuse(Malformed, "This is not a certificate request, or it was damaged on the way. Create it again.")
}

func isKey(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}

func isPrivateKey() error {
	return refuse(PrivateKey, "This is a private key. Never send it to anybody: create a new key, keep it, and send the certificate request only.")
}

func isCertificate() error {
	return refuse(NotARequest, "This is a certificate, not a request. Send the PKCS #10 request that was created with the key.")
}

func isPublicKey() error {
	return refuse(NotARequest, "This is a bare public key, not a request. Create a PKCS #10 request, which proves that you hold the private key.")
}

func isCMS() error {
	return refuse(NotARequest, "This is a PKCS #7 or CMS message, not a PKCS #10 request.")
}
