package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The commands of the managed PKI show how they are typed.
func TestEveryPKICommandHasAnExample(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if line := strings.TrimPrefix(cmd.CommandPath(), "sealwright "); cmd.Runnable() && !strings.Contains(cmd.Example+cmd.Long, "sealwright "+line+" ") && !strings.Contains(cmd.Example+cmd.Long+"\n", "sealwright "+line+"\n") {
			t.Errorf("%s has no example of its use", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	for _, name := range []string{"client", "product", "order", "domain", "publisher", "timestamp", "keys", "external", "perspective"} {
		cmd, _, err := root().Find([]string{name})
		if err != nil || cmd.Name() != name {
			t.Fatalf("there is no command %s: %v", name, err)
		}
		walk(cmd)
	}
}
