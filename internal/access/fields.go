package access

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// The forms of fields. A fields type collects the first fault, so that a
// caller checks a whole form and looks once.
var (
	serviceName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	e164        = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	countryCode = regexp.MustCompile(`^[A-Z]{2}$`)
)

// Languages are those the product speaks.
func Languages() []string { return []string{"en", "da", "nb", "sv", "fi", "de", "fr", "it"} }

const (
	maxName  = 120
	maxText  = 400
	maxEmail = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
)

// A form checks fields and keeps the first fault.
type form struct{ err error }

func (f *form) fail(field, code, format string, args ...any) {
	if f.err == nil {
		f.err = fault.Invalidf(code, format, args...).WithField(field)
	}
}

// name checks a text that must be there.
func (f *form) name(field, value string) string {
	value = f.text(field, value, maxName)
	if value == "" {
		f.fail(field, "field.missing", "The %s is missing.", field)
	}
	return value
}

// text checks a text that may be empty.
func (f *form) text(field, value string, limit int) string {
	value = norm.NFC.String(strings.TrimSpace(value))
	switch {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		f.fail(field, "field.characters", "The %s holds characters that are not text.", field)
	case utf8.RuneCountInString(value) > limit:
		f.fail(field, "field.too_long", "The %s has more than %d characters.", field, limit)
	}
	return value
}

func (f *form) email(field, value string) string {
	value = f.text(field, value, maxEmail)
	a, err := mail.ParseAddress(value)
	if err != nil || a.Address != value || a.Name != "" || strings.ContainsAny(value, " \"<>") {
		f.fail(field, "field.email", "The e-mail address %q cannot be read.", value)
		return ""
	}
	return value
}

// mobile takes a number with the blanks and brackets that people write.
func (f *form) mobile(field, value string) string {
	value = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "\u00a0", "").Replace(value)
	if !e164.MatchString(value) {
		f.fail(field, "field.mobile", "The mobile number must start with + and the country's code, such as +4512345678.")
	}
	return value
}

func (f *form) language(field, value string) string {
	if value == "" {
		return "en"
	}
	if !slices.Contains(Languages(), value) {
		f.fail(field, "field.language", "The language %q is not one of %s.", value, strings.Join(Languages(), ", "))
	}
	return value
}

func (f *form) country(field, value string) string {
	value = strings.ToUpper(strings.TrimSpace(value))
	if !countryCode.MatchString(value) {
		f.fail(field, "field.country", "The country must be two letters (ISO 3166-1), such as DK.")
	}
	return value
}

// fold is the form of a text under which it is found, ordered and compared.
func fold(s string) string { return strings.ToLower(norm.NFC.String(strings.TrimSpace(cleanText(s)))) }

// cleanText drops what PostgreSQL would refuse in a text.
func cleanText(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "") }
