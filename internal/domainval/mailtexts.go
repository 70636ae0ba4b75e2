package domainval

import (
	"fmt"

	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// linkMail writes the message of a link. The placeholder is filled in by the
// outbox at the moment of delivery, so that no stored text holds the link.
func linkMail(m Mail) (subject, body string) {
	t, ok := library[m.Language]
	if !ok {
		t = library["en"]
	}
	until := m.LinkUntil.Format("2006-01-02 15:04") + " UTC"
	if m.Kind == OwnerMail {
		return fmt.Sprintf(t.ownerSubject, m.Subject), fmt.Sprintf(t.ownerBody, m.Subject, outbox.Placeholder, until, m.Order)
	}
	return t.mailboxSubject, fmt.Sprintf(t.mailboxBody, m.Address, outbox.Placeholder, until, m.Order)
}

type texts struct{ ownerSubject, ownerBody, mailboxSubject, mailboxBody string }

// library holds the texts by language; English serves for the others.
var library = map[string]texts{
	"en": {
		ownerSubject: "Do you agree to a certificate for %s?",
		ownerBody: `Hello,

somebody has ordered a certificate for the domain %s. You receive this message
because your address is one by which the owner of a domain can be reached.

If you know of the order and agree, open this link and confirm:

  %s

If you do not know of it, open the link and refuse, or do nothing.
The link works until %s. Order: %s
`,
		mailboxSubject: "Please confirm your e-mail address for your certificate",
		mailboxBody: `Hello,

a certificate for the e-mail address %s has been ordered. It will be issued
once you have confirmed that you read this mailbox:

  %s

If you do not want the certificate, open the link and refuse, or do nothing.
The link works until %s. Order: %s
`,
	},
	"de": {
		ownerSubject: "Stimmen Sie einem Zertifikat für %s zu?",
		ownerBody: `Guten Tag

Für die Domain %s wurde ein Zertifikat bestellt. Sie erhalten diese Nachricht,
weil Ihre Adresse zu denen gehört, unter denen der Inhaber einer Domain
erreichbar ist.

Wenn Sie von der Bestellung wissen und zustimmen, öffnen Sie diesen Link und
bestätigen Sie:

  %s

Wenn Sie nichts davon wissen, öffnen Sie den Link und lehnen Sie ab, oder tun
Sie nichts. Der Link gilt bis %s. Bestellung: %s
`,
		mailboxSubject: "Bitte bestätigen Sie Ihre E-Mail-Adresse für Ihr Zertifikat",
		mailboxBody: `Guten Tag

Für die E-Mail-Adresse %s wurde ein Zertifikat bestellt. Es wird ausgestellt,
sobald Sie bestätigt haben, dass Sie dieses Postfach lesen:

  %s

Wenn Sie das Zertifikat nicht möchten, öffnen Sie den Link und lehnen Sie ab,
oder tun Sie nichts. Der Link gilt bis %s. Bestellung: %s
`,
	},
	"fr": {
		ownerSubject: "Acceptez-vous un certificat pour %s ?",
		ownerBody: `Bonjour,

Un certificat a été commandé pour le domaine %s. Vous recevez ce message parce
que votre adresse est de celles qui permettent de joindre le titulaire d'un
domaine.

Si vous connaissez cette commande et l'acceptez, ouvrez ce lien et confirmez :

  %s

Si vous ne la connaissez pas, ouvrez le lien et refusez, ou ne faites rien.
Le lien est valable jusqu'au %s. Commande : %s
`,
		mailboxSubject: "Veuillez confirmer votre adresse e-mail pour votre certificat",
		mailboxBody: `Bonjour,

Un certificat a été commandé pour l'adresse e-mail %s. Il sera émis dès que
vous aurez confirmé que vous lisez cette boîte aux lettres :

  %s

Si vous ne voulez pas de ce certificat, ouvrez le lien et refusez, ou ne faites
rien. Le lien est valable jusqu'au %s. Commande : %s
`,
	},
	"da": {
		ownerSubject: "Er du enig i et certifikat til %s?",
		ownerBody: `Hej

Nogen har bestilt et certifikat til domænet %s. Du får denne besked, fordi din
adresse er en af dem, som ejeren af et domæne kan nås på.

Hvis du kender bestillingen og er enig, så åbn dette link og bekræft:

  %s

Hvis du ikke kender den, så åbn linket og afvis, eller gør ingenting.
Linket virker indtil %s. Bestilling: %s
`,
		mailboxSubject: "Bekræft din e-mailadresse til dit certifikat",
		mailboxBody: `Hej

Der er bestilt et certifikat til e-mailadressen %s. Det udstedes, når du har
bekræftet, at du læser denne postkasse:

  %s

Hvis du ikke ønsker certifikatet, så åbn linket og afvis, eller gør ingenting.
Linket virker indtil %s. Bestilling: %s
`,
	},
}
