package config

import "strings"

// Example is the commented configuration file. It parses to [Default]: keys
// with a default stand there with it, others are commented out with a sample.
func Example() []byte {
	c := basis()
	var b strings.Builder
	b.WriteString("# Sealwright: settings with their defaults.\n" +
		"# A key that is left out has its default; an unknown one is an error.\n" +
		"# Every key can be set by a variable instead: server.listen by SEALWRIGHT_SERVER_LISTEN.\n" +
		"# A secret is { file = \"/path\" }, { credential = \"name\" } for systemd's LoadCredential=, or \"env:NAME\".\n" +
		"# `sealwright config check` tells whether the file is right.\n")
	table := ""
	for _, s := range settings(c) {
		dot := strings.LastIndex(s.key, ".")
		if s.key[:dot] != table {
			table = s.key[:dot]
			b.WriteString("\n# " + sections[table] + "\n[" + table + "]\n")
		}
		b.WriteString("# " + s.doc + "\n")
		if shown := s.value.write(); shown != "" {
			b.WriteString(s.key[dot+1:] + " = " + shown + "\n")
		} else {
			b.WriteString("# " + s.key[dot+1:] + " = " + s.sample + "\n")
		}
	}
	return []byte(b.String())
}
