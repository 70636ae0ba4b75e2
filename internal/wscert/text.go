package wscert

import (
	"fmt"
	"time"
)

func reminderText(o *Order, days int) (subject, body string) {
	when := fmt.Sprintf("in %d days", days)
	if days == 1 {
		when = "tomorrow"
	}
	subject = fmt.Sprintf("Client certificate %s expires %s", o.CommonName, when)
	body = fmt.Sprintf(`The client certificate %s of the service %s (%s)
expires %s, on %s UTC. From then on calls with it are refused.

Order a new one now. Both work side by side until the old one ends, so that you
can change over without a break.

Serial number: %s
`, o.CommonName, o.ServiceName, o.Realm, when, o.NotAfter.Format("2 January 2006 15:04"), o.Serial)
	return subject, body
}

func withdrawnText(o *Order, why string) (subject, body string) {
	subject = fmt.Sprintf("Client certificate %s has been withdrawn", o.CommonName)
	body = fmt.Sprintf(`The client certificate %s of the service %s (%s)
is no longer accepted: %s, %s UTC.

Serial number: %s

If you still need one, have a new certificate ordered.
`, o.CommonName, o.ServiceName, o.Realm, why, o.Updated.Format(time.DateTime), o.Serial)
	return subject, body
}
