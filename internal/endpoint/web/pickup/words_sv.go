package pickup

import "github.com/sealwright/sealwright/internal/endpoint/web/ui"

func swedish() words {
	return words{
		Tag: "sv", Name: "Svenska", UI: swedishUI(),
		Progress: "Förlopp", StepCode: "Engångslösenord", StepRequest: "Certifikatbegäran", StepFile: "Hämtning", StepInstall: "Installation",
		ForF: "Till %s", Certificate: "Certifikat", Service: "Tjänst", Environment: "Miljö", FetchBefore: "Hämtas före", ValidUntil: "Giltigt till", File: "Fil", Size: "Storlek",
		AboutTitle:      "Vad det här är",
		AboutF:          "Med det här certifikatet identifierar sig ett av era program för våra webbtjänster. Det ger åtkomst till alla data i tjänsten %s. Den som har det kan göra anrop och läsa dokument i ert namn, så det måste hållas hemligt.",
		RightPlaceTitle: "Sitter du vid rätt dator?",
		RightPlace:      "Öppna den här sidan på servern där certifikatet ska användas, eller på en dator som är lika väl skyddad.",
		NeverSend:       "Skicka aldrig filen eller lösenordet med e-post, chatt eller liknande. Ingen hos oss kommer att be dig om dem.",
		NoCopies:        "Lämna inga kopior på datorer som inte är skyddade.",
		ErrorTitle:      "Det gick inte", Report: "Anmäl det genast", ReportF: "Anmäl det genast till %s:", Phone: "Telefon", Email: "E-post", Page: "Sida",

		TitleCode: "Hämta ditt klientcertifikat", CodeLabel: "Engångslösenord", CodeHintF: "Sex siffror, skickade med SMS till numret som slutar på %s.",
		TriesF: "Försök kvar: %d", Continue: "Fortsätt",
		ResendTitle: "Inget SMS?", Resend: "Skicka ett nytt", ResendLeftF: "Det kan ta en minut. Det tidigare lösenordet upphör när ett nytt skickas; %d till kan skickas.",
		ResendNone: "Fler kan inte skickas för den här länken. Be den som beställde certifikatet att skicka en ny länk.",
		Sent:       "Ett nytt engångslösenord är på väg med SMS.", NoCodeLeft: "Det finns inte längre något giltigt engångslösenord. Be om ett nytt.",
		Taken: "Engångslösenordet är redan använt, i en annan webbläsare eller tidigare i den här. Be om ett nytt för att fortsätta här; då avslutas hämtningen i den andra webbläsaren.",

		TitleRequest: "Lämna din certifikat\u00adbegäran", RequestLead: "Du skapar nyckeln själv, och den lämnar aldrig er server.",
		MakeTitle: "På servern: skapa en nyckel och en begäran", MakeText: "Bara nyckeln räknas; certifikatets namn kommer från beställningen.",
		CSRLabel: "Certifikatbegäran", CSRHint: "Hela texten i .csr-filen, från BEGIN till END.", CSRFile: "Eller välj filen", SendRequest: "Få certifikatet",
		TitleIssuing: "Ditt certifikat utfärdas", Issuing: "Begäran är sparad och behöver inte skickas igen. Certifikatet kan hämtas här så snart det är signerat.", LookAgain: "Titta igen",

		TitleKeyFile: "Hämta nyckelfilen", TitlePEM: "Hämta certifikatet", BeforeTitle: "Innan du hämtar",
		Once:           "Filen kan hämtas en gång. En avbruten hämtning kan återupptas; en fullständig kan inte upprepas.",
		PasswordAfterF: "Filen är krypterad. Lösenordet kommer med SMS till numret som slutar på %s så snart den sista byten har skickats.",
		DownloadF:      "Hämta %s", DirectTitle: "Eller hämta direkt på servern",
		DirectF: "Kör det här där. Det fungerar en gång, och bara i %d minuter efter att du angav engångslösenordet. Till dess står det för dig: klistra inte in det någon annanstans. Kör det igen om det avbryts.",
		Command: "Kommando", HaveIt: "Jag har hämtat den", TakesCare: "Sidan går vidare av sig själv när filen har skickats.",

		TitleNotYet: "Inte klart ännu", NotYetF: "Vi vet att %s av %s har skickats. Vänta om hämtningen fortfarande pågår.", NotYetNext: "Om den avbröts, starta den igen: den fortsätter där den slutade, eller från början.", BackToFile: "Tillbaka till hämtningen",

		TitleDone: "Hämtat. Installera det nu", DoneLead: "Filen är raderad här; din är den enda.",
		SMSTitle: "Lösenordet är på väg", SMSF: "Det kommer med SMS till numret som slutar på %s. Det är det bestående lösenordet till %s: det ändras inte och kan inte skickas igen.",
		NoPasswordTitle: "Det finns inget lösenord", NoPasswordF: "Ett certifikat är inte hemligt. Lägg %s bredvid nyckeln som du skapade.",
		NoSMS:     "Inget SMS efter några minuter? Den som beställde certifikatet kan se om det har skickats.",
		TodoTitle: "Gör så här nu", TodoInstall: "Installera certifikatet", TodoInstallF: "Det fungerar genast, till %s. Anvisningarna nedan är skrivna med era egna namn.",
		TodoSMS: "Radera SMS:et", TodoSMSText: "Så snart certifikatet är installerat.",
		TodoErase: "Radera tillfälliga kopior", TodoEraseText: "Hämtade filer, konverterade filer, USB-minnen, anslutna diskar.",
		TodoBackup: "Ta ställning till säkerhetskopior", TodoBackupText: "Skydda en säkerhetskopia lika väl som originalet. Eller ha ingen: går filen förlorad kan ett nytt certifikat utfärdas.",
		LossTitle: "Förlorat, eller sett av någon annan?", LossText: "Du ansvarar för att det inte hamnar i fel händer. Om det kan ha hänt, anmäl det genast: då spärras det och slutar fungera inom några sekunder.",
		GuidesTitle: "Så installeras det", GoneDeliverF: "Den hämtades vid tidpunkten nedan. Om det var du har lösenordet skickats med SMS till numret som slutar på %s.",
		Faults: map[string][2]string{
			"handover.link":            {"Den här länken leder ingenstans: den kan vara felskriven eller ersatt av en nyare.", "Använd länken i det senaste mejlet, eller be den som beställde certifikatet att skicka en ny."},
			"handover.delivered":       {"Filen är redan hämtad; en länk fungerar en gång.", "Om det inte var du, anmäl det nu så att certifikatet dras tillbaka. Är filen förlorad, be om ett nytt certifikat."},
			"handover.closed":          {"Den här utlämningen är avslutad: filen hämtades inte i tid, eller så drogs den tillbaka.", "Be om ett nytt certifikat."},
			"handover.code_expired":    {"Engångslösenordet är för gammalt.", "Be om ett nytt; det kommer med SMS."},
			"handover.code_wrong":      {"Det är inte engångslösenordet; försök kvar: {tries}.", "Titta i det senaste SMS:et."},
			"handover.code_spent":      {"Det här engångslösenordet kan inte användas längre.", "Be om ett nytt, eller be den som beställde certifikatet om en ny länk."},
			"handover.codes":           {"Alla engångslösenord för den här länken har skickats.", "Be den som beställde certifikatet att skicka en ny länk."},
			"handover.code_pause":      {"Ett engångslösenord skickades alldeles nyss.", "Vänta på SMS:et; du kan be om ett nytt om {seconds} sekunder."},
			"handover.session":         {"Den här webbläsaren har inte angett engångslösenordet, eller så har en annan tagit över.", "Ange engångslösenordet."},
			"handover.session_expired": {"Tiden för hämtning är ute.", "Be om ett nytt engångslösenord."},
			"handover.no_file":         {"Det finns ingen fil ännu.", "Lämna en certifikatbegäran först."},
			"handover.changed":         {"Något annat hände med den här länken i samma ögonblick.", "Läs in sidan igen."},
			"pickup.code_format":       {"Ett engångslösenord har sex siffror.", "Titta i det senaste SMS:et."},
			"pickup.no_request":        {"Det finns ingen certifikatbegäran.", "Klistra in den, eller välj filen."},
			"pickup.guessing":          {"För många länkar som inte finns har öppnats från din adress.", "Vänta några minuter och använd länken i det senaste mejlet."},
			"pickup.cross_site":        {"Formuläret skickades från en annan webbplats.", "Öppna länken från mejlet och använd formuläret där."},
			"internal":                 {"Något gick fel hos oss.", "Försök igen; om det fortsätter, uppge spårnings-id:t."},
		},
	}
}

func swedishUI() ui.Texts {
	t := ui.English()
	t.SkipToContent, t.Theme, t.ThemeAuto, t.ThemeLight, t.ThemeDark = "Gå till innehållet", "Utseende", "Automatiskt", "Ljust", "Mörkt"
	t.Correlation, t.Preprod, t.PreprodLong, t.Production = "Spårnings-id", "Preprod", "Testmiljö. Inget som utfärdas eller signeras här är giltigt.", "Produktion"
	t.Required, t.Optional, t.MoreHelp, t.Errors = "måste fyllas i", "valfritt", "Mer om detta", "Rätta det som är markerat"
	t.DropFile, t.Copy, t.Copied = "eller släpp den här", "Kopiera", "Kopierat"
	t.StepDone, t.StepCurrent, t.StepFailed, t.StepWaiting = "Klart", "Nu", "Misslyckades", "Återstår"
	t.TimeLeft, t.Expired, t.NoValue, t.WhatNext, t.Refresh = "kvar", "Utgånget", "Inget", "Vad nu", "Uppdatera"
	return t
}
