package product

import (
	"slices"
	"strconv"
	"strings"
)

// smimePolicy is the reserved policy of a class and generation (SBR 7.1.6.1).
func smimePolicy(class Class, strict bool) string {
	i := slices.Index([]Class{Mailbox, Organisation, Sponsor, Individual}, class)
	if i < 0 {
		return ""
	}
	generation := ".2"
	if strict {
		generation = ".3"
	}
	return "2.23.140.1.5." + strconv.Itoa(i+1) + generation
}

func (c *linter) smime() {
	c.purpose("emailProtection", false, "RFC 5280, 4.2.1.12")
	if !c.sure("san.email") && !c.sure("san.smtp_utf8") {
		c.err("san.email", "smime.mailbox", "A mailbox must be in every certificate (S/MIME BR 7.1.4.2.1).")
	}
	if !c.d.Rules.PublicTrust {
		return
	}
	e, r := &c.d.Extensions, &c.d.Rules
	for _, name := range e.ExtKeyUsage {
		if slices.Contains([]string{"serverAuth", "codeSigning", "timeStamping", "any"}, name) || c.d.Strict && name != "emailProtection" {
			c.err("extensions.ext_key_usage", "smime.purpose", "%s is not allowed (S/MIME BR 7.1.2.3).", name)
		}
	}
	if !r.Mailbox && r.DomainControl == NoDomainControl {
		c.err("rules.mailbox_control", "smime.rule", "Control over the mailbox or its domain must be shown (S/MIME BR 3.2.2).")
	}
	for path, missing := range map[string]bool{"rules.caa": !r.CAA, "rules.lint": !r.Lint.On} {
		if missing {
			c.err(path, "smime.rule", "This step is mandatory under public trust (S/MIME BR 4.2.2, 4.3.1.2).")
		}
	}
	if e.NoConstraints && e.CA {
		c.err("extensions.ca", "smime.ca", "The certificate of a mailbox is no authority.")
	}
	c.publicKeys("S/MIME BR 6.1.5", Ed25519)
	c.smimeSubject()
}

func (c *linter) smimeSubject() {
	want := smimePolicy(c.d.Class, c.d.Strict)
	if want == "" {
		c.err("class", "smime.class", "An S/MIME certificate has the class mailbox, organisation, sponsor or individual.")
		return
	}
	var all []string
	for _, class := range []Class{Mailbox, Organisation, Sponsor, Individual} {
		all = append(all, smimePolicy(class, true), smimePolicy(class, false))
	}
	c.reserved("smime.policy", "S/MIME BR 7.1.6.1", want, all)
	const code, clause = "smime.subject", "S/MIME BR 7.1.4.2"
	person := func() {
		if !c.sure("subject.pseudonym") && !(c.sure("subject.GN") && c.sure("subject.SN")) && !c.has("subject.pseudonym") {
			c.err("subject.GN", code, "A given name and surname, or a pseudonym, must be there (%s).", clause)
		}
	}
	switch c.d.Class {
	case Mailbox:
		c.subjectOnly(code, clause, "CN emailAddress serialNumber")
	case Organisation:
		c.subjectOnly(code, clause, "CN emailAddress serialNumber O OU organizationIdentifier STREET L ST postalCode C")
		c.need(code, clause, "subject.O", "subject.organizationIdentifier")
	case Sponsor:
		c.subjectOnly(code, clause, "CN emailAddress serialNumber O OU organizationIdentifier GN SN pseudonym title STREET L ST postalCode C")
		c.need(code, clause, "subject.O", "subject.organizationIdentifier")
		person()
	case Individual:
		c.subjectOnly(code, clause, "CN emailAddress serialNumber GN SN pseudonym title STREET L ST postalCode C")
		person()
	}
}

func (c *linter) codeSigning() {
	if !c.d.Rules.PublicTrust {
		c.purpose("codeSigning", false, "RFC 5280, 4.2.1.12")
		return
	}
	c.purpose("codeSigning", true, "CS BR 7.1.2.3")
	c.need("code.subject", "CS BR 7.1.4.2", "subject.CN", "subject.O", "subject.C")
	if c.d.Key.Generation.File() {
		c.err("key.generation", "code.hardware", "Keys for code signing live in hardware (CS BR 6.2.7.4).")
	}
	for i, t := range c.d.Key.Types {
		if bits := t.RSABits(); bits > 0 && bits < 3072 {
			c.err("key.types."+strconv.Itoa(i), "code.key", "RSA keys need 3072 bits (CS BR 6.1.5.2).")
		}
	}
}

// qualified applies ETSI EN 319 412-2, -3 and -5.
func (c *linter) qualified() {
	q, person := c.d.Extensions.Qualified, c.d.Kind == QualifiedPerson
	if person {
		c.need("qualified.subject", "ETSI EN 319 412-2, 4.2.4", "subject.C", "subject.CN")
		if !(c.sure("subject.GN") && c.sure("subject.SN")) && !c.sure("subject.pseudonym") {
			c.err("subject.GN", "qualified.subject", "A given name and surname, or a pseudonym, must be there (ETSI EN 319 412-2, 4.2.4).")
		}
	} else {
		c.need("qualified.subject", "ETSI EN 319 412-3, 4.2.1", "subject.C", "subject.O", "subject.organizationIdentifier", "subject.CN")
	}
	if len(c.d.Extensions.Policies) == 0 {
		c.err("extensions.policies", "qualified.policy", "A policy must be named (ETSI EN 319 412-2, 4.3.3).")
	}
	if q == nil {
		c.warn("extensions.qualified", "qualified.statements", "Without statements the certificate is not qualified (ETSI EN 319 412-5).")
		return
	}
	want := map[bool]string{true: "esign", false: "eseal"}[person]
	if q.Compliance && (len(q.Types) != 1 || q.Types[0] != want) {
		c.err("extensions.qualified.types", "qualified.type", "The purpose is %s, alone (ETSI EN 319 412-5, 4.2.3).", want)
	}
	if q.Compliance && !slices.ContainsFunc(q.PDS, func(p PDS) bool { return strings.EqualFold(p.Language, "en") }) {
		c.err("extensions.qualified.pds", "qualified.pds", "A disclosure statement in English must be named (ETSI EN 319 412-5, 4.3.4).")
	}
	if q.SSCD && c.d.Key.Generation.File() {
		c.err("extensions.qualified.sscd", "qualified.sscd", "A key in a file is not in a qualified signature creation device.")
	}
}
