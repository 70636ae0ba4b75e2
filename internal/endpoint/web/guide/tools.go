package guide

func curl(p Params) Guide {
	config := lines(
		`url = "`+p.url()+`"`,
		where(!p.brought(), `cert = "`+p.p12()+`"`), where(!p.brought(), `cert-type = "P12"`), where(!p.brought(), `pass = "the password from the SMS"`),
		where(p.brought(), `cert = "`+p.pem()+`"`), where(p.brought(), `key = "`+p.key()+`"`),
		`user = "`+p.Service+`:the password of the service"`,
		where(p.TrustFile != "", `cacert = "`+p.TrustFile+`"`),
		`fail-with-body`, `silent`, `show-error`,
	)
	return Guide{
		ID: "curl", Title: "curl", Summary: "The quickest way to see that the certificate works.",
		Steps: []Step{
			{Title: "Make a file that only you can read", Code: lines("install -m 600 /dev/null client.curl")},
			{Title: "Write the settings into it", Text: "Passwords stay out of the command line, where other users of the machine could read them.", File: "client.curl", Code: config},
			{Title: "Send a document", Text: "The answer is the document's id.", Code: lines(`curl --config client.curl --header "Content-Type: text/plain" --data-binary "Hello"`)},
		},
		Cures: append([]Cure{
			{"curl: (58) could not parse PKCS12 file", "The password in client.curl is wrong, or this curl is built on a TLS library that cannot read the file. See OpenSSL for how to turn it into PEM, and name the two files as cert and key."},
			{"curl: (60) SSL certificate problem", "curl does not know the authority behind the host's certificate. Add cacert with its PEM file; never switch the check off."},
			{"401 Unauthorized", "The certificate is fine; the name or password of the service is not."},
		}, legacy(p)...),
	}
}

func openSSL(p Params) Guide {
	g := Guide{ID: "openssl", Title: "OpenSSL", Summary: "Turn the file into PEM for programs that want it so, look into it, and try the connection."}
	if p.brought() {
		g.Steps = append(g.Steps, combine(p))
	} else {
		g.Steps = append(g.Steps, split(p)...)
	}
	trust := where(p.TrustFile != "", " -CAfile "+sh(p.TrustFile))
	g.Steps = append(g.Steps,
		Step{Title: "Look at the certificate", Code: lines("openssl x509 -in " + sh(p.pem()) + " -noout -subject -enddate -ext subjectAltName")},
		Step{Title: "See that key and certificate belong together", Text: "Both lines must be the same.", Code: lines(
			"openssl x509 -in "+sh(p.pem())+" -noout -pubkey | openssl sha256",
			"openssl pkey -in "+sh(p.key())+" -pubout | openssl sha256")},
		Step{Title: "Try the connection", Text: "“Verification: OK” means that the host is genuine; the connection ends by itself.", Code: lines(
			"openssl s_client -connect " + sh(p.address()) + " -servername " + sh(p.Host) + " -cert " + sh(p.pem()) + " -cert_chain " + sh(p.pem()) + " -key " + sh(p.key()) + trust + " -verify_return_error -brief < /dev/null")},
	)
	if !p.brought() {
		g.Steps = append(g.Steps, Step{
			Title: "For an old importer only: write the file anew with the old encryption",
			Text:  "It is weaker. Do this on the machine where it will be used, with the PEM files from the first steps, choose a long random password, and erase the PEM files afterwards.",
			Code:  lines("openssl pkcs12 -export -in " + sh(p.pem()) + " -inkey " + sh(p.key()) + " -name " + sh(p.CommonName) + " -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -out " + sh(p.CommonName+"-legacy.p12")),
		})
	}
	g.Cures = append([]Cure{
		{"pkcs12: Unrecognized flag noenc", "OpenSSL before 3.0 calls it -nodes."},
		{"Mac verify error: invalid password?", "Look at the SMS for this file name again. OpenSSL 1.0 says so of every file with today's encryption, too."},
		{"unable to get local issuer certificate", "The authority behind the host's certificate is unknown here. Name its PEM file with -CAfile."},
	}, legacy(p)...)
	return g
}

func split(p Params) []Step {
	return []Step{
		{Title: "Take the certificate and the authorities above it out", Text: "It asks for the password from the SMS.", Code: lines("openssl pkcs12 -in " + sh(p.FileName) + " -nokeys -out " + sh(p.pem()))},
		{Title: "Take the private key out", Text: "The new file is not encrypted: it must not leave the server. Only its owner may read it.", Code: lines(
			"install -m 600 /dev/null "+sh(p.key()),
			"openssl pkcs12 -in "+sh(p.FileName)+" -nocerts -noenc -out "+sh(p.key()))},
	}
}

// combine makes a key file for programs that do not read PEM.
func combine(p Params) Step {
	return Step{Title: "Put key and certificate into one file", Text: "For programs that do not read PEM. Choose a long random password; it is asked for twice.", Code: lines(
		"openssl pkcs12 -export -in " + sh(p.FileName) + " -inkey " + sh(p.KeyFile) + " -name " + sh(p.CommonName) + " -out " + sh(p.p12()))}
}
