package domainval_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func (f *fixture) mailbox(o domainval.MailOrder) domainval.Mail {
	f.t.Helper()
	o.Realm, o.Client = realm, acme
	var m domainval.Mail
	f.check(f.db.Update(f.t.Context(), func(tx *store.Tx) (err error) {
		m, err = f.desk.BeginMail(tx, o)
		return err
	}))
	return m
}

// A91, A111, rule 28: a link to the mailbox, once, within 24 hours.
func TestAMailboxIsConfirmedByItsHolder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		m := f.mailbox(domainval.MailOrder{Order: "ord-1", Address: " Kari.Nordmann@BÜCHER.ch", Language: "de", Public: true})
		if m.Address != "Kari.Nordmann@xn--bcher-kva.ch" || m.State != domainval.MailSent || m.LinkUntil != noon.Add(24*time.Hour) {
			t.Fatalf("%+v", m)
		}
		mail, token := f.sent.mail[0], f.sent.token()
		if mail.To != m.Address || mail.Channel != outbox.Email || !strings.Contains(mail.Subject, "bestätigen") || !strings.Contains(mail.Body, outbox.Placeholder) || strings.Contains(mail.Body, token) || !mail.NotAfter.Equal(m.LinkUntil) {
			t.Errorf("%+v", mail)
		}
		for table, text := range storetest.Dump(t, db) {
			if strings.Contains(text, token) {
				t.Errorf("the token stands in table %s", table)
			}
		}
		for range 3 { // programs that scan mail open links
			found, err := f.desk.FindMail(t.Context(), token)
			f.check(err)
			if found.ID != m.ID || !strings.Contains(found.Words(f.clock.Now()).Next, "confirms") {
				t.Errorf("%+v", found)
			}
		}
		if st := f.status("ord-1"); st.Done || st.Failed {
			t.Errorf("%+v", st)
		}
		var wg sync.WaitGroup
		yes := make(chan error, 4)
		for range 4 {
			wg.Go(func() { _, err := f.desk.ConfirmMail(t.Context(), token); yes <- err })
		}
		wg.Wait()
		close(yes)
		confirmed := 0
		for err := range yes {
			if err == nil {
				confirmed++
			} else if !errors.Is(err, fault.Gone) {
				t.Error(err)
			}
		}
		if confirmed != 1 {
			t.Errorf("confirmed %d times", confirmed)
		}
		f.wasDone("ord-1")
		if st := f.status("ord-1"); !st.Done || st.Mails[0].State != domainval.MailConfirmed {
			t.Errorf("%+v", st)
		}
		list, err := f.desk.EvidenceOfOrder(db.View(t.Context()), "ord-1")
		f.check(err)
		if len(list) != 1 || list[0].Section != "S/MIME BR 3.2.2.2" || list[0].Name != m.Address || list[0].Detail.Address != m.Address {
			t.Errorf("%+v", list)
		}
		if _, err := f.desk.FindMail(t.Context(), "guess"); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := f.desk.FindMail(t.Context(), ""); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

// Rule 28: a confirmation serves 30 days, for the same mailbox and client.
func TestAConfirmedMailboxIsUsedAgainForThirtyDays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.mailbox(domainval.MailOrder{Order: "ord-1", Address: "kari@site.dk"})
		_, err := f.desk.ConfirmMail(t.Context(), f.sent.token())
		f.check(err)
		f.wasDone("ord-1")
		if m := f.mailbox(domainval.MailOrder{Order: "ord-2", Address: "kari@SITE.dk"}); m.State != domainval.MailConfirmed || len(f.sent.mail) != 1 {
			t.Errorf("%+v", m)
		}
		if m := f.mailbox(domainval.MailOrder{Order: "ord-3", Address: "Kari@site.dk"}); m.State != domainval.MailSent {
			t.Errorf("another local part: %+v", m)
		}
		f.clock.Set(noon.Add(30*day - time.Microsecond))
		if st := f.status("ord-2"); !st.Done {
			t.Error("it ran out too early")
		}
		f.clock.Set(noon.Add(30 * day))
		if st := f.status("ord-2"); st.Done || st.Mails[0].State != domainval.Stale {
			t.Errorf("%+v", st)
		}
		if m := f.mailbox(domainval.MailOrder{Order: "ord-2", Address: "kari@site.dk"}); m.State != domainval.MailSent {
			t.Errorf("it was not asked for again: %+v", m)
		}
	})
}

// Rule 28: a domain that the client controls may stand for its mailboxes, 398 days.
func TestADomainMayStandForItsMailboxes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.proven("site.dk")
		if m := f.mailbox(domainval.MailOrder{Order: "ord-1", Address: "a@mail.site.dk", Public: true}); m.State != domainval.MailSent {
			t.Errorf("the product did not ask for it: %+v", m)
		}
		if m := f.mailbox(domainval.MailOrder{Order: "ord-2", Address: "a@mail.site.dk", Public: true, DomainSuffices: true}); m.State != domainval.MailConfirmed {
			t.Errorf("%+v", m)
		}
		if m := f.mailbox(domainval.MailOrder{Order: "ord-3", Address: "a@other.dk", Public: true, DomainSuffices: true}); m.State != domainval.MailSent {
			t.Errorf("%+v", m)
		}
		f.clock.Set(x.Validated.Add(398*day - time.Microsecond))
		if !f.status("ord-2").Done {
			t.Error("it ran out too early")
		}
		f.clock.Set(x.Validated.Add(398 * day))
		if f.status("ord-2").Done {
			t.Error("it did not run out")
		}
	})
}

// Resending: a new link, the old one dead, with a pause and a limit.
func TestALinkCanBeSentAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		m := f.mailbox(domainval.MailOrder{Order: "ord-1", Address: "kari@site.dk"})
		first := f.sent.token()
		if _, err := f.desk.ResendMail(t.Context(), admin, m.ID); !errors.Is(err, fault.TooMany) || fault.Of(err).RetryAfter != 2*time.Minute {
			t.Error(err)
		}
		f.clock.Advance(25 * time.Hour)
		if _, err := f.desk.ConfirmMail(t.Context(), first); fault.Of(err).Code != "mail.link_expired" {
			t.Errorf("rule 28: %v", err)
		}
		if st := f.status("ord-1"); st.Failed || !strings.Contains(st.Mails[0].Words(f.clock.Now()).State, "ran out") {
			t.Errorf("%+v", st)
		}
		for range 4 {
			var err error
			m, err = f.desk.ResendMail(t.Context(), admin, m.ID)
			f.check(err)
			f.clock.Advance(3 * time.Minute)
		}
		if _, err := f.desk.ResendMail(t.Context(), admin, m.ID); fault.Of(err).Code != "mail.sends" || m.SendsLeft != 0 {
			t.Errorf("%d left, %v", m.SendsLeft, err)
		}
		if _, err := f.desk.ConfirmMail(t.Context(), first); !errors.Is(err, fault.NotFound) {
			t.Errorf("the first link: %v", err)
		}
		_, err := f.desk.ConfirmMail(t.Context(), f.sent.token())
		f.check(err)
		if _, err := f.desk.ResendMail(t.Context(), admin, m.ID); fault.Of(err).Code != "mail.confirmed" {
			t.Error(err)
		}
		var keys []string
		for _, mail := range f.sent.mail {
			if keys = append(keys, mail.Key); strings.Contains(mail.Key, mail.Secret.Reveal()) {
				t.Error("a key holds the secret")
			}
		}
		slices.Sort(keys)
		if len(slices.Compact(keys)) != 5 {
			t.Errorf("keys %q", keys)
		}
	})
}

func TestAMailboxHolderCanRefuse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.mailbox(domainval.MailOrder{Order: "ord-1", Address: "kari@site.dk"})
		token := f.sent.token()
		_, err := f.desk.RefuseMail(t.Context(), token)
		f.check(err)
		f.wasDone("ord-1")
		if st := f.status("ord-1"); !st.Failed || !strings.Contains(st.Why, "refused") {
			t.Errorf("%+v", st)
		}
		if _, err := f.desk.ConfirmMail(t.Context(), token); fault.Of(err).Code != "mail.refused" {
			t.Error(err)
		}
		// Nobody answers: after 30 days the order fails.
		f.mailbox(domainval.MailOrder{Order: "ord-2", Address: "ola@site.dk"})
		f.clock.Advance(30 * day)
		f.check(f.desk.Sweep(t.Context()))
		f.wasDone("ord-2")
		if st := f.status("ord-2"); !st.Failed || !strings.Contains(st.Why, "30 days") {
			t.Errorf("%+v", st)
		}
	})
}

// An order waits for its names and its mailboxes.
func TestAnOrderWithNamesAndMailboxesWaitsForBoth(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.order("ord-1", true, "site.dk")
		f.mailbox(domainval.MailOrder{Order: "ord-1", Address: "kari@site.dk", Public: true})
		f.proven("site.dk")
		f.wasDone()
		if f.status("ord-1").Done {
			t.Error("done without the mailbox")
		}
		_, err := f.desk.ConfirmMail(t.Context(), f.sent.token())
		f.check(err)
		f.wasDone("ord-1")
		if !f.status("ord-1").Done {
			t.Error("not done")
		}
	})
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, s := range []string{"", "kari", "@site.dk", "kari@", "kari@*.site.dk", "kari@[127.0.0.1]", "kari@127.0.0.1", "ka ri@site.dk", "kari@site_.dk", "kari\r\n@site.dk", `"kari x"@site.dk`} {
		if m, _, err := domainval.ParseMailbox(s); err == nil {
			t.Errorf("%q was read as %q", s, m)
		}
	}
}

// Rule 5, BR 3.2.2.4.4: a link to a constructed address shows control over the domain of the address.
func TestADomainOwnerAgreesByLink(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		st, err := f.begin(domainval.Order{ID: "ord-1", Names: []string{"a.b.site.dk", "*.b.site.dk", "c.site.dk"}, Methods: []domainval.Method{domainval.EmailLink}, Public: true})
		f.check(err)
		v := st.Validations[1] // by name: *.b.site.dk, a.b.site.dk, c.site.dk
		in := f.desk.InstructionsFor(v)
		if len(in.Addresses) != 15 || in.Addresses[0] != "admin@a.b.site.dk" || in.Addresses[14] != "postmaster@site.dk" {
			t.Errorf("%q", in.Addresses)
		}
		for _, address := range []string{"info@site.dk", "admin@dk", "admin@x.site.dk", "Admin@site.dk", ""} {
			if _, err := f.desk.SendOwnerLink(t.Context(), admin, v.ID, address, "en"); fault.Of(err).Code != "domain.owner_address" {
				t.Errorf("%q: %v", address, err)
			}
		}
		if _, err := f.desk.Check(t.Context(), admin, v.ID); fault.Of(err).Code != "domain.mail_only" {
			t.Error(err)
		}
		m, err := f.desk.SendOwnerLink(t.Context(), admin, v.ID, "hostmaster@b.site.dk", "fr")
		f.check(err)
		if m.Subject != "b.site.dk" || m.LinkUntil != noon.Add(30*day) || !strings.Contains(f.sent.mail[0].Subject, "b.site.dk") {
			t.Errorf("%+v", m)
		}
		refused, err := f.desk.SendOwnerLink(t.Context(), admin, v.ID, "webmaster@b.site.dk", "da")
		f.check(err)
		_, err = f.desk.RefuseMail(t.Context(), f.sent.token())
		f.check(err)
		f.done = nil
		if st := f.status("ord-1"); st.Failed || len(st.Mails) != 0 {
			t.Errorf("a no to one of the addresses ended the order: %+v", st)
		}
		_, token, _ := strings.Cut(f.sent.mail[0].Secret.Reveal(), "#")
		if secret.Hash(token) == "" || refused.ID == m.ID {
			t.Fatal("one mail for two addresses")
		}
		_, err = f.desk.ConfirmMail(t.Context(), token)
		f.check(err)
		f.wasDone() // c.site.dk still waits
		st = f.status("ord-1")
		if st.Validations[0].State != domainval.Valid || st.Validations[1].State != domainval.Valid || st.Validations[2].State != domainval.Pending {
			t.Errorf("%+v", st)
		}
		mails, err := f.desk.OwnerMails(t.Context(), admin, v.ID)
		f.check(err)
		if len(mails) != 2 {
			t.Errorf("%d mails", len(mails))
		}
	})
}

// Rule 5: e-mail ends on 2028-03-15, for links that are under way and for what was shown before.
func TestEmailEndsOnItsDay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.clock.Set(on(2028, 3, 10))
		methods := []domainval.Method{domainval.EmailLink, domainval.DNSTXT}
		for _, c := range []string{"one", "two"} {
			st, err := f.begin(domainval.Order{ID: "ord-" + c, Names: []string{c + ".dk"}, Methods: methods, Public: true})
			f.check(err)
			_, err = f.desk.SendOwnerLink(t.Context(), admin, st.Validations[0].ID, "admin@"+c+".dk", "")
			f.check(err)
			if c == "one" {
				_, err = f.desk.ConfirmMail(t.Context(), f.sent.token())
				f.check(err)
			}
		}
		f.clock.Set(on(2028, 3, 15).Add(-time.Microsecond))
		if !f.status("ord-one").Done {
			t.Error("it ended too early")
		}
		f.clock.Set(on(2028, 3, 15))
		if f.status("ord-one").Done {
			t.Error("what was shown by e-mail is relied on")
		}
		if _, err := f.desk.ConfirmMail(t.Context(), f.sent.token()); fault.Of(err).Code != "domain.method_ended" {
			t.Error(err)
		}
		st, err := f.begin(domainval.Order{ID: "ord-three", Names: []string{"three.dk"}, Methods: methods, Public: true})
		f.check(err)
		if !slices.Equal(st.Validations[0].Methods, []domainval.Method{domainval.DNSTXT}) {
			t.Errorf("%q are offered", st.Validations[0].Methods)
		}
	})
}

// Whatever is read as a mailbox can be mailed to, and reading it again gives the same.
func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{"kari@site.dk", "Kari@BÜCHER.ch", "a@b@c", "@", "\x00@site.dk"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, n, err := domainval.ParseMailbox(s)
		if err != nil {
			return
		}
		again, same, err := domainval.ParseMailbox(m)
		if err != nil || again != m || same != n || outbox.CheckEmail(m) != nil || !strings.HasSuffix(m, "@"+n.ASCII) {
			t.Fatalf("%q gave %q and then %q, %v", s, m, again, err)
		}
	})
}
