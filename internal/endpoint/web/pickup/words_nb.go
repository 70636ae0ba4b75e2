package pickup

import "github.com/sealwright/sealwright/internal/endpoint/web/ui"

func norwegian() words {
	return words{
		Tag: "nb", Name: "Norsk", UI: norwegianUI(),
		Progress: "Fremdrift", StepCode: "Engangspassord", StepRequest: "Sertifikatforespørsel", StepFile: "Nedlasting", StepInstall: "Installasjon",
		ForF: "Til %s", Certificate: "Sertifikat", Service: "Tjeneste", Environment: "Miljø", FetchBefore: "Hentes innen", ValidUntil: "Gyldig til", File: "Fil", Size: "Størrelse",
		AboutTitle:      "Hva dette er",
		AboutF:          "Med dette sertifikatet identifiserer et av programmene deres seg overfor webtjenestene våre. Det gir tilgang til alle data i tjenesten %s. Den som har det, kan gjøre kall og lese dokumenter i deres navn, så det må holdes hemmelig.",
		RightPlaceTitle: "Er du på riktig maskin?",
		RightPlace:      "Åpne denne siden på serveren der sertifikatet skal brukes, eller på en maskin som er like godt beskyttet.",
		NeverSend:       "Send aldri filen eller passordet på e-post, chat eller lignende. Ingen hos oss vil be deg om dem.",
		NoCopies:        "Ikke la kopier bli liggende på maskiner som ikke er beskyttet.",
		ErrorTitle:      "Det gikk ikke", Report: "Meld fra med en gang", ReportF: "Meld fra til %s med en gang:", Phone: "Telefon", Email: "E-post", Page: "Side",

		TitleCode: "Hent klientsertifikatet ditt", CodeLabel: "Engangspassord", CodeHintF: "Seks sifre, sendt på SMS til nummeret som slutter på %s.",
		TriesF: "Forsøk igjen: %d", Continue: "Fortsett",
		ResendTitle: "Ingen SMS?", Resend: "Send meg et nytt", ResendLeftF: "Det kan ta et minutt. Det forrige passordet slutter å virke når et nytt sendes; %d til kan sendes.",
		ResendNone: "Det kan ikke sendes flere for denne lenken. Be den som bestilte sertifikatet, om å sende en ny lenke.",
		Sent:       "Et nytt engangspassord er på vei på SMS.", NoCodeLeft: "Det finnes ikke lenger noe gyldig engangspassord. Be om et nytt.",
		Taken: "Engangspassordet er allerede brukt, i en annen nettleser eller tidligere i denne. Be om et nytt for å fortsette her; da avsluttes nedlastingen i den andre nettleseren.",

		TitleRequest: "Lever sertifikat\u00adforespørselen din", RequestLead: "Du lager nøkkelen selv, og den forlater aldri serveren deres.",
		MakeTitle: "På serveren: lag en nøkkel og en forespørsel", MakeText: "Bare nøkkelen teller; sertifikatets navn kommer fra bestillingen.",
		CSRLabel: "Sertifikatforespørsel", CSRHint: "Hele teksten i .csr-filen, fra BEGIN til END.", CSRFile: "Eller velg filen", SendRequest: "Få sertifikatet",
		TitleIssuing: "Sertifikatet ditt utstedes", Issuing: "Forespørselen er lagret; den trenger ikke sendes på nytt. Sertifikatet kan hentes her så snart det er signert.", LookAgain: "Se igjen",

		TitleKeyFile: "Last ned nøkkelfilen", TitlePEM: "Last ned sertifikatet", BeforeTitle: "Før du laster ned",
		Once:           "Filen kan hentes én gang. En avbrutt nedlasting kan gjenopptas; en fullført kan ikke gjentas.",
		PasswordAfterF: "Filen er kryptert. Passordet kommer på SMS til nummeret som slutter på %s, så snart den siste byten er sendt.",
		DownloadF:      "Last ned %s", DirectTitle: "Eller last ned direkte på serveren",
		DirectF: "Kjør dette der. Det virker én gang, og bare i %d minutter etter at du ga engangspassordet. Inntil da står det for deg: lim det ikke inn noe annet sted. Hvis det brytes av, kjør det på nytt.",
		Command: "Kommando", HaveIt: "Jeg har lastet den ned", TakesCare: "Siden går videre av seg selv når filen er sendt.",

		TitleNotYet: "Ikke ferdig ennå", NotYetF: "Vi vet at %s av %s er sendt. Hvis nedlastingen fortsatt pågår, vent på den.", NotYetNext: "Hvis den ble brutt, start den på nytt: den fortsetter der den slapp, eller fra begynnelsen.", BackToFile: "Tilbake til nedlastingen",

		TitleDone: "Hentet. Installer det nå", DoneLead: "Filen er slettet her; din er den eneste.",
		SMSTitle: "Passordet er på vei", SMSF: "Det kommer på SMS til nummeret som slutter på %s. Det er det varige passordet til %s: det endres ikke og kan ikke sendes på nytt.",
		NoPasswordTitle: "Det er ikke noe passord", NoPasswordF: "Et sertifikat er ikke hemmelig. Legg %s ved siden av nøkkelen du laget.",
		NoSMS:     "Ingen SMS etter noen minutter? Den som bestilte sertifikatet, kan se om den er sendt.",
		TodoTitle: "Dette gjør du nå", TodoInstall: "Installer sertifikatet", TodoInstallF: "Det virker med en gang, til %s. Veiledningene nedenfor er skrevet med deres egne navn.",
		TodoSMS: "Slett SMS-en", TodoSMSText: "Så snart sertifikatet er installert.",
		TodoErase: "Slett midlertidige kopier", TodoEraseText: "Nedlastinger, konverterte filer, minnepinner, tilkoblede disker.",
		TodoBackup: "Ta stilling til sikkerhetskopier", TodoBackupText: "Beskytt en sikkerhetskopi like godt som originalen. Eller ha ingen: går filen tapt, kan det utstedes et nytt sertifikat.",
		LossTitle: "Mistet, eller sett av andre?", LossText: "Du har ansvaret for at det ikke kommer i feil hender. Hvis det kan ha skjedd, meld fra med en gang: da sperres det og slutter å virke i løpet av sekunder.",
		GuidesTitle: "Slik installeres det", GoneDeliverF: "Den ble hentet på tidspunktet nedenfor. Hvis det var deg, er passordet sendt på SMS til nummeret som slutter på %s.",
		Faults: map[string][2]string{
			"handover.link":            {"Denne lenken fører ingen steder: den kan være skrevet feil eller erstattet av en nyere.", "Bruk lenken i den siste e-posten, eller be den som bestilte sertifikatet, om å sende en ny."},
			"handover.delivered":       {"Filen er allerede hentet; en lenke virker én gang.", "Hvis det ikke var deg, meld fra nå, så sertifikatet kan trekkes tilbake. Er filen tapt, be om et nytt sertifikat."},
			"handover.closed":          {"Denne utleveringen er over: filen ble ikke hentet i tide, eller den ble trukket tilbake.", "Be om et nytt sertifikat."},
			"handover.code_expired":    {"Engangspassordet er for gammelt.", "Be om et nytt; det kommer på SMS."},
			"handover.code_wrong":      {"Det er ikke engangspassordet; forsøk igjen: {tries}.", "Se i den siste SMS-en."},
			"handover.code_spent":      {"Dette engangspassordet kan ikke brukes lenger.", "Be om et nytt, eller be den som bestilte sertifikatet, om en ny lenke."},
			"handover.codes":           {"Alle engangspassord for denne lenken er sendt.", "Be den som bestilte sertifikatet, om å sende en ny lenke."},
			"handover.code_pause":      {"Det ble nettopp sendt et engangspassord.", "Vent på SMS-en; du kan be om et nytt om {seconds} sekunder."},
			"handover.session":         {"Denne nettleseren har ikke oppgitt engangspassordet, eller en annen har tatt over.", "Oppgi engangspassordet."},
			"handover.session_expired": {"Tiden for nedlasting er ute.", "Be om et nytt engangspassord."},
			"handover.no_file":         {"Det er ingen fil ennå.", "Lever en sertifikatforespørsel først."},
			"handover.changed":         {"Noe annet skjedde med denne lenken i samme øyeblikk.", "Last siden på nytt."},
			"pickup.code_format":       {"Et engangspassord har seks sifre.", "Se i den siste SMS-en."},
			"pickup.no_request":        {"Det er ingen sertifikatforespørsel.", "Lim den inn, eller velg filen."},
			"pickup.guessing":          {"For mange lenker som ikke finnes, er åpnet fra adressen din.", "Vent noen minutter, og bruk lenken i den siste e-posten."},
			"pickup.cross_site":        {"Skjemaet ble sendt fra et annet nettsted.", "Åpne lenken fra e-posten, og bruk skjemaet der."},
			"internal":                 {"Noe gikk galt hos oss.", "Prøv igjen; hvis det fortsetter, oppgi sporings-id-en."},
		},
	}
}

func norwegianUI() ui.Texts {
	t := ui.English()
	t.SkipToContent, t.Theme, t.ThemeAuto, t.ThemeLight, t.ThemeDark = "Gå til innholdet", "Utseende", "Automatisk", "Lyst", "Mørkt"
	t.Correlation, t.Preprod, t.PreprodLong, t.Production = "Sporings-id", "Preprod", "Testmiljø. Ingenting som utstedes eller signeres her, er gyldig.", "Produksjon"
	t.Required, t.Optional, t.MoreHelp, t.Errors = "må fylles ut", "valgfritt", "Mer om dette", "Rett det som er merket"
	t.DropFile, t.Copy, t.Copied = "eller slipp den her", "Kopier", "Kopiert"
	t.StepDone, t.StepCurrent, t.StepFailed, t.StepWaiting = "Ferdig", "Nå", "Mislyktes", "Gjenstår"
	t.TimeLeft, t.Expired, t.NoValue, t.WhatNext, t.Refresh = "igjen", "Utløpt", "Ingen", "Hva nå", "Oppdater"
	return t
}
