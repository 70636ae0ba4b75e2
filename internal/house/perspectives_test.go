package house_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// Rule 10: an installation that asks for a quorum of perspectives opens once it is
// told where it stands itself.
func TestInstallationWithPerspectivesOpens(t *testing.T) {
	dir := t.TempDir()
	token, list := filepath.Join(dir, "token"), filepath.Join(dir, "perspectives.json")
	for path, text := range map[string]string{
		token: "a-token-of-the-perspective\n",
		list: `[{"name": "primary", "registry": "RIPE NCC", "Latitude": 59.9, "Longitude": 10.7},
			{"name": "frankfurt-1", "registry": "RIPE NCC", "Latitude": 50.1, "Longitude": 8.7, "url": "https://frankfurt-1.example.com:8450/", "tokenFile": "` + token + `"}]`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	site := housetest.New(t, storetest.SQLite(t), housetest.Options{Configure: func(c *config.Config) {
		c.Validation.RequireMPIC, c.Validation.Perspectives = true, list
	}})
	if site.House.Domains == nil {
		t.Error("nobody has control over names shown")
	}
}
