package product

import "time"

// A limit is the longest life of a certificate issued from a date on.
type limit struct {
	from   time.Time
	days   int
	clause string
}

func on(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// limits are the dated rules on validity under public trust, the oldest first.
// Their table is a function so that nobody can change it.
func limits(k Kind) []limit {
	switch k {
	case TLSServer, DomainController:
		return []limit{
			{on(2020, time.September, 1), 398, "TLS BR 6.3.2"},
			{on(2026, time.March, 15), 200, "TLS BR 6.3.2"},
			{on(2027, time.March, 15), 100, "TLS BR 6.3.2"},
			{on(2029, time.March, 15), 47, "TLS BR 6.3.2"},
		}
	case SMIME:
		return []limit{{on(2023, time.September, 1), 825, "S/MIME BR 6.3.2"}}
	case CodeSigning:
		return []limit{
			{on(2021, time.June, 1), 1187, "CS BR 6.3.2"},
			{on(2026, time.March, 1), 460, "CS BR 6.3.2"},
		}
	}
	return nil
}

// limitAt is the limit for a certificate issued at a moment.
func limitAt(k Kind, at time.Time) (l limit, found bool) {
	for _, candidate := range limits(k) {
		if !at.Before(candidate.from) {
			l, found = candidate, true
		}
	}
	return l, found
}

// clientAuthEnds: from then on no public TLS server certificate may carry
// clientAuth (Chrome Root Program 1.8).
func clientAuthEnds() time.Time { return on(2027, time.March, 15) }

// emailLinkEnds: the last day of BR 3.2.2.4.4 and its relatives.
func emailLinkEnds() time.Time { return on(2028, time.March, 15) }
