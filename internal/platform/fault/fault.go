// Package fault is the one error type that crosses package borders.
//
// A [Fault] says what kind of thing went wrong, in a code that programs can
// match, in words that a person can act on, and what to do next. Domains return
// faults; endpoints translate them into problem+json, SOAP faults or pages.
// Anything that is not a fault is an internal error: it is logged with a
// correlation id and shown without its text.
package fault

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A Kind classes faults by who can mend them. Kinds are errors themselves, so
// that errors.Is(err, fault.NotFound) works through any wrapping.
type Kind uint8

// The kinds. The zero Kind is Internal: an unclassified error is our own.
const (
	Internal        Kind = iota // a defect or an impossible state; the text stays inside
	Invalid                     // the request is wrong and stays wrong when repeated
	NotFound                    // no such object, or none that the caller may see
	Conflict                    // the object is not in the state that the request needs
	Gone                        // it existed, was single-use or expired, and will not return
	Forbidden                   // known caller, missing permission
	Unauthenticated             // unknown caller
	TooMany                     // a limit was reached; see RetryAfter
	TooLarge                    // the input exceeds a stated size
	Unavailable                 // something below is down; the same request may succeed later
)

var kindNames = [...]string{"internal", "invalid", "not found", "conflict", "gone", "forbidden", "unauthenticated", "too many", "too large", "unavailable"}

// Error makes a Kind usable as a target of errors.Is.
func (k Kind) Error() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// A Fault is an error that a caller may see. Build one with the functions
// named after the kinds, and add to it with the With methods.
type Fault struct {
	Kind       Kind
	Code       string        // stable, lower case, dotted: "csr.key_too_small"
	Message    string        // what happened, to which object; no secrets
	Next       string        // what to do next; may be empty
	Field      string        // the input field at fault; may be empty
	RetryAfter time.Duration // for TooMany and Unavailable; zero when unknown
	cause      error         // kept for the log only
}

// New builds a fault of a kind. The format and its arguments become Message.
func New(kind Kind, code, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalidf reports input that is wrong.
func Invalidf(code, format string, args ...any) *Fault { return New(Invalid, code, format, args...) }

// NotFoundf reports that no such object is visible to the caller.
func NotFoundf(code, format string, args ...any) *Fault { return New(NotFound, code, format, args...) }

// Conflictf reports an object that is not in the state that the request needs.
func Conflictf(code, format string, args ...any) *Fault { return New(Conflict, code, format, args...) }

// Gonef reports a single-use or expired thing.
func Gonef(code, format string, args ...any) *Fault { return New(Gone, code, format, args...) }

// Forbiddenf reports a missing permission.
func Forbiddenf(code, format string, args ...any) *Fault {
	return New(Forbidden, code, format, args...)
}

// Unauthenticatedf reports a caller who did not prove who they are.
func Unauthenticatedf(code, format string, args ...any) *Fault {
	return New(Unauthenticated, code, format, args...)
}

// TooManyf reports a limit that was reached, and when to come back.
func TooManyf(after time.Duration, code, format string, args ...any) *Fault {
	f := New(TooMany, code, format, args...)
	f.RetryAfter = after
	return f
}

// Unavailablef reports something below that is down, with its cause.
func Unavailablef(cause error, code, format string, args ...any) *Fault {
	f := New(Unavailable, code, format, args...)
	f.cause = cause
	return f
}

// Wrap adds what was being done to an error. A fault inside keeps its kind,
// code and message; the added words reach the log only.
func Wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// WithNext sets what to do next and returns the fault.
func (f *Fault) WithNext(format string, args ...any) *Fault {
	f.Next = fmt.Sprintf(format, args...)
	return f
}

// WithField names the input field at fault and returns the fault.
func (f *Fault) WithField(name string) *Fault { f.Field = name; return f }

// WithCause keeps err for the log and returns the fault.
func (f *Fault) WithCause(err error) *Fault { f.cause = err; return f }

// Error gives code, message and cause, for logs. People are shown Message.
func (f *Fault) Error() string {
	if f.cause != nil {
		return f.Code + ": " + f.Message + ": " + f.cause.Error()
	}
	return f.Code + ": " + f.Message
}

// Unwrap makes the kind and the cause visible to errors.Is and errors.As.
func (f *Fault) Unwrap() []error {
	if f.cause != nil {
		return []error{f.Kind, f.cause}
	}
	return []error{f.Kind}
}

// LogValue lists the parts, so that a log line can be searched by code.
func (f *Fault) LogValue() slog.Value {
	a := []slog.Attr{slog.String("kind", f.Kind.Error()), slog.String("code", f.Code), slog.String("message", f.Message)}
	if f.cause != nil {
		a = append(a, slog.String("cause", f.cause.Error()))
	}
	return slog.GroupValue(a...)
}

// Of returns the fault inside err. An error without one comes back as an
// internal fault whose message says nothing of the cause.
func Of(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Kind: Internal, Code: "internal", Message: "Something went wrong on our side.", Next: "Try again; if it stays, report the correlation id.", cause: err}
}
