package console

import (
	"embed"
	"io/fs"
	"sync"

	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
)

const assetPrefix = "/console/static/"

//go:embed static/*.js
var files embed.FS

// assets are the modules that some of the pages need. They are the same for
// every handler and never change.
var assets = sync.OnceValue(func() *theme.Assets {
	below, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	a, err := theme.NewAssets(assetPrefix, below)
	if err != nil {
		panic(err) // embedded files can be read
	}
	return a
})

// module is the list with one module's address, for a page's properties.
func module(name string) []string { return []string{assets().URL(name)} }
