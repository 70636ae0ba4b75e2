package transparency

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

// A Checked is an SCT that a certificate carries.
type Checked struct {
	Log      string    `json:"log"` // empty when it is not in the log list
	LogID    string    `json:"log_id"`
	Operator string    `json:"operator"`
	At       time.Time `json:"at"`
	Problem  string    `json:"problem,omitempty"` // empty when it is in order
}

// CheckIssued checks that a certificate carries SCTs that hold for it and fulfil
// the policy, and tells about each. issuer is the certificate of its authority.
// Every SCT must be in order, of version 1 and of a log in the list, and there
// must be enough; otherwise the error is Invalid ("transparency.embedded").
func (s *Submitter) CheckIssued(certificate, issuer []byte) ([]Checked, error) {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, badCertificate(err)
	}
	list, err := ct.EmbeddedList(certificate)
	if err != nil {
		return nil, badCertificate(err)
	}
	if list == nil {
		return nil, fault.Invalidf("transparency.embedded", "The certificate carries no SCTs.")
	}
	entry, err := ct.PrecertEntry(certificate, issuer)
	if err != nil {
		return nil, badCertificate(err)
	}
	raw, err := ct.SplitList(list)
	if err != nil {
		return nil, badCertificate(err)
	}
	var checked []Checked
	var good []*known
	for _, b := range raw {
		one, k := s.checkOne(b, entry, c)
		if one.Problem == "" && slices.Contains(good, k) {
			one.Problem = "A second SCT of this log."
		}
		if one.Problem == "" {
			good = append(good, k)
		}
		checked = append(checked, one)
	}
	return checked, s.verdict(checked, good, c)
}

func (s *Submitter) checkOne(raw []byte, entry ct.Entry, c *x509.Certificate) (Checked, *known) {
	t, err := ct.ParseSCT(raw)
	if err != nil {
		return Checked{Problem: "The SCT cannot be read: " + err.Error() + "."}, nil
	}
	one := Checked{LogID: t.LogID.String(), At: ct.Time(t.Timestamp)}
	logs := *s.logs.Load()
	i := slices.IndexFunc(logs, func(k *known) bool { return k.key.ID() == t.LogID })
	if i < 0 {
		one.Problem = "The log is not in the log list."
		return one, nil
	}
	k := logs[i]
	one.Log, one.Operator = k.Name, k.Operator
	if outcome, detail := s.judge(k, t, submission{entry: entry}); outcome != OK {
		one.Problem = detail
	} else if !k.counts(t) {
		one.Problem = "The log was retired before."
	} else if !k.covers(c.NotAfter) {
		one.Problem = "The certificate ends outside the log's interval."
	}
	return one, k
}

func (s *Submitter) verdict(checked []Checked, good []*known, c *x509.Certificate) error {
	var problems []string
	for i, one := range checked {
		if one.Problem != "" {
			problems = append(problems, fmt.Sprintf("SCT %d: %s", i+1, one.Problem))
		}
	}
	n := s.policy.need(c.NotBefore, c.NotAfter)
	if _, enough := n.complete(nil, good); !enough {
		problems = append(problems, fmt.Sprintf("%d SCTs of %d operators are needed.", n.logs, n.operators))
	}
	if len(problems) == 0 {
		return nil
	}
	return fault.Invalidf("transparency.embedded", "The SCTs in the certificate are not in order. %s", strings.Join(problems, " "))
}
