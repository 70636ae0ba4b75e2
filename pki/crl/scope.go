package crl

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

func readDistributionPoint(in cryptobyte.String) (*DistributionPoint, error) {
	var body cryptobyte.String
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !in.Empty() || body.Empty() {
		return nil, malformed("issuingDistributionPoint")
	}
	p := &DistributionPoint{}
	var err error
	if body.PeekASN1Tag(tag0Constructed) {
		if p.URIs, err = readFullName(&body); err != nil {
			return nil, err
		}
	}
	ok := true
	p.eachFlag(func(tag asn1.Tag, set *bool) {
		var value cryptobyte.String
		if body.PeekASN1Tag(tag) {
			// TRUE only, since FALSE is the default and DER leaves it out.
			*set = body.ReadASN1(&value, tag) && string(value) == "\xff"
			ok = ok && *set
		}
	})
	if !ok {
		return nil, malformed("issuingDistributionPoint")
	}
	if !body.Empty() {
		return nil, fmt.Errorf("%w: an indirect list, or one for some reasons only", ErrUnsupported)
	}
	if err := p.check(); err != nil {
		return nil, malformed("issuingDistributionPoint: %v", err)
	}
	return p, nil
}

func readFreshest(in cryptobyte.String) (uris []string, err error) {
	var points, point cryptobyte.String
	if !in.ReadASN1(&points, asn1.SEQUENCE) || !in.Empty() || points.Empty() {
		return nil, malformed("freshestCRL")
	}
	for !points.Empty() && len(uris) < maxURIs {
		if !points.ReadASN1(&point, asn1.SEQUENCE) {
			return nil, malformed("freshestCRL")
		}
		if !point.PeekASN1Tag(tag0Constructed) {
			continue // names another issuer or some reasons only; a hint we do not follow
		}
		more, err := readFullName(&point)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		uris = append(uris, more...)
	}
	return uris, nil
}

// readFullName reads a distributionPoint [0] and returns its URIs. One without a
// URI is unsupported: dropped silently, the list would look as if it covered all.
func readFullName(in *cryptobyte.String) (uris []string, err error) {
	var name, names, value cryptobyte.String
	if !in.ReadASN1(&name, tag0Constructed) {
		return nil, malformed("distributionPoint")
	}
	if !name.PeekASN1Tag(tag0Constructed) {
		return nil, fmt.Errorf("%w: a distribution point named relative to its issuer", ErrUnsupported)
	}
	if !name.ReadASN1(&names, tag0Constructed) || !name.Empty() {
		return nil, malformed("distributionPoint")
	}
	for !names.Empty() {
		var tag asn1.Tag
		if !names.ReadAnyASN1(&value, &tag) || len(uris) == maxURIs {
			return nil, malformed("the names of a distributionPoint")
		}
		if tag == tagURI {
			uris = append(uris, string(value))
		}
	}
	if len(uris) == 0 {
		return nil, fmt.Errorf("%w: a distribution point without a URI", ErrUnsupported)
	}
	return uris, checkParsedURIs(uris)
}

func checkParsedURIs(uris []string) error {
	if err := checkURIs(uris); err != nil {
		return malformed("%v", err)
	}
	return nil
}
