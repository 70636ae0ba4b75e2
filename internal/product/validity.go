package product

import "time"

// Validity says how long a certificate lives.
type Validity struct {
	Unit    Unit  `json:"unit"`
	Value   int   `json:"value"`             // when the order does not say
	Options []int `json:"options,omitempty"` // what an order may choose instead
	Max     int   `json:"max,omitempty"`     // 0: Options only; else any number up to it
	// StartDays is how many days ahead an order may set the beginning; 0: not at all.
	StartDays int `json:"start_days,omitempty"`
}

// A Unit counts validity, named as the RA interface does.
type Unit string

// The units.
const (
	Years   Unit = "YEARS"
	Months  Unit = "MONTHS"
	Days    Unit = "DAYS"
	Hours   Unit = "HOURS"
	Minutes Unit = "MINUTES"
	Seconds Unit = "SECONDS"
)

// Units lists all units.
func Units() []Unit { return []Unit{Years, Months, Days, Hours, Minutes, Seconds} }

// end is the last second of a validity of n units. Both ends count (RFC 5280,
// 4.1.2.5), hence the second less.
func (u Unit) end(from time.Time, n int) time.Time {
	var to time.Time
	switch u {
	case Years:
		to = addMonths(from, 12*n)
	case Months:
		to = addMonths(from, n)
	case Days:
		to = from.Add(time.Duration(n) * day)
	case Hours:
		to = from.Add(time.Duration(n) * time.Hour)
	case Minutes:
		to = from.Add(time.Duration(n) * time.Minute)
	default:
		to = from.Add(time.Duration(n) * time.Second)
	}
	return to.Add(-time.Second)
}

// day is 86,400 seconds, as the Baseline Requirements define it (1.6.1).
const day = 24 * time.Hour

// addMonths keeps to the last day of a month that is shorter than the first one:
// a month from 31 January ends in February.
func addMonths(t time.Time, n int) time.Time {
	to := t.AddDate(0, n, 0)
	if to.Day() != t.Day() {
		to = to.AddDate(0, 0, -to.Day())
	}
	return to
}

// longest is the largest validity that an order can have.
func (v Validity) longest() int {
	n := max(v.Value, v.Max)
	for _, option := range v.Options {
		n = max(n, option)
	}
	return n
}

// allows tells whether an order may choose n.
func (v Validity) allows(n int) bool {
	if n == v.Value || n > 0 && n <= v.Max {
		return true
	}
	for _, option := range v.Options {
		if n == option {
			return true
		}
	}
	return false
}
