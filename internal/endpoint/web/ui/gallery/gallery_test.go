package gallery_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/endpoint/web/browsertest"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui/gallery"
)

// N102: every page works on phone, tablet and desktop, in light and dark. Each
// is checked by axe (WCAG 2.2 AA), for a policy that nothing violates, and for
// not scrolling sideways.
func TestEveryPageIsAccessibleAtEverySizeAndInBothThemes(t *testing.T) {
	server := httptest.NewServer(gallery.Handler())
	defer server.Close()
	for _, o := range []browsertest.Options{
		{Width: 360, Height: 740, Touch: true},
		{Width: 360, Height: 740, Touch: true, Dark: true},
		{Width: 820, Height: 1100},
		{Width: 1440, Height: 900},
		{Width: 1440, Height: 900, Dark: true},
	} {
		scheme := map[bool]string{true: "dark", false: "light"}[o.Dark]
		t.Run(fmt.Sprintf("%d px, %s", o.Width, scheme), func(t *testing.T) {
			p := browsertest.Start(t, o)
			paths := gallery.Paths()
			if o.Width == 820 { // between the layouts: what is wide there
				paths = []string{"/", "/certificates", "/order", "/form?fault=1"}
			}
			for _, path := range paths {
				p.Go(server.URL + path)
				p.Accessible()
				name := strings.NewReplacer("/", "", "?", "-", "=", "").Replace(path)
				p.Screenshot(fmt.Sprintf("%s-%d-%s", strings.TrimSuffix("page-"+name, "-"), o.Width, scheme))
			}
		})
	}
}
