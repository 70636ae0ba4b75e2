package access

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// No secret that was ever handed out, typed or made stands in any table in clear.
func TestNoSecretIsInTheDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		full, totpKey, codes := w.enrolTOTP()
		_, apiToken, err := w.CreateToken(w.ctx, w.root, w.root.Principal().ID, TokenFields{Name: "t"})
		w.must(err)
		servicePassword := secret.New("velvet compass thirty otters")
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, servicePassword))
		_, _, err = w.VerifyServicePassword(w.ctx, Production, "north", servicePassword, Origin{})
		w.must(err)
		inv, err := w.InviteOperator(w.ctx, w.root, OperatorFields{Email: "new@example.com", Name: "New"})
		w.must(err)
		c, err := w.BeginPasskeyLogin(w.ctx)
		w.must(err)
		mistyped := "a password typed as the account"
		_, err = w.Login(w.ctx, mistyped, wrongPassword, Origin{})
		if err == nil {
			t.Fatal("a password is not an account")
		}
		dump := dumpTables(t, db)
		for name, s := range map[string]string{
			"password": goodPassword, "wrong password": wrongPassword.Reveal(), "mistyped": mistyped,
			"service password": servicePassword.Reveal(), "session": full.Token.Reveal(), "API token": apiToken.Reveal(),
			"random part of the API token": strings.TrimPrefix(apiToken.Reveal(), TokenPrefix), "authenticator secret": totpKey.Reveal(),
			"recovery code": codes[0].Reveal(), "recovery code without dashes": ungroup(codes[0].Reveal()),
			"invitation": inv.Token.Reveal(), "ceremony": c.ID,
		} {
			if len(s) < 16 || bytes.Contains(dump, []byte(s)) {
				t.Errorf("the %s is in the database", name)
			}
		}
		for name, s := range map[string]string{"service name": "north", "hash of the API token": secret.Hash(apiToken.Reveal())} {
			if !bytes.Contains(dump, []byte(s)) {
				t.Errorf("the dump lacks the %s: it proves nothing", name)
			}
		}
	})
}

// dumpTables reads every column of every table of the package and of the audit log.
func dumpTables(t *testing.T, db *store.DB) []byte {
	t.Helper()
	var dump bytes.Buffer
	for table, columns := range map[string][]string{
		"access_clients": {"name"}, "access_services": {"name", "password_hash", "profile"},
		"access_principals": {"name", "name_key"}, "access_operators": {"email", "email_key", "title", "password_hash"},
		"access_invitations": {"hash"}, "access_recovery_codes": {"hash"}, "access_passkeys": {"name", "data"},
		"access_ceremonies": {"hash", "data", "session_id"}, "access_sessions": {"id", "hash", "address", "user_agent"},
		"access_throttles": {"id"}, "access_tokens": {"hash", "hint", "name"}, "audit_entries": {"object_id", "detail", "actor_name", "actor_id"},
	} {
		for _, column := range columns {
			rows, err := db.View(t.Context()).Query(fmt.Sprintf(`SELECT %s FROM %s`, column, table))
			values, err := store.Collect(rows, err, func(r *store.Rows) (v string, err error) { return v, r.Scan(&v) })
			if err != nil {
				t.Fatal(err)
			}
			dump.WriteString(strings.Join(values, "\n") + "\n")
		}
	}
	rows, err := db.View(t.Context()).Query(`SELECT sealed FROM access_totp`)
	sealed, err := store.Collect(rows, err, func(r *store.Rows) (v []byte, err error) { return v, r.Scan(&v) })
	if err != nil || len(sealed) == 0 {
		t.Fatal("no authenticator secret to look at", err)
	}
	dump.Write(bytes.Join(sealed, nil))
	return dump.Bytes()
}
