package sftpdir_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A connection that is closed, or was lost, leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
