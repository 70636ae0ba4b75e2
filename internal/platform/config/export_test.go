package config

// Parse is Load behind the reading of the file, for the fuzz test.
var Parse = parse

// Samples lists every setting with its sample, for tests that visit them all.
func Samples() map[string]string {
	all := map[string]string{}
	for _, s := range settings(basis()) {
		all[s.key] = s.sample
	}
	return all
}

// Undocumented lists settings and tables that the example file could not explain.
func Undocumented() (missing []string) {
	for _, s := range settings(basis()) {
		if s.doc == "" || s.value.allowed == "" || s.value.write() == "" && s.sample == "" {
			missing = append(missing, s.key)
		}
	}
	return missing
}

// Tables lists the tables that have a heading.
func Tables() map[string]string { return sections }
