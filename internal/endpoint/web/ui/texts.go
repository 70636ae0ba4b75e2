package ui

import "context"

// Texts are the words that components say themselves. A page in another
// language puts a translation into the context with [WithTexts].
type Texts struct {
	SkipToContent, Menu, CloseMenu, MainNavigation, Breadcrumb string
	Account, SignOut, Correlation                              string
	Theme, ThemeAuto, ThemeLight, ThemeDark                    string
	Preprod, PreprodLong, Production                           string
	Required, Optional, MoreHelp, Choose, Errors               string
	ShowPassword, DropFile                                     string
	Copy, Copied, Cancel                                       string
	Actions, Filter, Clear, Next, Previous, Pages, DownloadCSV string
	Select, SelectAll, Selected                                string
	StepDone, StepCurrent, StepFailed, StepWaiting             string
	TimeLeft, Expired, NoValue, WhatNext, Unsaved, Refresh     string
}

// English is the default.
func English() Texts {
	return Texts{
		SkipToContent: "Skip to content", Menu: "Menu", CloseMenu: "Close menu", MainNavigation: "Main", Breadcrumb: "Breadcrumb",
		Account: "Account", SignOut: "Sign out", Correlation: "Correlation",
		Theme: "Theme", ThemeAuto: "Automatic", ThemeLight: "Light", ThemeDark: "Dark",
		Preprod: "Preprod", PreprodLong: "Test environment. Nothing issued or signed here is trusted.", Production: "Production",
		Required: "required", Optional: "optional", MoreHelp: "More about this", Choose: "Choose …", Errors: "Please correct what is marked",
		ShowPassword: "Show", DropFile: "or drop it here",
		Copy: "Copy", Copied: "Copied", Cancel: "Cancel",
		Actions: "Actions", Filter: "Filter", Clear: "Clear", Next: "Next", Previous: "Previous", Pages: "Pages", DownloadCSV: "CSV",
		Select: "Select", SelectAll: "Select all on this page", Selected: "selected",
		StepDone: "Done", StepCurrent: "Current", StepFailed: "Failed", StepWaiting: "To come",
		TimeLeft: "left", Expired: "Expired", NoValue: "None", WhatNext: "What next", Unsaved: "There are changes that are not saved.", Refresh: "Refresh",
	}
}

type textsKey struct{}

// WithTexts makes components rendered with the context speak t.
func WithTexts(ctx context.Context, t Texts) context.Context {
	return context.WithValue(ctx, textsKey{}, t)
}

func texts(ctx context.Context) Texts {
	if t, ok := ctx.Value(textsKey{}).(Texts); ok {
		return t
	}
	return English()
}
