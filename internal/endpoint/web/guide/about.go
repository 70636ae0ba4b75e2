package guide

import "fmt"

func about(p Params) Guide {
	what := "An encrypted PKCS#12 file with the private key, the certificate and the authorities above it. Its password came by SMS after the download and stays its password."
	if p.brought() {
		what = "The certificate and the authorities above it, in PEM. The private key is the one you made yourself, in " + p.KeyFile + "; it never left your machine."
	}
	own := p.FileName
	if p.brought() {
		own = p.KeyFile
	}
	return Guide{
		ID: "about", Title: "The certificate", Summary: "What the file is, where it belongs and how to keep it.",
		Steps: []Step{
			{Title: "What you have: " + p.FileName, Text: what},
			{Title: "What it does", Text: fmt.Sprintf("It identifies your program to the web services at %s and opens all data of the service %s, and of no other. Whoever holds it can call in your name. It works at once, in the environment %s only; programs of your own that should be told apart get a certificate each.", p.Host, p.Service, p.Realm)},
			{Title: "Put it where only the program can read it", Text: "On Linux, with the program's own user in place of “app”:", Code: lines(
				"chmod 600 "+sh(own), "sudo chown app "+sh(own))},
			{Title: "Erase what is left over", Text: "Delete copies made on the way: downloads, converted files, mounted drives, the SMS with the password once the file is installed."},
			{Title: "Back-ups", Text: "Protect a back-up as well as the original. Easier: keep none, and have a new certificate issued if this one is lost."},
			{Title: "Before it expires", Text: "Order the next one in good time. Both work side by side until this one ends, so you can change over without a break."},
			{Title: "If it is lost, or somebody may have seen it", Text: "Report it at once. It is withdrawn and stops working everywhere within seconds."},
		},
		Cures: refusals(),
	}
}

// refusals are what the web services answer to a certificate that they do not
// accept, by the code in the answer.
func refusals() []Cure {
	return []Cure{
		{"clientcert.missing", "The program sent no certificate. Check that it is configured for this host and that its private key was found; some libraries hold it back without a word."},
		{"clientcert.foreign", "The program sent another certificate, often one that the machine has for other purposes. Choose this one by name."},
		{"clientcert.environment", "The certificate belongs to the other environment. Call the host that belongs to it."},
		{"clientcert.other_service", "The certificate belongs to another service than the address names. Each service has its own."},
		{"clientcert.expired, clientcert.withdrawn", "Have a new certificate ordered."},
		{"clientcert.not_yet_valid", "The clock of the machine that checks it is behind, or yours is: set the time."},
	}
}

// legacy is the cure for importers that do not know today's encryption.
func legacy(p Params) []Cure {
	if p.brought() {
		return nil
	}
	return []Cure{
		{
			"The right password is refused (“invalid password”, “mac verify failure”, “the password you entered is incorrect”)",
			"Most often the importer is old: Windows Server before 2019, Java before 8u301, OpenSSL 1.0 and several appliances do not know AES-256 with SHA-256 and blame the password. Have a certificate ordered with the legacy option, or convert the file on a protected machine (see OpenSSL).",
		},
		{"The password really is refused everywhere", "It is 12 letters and digits without spaces, and upper and lower case differ. Copy it from the latest SMS for this file name; the one-time password from before the download is a different one."},
	}
}
