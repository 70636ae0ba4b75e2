package ui

import (
	"context"
	"io"

	"github.com/a-h/templ"
)

// icons are our own drawings: strokes on a grid of 24.
var icons = map[string]string{
	"menu":        `<path d="M4 7h16M4 12h16M4 17h16"/>`,
	"close":       `<path d="M6 6l12 12M18 6L6 18"/>`,
	"check":       `<path d="M5 12.5l4.5 4.5L19 7.5"/>`,
	"warning":     `<path d="M12 4L2.8 20h18.4zM12 10v4.5M12 17.2v.3"/>`,
	"blocked":     `<path d="M8.3 3h7.4L21 8.3v7.4L15.7 21H8.3L3 15.7V8.3zM12 7.5v5M12 16v.3"/>`,
	"info":        `<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.6v.3"/>`,
	"dot":         `<circle cx="12" cy="12" r="4.5"/>`,
	"clock":       `<circle cx="12" cy="12" r="9"/><path d="M12 7v5.3l3.4 2"/>`,
	"copy":        `<rect x="8.5" y="8.5" width="11.5" height="11.5" rx="2"/><path d="M15.5 8.5V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v7.5a2 2 0 0 0 2 2h2.5"/>`,
	"download":    `<path d="M12 4v11M7 10.5l5 5 5-5M4.5 20h15"/>`,
	"upload":      `<path d="M12 16V5M7 9.5l5-5 5 5M4.5 20h15"/>`,
	"search":      `<circle cx="10.5" cy="10.5" r="6"/><path d="M15 15l5.5 5.5"/>`,
	"filter":      `<path d="M4 6h16M7 12h10M10 18h4"/>`,
	"right":       `<path d="M9.5 6l6 6-6 6"/>`,
	"left":        `<path d="M14.5 6l-6 6 6 6"/>`,
	"down":        `<path d="M6 9.5l6 6 6-6"/>`,
	"up":          `<path d="M6 14.5l6-6 6 6"/>`,
	"sort":        `<path d="M8 9.5l4-4 4 4M8 14.5l4 4 4-4"/>`,
	"user":        `<circle cx="12" cy="8" r="4"/><path d="M4.5 20c.8-4 3.8-6 7.5-6s6.7 2 7.5 6"/>`,
	"users":       `<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 19.5c.7-3.5 3.2-5.5 6.5-5.5s5.8 2 6.5 5.5M15.5 5.3a3.5 3.5 0 0 1 0 6.4M17.5 14.5c2.2.8 3.5 2.5 4 5"/>`,
	"sign-out":    `<path d="M14 4H6.5a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2H14M10 12h10.5M17 8.5l3.5 3.5-3.5 3.5"/>`,
	"sun":         `<circle cx="12" cy="12" r="4"/><path d="M12 2.5V5M12 19v2.5M2.5 12H5M19 12h2.5M5.3 5.3L7 7M17 17l1.7 1.7M5.3 18.7L7 17M17 7l1.7-1.7"/>`,
	"moon":        `<path d="M20 14.2A8.3 8.3 0 0 1 9.8 4a8.3 8.3 0 1 0 10.2 10.2z"/>`,
	"screen":      `<rect x="3" y="4.5" width="18" height="12" rx="2"/><path d="M9 20.5h6M12 16.5v4"/>`,
	"home":        `<path d="M4 11l8-7 8 7v8.5a.5.5 0 0 1-.5.5H14.5v-6h-5v6H4.5a.5.5 0 0 1-.5-.5z"/>`,
	"certificate": `<circle cx="12" cy="9.5" r="6"/><circle cx="12" cy="9.5" r="2.5"/><path d="M8.5 14.5L7 21.5l5-2.5 5 2.5-1.5-7"/>`,
	"key":         `<circle cx="8" cy="15.5" r="4.5"/><path d="M11.3 12.2L20 3.5M16 7.5l3 3M13.5 10l2 2"/>`,
	"shield":      `<path d="M12 3l7.5 2.8v5.7c0 4.6-3 7.9-7.5 9.5-4.5-1.6-7.5-4.9-7.5-9.5V5.8z"/><path d="M8.8 12l2.4 2.4 4.2-4.6"/>`,
	"building":    `<path d="M5 20.5V4h9v16.5M14 9.5h5v11M3 20.5h18M8 8h3M8 12h3M8 16h3"/>`,
	"list":        `<path d="M9 6.5h11M9 12h11M9 17.5h11M4.5 6.5h.3M4.5 12h.3M4.5 17.5h.3"/>`,
	"settings":    `<path d="M4 7h8M18 7h2M4 17h2M12 17h8"/><circle cx="15" cy="7" r="2.7"/><circle cx="9" cy="17" r="2.7"/>`,
	"file":        `<path d="M13.5 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8.5zM13.5 3v5.5H19"/>`,
	"inbox":       `<path d="M4 13.5L6.5 5h11L20 13.5V19H4zM4 13.5h4.5l1.2 2.5h4.6l1.2-2.5H20"/>`,
	"mail":        `<rect x="3" y="5.5" width="18" height="13.5" rx="2"/><path d="M3.5 7l8.5 6.5L20.5 7"/>`,
	"phone":       `<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18.5h2"/>`,
	"plus":        `<path d="M12 5v14M5 12h14"/>`,
	"refresh":     `<path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9M19.5 4.5V9H15"/>`,
	"trash":       `<path d="M4.5 6.5h15M9.5 6.5V4h5v2.5M6.5 6.5l.8 13.5h9.4l.8-13.5M10 10.5v6M14 10.5v6"/>`,
	"external":    `<path d="M13.5 4.5h6v6M19.5 4.5l-9 9M17.5 14v5.5h-13v-13H10"/>`,
	"lock":        `<rect x="5" y="10.5" width="14" height="10" rx="2"/><path d="M8 10.5V7.5a4 4 0 0 1 8 0v3M12 14.5v2"/>`,
	"pen":         `<path d="M4 20l1-4.5L16.5 4l3.5 3.5L8.5 19zM14 6.5l3.5 3.5"/>`,
	"calendar":    `<rect x="4" y="5.5" width="16" height="15" rx="2"/><path d="M4 10.5h16M8.5 3v4M15.5 3v4"/>`,
	"chart":       `<path d="M4 4v16h16M8.5 16v-4M12.5 16V8M16.5 16v-6"/>`,
	"eye":         `<path d="M2.5 12C4.5 8 8 5.5 12 5.5S19.5 8 21.5 12c-2 4-5.5 6.5-9.5 6.5S4.5 16 2.5 12z"/><circle cx="12" cy="12" r="2.8"/>`,
}

// Icon draws a named icon in the colour of the text around it, hidden from
// assistive technology: the word beside it says the same. An unknown name
// draws nothing; [IconNames] lists the known ones.
func Icon(name string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		drawing, ok := icons[name]
		if !ok {
			return nil
		}
		_, err := io.WriteString(w, `<svg class="sw-icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">`+drawing+`</svg>`)
		return err
	})
}

// IconNames lists the icons, in no particular order.
func IconNames() []string {
	names := make([]string, 0, len(icons))
	for name := range icons {
		names = append(names, name)
	}
	return names
}

// seal is the product's mark: a scalloped wax seal with an S cut into it.
const seal = `<svg class="sw-seal" viewBox="0 0 48 48" aria-hidden="true" focusable="false"><path class="sw-seal-wax" d="M24 1.25c.71 0 1.45 .81 2.12 1.25 .66 .45 1.18 1.31 1.87 1.44 .69 .14 1.49-.45 2.28-.61 .79-.16 1.78-.62 2.44-.35 .65 .27 1.03 1.3 1.47 1.97 .44 .67 .59 1.65 1.18 2.05 .59 .39 1.56 .15 2.34 .3 .79 .16 1.89 .11 2.39 .61 .5 .5 .45 1.6 .61 2.39 .15 .78-.09 1.75 .3 2.34 .4 .59 1.38 .74 2.05 1.18 .67 .44 1.7 .82 1.97 1.47 .27 .66-.19 1.65-.35 2.44 -.16 .79-.75 1.59-.61 2.28 .13 .69 .99 1.21 1.44 1.87 .44 .67 1.25 1.41 1.25 2.12 0 .71-.81 1.45-1.25 2.12 -.45 .66-1.31 1.18-1.44 1.87 -.14 .69 .45 1.49 .61 2.28 .16 .79 .62 1.78 .35 2.44 -.27 .65-1.3 1.03-1.97 1.47 -.67 .44-1.65 .59-2.05 1.18 -.39 .59-.15 1.56-.3 2.34 -.16 .79-.11 1.89-.61 2.39 -.5 .5-1.6 .45-2.39 .61 -.78 .15-1.75-.09-2.34 .3 -.59 .4-.74 1.38-1.18 2.05 -.44 .67-.82 1.7-1.47 1.97 -.66 .27-1.65-.19-2.44-.35 -.79-.16-1.59-.75-2.28-.61 -.69 .13-1.21 .99-1.87 1.44 -.67 .44-1.41 1.25-2.12 1.25 -.71 0-1.45-.81-2.12-1.25 -.66-.45-1.18-1.31-1.87-1.44 -.69-.14-1.49 .45-2.28 .61 -.79 .16-1.78 .62-2.44 .35 -.65-.27-1.03-1.3-1.47-1.97 -.44-.67-.59-1.65-1.18-2.05 -.59-.39-1.56-.15-2.34-.3 -.79-.16-1.89-.11-2.39-.61 -.5-.5-.45-1.6-.61-2.39 -.15-.78 .09-1.75-.3-2.34 -.4-.59-1.38-.74-2.05-1.18 -.67-.44-1.7-.82-1.97-1.47 -.27-.66 .19-1.65 .35-2.44 .16-.79 .75-1.59 .61-2.28 -.13-.69-.99-1.21-1.44-1.87 -.44-.67-1.25-1.41-1.25-2.12 0-.71 .81-1.45 1.25-2.12 .45-.66 1.31-1.18 1.44-1.87 .14-.69-.45-1.49-.61-2.28 -.16-.79-.62-1.78-.35-2.44 .27-.65 1.3-1.03 1.97-1.47 .67-.44 1.65-.59 2.05-1.18 .39-.59 .15-1.56 .3-2.34 .16-.79 .11-1.89 .61-2.39 .5-.5 1.6-.45 2.39-.61 .78-.15 1.75 .09 2.34-.3 .59-.4 .74-1.38 1.18-2.05 .44-.67 .82-1.7 1.47-1.97 .66-.27 1.65 .19 2.44 .35 .79 .16 1.59 .75 2.28 .61 .69-.13 1.21-.99 1.87-1.44 .67-.44 1.41-1.25 2.12-1.25z"/><circle class="sw-seal-ring" cx="24" cy="24" r="16.4"/><path class="sw-seal-cut" d="M30 18.6a6.2 5 0 0 0-6-3.6c-3.7 0-6.2 1.9-6.2 4.6 0 6.2 12.6 2.9 12.6 9.2 0 2.8-2.6 4.7-6.4 4.7a6.6 5.4 0 0 1-6.4-4"/></svg>`

// Seal draws the product's mark, hidden from assistive technology.
func Seal() templ.Component { return templ.Raw(seal) }
