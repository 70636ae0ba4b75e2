package tbs

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidMSTemplate     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 7}
	oidMSTemplateName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}
	oidMSAppPolicies  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}
	oidMSSecurity     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}
	oidMSObjectSID    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2, 1}
	oidMSReplication  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 1}
)

// MicrosoftTemplate names the template of an enterprise CA (MS-WCCE,
// 2.2.2.7.7.2), version 2.
func MicrosoftTemplate(id asn1.ObjectIdentifier, major, minor int) (Extension, error) {
	if major < 0 || minor < 0 {
		return Extension{}, errors.New("tbs: a certificate template of a negative version")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1Int64(int64(major))
		b.AddASN1Int64(int64(minor))
	})
	return extension(oidMSTemplate, false, &b)
}

// MicrosoftTemplateName names a template of version 1, such as
// "DomainController" (MS-WCCE, 2.2.2.7.7.1).
func MicrosoftTemplateName(name string) (Extension, error) {
	if name == "" {
		return Extension{}, errors.New("tbs: a certificate template without a name")
	}
	const bmpString = cbasn1.Tag(30)
	var b cryptobyte.Builder
	b.AddASN1(bmpString, func(b *cryptobyte.Builder) {
		for _, unit := range utf16.Encode([]rune(name)) {
			b.AddUint16(unit)
		}
	})
	return extension(oidMSTemplateName, false, &b)
}

// ApplicationPolicies repeats purposes in Microsoft's own form (MS-WCCE,
// 2.2.2.7.7.3).
func ApplicationPolicies(purposes ...asn1.ObjectIdentifier) (Extension, error) {
	if len(purposes) == 0 {
		return Extension{}, errors.New("tbs: application policies without a policy")
	}
	policies := make([]Policy, len(purposes))
	for i, id := range purposes {
		policies[i].ID = id
	}
	return policyList(oidMSAppPolicies, policies)
}

// MicrosoftSID ties a certificate to an account by its security identifier, such
// as S-1-5-21-…, as domain controllers demand since 2022 (MS-WCCE, 2.2.2.7.7.4).
func MicrosoftSID(sid string) (Extension, error) {
	if !validSID(sid) {
		return Extension{}, fmt.Errorf("tbs: %q is not a security identifier of the form S-1-5-21-…", sid)
	}
	var value cryptobyte.Builder
	value.AddASN1OctetString([]byte(sid))
	der, err := value.Bytes()
	if err != nil {
		return Extension{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addNames(b, SAN{Other: []OtherName{{ID: oidMSObjectSID, Value: der}}})
	})
	return extension(oidMSSecurity, false, &b)
}

// validSID: S, revision 1, an authority and 1 to 15 sub-authorities (MS-DTYP,
// 2.4.2.1).
func validSID(sid string) bool {
	parts := strings.Split(sid, "-")
	if len(parts) < 4 || len(parts) > 18 || parts[0] != "S" || parts[1] != "1" {
		return false
	}
	for i, part := range parts[2:] {
		size := 32
		if i == 0 {
			size = 48
		}
		if n, err := strconv.ParseUint(part, 10, size); err != nil || strconv.FormatUint(n, 10) != part {
			return false
		}
	}
	return true
}

// NTDSReplication is the name of a domain controller for replication: the GUID of
// its account, such as 6b29fc40-ca47-1067-b31d-00dd010662da, in Microsoft's octet
// order (MS-DTYP, 2.3.4.2).
func NTDSReplication(guid string) (OtherName, error) {
	text := strings.Trim(guid, "{}")
	parts := strings.Split(text, "-")
	raw, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil || len(raw) != 16 || len(parts) != 5 || len(parts[0]) != 8 || len(parts[1]) != 4 || len(parts[2]) != 4 || len(parts[3]) != 4 {
		return OtherName{}, fmt.Errorf("tbs: %q is not a GUID", guid)
	}
	// The first three groups are little-endian numbers.
	swapped := []byte{raw[3], raw[2], raw[1], raw[0], raw[5], raw[4], raw[7], raw[6]}
	var b cryptobyte.Builder
	b.AddASN1OctetString(append(swapped, raw[8:]...))
	value, err := b.Bytes()
	return OtherName{ID: oidMSReplication, Value: value}, err
}
