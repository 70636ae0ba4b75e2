package ctlog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/ct"
)

// RFC 6962, section 4: errors have a status and a message for people.
func TestErrorsAreJSONWithTheRightStatus(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	body := func(ders ...[]byte) string {
		b, err := json.Marshal(ct.AddChainRequest{Chain: ders})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	expired := s.ca.Precert(t, "a.example", start.AddDate(-1, 0, 0), start.Add(-time.Hour))
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"a body that is no JSON", "POST", "add-chain", "x", 400, "ctlog.body"},
		{"a body with a tail", "POST", "add-chain", body(s.ca.Root) + "x", 400, "ctlog.body"},
		{"base64 that is none", "POST", "add-chain", `{"chain":["*"]}`, 400, "ctlog.body"},
		{"no chain", "POST", "add-pre-chain", `{}`, 400, "ctlog.body"},
		{"a chain that leads nowhere", "POST", "add-pre-chain", body(s.precert(t, "a.example")), 400, "ctlog.root"},
		{"another interval", "POST", "add-pre-chain", body(expired, s.ca.Issuer), 400, "ctlog.shard"},
		{"too large a body", "POST", "add-chain", `{"chain":["` + strings.Repeat("A", 1<<20) + `"]}`, 413, "ctlog.too_large"},
		{"GET where POST is due", "GET", "add-chain", "", 405, "ctlog.method"},
		{"POST where GET is due", "POST", "get-sth", "", 405, "ctlog.method"},
		{"an unknown function", "GET", "get-everything", "", 404, "ctlog.no_page"},
		{"no parameter", "GET", "get-entries?start=0", "", 400, "ctlog.parameter"},
		{"a negative parameter", "GET", "get-entries?start=-1&end=0", "", 400, "ctlog.parameter"},
		{"a parameter with a sign", "GET", "get-sth-consistency?first=%2B0&second=0", "", 400, "ctlog.parameter"},
		{"a parameter of 2^63", "GET", "get-entries?start=0&end=9223372036854775808", "", 400, "ctlog.parameter"},
		{"entries of an empty log", "GET", "get-entries?start=0&end=9", "", 400, "ctlog.range"},
		{"a proof in the future", "GET", "get-entry-and-proof?leaf_index=0&tree_size=1", "", 400, "ctlog.range"},
		{"a hash that is too short", "GET", "get-proof-by-hash?hash=AAAA&tree_size=1", "", 400, "ctlog.parameter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, s.base+"/ct/v1/"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var e ct.ErrorResponse
			if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || e.Code != c.code || e.Message == "" || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s %+v", resp.StatusCode, resp.Header.Get("Content-Type"), e)
			}
		})
	}
	resp, err := s.server.Client().Get(s.server.URL + "/ctlog/other/ct/v1/get-sth")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("another log: %d", resp.StatusCode)
	}
}

func TestPlusSignsThatArriveAsSpacesAreUnderstood(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	// Until a leaf has a plus sign in its hash: one in two has.
	for i := 0; ; i++ {
		precert := s.precert(t, fmt.Sprintf("h%d.example", i))
		sct, err := s.log.AddPreChain(t.Context(), [][]byte{precert, s.ca.Issuer})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.log.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		e, err := ct.PrecertEntry(precert, s.ca.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ct.LeafOf(sct, e).Hash()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(h.String(), "+") {
			continue
		}
		for _, form := range []string{h.String(), url.QueryEscape(h.String())} {
			resp, err := s.server.Client().Get(fmt.Sprintf("%s/ct/v1/get-proof-by-hash?hash=%s&tree_size=%d", s.base, form, i+1))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || strings.Contains(string(body), "null") {
				t.Errorf("%s: %d %s (%v)", form, resp.StatusCode, body, err)
			}
		}
		return
	}
}

// A slowBody tells when it is read from and ends when told.
type slowBody struct {
	reading func()
	end     chan struct{}
}

func (b slowBody) Read([]byte) (int, error) {
	b.reading()
	<-b.end
	return 0, io.EOF
}

func TestTooManySubmissionsAtOnceAreTurnedAway(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	const address = "/ctlog/test/ct/v1/add-chain"
	end := make(chan struct{})
	var reading, done sync.WaitGroup
	for range 64 {
		reading.Add(1)
		body := slowBody{sync.OnceFunc(reading.Done), end}
		done.Go(func() {
			s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, body))
		})
	}
	reading.Wait()
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("{}")))
	if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q", answer.Code, answer.Header().Get("Retry-After"))
	}
	close(end)
	done.Wait()
	answer = httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("{}")))
	if answer.Code != http.StatusBadRequest {
		t.Errorf("afterwards: %d", answer.Code)
	}
}

// A log that cannot keep its promise asks to come back later.
func TestALogThatIsBehindSaysWhenToComeBack(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	s.clock.Advance(s.log.MMD() + time.Second)
	body, err := json.Marshal(ct.AddChainRequest{Chain: [][]byte{s.precert(t, "a.example"), s.ca.Issuer}})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ctlog/test/ct/v1/add-pre-chain", bytes.NewReader(body)))
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != "60" {
		t.Errorf("%d, Retry-After %q: %s", answer.Code, answer.Header().Get("Retry-After"), answer.Body)
	}
}

// What broke inside stays inside.
func TestOwnFailuresAreToldWithoutTheirText(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	s := newSite(t, db)
	err := db.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(`DELETE FROM ctlog_logs`); return err })
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ctlog/test/ct/v1/get-sth", nil))
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "row") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
