package pickup

import "github.com/sealwright/sealwright/internal/endpoint/web/ui"

func english() words {
	return words{
		Tag: "en", Name: "English", UI: ui.English(),
		Progress: "Progress", StepCode: "One-time password", StepRequest: "Certificate request", StepFile: "Download", StepInstall: "Install",
		ForF: "For %s", Certificate: "Certificate", Service: "Service", Environment: "Environment", FetchBefore: "Fetch it before", ValidUntil: "Valid until", File: "File", Size: "Size",
		AboutTitle:      "What this is",
		AboutF:          "With this certificate a program of yours identifies itself to our web services. It opens all data of the service %s. Whoever holds it can make calls and read documents in your name, so it must stay secret.",
		RightPlaceTitle: "Are you on the right machine?",
		RightPlace:      "Open this page on the server where the certificate will be used, or on a machine that is protected just as well.",
		NeverSend:       "Never send the file or its password by e-mail, chat or the like. Nobody from our side will ask you for either.",
		NoCopies:        "Leave no copies on machines that are not protected.",
		ErrorTitle:      "That did not work", Report: "Report it at once", ReportF: "Report it to %s at once:", Phone: "Telephone", Email: "E-mail", Page: "Page",

		TitleCode: "Fetch your client certificate", CodeLabel: "One-time password", CodeHintF: "Six digits, sent by SMS to the number that ends in %s.",
		TriesF: "Tries left: %d", Continue: "Continue",
		ResendTitle: "No SMS?", Resend: "Send me a new one", ResendLeftF: "It can take a minute. The earlier password ends when a new one is sent; %d more can be sent.",
		ResendNone: "No more can be sent for this link. Ask the one who ordered the certificate to send a new link.",
		Sent:       "A new one-time password is on its way by SMS.", NoCodeLeft: "There is no valid one-time password any more. Ask for a new one.",
		Taken: "The one-time password has been used already, in another browser or earlier in this one. To go on here, ask for a new one; the download in the other browser ends then.",

		TitleRequest: "Bring your certificate request", RequestLead: "You make the key yourself, and it never leaves your server.",
		MakeTitle: "On the server: make a key and a request", MakeText: "Only the key counts; the certificate's names come from the order.",
		CSRLabel: "Certificate request", CSRHint: "The whole text of the .csr file, from BEGIN to END.", CSRFile: "Or choose the file", SendRequest: "Get the certificate",
		TitleIssuing: "Your certificate is being issued", Issuing: "The request is stored and safe; there is no need to send it again. The certificate can be fetched here as soon as it is signed.", LookAgain: "Look again",

		TitleKeyFile: "Download the key file", TitlePEM: "Download the certificate", BeforeTitle: "Before you download",
		Once:           "The file can be fetched once. A download that breaks off can be resumed; a completed one cannot be repeated.",
		PasswordAfterF: "The file is encrypted. Its password comes by SMS to the number that ends in %s as soon as the last byte has left.",
		DownloadF:      "Download %s", DirectTitle: "Or download straight on the server",
		DirectF: "Run this there. It works once, and only for %d minutes after you gave the one-time password. It stands for you until then: paste it nowhere else. If it breaks off, run it again.",
		Command: "Command", HaveIt: "I have downloaded it", TakesCare: "This page goes on by itself when the file has left.",

		TitleNotYet: "Not complete yet", NotYetF: "%s of %s are known to have left. If the download is still running, wait for it.", NotYetNext: "If it broke off, start it again: it goes on where it stopped, or from the beginning.", BackToFile: "Back to the download",

		TitleDone: "Fetched. Now install it", DoneLead: "The file has been erased here; yours is the only one.",
		SMSTitle: "The password is on its way", SMSF: "It comes by SMS to the number that ends in %s. It is the permanent password of %s: it will not change and cannot be sent again.",
		NoPasswordTitle: "There is no password", NoPasswordF: "A certificate is not secret. Put %s beside the key that you made.",
		NoSMS:     "No SMS after some minutes? The one who ordered the certificate can see whether it was sent.",
		TodoTitle: "What to do now", TodoInstall: "Install the certificate", TodoInstallF: "It works at once, until %s. The guides below are written with your own names.",
		TodoSMS: "Delete the SMS", TodoSMSText: "As soon as the certificate is installed.",
		TodoErase: "Erase temporary copies", TodoEraseText: "Downloads, converted files, USB sticks, mounted drives.",
		TodoBackup: "Decide about back-ups", TodoBackupText: "Protect a back-up as well as the original. Or keep none: if the file is lost, a new certificate can be issued.",
		LossTitle: "Lost, or seen by somebody else?", LossText: "You are responsible that it does not fall into the wrong hands. If it may have, report it at once: it is then blocked and stops working within seconds.",
		GuidesTitle: "How to install it", GoneDeliverF: "It was fetched at the time below. If that was you, the password has gone by SMS to the number that ends in %s.",
	}
}
