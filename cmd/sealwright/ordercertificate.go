package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/publish"
)

func orderCertificate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "certificate ORDER", Short: "Write the certificate of an order", Args: cobra.ExactArgs(1),
		Long: `Write the certificate of an order in PEM, or with --der in DER. With --chain the
certificates above it follow, without the root: what a server is configured with.

  sealwright order certificate www.example.com --chain -o www.pem`,
	}
	f := cmd.Flags()
	chain := f.Bool("chain", false, "with the certificates above it, without the root")
	der := f.Bool("der", false, "in DER")
	out := f.StringP("out", "o", "-", "file to write")
	cmd.MarkFlagsMutuallyExclusive("chain", "der")
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		return s.writeCertificate(o, *out, *chain, *der)
	})
}

func (s *session) writeCertificate(o *order.Order, out string, chain, der bool) error {
	if err := s.scope.Require(access.CertificateDownload, o.Realm, o.Client); err != nil {
		return err
	}
	list, err := s.Orders.Chain(s.cmd.Context(), o)
	if err != nil {
		return err
	}
	if der {
		return writeOutput(s.cmd, out, list[0])
	}
	if list = list[:len(list)-1]; !chain {
		list = list[:1]
	}
	var text bytes.Buffer
	for _, c := range list {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c}); err != nil {
			return err
		}
	}
	return writeOutput(s.cmd, out, text.Bytes())
}

func orderPublish() *cobra.Command {
	cmd := &cobra.Command{
		Use: "publish ORDER", Short: "Have a certificate published where its product says", Args: cobra.ExactArgs(1),
		Example: "  sealwright order publish www.example.com",
		Long:    "Have a certificate published at the publishers that its product names, where it is not\nyet. A running server does the work; what was given up is tried again.",
	}
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		sum, _, err := s.Publish.Status(cmd.Context(), s.scope, o.Realm, o.Client, o.ID)
		switch {
		case err != nil:
			return err
		case sum == publish.GivenUp:
			err = s.Publish.Resend(cmd.Context(), s.scope, o.Realm, o.Client, o.ID)
		default:
			err = s.publishOrder(o)
		}
		if err != nil {
			return err
		}
		s.printf("%s (%s) will be published.\n", o.ID, o.CommonName)
		return nil
	})
}

func (s *session) publishOrder(o *order.Order) error {
	if o.State != order.Issued || o.Expired(s.Clock.Now()) {
		return fault.Conflictf("order.not_issued", "The order %s is %s; only a valid certificate is published.", o.ID, o.State)
	}
	p, err := s.Products.At(s.cmd.Context(), o.Product, o.ProductVersion)
	if err != nil {
		return err
	}
	r, err := s.Orders.Certificate(s.cmd.Context(), o)
	if err != nil {
		return err
	}
	c, err := x509.ParseCertificate(r.DER)
	if err != nil {
		return err
	}
	ids, err := s.Publish.ByName(s.DB.View(s.cmd.Context()), o.Realm, o.Client, p.Definition.Rules.Publication.Publishers)
	if err != nil {
		return err
	}
	facts := map[string]string{"cn": o.CommonName, "product": o.ProductName, "client": o.Client, "order": o.ID}
	if len(c.EmailAddresses) > 0 {
		facts["mail"] = strings.ToLower(c.EmailAddresses[0])
	}
	return s.Publish.Publish(s.cmd.Context(), s.scope, publish.Item{
		OrderID: o.ID, Realm: o.Realm, Client: o.Client, Certificate: r.DER, Publishers: ids, Facts: facts,
	})
}

func orderUnpublish() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unpublish ORDER", Short: "Have a certificate taken away from where it is published", Args: cobra.ExactArgs(1),
		Example: "  sealwright order unpublish www.example.com",
	}
	return acting(cmd, func(s *session, args []string) error {
		o, err := s.order(args[0])
		if err != nil {
			return err
		}
		if err := s.Publish.Unpublish(cmd.Context(), s.scope, o.Realm, o.Client, o.ID); err != nil {
			return err
		}
		s.printf("%s (%s) will be taken away.\n", o.ID, o.CommonName)
		return nil
	})
}
