package order

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// Kinds of stored files. Everything but a PKCS #12 file, which its PIN
// encrypts, is sealed.
const (
	fileP12    = "p12"    // under a PIN that we do not keep
	fileKey    = "key"    // waits for the holder to choose a PIN at retrieval
	filePIN    = "pin"    // made here, sent once the file was fetched
	fileEscrow = "escrow" // for recovery
)

// fileLife is how long a key file waits to be fetched (A97).
const fileLife = 90 * 24 * time.Hour

const purposeKey = "order.managed-key"

// sealedKey is a key that was made here, until its certificate is there.
type sealedKey struct {
	Key []byte `json:"key"`           // PKCS #8
	PIN string `json:"pin,omitempty"` // of the holder's choice; gone with the certificate's commit
}

// algorithms that keys are made with here.
var algorithms = map[product.KeyType]keys.Algorithm{
	product.RSA2048: keys.RSA2048, product.RSA3072: keys.RSA3072, product.RSA4096: keys.RSA4096,
	product.P256: keys.P256, product.P384: keys.P384, product.P521: keys.P521, product.Ed25519: keys.Ed25519,
}

// makeKey makes the order's key and seals it.
func (e *Engine) makeKey(ctx context.Context, w *work) error {
	kind := w.product.Definition.Key.Types[0]
	algorithm, ok := algorithms[kind]
	if !ok {
		return &refusal{why: fmt.Sprintf("Keys of type %s are not made here.", kind)}
	}
	key, err := e.Pool.Get(ctx, algorithm)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if w.spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return err
	}
	w.sealedKey, err = e.seal(sealedKey{private, w.pin})
	return err
}

func (e *Engine) seal(v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return e.Vault.Seal(purposeKey, plain)
}

func (e *Engine) unseal(sealed []byte, v any) error {
	plain, err := e.Vault.Open(purposeKey, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

// makeFile prepares what is handed over. A PIN that the holder chose is
// forgotten here, and so is the key: it can be recovered by nobody (A95).
func (e *Engine) makeFile(ctx context.Context, w *work, x *extra) error {
	var k sealedKey
	if err := e.unseal(w.sealedKey, &k); err != nil {
		return err
	}
	now := e.Clock.Now()
	x.fetch = secret.NewToken()
	switch w.Request.Generation {
	case product.PKCS12WithPIN:
		x.pin = k.PIN
	case product.PKCS12WithCAPIN:
		x.pin = secret.NewPassword(12).Reveal()
		w.begin(JobSendPIN, now)
		w.end(JobSendPIN, JobWaiting, now, "", "is sent when the file was fetched")
	default:
		w.did(JobP12Notify, now, "the holder chooses the PIN when he fetches the file")
		return nil
	}
	var err error
	x.file, err = e.encodeFile(ctx, w.Order, k.Key, w.cert.DER, x.pin)
	w.did(JobP12Notify, now, "link sent to "+holderOf(w))
	return err
}

func (e *Engine) encodeFile(ctx context.Context, o *Order, private, der []byte, pin string) ([]byte, error) {
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	chain, err := e.CA.ChainCertificates(ctx, o.Authority)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return pkcs12.Encode(pkcs12.Modern, signer, leaf, chain, pin, o.CommonName)
}

// keepFile stores what was prepared and tells the holder, in the certificate's
// own transaction.
func (e *Engine) keepFile(tx *store.Tx, w *work, x extra) error {
	if x.fetch.Empty() {
		return nil
	}
	ends := e.Clock.Now().Add(fileLife)
	keep := map[string][]byte{}
	if x.file != nil {
		keep[fileP12] = x.file
	} else {
		keep[fileKey] = w.sealedKey
	}
	if w.Request.Generation == product.PKCS12WithCAPIN {
		sealed, err := e.seal(x.pin)
		if err != nil {
			return err
		}
		keep[filePIN] = sealed
	}
	if w.product.Definition.Rules.Escrow && w.Request.Generation != product.PKCS12WithPIN {
		keep[fileEscrow] = w.sealedKey
	}
	for kind, data := range keep {
		until := store.Micros(ends)
		if kind == fileEscrow {
			until = 0
		}
		if _, err := tx.Exec(`INSERT INTO order_files (order_id, kind, data, expires_at) VALUES ($1, $2, $3, $4)`, w.ID, kind, data, until); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`UPDATE order_work SET sealed_key = NULL WHERE id = $1`, w.ID); err != nil {
		return err
	}
	link, err := e.link(tx, w.Order, purposeFetch, x.fetch, ends)
	if err != nil {
		return err
	}
	return e.tell(tx, w, EventFileReady, map[string]string{"link": link})
}

// awaitPIN waits for the holder to choose a PIN (A94). The link is sent once, and
// again when an operator wants it; when its time is over, so is the order's.
func (e *Engine) awaitPIN(w *work) error {
	const why = "The holder is to choose the PIN of the key file."
	now, j := e.Clock.Now(), w.Job(JobSetPIN)
	if j == nil || w.again {
		w.begin(JobSetPIN, now)
		w.end(JobSetPIN, JobWaiting, now, "", why)
		return &waiting{why: why, until: now.Add(linkLife), begin: func(tx *store.Tx) error { return e.sendPINLink(tx, w) }}
	}
	until := j.Started.Add(linkLife)
	if now.Before(until) {
		return &waiting{why: why, until: until}
	}
	const late = "The holder chose no PIN in time."
	w.end(JobSetPIN, JobFailed, now, "", late)
	return &refusal{why: late}
}

// sendPINLink asks the holder to choose the PIN of a key that is not made yet (A94, A96).
func (e *Engine) sendPINLink(tx *store.Tx, w *work) error {
	if _, err := tx.Exec(`DELETE FROM order_links WHERE order_id = $1 AND purpose = $2`, w.ID, string(purposePIN)); err != nil {
		return err
	}
	token := secret.NewToken()
	link, err := e.link(tx, w.Order, purposePIN, token, e.Clock.Now().Add(linkLife))
	if err != nil {
		return err
	}
	return e.tell(tx, w, EventPINLink, map[string]string{"link": link, "run": secret.Hash(token.Reveal())[:16]})
}

// Limits of a PIN. It protects a file that leaves this installation.
const (
	minPIN = 8
	maxPIN = 64
)

// checkPIN: the characters are those that every program opens a PKCS #12 file
// with.
func checkPIN(pin string) error {
	if len(pin) < minPIN || len(pin) > maxPIN {
		return fault.Invalidf("order.pin_length", "The PIN has %d characters; it must have %d to %d.", len(pin), minPIN, maxPIN).WithField("pin")
	}
	for _, r := range pin {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return fault.Invalidf("order.pin_characters", "The PIN may hold letters without accents, digits, spaces and punctuation only.").WithField("pin")
		}
	}
	return nil
}

// SetPIN takes the PIN that the holder chose, makes the key under it and issues.
// The link is used up when the key is durable.
func (e *Engine) SetPIN(ctx context.Context, token, pin string) (*Order, error) {
	if err := checkPIN(pin); err != nil {
		return nil, err
	}
	id, err := e.openLink(ctx, purposePIN, token)
	if err != nil {
		return nil, err
	}
	w, err := e.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if w.State != KeyValidation || len(w.sealedKey) > 0 {
		return nil, fault.Conflictf("order.has_pin", "The PIN for %s was chosen already.", w.CommonName)
	}
	w.pin = pin
	if err := e.makeKey(ctx, w); err != nil {
		return nil, err
	}
	w.end(JobSetPIN, JobSuccess, e.Clock.Now(), "chosen by the holder", "")
	w.Problem, w.due = "", e.Clock.Now().Add(e.Settings.Lease)
	if err := e.commit(ctx, w, func(tx *store.Tx) error {
		if err := e.useLink(tx, token); err != nil {
			return err
		}
		return enterKey(tx, w.Order)
	}); err != nil {
		return nil, err
	}
	return w.Order, e.run(ctx, w)
}

// A File is a key file that is handed over.
type File struct {
	Name string
	Data []byte // PKCS #12
}

// Fetch gives the key file behind a link, once. pin is needed where the holder
// chooses it at retrieval (A92); elsewhere it is ignored. A PIN that was made
// here is sent afterwards.
func (e *Engine) Fetch(ctx context.Context, token, pin string) (File, error) {
	id, err := e.openLink(ctx, purposeFetch, token)
	if err != nil {
		return File{}, err
	}
	w, err := e.load(ctx, id)
	if err != nil {
		return File{}, err
	}
	if w.State != Issued {
		return File{}, fault.Gonef("order.file_gone", "The certificate %s is %s; its key file is no longer handed over.", w.CommonName, w.State)
	}
	data, err := e.fileOf(ctx, w.Order, pin)
	if err != nil {
		return File{}, err
	}
	if w.Request.Generation == product.PKCS12WithCAPIN {
		w.end(JobSendPIN, JobSuccess, e.Clock.Now(), "sent after the file was fetched", "")
	}
	if err := e.commit(ctx, w, func(tx *store.Tx) error {
		if err := e.useLink(tx, token); err != nil {
			return err
		}
		if err := e.sendPIN(tx, w); err != nil {
			return err
		}
		if err := e.eraseFiles(tx, id); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.fetch", nil)
	}); err != nil {
		return File{}, err
	}
	return File{Name: fileName(w.CommonName) + ".p12", Data: data}, nil
}

func (e *Engine) readFile(q store.Queryer, id, kind string) (data []byte, err error) {
	err = q.QueryRow(`SELECT data FROM order_files WHERE order_id = $1 AND kind = $2`, id, kind).Scan(&data)
	return data, err
}

// fileOf is the PKCS #12 file of an order, made now if the PIN is chosen now.
func (e *Engine) fileOf(ctx context.Context, o *Order, pin string) ([]byte, error) {
	view := e.DB.View(ctx)
	data, err := e.readFile(view, o.ID, fileP12)
	if !errors.Is(err, store.ErrNotFound) {
		return data, err
	}
	sealed, err := e.readFile(view, o.ID, fileKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.Gonef("order.file_gone", "The key file of %s was fetched or erased.", o.CommonName).WithNext("Order a new certificate.")
	}
	if err != nil {
		return nil, err
	}
	if err := checkPIN(pin); err != nil {
		return nil, err
	}
	return e.openFile(ctx, o, sealed, pin)
}

func (e *Engine) openFile(ctx context.Context, o *Order, sealed []byte, pin string) ([]byte, error) {
	var k sealedKey
	if err := e.unseal(sealed, &k); err != nil {
		return nil, err
	}
	record, err := e.Certificate(ctx, o)
	if err != nil {
		return nil, err
	}
	return e.encodeFile(ctx, o, k.Key, record.DER, pin)
}

// sendPIN sends a PIN that was made here, once its file has left.
func (e *Engine) sendPIN(tx *store.Tx, w *work) error {
	sealed, err := e.readFile(tx, w.ID, filePIN)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var pin string
	if err := e.unseal(sealed, &pin); err != nil {
		return err
	}
	return e.tell(tx, w, EventPIN, map[string]string{"pin": pin})
}

// Recover gives an escrowed key to an operator, under a PIN of his choice. Two
// people are needed: one asks, another grants, as for revoking; the holder is
// told. It is refused where the product keeps no keys.
func (e *Engine) Recover(ctx context.Context, s access.Scope, approval, pin string) (File, error) {
	if err := checkPIN(pin); err != nil {
		return File{}, err
	}
	a, w, err := e.approvalWork(ctx, s, approval)
	if err != nil {
		return File{}, err
	}
	switch {
	case a.Act != actRecover || a.State != Granted || a.AskedBy != s.Principal().ID:
		return File{}, fault.Conflictf("order.recovery", "This is not a granted recovery that you asked for.")
	case e.Clock.Now().After(a.Expires):
		return File{}, fault.Gonef("order.recovery_ended", "This recovery could be used until %s.", a.Expires.UTC().Format(time.DateTime)).WithNext("Ask for it again.")
	}
	sealed, err := e.readFile(e.DB.View(ctx), w.ID, fileEscrow)
	if err != nil {
		return File{}, noEscrow(w, err)
	}
	data, err := e.openFile(ctx, w.Order, sealed, pin)
	if err != nil {
		return File{}, err
	}
	if err := e.DB.Update(ctx, func(tx *store.Tx) error {
		if err := e.finishApproval(tx, a, Used); err != nil {
			return err
		}
		if err := e.tell(tx, w, EventKeyRecovered, map[string]string{"by": s.Principal().Name, "run": a.ID}); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.recover", map[string]string{"approval": a.ID})
	}); err != nil {
		return File{}, err
	}
	return File{Name: fileName(w.CommonName) + ".p12", Data: data}, nil
}

// noEscrow says that a key is not kept, if that is why it could not be read.
func noEscrow(w *work, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.Gonef("order.no_escrow", "The key of %s is not kept here.", w.CommonName)
	}
	return err
}

// fileName makes a name fit for a file.
func fileName(cn string) string {
	out := []rune(cn)
	for i, r := range out {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' && r != '_' {
			out[i] = '_'
		}
	}
	if len(out) == 0 {
		return "certificate"
	}
	return string(out[:min(len(out), 80)])
}
