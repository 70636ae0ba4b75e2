package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

func TestTheLevelChangesWhileRunning(t *testing.T) {
	logged := &buffer{}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: logged, Level: slog.LevelWarn})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("dropped")
	log.SetLevel(slog.LevelDebug)
	log.Debug("kept")
	if lines := logged.lines(t); len(lines) != 1 || lines[0]["msg"] != "kept" || log.Level() != slog.LevelDebug {
		t.Errorf("%v", lines)
	}
}

func TestTextIsForPeople(t *testing.T) {
	logged := &buffer{}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: logged, Format: "text"})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("started", "listen", "127.0.0.1:8443")
	if !strings.Contains(logged.b.String(), "msg=started listen=127.0.0.1:8443") {
		t.Errorf("%s", logged.b.String())
	}
}

func TestEveryRecordOfARequestCarriesItsIDOnce(t *testing.T) {
	logged := &buffer{}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: logged})
	if err != nil {
		t.Fatal(err)
	}
	previous := slog.Default()
	slog.SetDefault(log.Logger)
	defer slog.SetDefault(previous)
	h := telemetry.Correlate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		telemetry.Logger(r.Context()).Info("without context")
		telemetry.Logger(r.Context()).InfoContext(r.Context(), "with context")
		log.With("a", 1).InfoContext(r.Context(), "another logger")
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	id := w.Header().Get(telemetry.CorrelationHeader)
	if n := strings.Count(logged.b.String(), `"correlation":"`+id+`"`); n != 3 {
		t.Errorf("%d ids in three records:\n%s", n, logged.b.String())
	}
	telemetry.Logger(t.Context()).Info("outside a request")
	if lines := logged.lines(t); lines[3]["correlation"] != nil {
		t.Errorf("%v", lines[3])
	}
}

func TestReopenFollowsARotatedFile(t *testing.T) {
	dir := t.TempDir()
	path, rotated := filepath.Join(dir, "log"), filepath.Join(dir, "log.1")
	log, err := telemetry.OpenLog(telemetry.LogOptions{File: path})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("one")
	if err := os.Rename(path, rotated); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("three")

	// A directory in the file's place: the open file stays in use.
	if err := os.Rename(path, filepath.Join(dir, "log.2")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); !errors.Is(err, fault.Unavailable) {
		t.Errorf("reopened a directory: %v", err)
	}
	log.Info("four")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log.Info("lost")
	first, _ := os.ReadFile(rotated)
	second, _ := os.ReadFile(filepath.Join(dir, "log.2"))
	if bytes.Count(first, []byte("\n")) != 2 || !bytes.Contains(second, []byte("three")) || !bytes.Contains(second, []byte("four")) || bytes.Contains(second, []byte("lost")) {
		t.Errorf("first:\n%ssecond:\n%s", first, second)
	}
	if info, err := os.Stat(rotated); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may read the log: %v %v", info.Mode(), err)
	}
	if _, err := telemetry.OpenLog(telemetry.LogOptions{File: filepath.Join(dir, "none", "log")}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a missing directory: %v", err)
	}
}
