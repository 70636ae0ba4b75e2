package theme

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tokensOf reads the custom properties of the first rule with this selector.
func tokensOf(t *testing.T, selector string) map[string]string {
	t.Helper()
	b, err := files.ReadFile("css/10-tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), selector+" {\n")
	if !ok {
		t.Fatalf("The tokens have no rule %q.", selector)
	}
	body, _, _ := strings.Cut(rest, "}")
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s*([\w-]+):\s*(.+);$`).FindAllStringSubmatch(body, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// luminance is the relative luminance of a colour "#rrggbb" (WCAG 2.2, definitions).
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil || len(colour) != 7 {
		t.Fatalf("%q is not a colour of the form #rrggbb.", colour)
	}
	linear := func(c uint64) float64 {
		s := float64(c&0xff) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func TestColoursHaveEnoughContrast(t *testing.T) {
	grounds := []string{"--sw-bg", "--sw-surface", "--sw-surface-2", "--sw-hover"}
	type pair struct {
		fore  string
		on    []string
		least float64
	}
	pairs := []pair{
		{"--sw-text", append([]string{"--sw-accent-soft", "--sw-ok-soft", "--sw-warn-soft", "--sw-danger-soft", "--sw-info-soft", "--sw-neutral-soft"}, grounds...), 7},
		{"--sw-muted", append([]string{"--sw-accent-soft", "--sw-neutral-soft"}, grounds...), 4.5},
		{"--sw-link", grounds, 4.5},
		{"--sw-accent", grounds, 4.5},
		{"--sw-accent-strong", grounds, 4.5},
		{"--sw-danger", grounds, 4.5},
		{"--sw-on-accent", []string{"--sw-accent", "--sw-accent-strong"}, 4.5},
		{"--sw-on-danger", []string{"--sw-danger", "--sw-danger-strong"}, 4.5},
		{"--sw-band-dark", []string{"--sw-band"}, 7},
		{"--sw-side-text", []string{"--sw-side", "--sw-side-2"}, 7},
		{"--sw-side-muted", []string{"--sw-side", "--sw-side-2"}, 4.5},
		{"--sw-side-strong", []string{"--sw-side", "--sw-side-2", "--sw-side-line"}, 4.5},
		// Not text: focus rings, borders of controls, the mark of the current page.
		{"--sw-focus", append([]string{"--sw-accent-soft"}, grounds...), 3},
		{"--sw-line-strong", []string{"--sw-bg", "--sw-surface", "--sw-surface-2"}, 3},
		{"--sw-side-focus", []string{"--sw-side", "--sw-side-2"}, 3},
		{"--sw-side-mark", []string{"--sw-side"}, 3},
	}
	for _, state := range []string{"ok", "warn", "danger", "info", "neutral"} {
		pairs = append(pairs, pair{"--sw-" + state, append([]string{"--sw-" + state + "-soft"}, grounds...), 4.5})
	}
	for theme, selector := range map[string]string{"light": "\n:root", "dark": `:root[data-bs-theme="dark"]`} {
		tokens := tokensOf(t, selector)
		for _, p := range pairs {
			for _, on := range p.on {
				if got := contrast(t, tokens[p.fore], tokens[on]); got < p.least {
					t.Errorf("%s: %s on %s has a contrast of %.2f; want %.1f.", theme, p.fore, on, got, p.least)
				}
			}
		}
	}
}

func TestDarkIsTheSameByChoiceAndBySystem(t *testing.T) {
	chosen, system := tokensOf(t, `:root[data-bs-theme="dark"]`), tokensOf(t, "  :root:not([data-bs-theme])")
	light := tokensOf(t, "\n:root")
	if len(chosen) == 0 || len(chosen) != len(system) || len(chosen) != len(light) {
		t.Fatalf("Light has %d tokens, dark %d by choice and %d by system.", len(light), len(chosen), len(system))
	}
	for name, value := range chosen {
		if system[name] != value {
			t.Errorf("%s is %s by choice and %s by system.", name, value, system[name])
		}
		if _, ok := light[name]; !ok {
			t.Errorf("%s has no light value.", name)
		}
	}
}

func TestColoursAreSpelledInTheTokensOnly(t *testing.T) {
	entries, err := files.ReadDir("css")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "10-tokens.css" || e.Name() == "90-media.css" { // paper is black on white
			continue
		}
		b, err := files.ReadFile("css/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, colour := range regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b`).FindAllString(string(b), -1) {
			if colour != "#fff" { // a QR code is on white in every theme
				t.Errorf("%s spells the colour %s; make it a token.", e.Name(), colour)
			}
		}
	}
}
