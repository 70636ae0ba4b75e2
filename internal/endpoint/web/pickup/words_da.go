package pickup

import "github.com/sealwright/sealwright/internal/endpoint/web/ui"

func danish() words {
	return words{
		Tag: "da", Name: "Dansk", UI: danishUI(),
		Progress: "Forløb", StepCode: "Engangskode", StepRequest: "Certifikatanmodning", StepFile: "Hentning", StepInstall: "Installation",
		ForF: "Til %s", Certificate: "Certifikat", Service: "Tjeneste", Environment: "Miljø", FetchBefore: "Hentes inden", ValidUntil: "Gyldigt til", File: "Fil", Size: "Størrelse",
		AboutTitle:      "Hvad det er",
		AboutF:          "Med dette certifikat identificerer et af jeres programmer sig over for vores webtjenester. Det giver adgang til alle data i tjenesten %s. Den, der har det, kan foretage kald og læse dokumenter i jeres navn, så det skal holdes hemmeligt.",
		RightPlaceTitle: "Sidder du ved den rigtige maskine?",
		RightPlace:      "Åbn denne side på den server, hvor certifikatet skal bruges, eller på en maskine, der er beskyttet lige så godt.",
		NeverSend:       "Send aldrig filen eller dens adgangskode med e-mail, chat eller lignende. Ingen fra os vil bede dig om dem.",
		NoCopies:        "Efterlad ingen kopier på maskiner, der ikke er beskyttet.",
		ErrorTitle:      "Det lykkedes ikke", Report: "Meld det straks", ReportF: "Meld det straks til %s:", Phone: "Telefon", Email: "E-mail", Page: "Side",

		TitleCode: "Hent dit klientcertifikat", CodeLabel: "Engangskode", CodeHintF: "Seks cifre, sendt som SMS til nummeret, der ender på %s.",
		TriesF: "Forsøg tilbage: %d", Continue: "Fortsæt",
		ResendTitle: "Ingen SMS?", Resend: "Send mig en ny", ResendLeftF: "Det kan tage et minut. Den tidligere kode ophører, når en ny sendes; der kan sendes %d mere.",
		ResendNone: "Der kan ikke sendes flere til dette link. Bed den, der bestilte certifikatet, om at sende et nyt link.",
		Sent:       "En ny engangskode er på vej som SMS.", NoCodeLeft: "Der er ikke længere nogen gyldig engangskode. Bed om en ny.",
		Taken: "Engangskoden er allerede brugt, i en anden browser eller tidligere i denne. Bed om en ny for at fortsætte her; så afsluttes hentningen i den anden browser.",

		TitleRequest: "Aflever din certifikat\u00adanmodning", RequestLead: "Du laver selv nøglen, og den forlader aldrig jeres server.",
		MakeTitle: "På serveren: lav en nøgle og en anmodning", MakeText: "Kun nøglen tæller; certifikatets navne kommer fra bestillingen.",
		CSRLabel: "Certifikatanmodning", CSRHint: "Hele teksten i .csr-filen, fra BEGIN til END.", CSRFile: "Eller vælg filen", SendRequest: "Få certifikatet",
		TitleIssuing: "Dit certifikat bliver udstedt", Issuing: "Anmodningen er gemt; den skal ikke sendes igen. Certifikatet kan hentes her, så snart det er underskrevet.", LookAgain: "Se igen",

		TitleKeyFile: "Hent nøglefilen", TitlePEM: "Hent certifikatet", BeforeTitle: "Før du henter",
		Once:           "Filen kan hentes én gang. En afbrudt hentning kan genoptages; en gennemført kan ikke gentages.",
		PasswordAfterF: "Filen er krypteret. Dens adgangskode kommer som SMS til nummeret, der ender på %s, så snart den sidste byte er sendt.",
		DownloadF:      "Hent %s", DirectTitle: "Eller hent direkte på serveren",
		DirectF: "Kør dette der. Det virker én gang og kun i %d minutter, efter at du gav engangskoden. Indtil da står det for dig: indsæt det ingen andre steder. Bliver det afbrudt, så kør det igen.",
		Command: "Kommando", HaveIt: "Jeg har hentet den", TakesCare: "Siden går selv videre, når filen er sendt.",

		TitleNotYet: "Ikke færdig endnu", NotYetF: "Vi ved, at %s af %s er sendt. Er hentningen stadig i gang, så vent på den.", NotYetNext: "Blev den afbrudt, så start den igen: den fortsætter, hvor den slap, eller begynder forfra.", BackToFile: "Tilbage til hentningen",

		TitleDone: "Hentet. Installer det nu", DoneLead: "Filen er slettet her; din er den eneste.",
		SMSTitle: "Adgangskoden er på vej", SMSF: "Den kommer som SMS til nummeret, der ender på %s. Den er den blivende adgangskode til %s: den ændres ikke og kan ikke sendes igen.",
		NoPasswordTitle: "Der er ingen adgangskode", NoPasswordF: "Et certifikat er ikke hemmeligt. Læg %s ved siden af den nøgle, du lavede.",
		NoSMS:     "Ingen SMS efter nogle minutter? Den, der bestilte certifikatet, kan se, om den er sendt.",
		TodoTitle: "Det skal du gøre nu", TodoInstall: "Installer certifikatet", TodoInstallF: "Det virker med det samme, indtil %s. Vejledningerne nedenfor er skrevet med jeres egne navne.",
		TodoSMS: "Slet SMS'en", TodoSMSText: "Så snart certifikatet er installeret.",
		TodoErase: "Slet midlertidige kopier", TodoEraseText: "Hentede filer, konverterede filer, USB-nøgler, tilsluttede drev.",
		TodoBackup: "Tag stilling til sikkerhedskopier", TodoBackupText: "Beskyt en sikkerhedskopi lige så godt som originalen. Eller hav ingen: går filen tabt, kan der udstedes et nyt certifikat.",
		LossTitle: "Mistet, eller set af andre?", LossText: "Du har ansvaret for, at det ikke kommer i forkerte hænder. Kan det være sket, så meld det straks: så spærres det og holder op med at virke inden for få sekunder.",
		GuidesTitle: "Sådan installeres det", GoneDeliverF: "Den blev hentet på tidspunktet nedenfor. Var det dig, er adgangskoden sendt som SMS til nummeret, der ender på %s.",
		Faults: map[string][2]string{
			"handover.link":            {"Dette link fører ingen steder hen: det kan være skrevet forkert eller erstattet af et nyere.", "Brug linket i den seneste e-mail, eller bed den, der bestilte certifikatet, om at sende et nyt."},
			"handover.delivered":       {"Filen er allerede hentet; et link virker én gang.", "Var det ikke dig, så meld det nu, så certifikatet kan trækkes tilbage. Er filen tabt, så bed om et nyt certifikat."},
			"handover.closed":          {"Denne udlevering er slut: filen blev ikke hentet i tide, eller den blev trukket tilbage.", "Bed om et nyt certifikat."},
			"handover.code_expired":    {"Engangskoden er for gammel.", "Bed om en ny; den kommer som SMS."},
			"handover.code_wrong":      {"Det er ikke engangskoden; forsøg tilbage: {tries}.", "Se i den seneste SMS."},
			"handover.code_spent":      {"Denne engangskode kan ikke længere bruges.", "Bed om en ny, eller bed den, der bestilte certifikatet, om et nyt link."},
			"handover.codes":           {"Alle engangskoder til dette link er sendt.", "Bed den, der bestilte certifikatet, om at sende et nyt link."},
			"handover.code_pause":      {"Der er lige sendt en engangskode.", "Vent på SMS'en; du kan bede om en ny om {seconds} sekunder."},
			"handover.session":         {"Denne browser har ikke givet engangskoden, eller en anden har taget over.", "Giv engangskoden."},
			"handover.session_expired": {"Tiden til hentning er udløbet.", "Bed om en ny engangskode."},
			"handover.no_file":         {"Der er ingen fil endnu.", "Aflever først en certifikatanmodning."},
			"handover.changed":         {"Der skete noget andet med dette link i samme øjeblik.", "Indlæs siden igen."},
			"pickup.code_format":       {"En engangskode har seks cifre.", "Se i den seneste SMS."},
			"pickup.no_request":        {"Der er ingen certifikatanmodning.", "Indsæt den, eller vælg filen."},
			"pickup.guessing":          {"Der er åbnet for mange links, som ikke findes, fra din adresse.", "Vent nogle minutter, og brug linket i den seneste e-mail."},
			"pickup.cross_site":        {"Formularen blev sendt fra et andet websted.", "Åbn linket fra e-mailen, og brug formularen der."},
			"internal":                 {"Noget gik galt hos os.", "Prøv igen; bliver det ved, så oplys sporings-id'et."},
		},
	}
}

func danishUI() ui.Texts {
	t := ui.English()
	t.SkipToContent, t.Theme, t.ThemeAuto, t.ThemeLight, t.ThemeDark = "Gå til indhold", "Udseende", "Automatisk", "Lyst", "Mørkt"
	t.Correlation, t.Preprod, t.PreprodLong, t.Production = "Sporings-id", "Preprod", "Testmiljø. Intet, der udstedes eller underskrives her, har gyldighed.", "Produktion"
	t.Required, t.Optional, t.MoreHelp, t.Errors = "skal udfyldes", "valgfri", "Mere om dette", "Ret det, der er markeret"
	t.DropFile, t.Copy, t.Copied = "eller slip den her", "Kopiér", "Kopieret"
	t.StepDone, t.StepCurrent, t.StepFailed, t.StepWaiting = "Færdig", "Nu", "Mislykket", "Mangler"
	t.TimeLeft, t.Expired, t.NoValue, t.WhatNext, t.Refresh = "tilbage", "Udløbet", "Ingen", "Hvad nu", "Opdatér"
	return t
}
