package notice

import (
	"slices"
	"strings"
)

// An Event is what people are told of. The text is stored and names the texts.
type Event string

// The events.
const (
	Issued              Event = "issued"
	RevocationCode      Event = "revocation-code" // with a link to revoke with, for the holder alone
	Revoked             Event = "revoked"
	RenewalDue          Event = "renewal-due"
	RenewalLink         Event = "renewal-link" // with a link to hand in a new request
	ApprovalWanted      Event = "approval-wanted"
	ApprovalAccepted    Event = "approval-accepted"
	ApprovalRejected    Event = "approval-rejected"
	ExpiryReminder      Event = "expiry-reminder"
	P12Ready            Event = "p12-ready" // with a link, or without one where it is fetched in the portal
	PINLink             Event = "pin-link"  // with a link to choose the PIN
	P12PIN              Event = "p12-pin"   // with the PIN, or the news that it was sent another way
	MailboxConfirmation Event = "mailbox-confirmation"
	DomainEmailLink     Event = "domain-email-link"
	DomainPending       Event = "domain-pending"
	OrderFailed         Event = "order-failed"
	OrderCancelled      Event = "order-cancelled"
	Published           Event = "published"
	KeyRecovered        Event = "key-recovered"
)

// smsSuffix names the text of an event that goes by SMS.
const smsSuffix = ".sms"

// A need says whether the messages of an event carry a secret.
type need int

const (
	never need = iota
	maybe
	always
)

// An eventRule is what holds for an event.
type eventRule struct {
	secret        need
	untilReplaced bool // not sent once a successor is in place
}

var events = map[Event]eventRule{
	Issued: {}, RevocationCode: {secret: always}, Revoked: {}, RenewalDue: {untilReplaced: true}, RenewalLink: {secret: always, untilReplaced: true},
	ApprovalWanted: {}, ApprovalAccepted: {}, ApprovalRejected: {}, ExpiryReminder: {untilReplaced: true},
	P12Ready: {secret: maybe}, PINLink: {secret: always}, P12PIN: {secret: maybe},
	MailboxConfirmation: {secret: always}, DomainEmailLink: {secret: always}, DomainPending: {},
	OrderFailed: {}, OrderCancelled: {}, Published: {}, KeyRecovered: {},
}

// Events lists them in the order in which a form shows them.
func Events() []Event {
	return []Event{
		Issued, RevocationCode, Revoked, RenewalDue, RenewalLink, ExpiryReminder, ApprovalWanted, ApprovalAccepted, ApprovalRejected,
		P12Ready, PINLink, P12PIN, MailboxConfirmation, DomainEmailLink, DomainPending, OrderFailed, OrderCancelled, Published, KeyRecovered,
	}
}

// A Kind says why somebody is told. The first nine are those of the RA REST API.
type Kind string

// The kinds of recipients.
const (
	Issuance              Kind = "ISSUANCE"
	Revocation            Kind = "REVOCATION"
	Renewal               Kind = "RENEWAL"
	Recovery              Kind = "RECOVERY"
	Authorization         Kind = "AUTHORIZATION"
	AuthorizationAccepted Kind = "AUTHORIZATION_ACCEPTED"
	AuthorizationRejected Kind = "AUTHORIZATION_REJECTED"
	DNSOwnerCheckEmail    Kind = "DNS_OWNER_CHECK_EMAIL_LINK"
	DNSCAB                Kind = "DNS_CAB"
	Subscriber            Kind = "SUBSCRIBER" // whom the certificate names, or who ordered it
	Operators             Kind = "OPERATOR"
)

// A Language is one that there are texts in.
type Language string

// The languages.
const (
	English   Language = "en"
	German    Language = "de"
	French    Language = "fr"
	Italian   Language = "it"
	Danish    Language = "da"
	Norwegian Language = "nb"
	Swedish   Language = "sv"
	Finnish   Language = "fi"
)

// Languages lists them, English first.
func Languages() []Language {
	return []Language{English, German, French, Italian, Danish, Norwegian, Swedish, Finnish}
}

// ParseLanguage reads a language as people, browsers and the RA REST API write it:
// "DE", "de-CH", "no". NEUTRAL, nothing and what there are no texts in are English.
func ParseLanguage(s string) Language {
	tag, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(s)), "-")
	if tag == "no" || tag == "nn" {
		return Norwegian
	}
	if l := Language(tag); slices.Contains(Languages(), l) {
		return l
	}
	return English
}
