package product

import (
	"slices"
	"strconv"
	"strings"
)

// rules judges the steps of the order.
func (c *linter) rules() {
	r := &c.d.Rules
	if !slices.Contains([]DomainControl{NoDomainControl, DNSOrHTTP, EmailLink}, r.DomainControl) {
		c.err("rules.domain_control", "rule.domain_control", "There is no way of control named %q; use dns-http or email-link.", r.DomainControl)
	}
	if r.DomainControl != NoDomainControl && !c.has("san.dns") && !c.has("san.email") && !c.has("san.ip") {
		c.err("rules.domain_control", "rule.domain_control", "There are no domain names to check.")
	}
	if r.DomainControl == EmailLink && r.PublicTrust {
		date := emailLinkEnds().Format("2006-01-02")
		if c.at.Before(emailLinkEnds()) {
			c.warn("rules.domain_control", "rule.email_link", "Control by e-mail ends on %s (TLS BR 3.2.2.4.4).", date)
		} else {
			c.err("rules.domain_control", "rule.email_link", "Control by e-mail ended on %s (TLS BR 3.2.2.4.4).", date)
		}
	}
	if r.Wildcards && !c.has("san.dns") {
		c.warn("rules.wildcards", "rule.wildcards", "There are no domain names that could be wildcards.")
	}
	if r.Mailbox && !c.has("san.email") && !c.has("san.smtp_utf8") {
		c.err("rules.mailbox_control", "rule.mailbox", "There is no mailbox to check.")
	}
	if r.CAA && !c.has("san.dns") && !c.has("san.email") {
		c.err("rules.caa", "rule.caa", "There are no domains whose CAA records could be asked.")
	}
	c.lints(r.Lint)
	c.approval("rules.approval_issue", r.Issue)
	c.approval("rules.approval_revoke", r.Revoke)
	c.renewal(r.Renewal)
	c.others(r)
}

func (c *linter) lints(l Linting) {
	for name, level := range l.Levels {
		if !slices.Contains([]Level{LevelError, LevelWarn, LevelIgnore}, level) {
			c.err("rules.lint.levels."+name, "rule.lint", "There is no level %q; use error, warn or ignore.", level)
		}
	}
	if len(l.Levels) > 0 && !l.On {
		c.warn("rules.lint", "rule.lint", "Linting is off, so its levels say nothing.")
	}
}

func (c *linter) approval(path string, a Approval) {
	if a.Count < 0 || a.Count > 20 || a.ExpireHours < 0 {
		c.err(path, "rule.approval", "An approval takes 0 to 20 people and does not expire before it begins.")
	}
	if a.Count == 0 && (a.FourEyes || len(a.Of) > 0 || a.ExpireHours > 0) {
		c.err(path+".count", "rule.approval", "Nobody is asked, so the rest of the approval says nothing.")
	}
}

func (c *linter) renewal(r Renewal) {
	const path = "rules.renewal"
	switch r.Mode {
	case NoRenewal:
		if r != (Renewal{}) {
			c.err(path+".mode", "rule.renewal", "Without a mode the rest of the renewal says nothing.")
		}
		return
	case ManualRenewal, AutomaticRenewal:
	default:
		c.err(path+".mode", "rule.renewal", "There is no mode %q; use manual or automatic.", r.Mode)
	}
	if r.Count < 0 || r.DaysBefore < 0 || r.RevokeOldAfter < 0 {
		c.err(path, "rule.renewal", "Numbers of the renewal cannot be negative.")
	}
	if r.DaysBefore == 0 {
		c.err(path+".days_before", "rule.renewal", "Say how many days before the end the renewal begins.")
	} else if v := c.d.Validity; v.Value > 0 && slices.Contains(Units(), v.Unit) {
		if begin := v.Unit.end(c.at, v.Value).AddDate(0, 0, -r.DaysBefore); !begin.After(c.at) {
			c.err(path+".days_before", "rule.renewal", "The renewal would begin before the certificate is valid.")
		}
	}
	if !c.sure("san.email") && !slices.Contains(c.d.Rules.Notify.Additional, "renewal") {
		c.warn(path, "rule.renewal_recipient", "Nobody hears of a renewal: there is no e-mail address in the certificate, and orders cannot name one.")
	}
}

func (c *linter) others(r *Rules) {
	for i, kind := range r.Notify.Additional {
		if !slices.Contains(RecipientKinds(), kind) {
			c.err("rules.notify.additional."+strconv.Itoa(i), "rule.recipients", "There is no kind of recipient %q; use %s.", kind, strings.Join(RecipientKinds(), ", "))
		}
	}
	if len(r.Publication.Publishers) == 0 && (r.Publication.Override || r.Publication.Default) {
		c.err("rules.publication.publishers", "rule.publication", "There is no publisher.")
	}
	if r.Documents.OnRegister && !r.Documents.Required {
		c.err("rules.documents.on_register", "rule.documents", "Documents that come with the order are required.")
	}
	if r.Documents.Required && !r.Documents.PDF && !r.Documents.Images {
		c.err("rules.documents", "rule.documents", "Say in what form documents are taken.")
	}
}
