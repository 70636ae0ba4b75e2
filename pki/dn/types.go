package dn

import "encoding/asn1"

// The attribute types that certificates use most. Any other type can be given
// by its object identifier.
var (
	CN                     = asn1.ObjectIdentifier{2, 5, 4, 3}
	SN                     = asn1.ObjectIdentifier{2, 5, 4, 4} // surname
	SerialNumber           = asn1.ObjectIdentifier{2, 5, 4, 5}
	C                      = asn1.ObjectIdentifier{2, 5, 4, 6}
	L                      = asn1.ObjectIdentifier{2, 5, 4, 7}
	ST                     = asn1.ObjectIdentifier{2, 5, 4, 8}
	Street                 = asn1.ObjectIdentifier{2, 5, 4, 9}
	O                      = asn1.ObjectIdentifier{2, 5, 4, 10}
	OU                     = asn1.ObjectIdentifier{2, 5, 4, 11}
	Title                  = asn1.ObjectIdentifier{2, 5, 4, 12}
	Description            = asn1.ObjectIdentifier{2, 5, 4, 13}
	BusinessCategory       = asn1.ObjectIdentifier{2, 5, 4, 15}
	PostalCode             = asn1.ObjectIdentifier{2, 5, 4, 17}
	TelephoneNumber        = asn1.ObjectIdentifier{2, 5, 4, 20}
	GN                     = asn1.ObjectIdentifier{2, 5, 4, 42} // given name
	Initials               = asn1.ObjectIdentifier{2, 5, 4, 43}
	GenerationQualifier    = asn1.ObjectIdentifier{2, 5, 4, 44}
	DNQualifier            = asn1.ObjectIdentifier{2, 5, 4, 46}
	Pseudonym              = asn1.ObjectIdentifier{2, 5, 4, 65}
	OrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
	EmailAddress           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	UID                    = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	DC                     = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	JurisdictionL          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1} // EVG 7.1.4.2.4
	JurisdictionST         = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2}
	JurisdictionC          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3}
)

// syntax is how values of an attribute type are written.
type syntax uint8

const (
	utf8Syntax      syntax = iota // UTF8String
	printableSyntax               // PrintableString
	countrySyntax                 // PrintableString of two capital letters
	ia5Syntax                     // IA5String
	dateSyntax                    // PrintableString, YYYY-MM-DD; read from GeneralizedTime too
	bitsSyntax                    // UTF8String; read from BIT STRING too
	linesSyntax                   // UTF8String, lines separated by "$"; read from SEQUENCE too
)

// ubName is the upper bound ub-name of X.520, which also caps types without one.
const ubName = 32768

// attributeType is what is known of one type: its short name in RFC 4514 text,
// other names that are read (separated by spaces), and its upper bound in
// characters (RFC 5280, appendix A.1; RFC 2985 for e-mail and unstructured names;
// RFC 4524 for UID; RFC 3739 for personal data).
type attributeType struct {
	id      asn1.ObjectIdentifier
	name    string
	aliases string
	max     int
	syntax  syntax
}

var types = [...]attributeType{
	{CN, "CN", "commonName", 64, utf8Syntax},
	{O, "O", "organization organizationName", 64, utf8Syntax},
	{C, "C", "country countryName", 2, countrySyntax},
	{OU, "OU", "organizationalUnit organizationalUnitName", 64, utf8Syntax},
	{L, "L", "locality localityName", 128, utf8Syntax},
	{ST, "ST", "S state stateOrProvinceName", 128, utf8Syntax},
	{SerialNumber, "serialNumber", "", 64, printableSyntax},
	{GN, "GN", "givenName G", ubName, utf8Syntax},
	{SN, "SN", "surname", ubName, utf8Syntax},
	{EmailAddress, "emailAddress", "E email", 255, ia5Syntax},
	{DC, "DC", "domainComponent", 63, ia5Syntax},
	{UID, "UID", "userId", 256, utf8Syntax},
	{OrganizationIdentifier, "organizationIdentifier", "orgId", ubName, utf8Syntax},
	{Street, "STREET", "streetAddress", 128, utf8Syntax},
	{PostalCode, "postalCode", "", 40, utf8Syntax},
	{Title, "title", "T", 64, utf8Syntax},
	{Pseudonym, "pseudonym", "", 128, utf8Syntax},
	{BusinessCategory, "businessCategory", "", 128, utf8Syntax},
	{Description, "description", "", 1024, utf8Syntax},
	{TelephoneNumber, "telephoneNumber", "", 32, printableSyntax},
	{Initials, "initials", "I", ubName, utf8Syntax},
	{GenerationQualifier, "generationQualifier", "generation", ubName, utf8Syntax},
	{DNQualifier, "dnQualifier", "DN", ubName, printableSyntax},
	{JurisdictionL, "jurisdictionL", "JOIL jurisdictionLocalityName", 128, utf8Syntax},
	{JurisdictionST, "jurisdictionST", "JOIST jurisdictionStateOrProvinceName", 128, utf8Syntax},
	{JurisdictionC, "jurisdictionC", "JOIC jurisdictionCountryName", 2, countrySyntax},
	{asn1.ObjectIdentifier{2, 5, 4, 41}, "name", "", ubName, utf8Syntax},
	{asn1.ObjectIdentifier{2, 5, 4, 72}, "role", "", ubName, utf8Syntax},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 2}, "unstructuredName", "", 255, utf8Syntax},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 8}, "unstructuredAddress", "", 255, utf8Syntax},
	{asn1.ObjectIdentifier{2, 5, 4, 16}, "postalAddress", "", ubName, linesSyntax},
	{asn1.ObjectIdentifier{2, 5, 4, 45}, "uniqueIdentifier", "x500UniqueIdentifier", ubName, bitsSyntax},
	{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 1}, "dateOfBirth", "", 10, dateSyntax},
	{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 2}, "placeOfBirth", "", ubName, utf8Syntax},
	{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 3}, "gender", "", 1, printableSyntax},
	{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 4}, "countryOfCitizenship", "", 2, countrySyntax},
	{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 9, 5}, "countryOfResidence", "", 2, countrySyntax},
	{asn1.ObjectIdentifier{1, 3, 36, 8, 3, 14}, "nameAtBirth", "", 64, utf8Syntax},
	{asn1.ObjectIdentifier{2, 23, 133, 2, 1}, "tpmManufacturer", "", ubName, utf8Syntax},
	{asn1.ObjectIdentifier{2, 23, 133, 2, 2}, "tpmModel", "", ubName, utf8Syntax},
	{asn1.ObjectIdentifier{2, 23, 133, 2, 3}, "tpmVersion", "", ubName, utf8Syntax},
	{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55324, 1, 2, 1}, "scionISDASNumber", "", ubName, utf8Syntax},
}

// describe returns what is known of a type; an unknown one has no name and is
// written as UTF8String.
func describe(id asn1.ObjectIdentifier) attributeType {
	for i := range types {
		if types[i].id.Equal(id) {
			return types[i]
		}
	}
	return attributeType{id: id, max: ubName}
}

// ParseType finds an attribute type by its name or an alias of it, in any case,
// or by its dotted object identifier with or without "OID." before it.
func ParseType(text string) (asn1.ObjectIdentifier, error) { return parseType(text) }

// TypeName is the short name of an attribute type in RFC 4514 text, such as
// "CN", or the dotted object identifier of a type without one.
func TypeName(id asn1.ObjectIdentifier) string { return describe(id).String() }
