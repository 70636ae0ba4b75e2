//go:build !linux

package pickup

import "errors"

// Other systems have no portable way to ask.
const canAsk = false

func (w *wire) pending() (bytes int, reset bool, err error) {
	return 0, false, errors.ErrUnsupported
}
