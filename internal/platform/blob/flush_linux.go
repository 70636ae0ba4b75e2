package blob

import (
	"os"
	"syscall"
)

// startFlush asks the kernel to begin writing what it holds of a file. It is a
// hint: durability comes from fsync, so its error is of no interest.
func startFlush(f file) {
	if f, ok := f.(*os.File); ok {
		const write = 2 // SYNC_FILE_RANGE_WRITE
		_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, write)
	}
}
