package notice

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"time"
)

//go:embed texts/*.txt
var textFiles embed.FS

// sampleTime is when the samples of checks play.
var sampleTime = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

type textKey struct {
	event    Event // with smsSuffix for the text of an SMS
	language Language
}

// A library holds the built-in texts.
type library map[textKey]compiled

// builtIn reads the texts once; they are never written again.
var builtIn = sync.OnceValue(func() library {
	l := library{}
	for _, language := range Languages() {
		if err := l.load(language); err != nil {
			panic(err) // unreachable: a test reads every language
		}
	}
	return l
})

// load reads one language. The sections hello, facts and foot are put in where the
// others name them, so that each text stands on its own and can be copied and changed.
func (l library) load(language Language) error {
	data, err := textFiles.ReadFile("texts/" + string(language) + ".txt")
	if err != nil {
		return err
	}
	sections, err := split(string(data))
	if err != nil {
		return fmt.Errorf("texts in %s: %w", language, err)
	}
	parts := strings.NewReplacer("{{hello}}", sections["hello"], "{{facts}}", sections["facts"], "{{foot}}", sections["foot"])
	for _, e := range Events() {
		subject, body, ok := strings.Cut(sections[string(e)], "\n\n")
		if !ok {
			return fmt.Errorf("texts in %s: %s lacks a subject or body", language, e)
		}
		if l[textKey{e, language}], err = checkText(e, language, subject, parts.Replace(body)); err != nil {
			return fmt.Errorf("texts in %s: %s: %w", language, e, err)
		}
	}
	text := sections[string(P12PIN+smsSuffix)]
	if !strings.Contains(text, "{{.Secret}}") {
		return fmt.Errorf("texts in %s: the SMS lacks the PIN", language)
	}
	sms, err := compile("PIN", text)
	if err != nil {
		return fmt.Errorf("texts in %s: %w", language, err)
	}
	l[textKey{P12PIN + smsSuffix, language}] = sms
	return nil
}

// split takes a file apart at its lines "== name".
func split(text string) (map[string]string, error) {
	out, name := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if header, ok := strings.CutPrefix(line, "== "); ok {
			name = strings.TrimSpace(header)
			if _, twice := out[name]; twice {
				return nil, fmt.Errorf("the section %q occurs twice", name)
			}
			out[name] = ""
			continue
		}
		if name != "" {
			out[name] += line
		}
	}
	for n, text := range out {
		out[n] = strings.Trim(text, "\n")
	}
	return out, nil
}
