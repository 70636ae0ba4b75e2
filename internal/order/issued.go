package order

import (
	"context"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish"
)

// extra is what the last commit writes beside the order, made before it: work
// that takes time does not belong into a transaction.
type extra struct {
	file    []byte // PKCS #12 under the PIN; nil: there is none, or its PIN is asked at retrieval
	pin     string // made here, to be sent
	fetch   secret.Text
	code    secret.Text // for revoking
	publish bool
}

// prepareIssued sets the order as it will be stored and makes what goes with it.
func (e *Engine) prepareIssued(ctx context.Context, w *work) (extra, error) {
	var x extra
	now, rules := e.Clock.Now(), w.product.Definition.Rules
	if len(w.sealedKey) > 0 {
		if err := e.makeFile(ctx, w, &x); err != nil {
			return x, err
		}
	}
	if rules.RevocationCode {
		x.code = secret.NewToken()
	}
	x.publish = len(rules.Publication.Publishers) > 0 && rules.Publication.Default
	if w.Request.Publish != nil && rules.Publication.Override {
		x.publish = len(rules.Publication.Publishers) > 0 && *w.Request.Publish
	}
	if rules.CT.On {
		w.begin(JobCT, now)
		w.end(JobCT, JobPending, now, "", "")
	}
	if x.publish {
		w.begin(JobPublish, now)
		w.end(JobPublish, JobPending, now, "", "")
	}
	w.did(JobNotify, now, "")
	w.end(JobFinalize, JobSuccess, now, "", "")
	w.State, w.Problem, w.due, w.Evidence.Attempts = Issued, "", time.Time{}, 0
	return x, nil
}

// issued writes what belongs to the moment in which a certificate is there (D5).
func (e *Engine) issued(tx *store.Tx, w *work, x extra) error {
	if err := e.keepFile(tx, w, x); err != nil {
		return err
	}
	if !x.code.Empty() {
		link, err := e.link(tx, w.Order, purposeRevoke, x.code, w.NotAfter)
		if err != nil {
			return err
		}
		if err := e.tell(tx, w, EventRevokeLink, map[string]string{"link": link}); err != nil {
			return err
		}
	}
	if w.product.Definition.Rules.Notify.Issuance {
		if err := e.tell(tx, w, EventIssued, nil); err != nil {
			return err
		}
	}
	if x.publish {
		if err := e.queuePublication(tx, w, w.cert.DER); err != nil {
			return err
		}
	}
	if w.product.Definition.Rules.CT.On {
		if err := e.queueFinal(tx, w.Order); err != nil {
			return err
		}
	}
	if w.Predecessor != "" {
		if err := e.replaced(tx, w); err != nil {
			return err
		}
	}
	if err := e.count(tx, w.Order, "issued"); err != nil {
		return err
	}
	return e.record(tx, w.Order, "order.issue", map[string]string{
		"cn": w.CommonName, "serial": w.Serial, "authority": w.Authority, "product": w.Product,
	})
}

func (e *Engine) queuePublication(tx *store.Tx, w *work, der []byte) error {
	return e.Publisher.Queue(tx, publish.Item{
		OrderID: w.ID, Realm: w.Realm, Client: w.Client, Certificate: der, Publishers: w.product.Definition.Rules.Publication.Publishers, Facts: facts(w),
	})
}

// facts are the fields of the order that publishers' templates may use.
func facts(w *work) map[string]string {
	out := map[string]string{"cn": w.CommonName, "product": w.ProductName, "client": w.Client, "order": w.ID}
	if mail := mailboxOf(w); mail != "" {
		out["mail"] = strings.ToLower(mail)
	}
	return out
}
