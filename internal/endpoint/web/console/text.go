package console

import (
	"fmt"
	"strings"
)

// say is how every text of these pages is written: in English, and shown in the
// operator's language where the catalogue has it. Arguments are as for Sprintf.
func (v *visit) say(english string, args ...any) string {
	text := english
	if t, ok := catalogues[v.language()][english]; ok {
		text = t
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// catalogues hold translations by language and English text. English needs none.
var catalogues = map[string]map[string]string{}

// language is the operator's, as far as there is a catalogue for it.
func (v *visit) language() string {
	if l := v.session.Operator.Language; catalogues[l] != nil {
		return l
	}
	return "en"
}

// doneTexts say what was done. The codes travel in the address.
var doneTexts = map[string]string{
	"saved":                 "Saved.",
	"order.approved":        "Approved. The certificate is being issued.",
	"order.rejected":        "The order was rejected.",
	"order.withdrawn":       "The certificate was withdrawn. No service accepts it any more.",
	"order.sent":            "A new link and one-time password are on their way. The earlier link no longer works.",
	"order.placed":          "The order was placed.",
	"client.created":        "The client was added.",
	"client.closed":         "The client was closed.",
	"service.created":       "The service was added.",
	"service.closed":        "The service was closed.",
	"orderer.added":         "The person may now receive certificates for this client.",
	"orderer.ended":         "The authorisation was ended.",
	"account.created":       "The service account was added. Grant it a role and create its credentials.",
	"account.disabled":      "The service account is disabled. Its tokens and certificates are refused.",
	"account.enabled":       "The service account may act again.",
	"operator.disabled":     "The operator is disabled. All sessions have ended.",
	"operator.enabled":      "The operator may sign in again.",
	"role.created":          "The role was added.",
	"role.deleted":          "The role was deleted.",
	"grant.given":           "The role was granted.",
	"grant.taken":           "The role was taken away.",
	"token.enabled":         "The token works again.",
	"token.disabled":        "The token is disabled. Calls with it are refused.",
	"token.deleted":         "The token was deleted.",
	"cert.enabled":          "The certificate works again.",
	"cert.disabled":         "The certificate is disabled. Calls with it are refused.",
	"cert.deleted":          "The certificate was deleted. Calls with it are refused for good.",
	"password.changed":      "The password was changed. Your other sessions have ended.",
	"session.ended":         "The session was ended.",
	"factor.added":          "The second factor was added.",
	"factor.removed":        "The second factor was removed.",
	"message.resent":        "The message goes out again.",
	"job.run":               "The job runs now.",
	"signed-out":            "You are signed out.",
	"signed-out-everywhere": "You are signed out everywhere.",
}

// lines joins texts, one per line.
func lines(list []string) string { return strings.Join(list, "\n") }
