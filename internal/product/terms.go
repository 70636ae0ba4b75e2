package product

import (
	"strings"
	"time"
)

// terms checks what the order asks beside names: that the product can be
// ordered, how long, from when, and whose key.
func (w *work) terms() {
	p, d, r := w.p, &w.p.Definition, w.r
	switch {
	case p.Retired:
		w.problem("product", "product.retired", "The product %q is retired.", p.Name)
	case !p.Expires.IsZero() && !w.at.Before(p.Expires):
		w.problem("product", "product.expired", "The product %q ended on %s.", p.Name, p.Expires.Format(time.DateOnly))
	}
	if r.Validity != 0 && !d.Validity.allows(r.Validity) {
		w.problem("validity", "validity.not_offered", "The product %q does not offer a validity of %d %s.", p.Name, r.Validity, strings.ToLower(string(d.Validity.Unit)))
	}
	w.checkStart()
	w.checkLimit()
	w.checkKeySource()
	if d.Rules.PublicTrust && d.Kind == TLSServer && w.l.bothAuth && !w.at.Before(clientAuthEnds()) {
		w.problem("product", "rule.client_auth", "Since %s a publicly trusted server certificate may not serve for client authentication; the product %q must be changed.", clientAuthEnds().Format(time.DateOnly), p.Name)
	}
}

// maxBackdate: TLS BR 7.1.2.7 allows 48 hours; the authority's own minute is
// within.
const maxBackdate = 48 * time.Hour

func (w *work) checkStart() {
	r, d := w.r, &w.p.Definition
	if r.NotBefore.IsZero() {
		return
	}
	switch {
	case r.NotBefore.Before(w.at.Add(-maxBackdate)):
		w.problem("not_before", "validity.past", "The validity cannot begin on %s, which is past.", r.NotBefore.Format(time.DateOnly))
	case r.NotBefore.After(w.at.Add(time.Duration(d.Validity.StartDays) * day)):
		w.problem("not_before", "validity.future", "The product %q lets the validity begin at most %d days ahead.", w.p.Name, d.Validity.StartDays)
	}
}

// duration is what the order chose, or the product's own.
func (w *work) duration() int {
	if w.r.Validity != 0 {
		return w.r.Validity
	}
	return w.p.Definition.Validity.Value
}

func (w *work) checkLimit() {
	d := &w.p.Definition
	if !d.Rules.PublicTrust {
		return
	}
	l, ok := limitAt(d.Kind, w.at)
	if !ok {
		return
	}
	from := w.at
	if !w.r.NotBefore.IsZero() {
		from = w.r.NotBefore
	}
	if end := d.Validity.Unit.end(from, w.duration()); end.Sub(from)+time.Second > time.Duration(l.days)*day {
		w.problem("validity", "validity.too_long", "Certificates of this kind may live %d days at most since %s (%s); %d %s is more.",
			l.days, l.from.Format(time.DateOnly), l.clause, w.duration(), strings.ToLower(string(d.Validity.Unit)))
	}
}

func (w *work) checkKeySource() {
	g, r := w.p.Definition.Key.Generation, w.r
	came, how := r.CSR != nil || r.SPKI != nil, "without a key"
	if came {
		how = "with a key"
	}
	switch {
	case came && !g.ByCustomer() && r.CSR != nil:
		w.problem("csr", "key.made_here", "For the product %q the key is made here; send no certificate request.", w.p.Name)
	case !came && !g.Here():
		w.problem("csr", "csr.missing", "The product %q needs a certificate request (PKCS #10).", w.p.Name)
	case r.KeyGeneration != "" && (r.KeyGeneration == PKCS10) != came:
		w.problem("key_generation", "key.generation", "The order says %s, which does not fit that it came %s.", r.KeyGeneration, how)
	case r.KeyGeneration != "" && !came && r.KeyGeneration != g.madeHere() && !(r.KeyGeneration == PKCS12 && g.File()):
		w.problem("key_generation", "key.generation", "The product %q does not offer %s.", w.p.Name, r.KeyGeneration)
	}
}

// madeHere is the way of a product with a choice when no key came.
func (g Generation) madeHere() Generation {
	switch g {
	case PKCS10Or12WithPIN:
		return PKCS12WithPIN
	case PKCS10Or12WithCAPIN:
		return PKCS12WithCAPIN
	}
	return g
}
