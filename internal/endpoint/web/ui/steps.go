package ui

import (
	"time"

	"github.com/a-h/templ"
)

// A StepState is where a step of a [Timeline] or [Stepper] stands.
type StepState string

// The states of steps. StepWaiting is the zero value.
const (
	StepWaiting StepState = ""
	StepDone    StepState = "done"
	StepCurrent StepState = "current"
	StepFailed  StepState = "failed"
)

func (s StepState) class() string {
	if s == StepWaiting {
		return "waiting"
	}
	return string(s)
}

func (s StepState) icon() string {
	switch s {
	case StepDone:
		return "check"
	case StepCurrent:
		return "clock"
	case StepFailed:
		return "close"
	}
	return "dot"
}

func (s StepState) word(t Texts) string {
	switch s {
	case StepDone:
		return t.StepDone
	case StepCurrent:
		return t.StepCurrent
	case StepFailed:
		return t.StepFailed
	}
	return t.StepWaiting
}

// A Step is one entry of a [Timeline] or [Stepper].
type Step struct {
	State  StepState
	Title  string
	Href   string    // Stepper only: a step that can be gone back to
	At     time.Time // zero shows nothing
	Took   string    // "1.2 s"
	Detail string
	Body   templ.Component // further detail, folded away
}

// position finds the current step, counted from one.
func position(steps []Step) (int, string) {
	for i, s := range steps {
		if s.State == StepCurrent || s.State == StepFailed {
			return i + 1, s.Title
		}
	}
	return len(steps), ""
}

// A Tab is a view of the same object at an address of its own.
type Tab struct {
	Label, Href string
	Current     bool
	Count       int
}
