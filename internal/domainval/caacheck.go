package domainval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/caa"
)

// A CAAOutcome is what a CAA check came to for one name.
type CAAOutcome string

// The outcomes.
const (
	CAAPermitted CAAOutcome = "permitted"
	CAARefused   CAAOutcome = "refused"     // the records, or what several perspectives make of them, say no
	CAAUnknown   CAAOutcome = "unavailable" // the records cannot be had, which is no permission; try again
)

// A CAARequest says for what the CAA records are asked.
type CAARequest struct {
	Realm  access.Realm
	Client string
	Names  []string // as in the certificate: domain names, wildcards, or mailboxes with Mail; IP addresses are skipped
	Mail   bool     // RFC 9495
	Public bool     // the rules of public trust hold: a quorum of perspectives is asked
	// Account and Method overrule what the records' accounturi and
	// validationmethods are compared with: by default the client's account, and
	// the method by which the order's validation of the name was done.
	Account, Method string
}

// A CAAResult is the outcome for one name.
type CAAResult struct {
	ID      string
	Name    string
	Outcome CAAOutcome
	Why     string // one sentence for people
	Checked time.Time
	Until   time.Time // how long the order may rely on a permission
	Source  string    // the earlier check that this one repeats within its life; may be empty
	Detail  CAADetail

	fresh time.Time // how long other orders may use it
}

// CAADetail is what a check rests on.
type CAADetail struct {
	Decision      caa.Decision              `json:"decision"`
	Seen          []perspective.Observation `json:"seen,omitempty"`
	Corroboration *Corroboration            `json:"corroboration,omitempty"`
	Exception     bool                      `json:"exception,omitempty"` // permitted by TLS BR 4.2.2.1 although the records cannot be had
}

// A CAAReport is the outcome for an order.
type CAAReport struct {
	Allowed   bool // all names are permitted
	Temporary bool // nothing was refused, but something could not be looked up: try again
	Why       string
	Until     time.Time // how long the permission may be used
	Results   []CAAResult
}

const caaWorkers = 8

// CheckCAA asks the CAA records of all names of an order (A16, A35, rule 9) and
// keeps what was found for the order. A permission is used again for other
// orders while the answers live, 8 hours at most; a refusal never is. What the
// records say is in the report; an error is our own trouble.
func (d *Desk) CheckCAA(ctx context.Context, order string, r CAARequest) (CAAReport, error) {
	if r.Account == "" {
		r.Account = d.account(r.Realm, r.Client)
	}
	questions, err := d.caaQuestions(ctx, order, r)
	if err != nil {
		return CAAReport{}, err
	}
	now := d.clock.Now()
	known, err := d.caaKnown(ctx, questions, now)
	if err != nil {
		return CAAReport{}, err
	}
	results := make([]CAAResult, len(questions))
	var g errgroup.Group
	g.SetLimit(caaWorkers)
	for i, q := range questions {
		if k, ok := known[q.key]; ok {
			results[i] = k
			results[i].Name, results[i].Source = q.name, k.ID
			continue
		}
		g.Go(func() error { results[i] = d.checkCAA(ctx, q, now); return nil })
	}
	_ = g.Wait() // the functions give no error
	if err := d.keepCAA(context.WithoutCancel(ctx), order, r, questions, results); err != nil {
		return CAAReport{}, err
	}
	return reportCAA(results), nil
}

// A caaQuestion is one name with all that the decision depends on.
type caaQuestion struct {
	name   string // as it stands in the certificate
	req    caa.Request
	public bool
	key    string
}

func (d *Desk) caaQuestions(ctx context.Context, order string, r CAARequest) ([]caaQuestion, error) {
	methods := map[string]Method{}
	if r.Method == "" && !r.Mail {
		rows, err := d.db.View(ctx).Query(`SELECT v.name, e.method FROM domainval_validations v JOIN domainval_evidence e ON e.id = v.evidence WHERE v.order_id = $1`, order)
		_, err = store.Collect(rows, err, func(r *store.Rows) (string, error) {
			var name string
			var m Method
			err := r.Scan(&name, &m)
			methods[name] = m
			return name, err
		})
		if err != nil {
			return nil, err
		}
	}
	var out []caaQuestion
	for _, text := range r.Names {
		n, err := nameOf(text, r.Mail)
		if err != nil {
			return nil, err
		}
		if n.IP.IsValid() {
			continue
		}
		q := caaQuestion{name: n.String(), public: r.Public, req: caa.Request{Domain: n.ASCII, Wildcard: n.Wildcard, Mail: r.Mail, Issuers: d.set.Issuers, Account: r.Account, Method: r.Method}}
		if r.Method == "" {
			q.req.Method = CAALabel(methods[q.name])
		}
		if slices.ContainsFunc(out, func(o caaQuestion) bool { return o.name == q.name }) {
			continue
		}
		whole, err := json.Marshal([]any{q.req, q.public, d.set.RequireMPIC, r.Realm})
		if err != nil {
			return nil, err
		}
		h := sha256.Sum256(whole)
		q.key = hex.EncodeToString(h[:])
		out = append(out, q)
	}
	return out, nil
}

func nameOf(text string, mail bool) (Name, error) {
	if !mail {
		return ParseName(text)
	}
	_, n, err := ParseMailbox(text)
	return n, err
}

// checkCAA decides for one name, from here and, if the rules want it, from
// elsewhere.
func (d *Desk) checkCAA(ctx context.Context, q caaQuestion, now time.Time) CAAResult {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	res := CAAResult{Name: q.name, Outcome: CAAUnknown, Checked: now, Until: now, fresh: now}
	ask := perspective.Question{Version: perspective.Version, ID: "primary", Kind: perspective.CAA, Name: q.req.Domain}
	o, err := d.primary.Look(ctx, ask)
	if err != nil {
		res.Why = "The CAA records cannot be looked up: " + err.Error() + "."
		return res
	}
	res.Detail.Seen = []perspective.Observation{o}
	decision, exception, v := d.judgeCAA(o, q.req)
	res.Detail.Decision, res.Detail.Exception, res.Why = decision, exception, v.text
	switch {
	case v.ok:
		res.Outcome = CAAPermitted
	case !v.temporary:
		res.Outcome = CAARefused
	}
	if v.ok && q.public && d.set.RequireMPIC {
		c := d.corroborate(ctx, ask, func(o perspective.Observation) verdict { _, _, v := d.judgeCAA(o, q.req); return v })
		res.Detail.Corroboration = &c
		if !c.Met {
			res.Outcome, res.Why = CAAUnknown, "CAA: "+c.describe()
		}
	}
	if res.Outcome == CAAPermitted {
		// TLS BR 4.2.2.1: to be used within the TTL or 8 hours, whichever is
		// longer. Other orders get what is still in the life of the answers only.
		res.Until, res.fresh = now.Add(caaLife), now.Add(min(v.ttl, caaLife))
	}
	return res
}

// judgeCAA applies the request to what a perspective saw.
func (d *Desk) judgeCAA(o perspective.Observation, r caa.Request) (caa.Decision, bool, verdict) {
	var failure *perspective.Failure
	lookup := func(_ context.Context, name string) (caa.Answer, error) {
		i := slices.IndexFunc(o.Lookups, func(l perspective.Lookup) bool { return l.Name == name })
		if i < 0 {
			return caa.Answer{}, errors.New("the perspective did not look at it")
		}
		l := o.Lookups[i]
		if failure = l.Failure; failure != nil {
			return caa.Answer{}, errors.New(failure.Text)
		}
		a := caa.Answer{TTL: l.TTL}
		for _, rdata := range l.CAA {
			rec, err := caa.Parse(rdata)
			if err != nil {
				return a, err
			}
			a.Records = append(a.Records, rec)
		}
		return a, nil
	}
	decision, err := caa.Decide(context.Background(), lookup, r) // nothing waits: the answers are here
	switch {
	case err == nil:
		return decision, false, verdict{ok: decision.Allowed, text: decision.Why, ttl: decision.TTL}
	case failure != nil && d.set.PermitUnreachableCAA && excused(failure):
		return decision, true, verdict{ok: true, text: fmt.Sprintf("The CAA records of %s cannot be had (%s); the zone is unsigned and the fault is not ours, so the rules permit it.", r.Domain, failure.Text)}
	case failure != nil:
		return decision, false, verdict{temporary: true, text: fmt.Sprintf("The CAA records of %s cannot be had, which is no permission: %s", r.Domain, failure.Text)}
	}
	return decision, false, verdict{temporary: true, text: "CAA: " + err.Error() + "."}
}

// excused tells whether TLS BR 4.2.2.1 lets a failed look-up count as
// permission: the fault is outside, it was tried again, and the zone is
// Insecure (RFC 4035, section 4.3).
func excused(f *perspective.Failure) bool { return f.Outside && f.Retried && f.Insecure }

func reportCAA(results []CAAResult) CAAReport {
	rep := CAAReport{Allowed: true, Results: results}
	refused := false
	var why []string
	for _, c := range results {
		if c.Outcome != CAAPermitted {
			rep.Allowed = false
			refused = refused || c.Outcome == CAARefused
			why = append(why, c.Name+": "+c.Why)
		}
		if rep.Until.IsZero() || c.Until.Before(rep.Until) {
			rep.Until = c.Until
		}
	}
	rep.Temporary = !rep.Allowed && !refused
	rep.Why = strings.Join(why, " ")
	return rep
}

// Fault gives a report that is not Allowed as a fault: Invalid when the records
// say no, Unavailable when they cannot be had.
func (r CAAReport) Fault() error {
	switch {
	case r.Allowed:
		return nil
	case r.Temporary:
		return fault.Unavailablef(nil, "caa.unavailable", "%s", r.Why).WithNext("It is tried again; check the name servers of the domain if it stays.")
	}
	return fault.Invalidf("caa.refused", "%s", r.Why).WithNext("Add a CAA record that names us, or remove the ones that stand in the way, and order again.")
}
