//go:build !linux

package timestamp

import "time"

// KernelOffset is known on Linux only.
func KernelOffset() (offset time.Duration, known bool) { return 0, false }
