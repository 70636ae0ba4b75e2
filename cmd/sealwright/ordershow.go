package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/pki/lint"
)

type orderView struct {
	ID             string       `json:"id"`
	State          order.State  `json:"state"`
	Realm          access.Realm `json:"realm"`
	Client         string       `json:"client"`
	Product        string       `json:"product"`
	ProductVersion int          `json:"productVersion"`
	ProductName    string       `json:"productName"`
	CommonName     string       `json:"commonName"`
	Subject        string       `json:"subject"`
	Authority      string       `json:"authority,omitempty"`
	Serial         string       `json:"serial,omitempty"`
	NotBefore      time.Time    `json:"notBefore,omitzero"`
	NotAfter       time.Time    `json:"notAfter,omitzero"`
	RevokedAt      time.Time    `json:"revokedAt,omitzero"`
	Reason         string       `json:"reason,omitempty"` // of the revocation
	Origin         order.Origin `json:"origin"`
	Owner          string       `json:"owner,omitempty"`
	Creator        string       `json:"creator"`
	Predecessor    string       `json:"predecessor,omitempty"`
	Successor      string       `json:"successor,omitempty"`
	Problem        string       `json:"problem,omitempty"`
	Due            time.Time    `json:"due,omitzero"`
	Created        time.Time    `json:"created"`
	Updated        time.Time    `json:"updated"`
}

func viewOrder(o *order.Order) orderView {
	v := orderView{
		o.ID, o.State, o.Realm, o.Client, o.Product, o.ProductVersion, o.ProductName, o.CommonName, o.Subject, o.Authority, o.Serial,
		o.NotBefore, o.NotAfter, o.RevokedAt, "", o.Origin, o.Owner, o.CreatorName, o.Predecessor, o.Successor, o.Problem, o.Due(), o.Created, o.Updated,
	}
	if !o.RevokedAt.IsZero() {
		v.Reason = o.Reason.String()
	}
	return v
}

// A dossier is everything that is known of an order.
type dossier struct {
	orderView
	Tags         []string               `json:"tags,omitempty"`
	Recipients   []order.Recipient      `json:"recipients,omitempty"`
	Request      order.Asked            `json:"request"`
	Evidence     order.Evidence         `json:"evidence"`
	Control      []evidenceView         `json:"control,omitempty"` // over names and mailboxes
	CAA          []caaView              `json:"caa,omitempty"`
	Approvals    []approvalView         `json:"approvals,omitempty"`
	Publication  publish.Summary        `json:"publication,omitempty"`
	Publications []publicationView      `json:"publications,omitempty"`
	Comments     []commentView          `json:"comments,omitempty"`
	Jobs         []order.Job            `json:"jobs"`
	validations  []domainval.Validation // that are open
}

type evidenceView struct {
	Name     string           `json:"name"`
	Method   domainval.Method `json:"method"`
	Section  string           `json:"section"`
	Rules    string           `json:"rules"`
	Shown    bool             `json:"shown"`
	Obtained time.Time        `json:"obtained"`
	Text     string           `json:"text"`
}

type caaView struct {
	Name    string               `json:"name"`
	Outcome domainval.CAAOutcome `json:"outcome"`
	Why     string               `json:"why"`
	Checked time.Time            `json:"checked"`
	Until   time.Time            `json:"until,omitzero"`
}

type publicationView struct {
	Publisher string        `json:"publisher"`
	State     publish.State `json:"state"`
	Place     string        `json:"place,omitempty"`
	Attempts  int           `json:"attempts"`
	Error     string        `json:"error,omitempty"`
	Next      time.Time     `json:"next,omitzero"`
}

type commentView struct {
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

func orderShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ORDER", Short: "Show everything that is known of an order", Args: cobra.ExactArgs(1),
		Example: "  sealwright order show www.example.com",
		Long: `Show an order: what it asks, how it stands, what was checked, who approved it,
where it is published, and every step that it took.`,
	}
	var l listing
	l.jsonFlag(cmd)
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		d, err := s.dossier(o)
		if err != nil {
			return err
		}
		if l.json {
			return s.json(d)
		}
		s.printDossier(d)
		return nil
	})
}

func (s *session) dossier(o *order.Order) (dossier, error) {
	ctx, view := s.cmd.Context(), s.DB.View(s.cmd.Context())
	d := dossier{orderView: viewOrder(o), Request: o.Request, Evidence: o.Evidence, Jobs: o.Jobs}
	tags, err := s.Orders.Tags(ctx, o.ID)
	if err != nil {
		return d, err
	}
	d.Tags = tags[o.ID]
	if d.Recipients, err = s.Orders.Recipients(ctx, o); err != nil {
		return d, err
	}
	approvals, err := s.Orders.ApprovalsOf(ctx, o)
	if err != nil {
		return d, err
	}
	for _, a := range approvals {
		d.Approvals = append(d.Approvals, viewApproval(a))
	}
	comments, err := s.Orders.Comments(ctx, o)
	if err != nil {
		return d, err
	}
	for _, c := range comments {
		d.Comments = append(d.Comments, commentView{c.Name, c.At, c.Text})
	}
	sum, publications, err := s.Publish.Status(ctx, s.scope, o.Realm, o.Client, o.ID)
	if err != nil {
		return d, err
	}
	d.Publication = sum
	for _, p := range publications {
		d.Publications = append(d.Publications, publicationView{p.PublisherName, p.State, p.Place, p.Attempts, p.LastError, p.Next})
	}
	status, err := s.Domains.Status(view, o.ID)
	if err != nil {
		return d, err
	}
	for _, v := range status.Validations {
		if v.State == domainval.Pending {
			d.validations = append(d.validations, v)
		}
	}
	return d, s.control(o.ID, &d)
}

// control adds what was found about names and mailboxes.
func (s *session) control(id string, d *dossier) error {
	view := s.DB.View(s.cmd.Context())
	list, err := s.Domains.EvidenceOfOrder(view, id)
	if err != nil {
		return err
	}
	for _, e := range list {
		d.Control = append(d.Control, evidenceView{e.Name, e.Method, e.Section, e.Rules, e.Shown, e.Obtained, e.Detail.Text})
	}
	results, err := s.Domains.CAAOfOrder(view, id)
	for _, r := range results {
		d.CAA = append(d.CAA, caaView{r.Name, r.Outcome, r.Why, r.Checked, r.Until})
	}
	return err
}

func (s *session) printDossier(d dossier) {
	valid, revoked := "", ""
	if !d.NotAfter.IsZero() {
		valid = moment(d.NotBefore) + " to " + moment(d.NotAfter)
	}
	if !d.RevokedAt.IsZero() {
		revoked = moment(d.RevokedAt) + ", " + d.Reason
	}
	s.facts("Order", d.ID, "State", string(d.State), "Problem", d.Problem, "Subject", d.Subject, "Names", strings.Join(d.Evidence.Names, ", "),
		"Product", fmt.Sprintf("%s (%s, version %d)", d.ProductName, d.Product, d.ProductVersion), "Client", d.Client+" in "+string(d.Realm),
		"Authority", d.Authority, "Serial", d.Serial, "Valid", valid, "Revoked", revoked, "Placed", moment(d.Created)+" by "+d.Creator+" ("+string(d.Origin)+")",
		"Next attempt", moment(d.Due), "Renews", d.Predecessor, "Renewed by", d.Successor, "Owner", d.Owner, "Tags", strings.Join(d.Tags, ", "))
	for _, r := range d.Recipients {
		s.facts("Tells as well", r.Email+" of "+r.Kind)
	}
	s.printChecks(d)
	if len(d.validations) > 0 {
		s.printf("\nTo be shown\n")
		for _, v := range d.validations {
			s.printValidation("  ", v)
		}
	}
	if len(d.Approvals) > 0 {
		s.printf("\nApprovals\n")
		for _, a := range d.Approvals {
			s.printf("  %s  %s: %s, asked by %s\n", a.ID, a.Act, a.State, a.AskedBy)
			for _, x := range a.Decisions {
				s.printf("    %s  %s says %s  %s\n", moment(x.At), x.Name, yes(x.Yes), x.Why)
			}
		}
	}
	if len(d.Publications) > 0 {
		s.printf("\nPublication: %s\n", dash(string(d.Publication)))
		for _, p := range d.Publications {
			s.printf("  %s  %s  %s  %s\n", p.Publisher, p.State, dash(p.Place), p.Error)
		}
	}
	if len(d.Comments) > 0 {
		s.printf("\nComments\n")
		for _, c := range d.Comments {
			s.printf("  %s  %s: %s\n", moment(c.At), c.By, c.Text)
		}
	}
	s.printSteps(d.Jobs)
}

// printChecks says in a line each what the checks rest on.
func (s *session) printChecks(d dossier) {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, e := range d.Control {
		verb := "shown"
		if !e.Shown {
			verb = "not shown"
		}
		add("%s  control over %s %s by %s (%s; %s)", moment(e.Obtained), e.Name, verb, e.Method, e.Section, e.Rules)
	}
	for _, c := range d.CAA {
		add("%s  CAA of %s: %s. %s", moment(c.Checked), c.Name, c.Outcome, c.Why)
	}
	linted := func(when string, r *lint.Report) {
		if r != nil {
			add("%s  linted %s signing: %s; %d passed, %d warnings, %d errors", moment(r.Time), when, r.Linter, r.Counts.Passed, r.Counts.Warnings, r.Counts.Errors)
		}
	}
	linted("before", d.Evidence.Lint)
	for _, a := range d.Evidence.CT {
		add("%s  transparency log %s: %s %s", moment(a.At), a.Log, a.Outcome, a.Detail)
	}
	linted("after", d.Evidence.PostLint)
	if len(lines) == 0 {
		return
	}
	s.printf("\nChecks\n")
	for _, line := range lines {
		s.printf("  %s\n", line)
	}
}

// printSteps prints the timeline of an order.
func (s *session) printSteps(list []order.Job) {
	s.printf("\nSteps\n")
	for _, j := range list {
		at := j.Started
		if at.IsZero() {
			at = j.Created
		}
		indent := ""
		if j.Parent != "" {
			indent = "  "
		}
		text := strings.TrimSpace(j.Response + " " + j.Error)
		if j.By != "" {
			text = strings.TrimSpace(text + " by " + j.By)
		}
		if j.Runs > 1 {
			text = strings.TrimSpace(fmt.Sprintf("%s (run %d)", text, j.Runs))
		}
		line := fmt.Sprintf("  %s  %-9s %-34s %s", at.UTC().Format("2006-01-02 15:04:05.000"), strings.ToLower(string(j.State)), indent+words(j.Type), text)
		s.printf("%s\n", strings.TrimRight(line, " "))
	}
}

// words is a job as people read it: "ISSUE_KEY_VALIDATION_JOB" is "key validation".
func words(t order.JobType) string {
	text := strings.TrimSuffix(string(t), "_JOB")
	for _, prefix := range []string{"ISSUE_", "RA_"} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.ReplaceAll(strings.ToLower(text), "_", " ")
}
