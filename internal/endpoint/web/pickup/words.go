package pickup

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// words are what the pages say, in one language. Those that end in F hold
// places for names and numbers.
type words struct {
	Tag, Name string // BCP 47, and what the language calls itself
	UI        ui.Texts

	// In all stages.
	Progress, StepCode, StepRequest, StepFile, StepInstall                     string
	ForF, Certificate, Service, Environment, FetchBefore, ValidUntil, File     string
	Size, AboutTitle, AboutF, RightPlaceTitle, RightPlace, NeverSend, NoCopies string
	ErrorTitle, Report, ReportF, Phone, Email, Page                            string

	// The one-time password.
	TitleCode, CodeLabel, CodeHintF, TriesF, Continue              string
	ResendTitle, Resend, ResendLeftF, ResendNone, Sent, Taken      string
	NoCodeLeft                                                     string
	TitleRequest, RequestLead, MakeTitle, MakeText                 string
	CSRLabel, CSRHint, CSRFile, SendRequest                        string
	TitleIssuing, Issuing, LookAgain                               string
	TitleKeyFile, TitlePEM, BeforeTitle, Once, PasswordAfterF      string
	DownloadF, DirectTitle, DirectF, Command, HaveIt, TakesCare    string
	TitleNotYet, NotYetF, NotYetNext, BackToFile                   string
	TitleDone, DoneLead, SMSTitle, SMSF, NoPasswordTitle           string
	NoPasswordF, NoSMS, TodoTitle, TodoInstall, TodoInstallF       string
	TodoSMS, TodoSMSText, TodoErase, TodoEraseText, TodoBackup     string
	TodoBackupText, LossTitle, LossText, GuidesTitle, GoneDeliverF string

	// Faults, by code: what happened and what to do next. English has none: the
	// faults themselves are in English.
	Faults map[string][2]string
}

// languages in which the pages exist, in the order in which they are offered.
var tags = []string{"en", "da", "nb", "sv"}

// library returns the words of a language, or the English ones.
func library(tag string) words {
	switch tag {
	case "da":
		return danish()
	case "nb", "no", "nn":
		return norwegian()
	case "sv":
		return swedish()
	}
	return english()
}

// wordsFor chooses the language of a visitor of whom nothing is known yet: the
// one asked for in the address, which counts for the recipient too, else the
// first of the browser's that exists here.
func wordsFor(r *http.Request) (w words, chosen bool) {
	if asked := r.URL.Query().Get("lang"); asked != "" {
		return library(asked), true
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if w := library(primary); w.Tag != "en" || primary == "en" {
			return w, false
		}
	}
	return english(), false
}

// fault translates a fault; one that has no translation stays in English.
func (w words) fault(f *fault.Fault, triesLeft int) (message, next string) {
	text, ok := w.Faults[f.Code]
	if !ok {
		return f.Message, f.Next
	}
	seconds := int(f.RetryAfter.Seconds() + 0.999)
	fill := strings.NewReplacer("{tries}", fmt.Sprint(triesLeft), "{seconds}", fmt.Sprint(seconds))
	return fill.Replace(text[0]), fill.Replace(text[1])
}
