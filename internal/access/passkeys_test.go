package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// authenticator is a security key in software: one P-256 key, attestation
// "none", written from W3C Web Authentication level 3, sections 6.1 and 6.5.
type authenticator struct {
	tb      testing.TB
	key     *ecdsa.PrivateKey
	id      []byte
	user    []byte
	rp      string
	origin  string
	counter uint32
	flags   byte // of each answer; user present and verified unless a test says otherwise
}

const userPresent, userVerified, attested = 0x01, 0x04, 0x40

func newAuthenticator(tb testing.TB) *authenticator {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	id := make([]byte, 16)
	rand.Read(id)
	return &authenticator{tb: tb, key: key, id: id, rp: "ra.example.com", origin: "https://ra.example.com", flags: userPresent | userVerified}
}

// ceremonyOptions is what the page hands to navigator.credentials.
type ceremonyOptions struct {
	PublicKey struct {
		Challenge        string `json:"challenge"`
		UserVerification string `json:"userVerification"`
		User             struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"publicKey"`
}

func (a *authenticator) read(options []byte) (o ceremonyOptions) {
	a.tb.Helper()
	if err := json.Unmarshal(options, &o); err != nil {
		a.tb.Fatal(err)
	}
	return o
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *authenticator) clientData(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.tb.Fatal(err)
	}
	return b
}

// authData is section 6.1: hash of the host, flags, counter.
func (a *authenticator) authData(flags byte) []byte {
	host := sha256.Sum256([]byte(a.rp))
	a.counter++
	return binary.BigEndian.AppendUint32(append(host[:], flags), a.counter)
}

// create answers a registration.
func (a *authenticator) create(options []byte) []byte {
	a.tb.Helper()
	o := a.read(options)
	user, err := base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID)
	if err != nil {
		a.tb.Fatal(err)
	}
	a.user = user
	data := append(a.authData(a.flags|attested), make([]byte, 16)...) // AAGUID of zeros
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), a.coseKey()...)
	// The attestation object as CBOR: {"fmt": "none", "attStmt": {}, "authData": data}.
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	object = append(append(object, 0x58, byte(len(data))), data...)
	return a.answer(map[string]any{"attestationObject": b64(object), "clientDataJSON": b64(a.clientData("webauthn.create", o.PublicKey.Challenge))})
}

// coseKey is the public key as CBOR {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053, section 7.1).
func (a *authenticator) coseKey() []byte {
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.tb.Fatal(err)
	}
	b := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32}
	b = append(append(b, point[1:33]...), 0x22, 0x58, 32)
	return append(b, point[33:]...)
}

// get answers a login.
func (a *authenticator) get(options []byte) []byte {
	a.tb.Helper()
	client := a.clientData("webauthn.get", a.read(options).PublicKey.Challenge)
	data := a.authData(a.flags)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.tb.Fatal(err)
	}
	return a.answer(map[string]any{"authenticatorData": b64(data), "clientDataJSON": b64(client), "signature": b64(signature), "userHandle": b64(a.user)})
}

func (a *authenticator) answer(response map[string]any) []byte {
	b, err := json.Marshal(map[string]any{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": response})
	if err != nil {
		a.tb.Fatal(err)
	}
	return b
}

// enrolPasskey sets up a passkey as the first second factor.
func (w *world) enrolPasskey(a *authenticator) Enrolled {
	w.tb.Helper()
	l := w.login("root@example.com")
	c, err := w.BeginPasskey(w.ctx, l.Session)
	w.must(err)
	e, err := w.FinishPasskey(w.ctx, l.Session, c.ID, "Key ring", a.create(c.Options))
	w.must(err)
	return e
}

func TestAPasskeyIsASecondFactor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		key := newAuthenticator(t)
		e := w.enrolPasskey(key)
		if len(e.Recovery) != 10 || w.session(e.Login.Token).Stage != SignedIn {
			t.Fatalf("enrolment gave %d codes", len(e.Recovery))
		}
		l := w.login("root@example.com")
		if l.Session.Stage != NeedsSecondFactor {
			t.Fatalf("stage %s", l.Session.Stage)
		}
		c, err := w.BeginPasskeyCheck(w.ctx, l.Session)
		w.must(err)
		answer := key.get(c.Options)
		done, err := w.FinishPasskeyCheck(w.ctx, l.Session, c.ID, answer)
		w.must(err)
		if !w.session(done.Token).Scope().Holds(ClientWrite) {
			t.Error("signed in without rights")
		}
		_, err = w.FinishPasskeyCheck(w.ctx, l.Session, c.ID, answer)
		w.want(err, fault.Gone, "passkey.ceremony")

		// As a fresh proof, later.
		w.clock.Advance(20 * time.Minute)
		s := w.session(done.Token)
		c, err = w.BeginPasskeyCheck(w.ctx, s)
		w.must(err)
		again, err := w.FinishPasskeyCheck(w.ctx, s, c.ID, key.get(c.Options))
		w.must(err)
		w.must(w.session(done.Token).RequireRecent(w.clock.Now(), time.Minute))
		if !again.Token.Empty() {
			t.Error("a fresh proof gave a new session")
		}
		f, err := w.Factors(w.ctx, s)
		w.must(err)
		if len(f.Passkeys) != 1 || f.Passkeys[0].Name != "Key ring" || !f.Passkeys[0].LastUsed.Equal(w.clock.Now()) {
			t.Errorf("passkeys %+v", f.Passkeys)
		}
		w.want(w.RemovePasskey(w.ctx, w.session(done.Token), f.Passkeys[0].ID), fault.Conflict, "factor.last")
	})
}

// A stolen or copied answer, another site, another key and a cloned key do not
// open an account.
func TestAPasskeyAnswerIsBoundToItsCeremony(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		key := newAuthenticator(t)
		w.enrolPasskey(key)
		w.operator("other", RoleAuditor, "", "")
		for _, c := range []struct {
			name   string
			answer func(options []byte) []byte
		}{
			{"an answer for another site", func(o []byte) []byte { k := *key; k.origin = "https://ra.example.net"; return k.get(o) }},
			{"an answer for another host", func(o []byte) []byte { k := *key; k.rp = "example.net"; return k.get(o) }},
			{"an answer nobody was present for", func(o []byte) []byte { k := *key; k.flags = userVerified; return k.get(o) }},
			{"the right id with another key", func(o []byte) []byte { k := newAuthenticator(t); k.id, k.user = key.id, key.user; return k.get(o) }},
			{"a key that is not registered", func(o []byte) []byte { k := newAuthenticator(t); k.user = key.user; return k.get(o) }},
			{"a copy of the key with an old counter", func(o []byte) []byte { k := *key; k.counter = 0; return k.get(o) }},
			{"an answer to another challenge", func([]byte) []byte {
				l := w.login("root@example.com")
				c, err := w.BeginPasskeyCheck(w.ctx, l.Session)
				w.must(err)
				return key.get(c.Options)
			}},
			{"no JSON", func([]byte) []byte { return []byte("{") }},
		} {
			w.clock.Advance(2 * time.Hour) // past any waiting
			l := w.login("root@example.com")
			ceremony, err := w.BeginPasskeyCheck(w.ctx, l.Session)
			w.must(err)
			t.Log(c.name)
			_, err = w.FinishPasskeyCheck(w.ctx, l.Session, ceremony.ID, c.answer(ceremony.Options))
			w.want(err, fault.Unauthenticated, "")
		}
		l := w.login("root@example.com")
		c, err := w.BeginPasskeyCheck(w.ctx, l.Session)
		w.must(err)
		_, err = w.FinishPasskeyCheck(w.ctx, w.login("other@example.com").Session, c.ID, key.get(c.Options))
		w.want(err, fault.Gone, "passkey.ceremony") // another session's ceremony
		w.clock.Advance(5 * time.Minute)
		_, err = w.FinishPasskeyCheck(w.ctx, l.Session, c.ID, key.get(c.Options))
		w.want(err, fault.Gone, "passkey.ceremony") // too old
	})
}

func TestSigningInWithAPasskeyAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		key := newAuthenticator(t)
		w.enrolPasskey(key)
		try := func(k *authenticator) (Login, error) {
			c, err := w.BeginPasskeyLogin(w.ctx)
			w.must(err)
			if got := k.read(c.Options).PublicKey.UserVerification; got != "required" {
				t.Fatalf("user verification is %q", got)
			}
			return w.FinishPasskeyLogin(w.ctx, c.ID, k.get(c.Options), Origin{Address: "192.0.2.3"})
		}
		l, err := try(key)
		w.must(err)
		if s := w.session(l.Token); s.Stage != SignedIn || s.Operator.Email != "root@example.com" {
			t.Errorf("session %+v", s)
		}
		key.flags = userPresent // a touch, no finger and no PIN
		_, err = try(key)
		w.want(err, fault.Unauthenticated, "passkey.refused")
		key.flags = userPresent | userVerified
		stranger := newAuthenticator(t)
		for _, handle := range [][]byte{key.user, []byte("op-unknown"), {0, 0xff}} {
			stranger.user = handle
			_, err = try(stranger)
			w.want(err, fault.Unauthenticated, "passkey.refused")
		}
		// Passwords guessed by others do not keep the owner out.
		for range 5 {
			_, err := w.Login(w.ctx, "root@example.com", wrongPassword, Origin{Address: "198.51.100.1"})
			w.want(err, fault.Unauthenticated, "login.failed")
		}
		_, err = w.Login(w.ctx, "root@example.com", secretOf(goodPassword), Origin{Address: "198.51.100.1"})
		w.want(err, fault.TooMany, "login.wait")
		_, err = try(key)
		w.must(err)
		// A check's ceremony does not finish a login.
		c, err := w.BeginPasskeyCheck(w.ctx, l.Session)
		w.must(err)
		_, err = w.FinishPasskeyLogin(w.ctx, c.ID, key.get(c.Options), Origin{})
		w.want(err, fault.Gone, "passkey.ceremony")
		w.must(w.DB.Update(w.ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE access_principals SET status = 'disabled'`)
			return err
		}))
		_, err = try(key)
		w.want(err, fault.Unauthenticated, "passkey.refused")
	})
}
