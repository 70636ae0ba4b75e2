package transparency_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
)

// A114; pki-rules row 23: after issuing, each SCT is checked against the
// certificate that carries it.
func TestWhatIsWrongWithEmbeddedSCTsIsFound(t *testing.T) {
	w := newWorld(t, "a1", "a2", "b1", "c1")
	all := w.list()
	sct := func(i int, precert []byte) ct.SCT {
		t.Helper()
		s, err := w.servers[i].log.AddPreChain(t.Context(), append([][]byte{precert}, w.ca.Chain()...))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	precert, other := w.request(t).Precert, w.request(t).Precert
	a1, a2, b1, c1 := sct(0, precert), sct(1, precert), sct(2, precert), sct(3, precert)
	set := func(i int, change func(*transparency.Log)) []transparency.Log {
		logs := append([]transparency.Log(nil), all...)
		change(&logs[i])
		return logs
	}
	for _, c := range []struct {
		name    string
		logs    []transparency.Log
		scts    []ct.SCT
		problem string // empty when all is well
	}{
		{"what is needed", all, []ct.SCT{a1, b1}, ""},
		{"more than is needed", all, []ct.SCT{a1, a2, b1, c1}, ""},
		{"one only", all, []ct.SCT{a1}, "2 SCTs of 2 operators are needed"},
		{"two of one operator", all, []ct.SCT{a1, a2}, "2 SCTs of 2 operators are needed"},
		{"the same twice", all, []ct.SCT{a1, a1, b1}, "SCT 2: A second SCT of this log"},
		{"one of another pre-certificate", all, []ct.SCT{a1, b1, sct(3, other)}, "SCT 3: The signature of the SCT does not hold"},
		{"one of a log that nobody knows", all[:3], []ct.SCT{a1, b1, c1}, "SCT 3: The log is not in the log list"},
		{"a log that takes nothing any more", set(0, func(l *transparency.Log) { l.State = transparency.ReadOnly }), []ct.SCT{a1, b1}, ""},
		{"a log that is new", set(0, func(l *transparency.Log) { l.State = transparency.Qualified }), []ct.SCT{a1, b1}, ""},
		{"a log that was retired later", set(0, func(l *transparency.Log) { l.State, l.Since = transparency.Retired, start.Add(time.Second) }), []ct.SCT{a1, b1}, ""},
		{"a log that was retired before", set(0, func(l *transparency.Log) { l.State, l.Since = transparency.Retired, start }), []ct.SCT{a1, b1}, "SCT 1: The log was retired before"},
		{"another interval", set(0, func(l *transparency.Log) { l.Limit = until }), []ct.SCT{a1, b1}, "SCT 1: The certificate ends outside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := w.SetLogs(c.logs); err != nil {
				t.Fatal(err)
			}
			checked, err := w.CheckIssued(w.ca.Final(t, precert, c.scts), w.ca.Issuer)
			if len(checked) != len(c.scts) {
				t.Errorf("%d SCTs were checked", len(checked))
			}
			if c.problem == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.Invalid, "transparency.embedded")
			if !strings.Contains(fault.Of(err).Message, c.problem) {
				t.Errorf("%q does not say %q", fault.Of(err).Message, c.problem)
			}
		})
	}
	t.Run("no SCTs at all", func(t *testing.T) {
		_, err := w.CheckIssued(w.ca.Certificate(t, "a.example", start, until), w.ca.Issuer)
		wantFault(t, err, fault.Invalid, "transparency.embedded")
	})
	t.Run("another issuer", func(t *testing.T) {
		if err := w.SetLogs(all); err != nil {
			t.Fatal(err)
		}
		_, err := w.CheckIssued(w.ca.Final(t, precert, []ct.SCT{a1, b1}), w.ca.Root)
		wantFault(t, err, fault.Invalid, "transparency.embedded")
	})
}
