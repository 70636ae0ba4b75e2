package notice

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// Limits of texts, in characters, and of what they become, in octets.
const (
	maxSubjectText = 300
	maxBodyText    = 20_000
	maxRendered    = 64 << 10
	maxSubject     = 450 // octets; the outbox takes 500
)

// A compiled text is ready to be rendered.
type compiled struct {
	subject, body       *template.Template
	subjectSrc, bodySrc string
}

// compile parses both parts. Only values, conditions and comparisons are allowed: no
// loops, no functions that build strings, no templates in templates. So a text cannot
// grow, run for ever or reach anything but the data.
func compile(subject, body string) (compiled, error) {
	s, err := parseText("subject", subject)
	if err != nil {
		return compiled{}, err
	}
	b, err := parseText("body", body)
	return compiled{s, b, subject, body}, err
}

func parseText(name, source string) (*template.Template, error) {
	t, err := template.New(name).Parse(source)
	if err != nil {
		return nil, badTemplate(name, strings.TrimPrefix(err.Error(), "template: "))
	}
	if len(t.Templates()) > 1 {
		return nil, badTemplate(name, "a text defines no further templates")
	}
	if t.Tree == nil || t.Root == nil {
		return t, nil
	}
	if err := walk(t.Tree, t.Root, false); err != nil {
		return nil, badTemplate(name, err.Error())
	}
	return t, nil
}

func badTemplate(part, why string) error {
	return fault.Invalidf("notice.template", "The %s cannot be used: %s.", part, why).
		WithNext("Values are %s. Conditions are written {{if .Reason}}…{{end}} or {{with .Reason}}…{{.}}…{{end}}.", "{{."+strings.Join(fieldNames, "}}, {{.")+"}}").WithField(part)
}

// walk refuses what is not allowed. Inside "with", the dot is a value and has no fields.
func walk(t *parse.Tree, n parse.Node, inside bool) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Nodes {
			if err := walk(t, c, inside); err != nil {
				return err
			}
		}
		return nil
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.DotNode:
		return nil
	case *parse.ActionNode:
		return walk(t, n.Pipe, inside)
	case *parse.IfNode:
		return walkBranch(t, &n.BranchNode, inside, inside)
	case *parse.WithNode:
		return walkBranch(t, &n.BranchNode, inside, true)
	case *parse.PipeNode:
		return walkPipe(t, n, inside)
	case *parse.FieldNode:
		if inside {
			return fmt.Errorf("%q stands inside {{with}}, where values are written {{$%s}}", n, n)
		}
		return checkField(n.Ident)
	case *parse.VariableNode:
		if n.Ident[0] != "$" || len(n.Ident) == 1 {
			return fmt.Errorf("there are no variables such as %s", n)
		}
		return checkField(n.Ident[1:])
	}
	location, _ := t.ErrorContext(n)
	return fmt.Errorf("%s: %q is not allowed", location, n)
}

func walkBranch(t *parse.Tree, b *parse.BranchNode, inside, then bool) error {
	return errors.Join(walk(t, b.Pipe, inside), walk(t, b.List, then), walk(t, b.ElseList, inside))
}

// walkPipe takes one value, or one function over values.
func walkPipe(t *parse.Tree, p *parse.PipeNode, inside bool) error {
	if len(p.Decl) > 0 {
		return errors.New("there are no variables")
	}
	if len(p.Cmds) != 1 {
		return fmt.Errorf("%q: values are not passed on with a bar", p)
	}
	args := p.Cmds[0].Args
	function, called := args[0].(*parse.IdentifierNode)
	if !called {
		if len(args) > 1 {
			return fmt.Errorf("%q is more than one value", p)
		}
		return walk(t, args[0], inside)
	}
	for _, arg := range args[1:] {
		if err := walk(t, arg, inside); err != nil {
			return err
		}
	}
	return checkCall(function.Ident, args[1:])
}

// checkCall allows logic, and comparisons of like with like, so that a text that is
// accepted cannot fail later in a branch that no sample reaches.
func checkCall(function string, args []parse.Node) error {
	n := len(args)
	switch function {
	case "not":
		if n == 1 {
			return nil
		}
	case "and", "or":
		if n >= 2 {
			return nil
		}
	case "eq", "ne", "lt", "le", "gt", "ge":
		if n == 2 && kindOf(args[0]) != noKind && kindOf(args[0]) == kindOf(args[1]) {
			return nil
		}
	default:
		return fmt.Errorf("there is no function %q", function)
	}
	return fmt.Errorf("%q compares two values of one kind, numbers or texts; \"not\" takes one condition, \"and\" and \"or\" several", function)
}

// The kinds of what can be compared.
const (
	noKind = iota
	numberKind
	textKind
)

func kindOf(n parse.Node) int {
	var ident []string
	switch n := n.(type) {
	case *parse.NumberNode:
		if strings.Trim(n.Text, "0123456789") == "" && n.IsInt {
			return numberKind
		}
		return noKind
	case *parse.StringNode:
		return textKind
	case *parse.FieldNode:
		ident = n.Ident
	case *parse.VariableNode:
		ident = n.Ident[1:]
	default:
		return noKind
	}
	if ident[0] == "Days" {
		return numberKind
	}
	return textKind
}

func checkField(ident []string) error {
	if len(ident) != 1 || !slices.Contains(fieldNames, ident[0]) {
		return fmt.Errorf("there is no value {{.%s}}", strings.Join(ident, "."))
	}
	return nil
}

// render gives subject and body for the data. Whatever the data holds, the subject is
// one line.
func (c compiled) render(f fields) (subject, body string, err error) {
	if subject, err = execute(c.subject, f); err != nil {
		return "", "", err
	}
	if body, err = execute(c.body, f); err != nil {
		return "", "", err
	}
	return short(plain(subject), maxSubject), tidy(body), nil
}

// short cuts at a boundary of characters.
func short(s string, octets int) string {
	if len(s) <= octets {
		return s
	}
	return strings.ToValidUTF8(s[:octets], "") + "…"
}

func (c compiled) renderSMS(f fields) string {
	text, err := execute(c.body, f)
	if err != nil {
		return outbox.Placeholder // unreachable: a test renders every built-in text
	}
	return strings.TrimSpace(text)
}

func execute(t *template.Template, f fields) (string, error) {
	var out bytes.Buffer
	if err := t.Execute(&limited{&out}, f); err != nil {
		return "", err
	}
	return out.String(), nil
}

// limited ends a text that grows too long.
type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("the text becomes longer than %d octets", maxRendered)
	}
	return l.Buffer.Write(p)
}

var gaps = regexp.MustCompile(`\n[ \t]*(\n[ \t]*)+\n`)

// tidy closes the gaps that conditions leave, without touching indentation.
func tidy(body string) string {
	body = strings.ReplaceAll(body, "\r\n", "\n")
	return strings.Trim(gaps.ReplaceAllString(body, "\n\n"), "\n") + "\n"
}

// checkText tells whether a text will do for an event: it compiles, names what there
// is, renders with all data and with hardly any, and has the secret in the body, and
// only there, exactly where the event has one.
func checkText(e Event, l Language, subject, body string) (compiled, error) {
	if n := len([]rune(subject)); n == 0 || n > maxSubjectText || strings.ContainsAny(subject, "\r\n") {
		return compiled{}, fault.Invalidf("notice.subject", "The subject is one line of at most %d characters.", maxSubjectText).WithField("subject")
	}
	if n := len([]rune(body)); n > maxBodyText {
		return compiled{}, fault.Invalidf("notice.body", "The body has %d characters; at most %d are allowed.", n, maxBodyText).WithField("body")
	}
	c, err := compile(subject, body)
	if err != nil {
		return c, err
	}
	full := sample(e, l, sampleTime)
	bare := fields{Name: full.Name, Domain: full.Domain, Secret: full.Secret}
	trials := []fields{full, bare}
	if events[e].secret == maybe {
		full.Secret, bare.Secret = "", ""
		trials = append(trials, full, bare)
	}
	for _, f := range trials {
		if err := c.try(f); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c compiled) try(f fields) error {
	subject, body, err := c.render(f)
	switch {
	case err != nil:
		return badTemplate("text", err.Error())
	case subject == "":
		return fault.Invalidf("notice.subject", "The subject may become empty.").WithField("subject")
	case strings.TrimSpace(body) == "":
		return fault.Invalidf("notice.body", "The body may become empty.").WithField("body")
	case strings.Contains(c.subjectSrc, ".Secret") || strings.Contains(c.subjectSrc, outbox.Placeholder):
		return fault.Invalidf("notice.secret", "The subject must not hold the secret: it is stored and shown in lists.").WithField("subject")
	case f.Secret != "" && !strings.Contains(body, outbox.Placeholder):
		return fault.Invalidf("notice.secret", "The body must hold the link or PIN of this notification.").WithNext("Write {{.Secret}} where it belongs.").WithField("body")
	case f.Secret == "" && strings.Contains(body, outbox.Placeholder):
		return fault.Invalidf("notice.secret", "This notification has no secret, but the body shows one.").WithNext("Take %s out.", outbox.Placeholder).WithField("body")
	}
	return nil
}
