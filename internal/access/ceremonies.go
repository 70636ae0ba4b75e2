package access

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Ceremony is an exchange with an authenticator under way. Options is JSON
// for navigator.credentials.create or .get; ID comes back with the response.
type Ceremony struct {
	ID      string
	Options []byte
}

// What a ceremony is for; one begun for one purpose finishes no other.
const (
	registering = "register"
	checking    = "check"
	signingIn   = "login"
)

const ceremonyLife = 5 * time.Minute

// beginCeremony keeps the challenge in the database, where any node finds it.
func (d *Directory) beginCeremony(ctx context.Context, purpose, session string, options any, data *webauthn.SessionData) (Ceremony, error) {
	shown, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, err
	}
	kept, err := json.Marshal(data)
	if err != nil {
		return Ceremony{}, err
	}
	id := secret.NewToken().Reveal()
	err = d.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO access_ceremonies (hash, session_id, purpose, data, expires_at) VALUES ($1, $2, $3, $4, $5)`,
			secret.Hash(id), session, purpose, string(kept), store.Micros(d.Clock.Now().Add(ceremonyLife)))
		return err
	})
	return Ceremony{ID: id, Options: shown}, err
}

// takeCeremony uses a ceremony up, whatever comes of it: a challenge is
// answered once.
func (d *Directory) takeCeremony(ctx context.Context, purpose, session, id string) (webauthn.SessionData, error) {
	var data webauthn.SessionData
	err := d.DB.Update(ctx, func(tx *store.Tx) error {
		var text string
		err := tx.QueryRow(`SELECT data FROM access_ceremonies WHERE hash = $1 AND session_id = $2 AND purpose = $3 AND expires_at > $4`,
			secret.Hash(id), session, purpose, store.Micros(d.Clock.Now())).Scan(&text)
		if err = found(err); fault.Of(err).Kind == fault.NotFound {
			return ceremonyGone()
		} else if err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM access_ceremonies WHERE hash = $1`, secret.Hash(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return ceremonyGone()
		}
		data = webauthn.SessionData{}
		return json.Unmarshal([]byte(text), &data)
	})
	return data, err
}

func ceremonyGone() error {
	return fault.Gonef("passkey.ceremony", "The request to the passkey was answered already or is too old.").WithNext("Start again.")
}
