//go:build !linux || !cgo

// Command sealwright-signer holds a PKCS#11 token for Sealwright.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "sealwright-signer: this build cannot load PKCS#11 libraries. Build it on Linux with CGO_ENABLED=1 and a C compiler.")
	os.Exit(1)
}
