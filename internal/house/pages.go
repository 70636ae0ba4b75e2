package house

import (
	"net/http"

	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
)

// pages serves the main listener: the API and everything people look at.
func (h *House) pages() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", h.api(nil))
	mux.Handle("GET /static/", theme.Handler())
	mux.Handle(theme.SwitchPath, theme.SwitchHandler())
	h.Health.Register(mux)
	return mux, nil
}
