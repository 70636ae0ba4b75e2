package transparency

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/certificate-transparency-go/testdata"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

// goldenList is what browsers published in 2022, with real keys and addresses,
// as certificate-transparency-go v1.4.0 carries it.
func goldenList() []byte { return []byte(testdata.SampleLogList3) }

func TestAPublicLogListIsRead(t *testing.T) {
	logs, err := ParseLogList(goldenList())
	if err != nil {
		t.Fatal(err)
	}
	states := map[State]int{}
	for _, l := range logs {
		states[l.State]++
	}
	i := slices.IndexFunc(logs, func(l Log) bool { return l.Name == "Google 'Aviator' log" })
	if i < 0 {
		t.Fatal("a known log is missing")
	}
	aviator := logs[i]
	if aviator.Operator != "Google" || aviator.State != ReadOnly || aviator.URL != "https://ct.googleapis.com/aviator/" ||
		ct.LogIDOf(aviator.Key).String() != "aPaY+B9kgr46jO65KB1M/HFRXWeT1ETRCmesu09P+8Q=" {
		t.Errorf("got %+v", aviator)
	}
	if want := countStates(t); !reflect.DeepEqual(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

// countStates counts in the file itself, without types.
func countStates(t *testing.T) map[State]int {
	t.Helper()
	var list struct {
		Operators []struct {
			Logs []struct {
				State map[string]any `json:"state"`
			} `json:"logs"`
		} `json:"operators"`
	}
	if err := json.Unmarshal(goldenList(), &list); err != nil {
		t.Fatal(err)
	}
	out := map[State]int{}
	for _, o := range list.Operators {
		for _, l := range o.Logs {
			for name := range l.State {
				if name != "pending" && name != "rejected" {
					out[State(name)]++
				}
			}
		}
	}
	return out
}

func TestALogThatPublishesTilesTakesSubmissions(t *testing.T) {
	var list map[string]any
	if err := json.Unmarshal(goldenList(), &list); err != nil {
		t.Fatal(err)
	}
	operator := list["operators"].([]any)[0].(map[string]any)
	first := operator["logs"].([]any)[0].(map[string]any)
	delete(first, "url")
	first["submission_url"], first["monitoring_url"] = "https://log.example/submit/", "https://log.example/tiles/"
	first["state"] = map[string]any{"usable": map[string]any{"timestamp": "2026-01-01T00:00:00Z"}}
	first["temporal_interval"] = map[string]any{"start_inclusive": "2026-07-01T00:00:00Z", "end_exclusive": "2027-01-01T00:00:00Z"}
	operator["tiled_logs"], operator["logs"] = []any{first}, []any{}
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := ParseLogList(data)
	if err != nil {
		t.Fatal(err)
	}
	if l := logs[0]; l.URL != "https://log.example/submit/" || l.State != Usable || !l.Start.Equal(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)) || !l.Limit.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", l)
	}
}

func TestLogListsThatCannotBeMeantAreRefused(t *testing.T) {
	golden := string(goldenList())
	for name, data := range map[string]string{
		"no JSON": "x", "no logs": `{"operators":[]}`,
		"an id of another key":  strings.Replace(golden, "aPaY+B9", "aPaY+B8", 1),
		"a key that is none":    strings.Replace(golden, `"key": "MFkw`, `"key": "MFkx`, 1),
		"an address of no host": strings.Replace(golden, "https://ct.googleapis.com/aviator/", "aviator", 1),
	} {
		if _, err := ParseLogList([]byte(data)); fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseLogList(make([]byte, maxLogList+1)); fault.Of(err).Kind != fault.TooLarge {
		t.Errorf("a list too large: %v", err)
	}
}

func signer(tb testing.TB) *ct.Signer {
	tb.Helper()
	s, err := ct.NewSigner(cttest.Key(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestRowsOfTheLogListAreChecked(t *testing.T) {
	good := Log{Name: "a", Operator: "o", URL: "https://log.example/a", Key: signer(t).SPKI(), State: Usable}
	if logs, err := checkLogs([]Log{good}); err != nil || logs[0].URL != "https://log.example/a/" {
		t.Errorf("%+v, %v", logs, err)
	}
	now := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code   string
		change func(*Log)
	}{
		{"transparency.log_name", func(l *Log) { l.Name = "" }},
		{"transparency.log_name", func(l *Log) { l.Operator = "" }},
		{"transparency.log_key", func(l *Log) { l.Key = nil }},
		{"transparency.log_url", func(l *Log) { l.URL = "ftp://log.example" }},
		{"transparency.log_url", func(l *Log) { l.URL = "https://log.example/?a=b" }},
		{"transparency.log_url", func(l *Log) { l.URL = "https://me:secret@log.example/" }},
		{"transparency.log_interval", func(l *Log) { l.Start, l.Limit = now, now }},
		{"transparency.log_state", func(l *Log) { l.State = "fine" }},
		{"transparency.log_since", func(l *Log) { l.State = Retired }},
	} {
		l := good
		c.change(&l)
		if _, err := checkLogs([]Log{l}); fault.Of(err).Code != c.code || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %s", l, err, c.code)
		}
	}
	if _, err := checkLogs([]Log{good, good}); fault.Of(err).Code != "transparency.log_twice" {
		t.Errorf("twice: %v", err)
	}
}

func FuzzParseLogList(f *testing.F) {
	f.Add(goldenList())
	f.Add([]byte(`{"operators":[{"name":"o","logs":[{"description":"a","key":"","log_id":"","state":{"usable":{}}}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		logs, err := ParseLogList(data)
		if err == nil && len(logs) == 0 {
			t.Fatal("an empty list was accepted")
		}
		if err != nil && fault.Of(err).Kind == fault.Internal {
			t.Fatalf("an unclassified error: %v", err)
		}
	})
}

// Whatever a log answers, it is classed, and its words are short and printable.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"sct_version":0,"id":"","timestamp":1,"extensions":"","signature":""}`), "3")
	f.Add(503, []byte(`{"error_message":"\u0000"}`), "Mon, 04 May 2026 08:00:20 GMT")
	f.Add(400, []byte("\xff\xfe"), "-1")
	s := &Submitter{timing: Timing{}.filled()}
	s.clock = fixed(time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC))
	k := &known{key: signer(f).Key()}
	f.Fuzz(func(t *testing.T, _ int, body []byte, after string) {
		a := s.checkAnswer(answer{log: k}, body, submission{entry: ct.CertificateEntry([]byte{1})})
		if a.outcome == OK || a.outcome == "" || a.detail == "" {
			t.Fatalf("%q has the outcome %q (%q)", body, a.outcome, a.detail)
		}
		text := reason(body)
		if len(text) > maxReason || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			t.Fatalf("%q is told as %q", body, text)
		}
		if d := retryAfter(after, s.clock.Now()); d < 0 || d > maxRetryAfter {
			t.Fatalf("%q means %s", after, d)
		}
	})
}

type fixed time.Time

func (f fixed) Now() time.Time { return time.Time(f) }
