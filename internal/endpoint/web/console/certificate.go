package console

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // fingerprints are for recognising a certificate, and some tools show only this one
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/wscert"
)

// certificateCard shows what stands in the certificate (A160, A161).
func (c *console) certificateCard(v *visit, o *wscert.Order) (templ.Component, error) {
	if o.State != wscert.Issued && o.State != wscert.Revoked {
		return nil, nil
	}
	rec, err := c.Orders.Certificate(v.ctx, o)
	if err != nil {
		return nil, err
	}
	x, err := x509.ParseCertificate(rec.DER)
	if err != nil {
		return nil, err
	}
	list := []ui.Description{
		{Term: v.say("Valid"), Value: ui.Join(ui.TimeExact(x.NotBefore), ui.Muted(v.say("to")), ui.TimeExact(x.NotAfter))},
		{Term: v.say("Subject"), Value: ui.Mono(x.Subject.String())},
		{Term: v.say("Issuer"), Value: ui.Mono(x.Issuer.String())},
		{Term: v.say("Service (SAN)"), Value: ui.Mono(uris(x))},
		{Term: v.say("Key"), Value: ui.Text(keyText(x.PublicKey) + " · " + x.SignatureAlgorithm.String())},
		{Term: v.say("Serial number"), Value: ui.Mono(colons(rec.Serial))},
	}
	if rec.Status == authority.CertRevoked {
		list = append([]ui.Description{{Term: v.say("Withdrawn"), Value: ui.Join(ui.TimeExact(rec.RevokedAt), ui.Muted(rec.Reason.String()))}}, list...)
	}
	sum256, sum1 := sha256.Sum256(rec.DER), sha1.Sum(rec.DER) //nolint:gosec // see above
	p := ui.CardProps{Title: v.say("Certificate")}
	if v.scope().Allows(access.CertificateDownload, o.Realm, o.Client) {
		at := "/orders/" + o.ID
		p.Actions = all([]templ.Component{
			downloadButton("PEM", at+"/certificate.pem"), downloadButton("DER", at+"/certificate.cer"), downloadButton(v.say("With chain"), at+"/chain.pem"),
		})
	}
	return card(p, ui.DescriptionList(list),
		ui.CopyBox(ui.CopyProps{ID: "sha256", Label: v.say("SHA-256 fingerprint"), Value: colons(sum256[:])}),
		ui.CopyBox(ui.CopyProps{ID: "sha1", Label: v.say("SHA-1 fingerprint"), Value: colons(sum1[:])}),
	), nil
}

func downloadButton(label, href string) templ.Component {
	return ui.Button(ui.ButtonProps{Label: label, Icon: "download", Small: true, Href: href, Attrs: templ.Attributes{"download": true}})
}

func uris(x *x509.Certificate) string {
	var out []string
	for _, u := range x.URIs {
		out = append(out, u.String())
	}
	return strings.Join(append(out, x.DNSNames...), ", ")
}

func keyText(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}

// colons writes bytes as most tools show serial numbers and fingerprints.
func colons(b []byte) string {
	text := strings.ToUpper(hex.EncodeToString(b))
	var out strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			out.WriteByte(':')
		}
		out.WriteString(text[i : i+2])
	}
	return out.String()
}

// issued reads the certificate of an order for a download (A45).
func (v *visit) issued() (*wscert.Order, authority.Record, error) {
	o, err := v.anOrder(access.CertificateDownload)
	if err != nil {
		return nil, authority.Record{}, err
	}
	if o.State != wscert.Issued && o.State != wscert.Revoked {
		return nil, authority.Record{}, access.NotFound()
	}
	rec, err := v.c.Orders.Certificate(v.ctx, o)
	return o, rec, err
}

func (c *console) certificatePEM(v *visit) error {
	o, rec, err := v.issued()
	if err != nil {
		return err
	}
	return v.download(o.CommonName+".pem", "application/x-pem-file", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rec.DER}))
}

func (c *console) certificateDER(v *visit) error {
	o, rec, err := v.issued()
	if err != nil {
		return err
	}
	return v.download(o.CommonName+".cer", "application/pkix-cert", rec.DER)
}

func (c *console) certificateChain(v *visit) error {
	o, rec, err := v.issued()
	if err != nil {
		return err
	}
	chain, err := c.Orders.PEM(v.ctx, rec.DER, rec.Authority)
	if err != nil {
		return err
	}
	return v.download(o.CommonName+"-chain.pem", "application/pem-certificate-chain", chain)
}
