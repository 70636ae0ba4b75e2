package handover

import (
	"fmt"
	"time"
)

// The placeholder {secret} is filled in by the outbox at the moment of
// delivery, so that no stored text holds a secret.

func linkMail(x *Delivery, p Policy) (subject, body string) {
	t := textsFor(x.Recipient.Language)
	return fmt.Sprintf(t.linkSubject, x.Title), fmt.Sprintf(t.linkBody, x.Recipient.Name, x.Title, "{secret}", plainDays(p.LinkLife))
}

func codeText(x *Delivery, p Policy) string {
	return fmt.Sprintf(textsFor(x.Recipient.Language).code, x.Title, "{secret}", int(p.CodeLife.Minutes()))
}

func passwordText(x *Delivery) string {
	return fmt.Sprintf(textsFor(x.Recipient.Language).password, x.FileName, "{secret}")
}

type texts struct{ linkSubject, linkBody, code, password string }

// textsFor falls back to English, so that a language without texts still gets
// its messages.
func textsFor(language string) texts {
	if t, ok := library[language]; ok {
		return t
	}
	return library["en"]
}

var library = map[string]texts{
	"en": {
		linkSubject: "Your client certificate %s is ready",
		linkBody: `Hello %s,

the client certificate %s has been ordered for you.

Open this link on the server where the certificate will be used, or on a
machine that is protected as well as that server:

  %s

You will be asked for the one-time password that we have sent to your mobile
phone by SMS. It works for a short time; the page can send you a new one.
The file can be fetched once, within %d days. Its password comes by SMS after
the download.

Never send the file or its password by e-mail or chat. Nobody from our side
will ask you for either.
`,
		code:     "One-time password to fetch %s: %s (valid %d minutes). Never tell it to anyone.",
		password: "Password for %s: %s. It stays the password of this file. Install the certificate, then delete this SMS.",
	},
	"da": {
		linkSubject: "Dit klientcertifikat %s er klar",
		linkBody: `Hej %s

Klientcertifikatet %s er bestilt til dig.

Åbn dette link på den server, hvor certifikatet skal bruges, eller på en
maskine, der er beskyttet lige så godt:

  %s

Du bliver bedt om den engangskode, som vi har sendt til din mobiltelefon som
SMS. Den virker i kort tid; siden kan sende dig en ny. Filen kan hentes én
gang inden for %d dage. Adgangskoden til filen kommer som SMS efter hentningen.

Send aldrig filen eller dens adgangskode med e-mail eller chat. Ingen fra os
vil bede dig om dem.
`,
		code:     "Engangskode til at hente %s: %s (gælder i %d minutter). Giv den aldrig til andre.",
		password: "Adgangskode til %s: %s. Den er filens blivende adgangskode. Installer certifikatet, og slet derefter denne SMS.",
	},
	"nb": {
		linkSubject: "Klientsertifikatet %s er klart",
		linkBody: `Hei %s

Klientsertifikatet %s er bestilt til deg.

Åpne denne lenken på serveren der sertifikatet skal brukes, eller på en
maskin som er like godt beskyttet:

  %s

Du blir bedt om engangspassordet som vi har sendt til mobiltelefonen din på
SMS. Det virker en kort stund; siden kan sende deg et nytt. Filen kan hentes
én gang innen %d dager. Passordet til filen kommer på SMS etter nedlastingen.

Send aldri filen eller passordet på e-post eller chat. Ingen hos oss vil be
deg om dem.
`,
		code:     "Engangspassord for å hente %s: %s (gyldig i %d minutter). Ikke del det med noen.",
		password: "Passord til %s: %s. Det er filens varige passord. Installer sertifikatet, og slett så denne SMS-en.",
	},
	"sv": {
		linkSubject: "Ditt klientcertifikat %s är klart",
		linkBody: `Hej %s

Klientcertifikatet %s har beställts åt dig.

Öppna den här länken på servern där certifikatet ska användas, eller på en
dator som är lika väl skyddad:

  %s

Du ombeds ange engångslösenordet som vi har skickat till din mobil med SMS.
Det gäller en kort tid; sidan kan skicka ett nytt. Filen kan hämtas en gång
inom %d dagar. Lösenordet till filen kommer med SMS efter hämtningen.

Skicka aldrig filen eller lösenordet med e-post eller chatt. Ingen hos oss
kommer att be dig om dem.
`,
		code:     "Engångslösenord för att hämta %s: %s (giltigt i %d minuter). Lämna aldrig ut det.",
		password: "Lösenord till %s: %s. Det är filens bestående lösenord. Installera certifikatet och radera sedan detta SMS.",
	},
}

func plainDays(d time.Duration) int { return int(d.Hours()) / 24 }

func plainDuration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", plainDays(d))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()+0.5))
}
