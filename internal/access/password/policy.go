package password

import (
	_ "embed"
	"strings"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Limits of a password's length. The upper one bounds the work of hashing.
const (
	MinLength = 12  // characters
	MaxLength = 256 // characters
)

//go:embed common.txt
var commonText string

// common holds the commonest passwords of at least MinLength characters, in
// the form that plain gives.
var common = func() map[string]bool {
	m := map[string]bool{}
	for _, line := range strings.Fields(commonText) {
		m[line] = true
	}
	return m
}()

// Check returns a fault when p is too weak: too short, among the commonest, one
// pattern repeated, or built around something known of its owner such as the
// e-mail address. There are no rules about kinds of characters: they make
// passwords worse (NIST SP 800-63B, appendix A).
func Check(p secret.Text, known ...string) error {
	text := string(normal(p))
	n := utf8.RuneCountInString(text)
	switch {
	case !utf8.ValidString(p.Reveal()):
		return weak("The password holds bytes that are not text.")
	case n < MinLength:
		return weak("The password has %d characters; at least %d are needed.", n, MinLength)
	case n > MaxLength:
		return weak("The password has %d characters; at most %d are accepted.", n, MaxLength)
	case repeats(text):
		return weak("The password repeats one short pattern.")
	case isCommon(text):
		return weak("The password is one of the commonest and would be guessed first.")
	}
	for _, k := range known {
		if about(text, k) {
			return weak("The password contains the e-mail address or name of its owner.")
		}
	}
	return nil
}

func weak(format string, args ...any) error {
	return fault.Invalidf("password.weak", format, args...).
		WithNext("Choose a longer one, such as four or five unrelated words.").WithField("password")
}

// plain folds case and the substitutions that guessing programs try first.
func plain(s string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", " ", "", "-", "", "_", "", ".", "").
		Replace(strings.ToLower(s))
}

// isCommon compares with the list as typed and with what is left when the
// digits and signs at the end are taken away, a habit as common as the words.
func isCommon(s string) bool {
	lower := strings.ToLower(s)
	stem := strings.TrimRight(lower, "0123456789!?.*#$ ")
	return common[lower] || common[plain(s)] || common[stem] || common[plain(stem)]
}

// about tells whether the password holds what is known, or the part of an
// address before the @ when that is long enough to mean something.
func about(text, known string) bool {
	lower := strings.ToLower(text)
	known = strings.ToLower(strings.TrimSpace(known))
	if known == "" {
		return false
	}
	if len(known) >= 4 && strings.Contains(lower, known) {
		return true
	}
	local, _, isAddress := strings.Cut(known, "@")
	return isAddress && len(local) >= 4 && strings.Contains(lower, local)
}

// repeats tells whether s is a pattern of at most four characters over and over.
func repeats(s string) bool {
	r := []rune(s)
	for size := 1; size <= 4; size++ {
		same := true
		for i := size; i < len(r) && same; i++ {
			same = r[i] == r[i-size]
		}
		if same {
			return true
		}
	}
	return false
}
