//go:build cgo

package token

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// A Config says which token to use.
type Config struct {
	Module   string      // path of the PKCS#11 library
	Label    string      // of the token
	PIN      secret.Text // of the user, not of the security officer
	Sessions int         // signatures at once; 8 unless set
}

// A Token is a token that is logged in. Its methods may be called from any
// goroutine. A PKCS#11 library has one state per process: open one Token of a
// library at a time.
type Token struct {
	config Config
	lib    *pkcs11.Ctx

	mu      sync.RWMutex // held for reading while the login is in use
	login   *login
	refused error // the PIN was refused; trying again could lock the token
}

var _ remote.Backend = (*Token)(nil)

// Open loads the library and logs in. A wrong PIN gives Forbidden
// ("keys.hsm_pin"), a missing library Invalid ("keys.hsm_module"), a missing
// token Unavailable ("keys.hsm_unavailable").
func Open(c Config) (*Token, error) {
	if c.Sessions <= 0 {
		c.Sessions = 8
	}
	lib := pkcs11.New(c.Module)
	if lib == nil {
		return nil, fault.Invalidf("keys.hsm_module", "The PKCS#11 library %s cannot be loaded.", c.Module).WithNext("Install the library of your token and give its path.")
	}
	t := &Token{config: c, lib: lib}
	if err := t.renew(nil); err != nil {
		lib.Destroy()
		return nil, err
	}
	return t, nil
}

// Close logs out and unloads the library.
func (t *Token) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.login = nil
	t.refused = fault.Unavailablef(nil, "keys.hsm_unavailable", "The signer process is shutting down.")
	err := t.lib.Finalize()
	t.lib.Destroy()
	return err
}

// Health implements [remote.Backend]: it asks the token for a session's state.
func (t *Token) Health(context.Context) error {
	return t.use(func(l *login, s pkcs11.SessionHandle) error {
		_, err := t.lib.GetSessionInfo(s)
		return err
	})
}

// A login is a set of sessions, the logged-in user and the keys found so far,
// valid until the token is lost.
type login struct {
	slot     uint
	sessions chan pkcs11.SessionHandle

	mu   sync.Mutex
	keys map[string]*object
}

// use runs fn with a session that nobody else has. When the token turns out to
// be lost, it logs in again and runs fn a second time; fn must not mind.
func (t *Token) use(fn func(*login, pkcs11.SessionHandle) error) error {
	lost, err := t.try(fn)
	if !isLost(err) {
		return t.explain(err)
	}
	if err := t.renew(lost); err != nil {
		return err
	}
	_, err = t.try(fn)
	return t.explain(err)
}

func (t *Token) try(fn func(*login, pkcs11.SessionHandle) error) (*login, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.login == nil {
		return nil, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)
	}
	s := <-t.login.sessions
	defer func(l *login) { l.sessions <- s }(t.login)
	return t.login, fn(t.login, s)
}

// renew replaces a login that was lost. Of several callers, the first does it.
func (t *Token) renew(lost *login) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused != nil {
		return t.refused
	}
	if t.login != lost {
		return nil
	}
	t.login = nil
	// Finalize first: a library that lost its device often knows the new one
	// only after a fresh start. It fails when there is nothing to finalise.
	_ = t.lib.Finalize()
	l, err := t.open()
	if err != nil {
		return t.explain(err)
	}
	t.login = l
	return nil
}

func (t *Token) open() (*login, error) {
	if err := t.lib.Initialize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return nil, err
	}
	slot, err := t.findSlot()
	if err != nil {
		return nil, err
	}
	l := &login{slot: slot, sessions: make(chan pkcs11.SessionHandle, t.config.Sessions), keys: map[string]*object{}}
	for range t.config.Sessions {
		s, err := t.lib.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if is(err, pkcs11.CKR_SESSION_COUNT) && len(l.sessions) > 0 {
			break // the token has fewer; it serves with those
		}
		if err != nil {
			return nil, err
		}
		if len(l.sessions) == 0 { // the user logs in once for all sessions of the process
			if err := t.lib.Login(s, pkcs11.CKU_USER, t.config.PIN.Reveal()); err != nil && !is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
				return nil, t.refusal(err)
			}
		}
		l.sessions <- s
	}
	return l, nil
}

func (t *Token) findSlot() (uint, error) {
	slots, err := t.lib.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, s := range slots {
		if info, err := t.lib.GetTokenInfo(s); err == nil && info.Label == t.config.Label {
			return s, nil
		}
	}
	return 0, pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT)
}

func (t *Token) refusal(err error) error {
	switch {
	case is(err, pkcs11.CKR_PIN_LOCKED):
		t.refused = fault.New(fault.Forbidden, "keys.hsm_pin", "The PIN of the token %q is locked.", t.config.Label).WithNext("Unlock it with the security officer's PIN, then restart sealwright-signer.").WithCause(err)
	case is(err, pkcs11.CKR_PIN_INCORRECT), is(err, pkcs11.CKR_PIN_INVALID), is(err, pkcs11.CKR_PIN_LEN_RANGE), is(err, pkcs11.CKR_PIN_EXPIRED):
		t.refused = fault.New(fault.Forbidden, "keys.hsm_pin", "The token %q refuses the PIN.", t.config.Label).WithNext("Correct the PIN file, then restart sealwright-signer; it does not try a refused PIN again, so that the token does not lock.").WithCause(err)
	default:
		return err
	}
	return t.refused
}

// explain turns what the library says into a fault.
func (t *Token) explain(err error) error {
	var f *fault.Fault
	var code pkcs11.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case isLost(err):
		return fault.Unavailablef(err, "keys.hsm_unavailable", "The token %q does not answer.", t.config.Label).WithNext("Check the token; the next request tries it again.")
	case errors.As(err, &code):
		return fault.New(fault.Internal, "keys.hsm_failed", "The token %q refused the operation: %v.", t.config.Label, code).WithCause(err)
	}
	return fmt.Errorf("token %q: %w", t.config.Label, err)
}

func is(err error, code uint) bool { return errors.Is(err, pkcs11.Error(code)) }

// isLost tells the errors that a fresh login may mend. Handles count among
// them: after another process re-created objects, the old ones lead nowhere.
func isLost(err error) bool {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_DEVICE_MEMORY,
		pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED,
		pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_OPERATION_ACTIVE:
		return true
	}
	return false
}
