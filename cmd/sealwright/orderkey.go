package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/csr"
)

func orderRevokeKey() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke-key FILE", Short: "Revoke every certificate with a key that is compromised, and certify it no more", Args: cobra.ExactArgs(1),
		Example: `  sealwright order revoke-key leaked.key --why "found on a mirror" --yes`,
		Long: `Revoke every certificate with a key, for key compromise, and block the key so
that it is not certified again. FILE holds the private key, which proves the matter and
is looked at and forgotten; or a certificate, a certificate request or a public key,
which is believed. No approval stands in the way.

Without --yes it only lists the certificates.`,
	}
	why := cmd.Flags().String("why", "", "note for the history")
	since := cmd.Flags().String("since", "", "from when the key was not to be trusted: a day or a time")
	do := sure(cmd)
	return acting(cmd, func(s *session, args []string) error {
		data, err := readInput(cmd, args[0])
		if err != nil {
			return err
		}
		spki, private, err := publicKey(data)
		if err != nil {
			return err
		}
		r := order.Revocation{Reason: authority.KeyCompromise, By: authority.RoleOperator, Why: *why}
		if r.Since, err = readMoment("since", *since); err != nil {
			return err
		}
		if err := s.scope.Require(access.AuthorityWrite, "", ""); err != nil { // it concerns all clients
			return err
		}
		if !*do {
			n, err := s.holders(spki)
			s.printf("%s with the key %s would be revoked, and the key blocked. Nothing was done; repeat the command with --yes.\n", counted(n, "certificate"), keycheck.HashOf(spki))
			return err
		}
		if err := s.block(spki, private, *why); err != nil {
			return err
		}
		n, err := s.Orders.RevokeKey(cmd.Context(), spki, r, s.scope.Principal().Name)
		if err != nil {
			return err
		}
		// What no order of a product holds, such as client certificates for web services.
		others, err := s.Authority.RevokeBySPKI(cmd.Context(), spki, authority.Withdrawal{By: r.By, Reason: r.Reason, Since: r.Since, Why: r.Why})
		s.printf("The key %s is blocked; %s revoked.\n", keycheck.HashOf(spki), counted(n+int(others.Revoked), "certificate"))
		return err
	})
}

// block puts a key on the list of those that are not certified: proved by its
// private part, if that is given.
func (s *session) block(spki, private []byte, why string) error {
	if private != nil {
		_, err := s.Keys.Compromised(s.cmd.Context(), private, why, nil)
		return err
	}
	_, err := s.Keys.Add(s.cmd.Context(), s.scope, keycheck.HashOf(spki), keycheck.Compromised, why)
	return err
}

// holders lists the valid certificates with a key and counts them.
func (s *session) holders(spki []byte) (n int, err error) {
	for r, err := range s.Authority.FindBySPKI(s.cmd.Context(), spki) {
		if err != nil {
			return n, err
		}
		if r.Status == authority.CertValid {
			n++
			s.printf("%s  %s  until %s  %s\n", dash(r.OrderID), authority.SerialText(r.Serial), day(r.NotAfter), r.CommonName)
		}
	}
	return n, nil
}

// publicKey reads a public key from whatever holds it. private is the input if
// it is a private key.
func publicKey(data []byte) (spki, private []byte, err error) {
	der := data
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if der = block.Bytes; block.Type != "EC PARAMETERS" {
			break
		}
	}
	if c, err := x509.ParseCertificate(der); err == nil {
		return c.RawSubjectPublicKeyInfo, nil, nil
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return der, nil, nil
	}
	if r, err := csr.Parse(data); err == nil {
		return r.SPKI, nil, nil
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
		func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
	} {
		key, err := parse(der)
		if signer, ok := key.(crypto.Signer); err == nil && ok {
			spki, err = x509.MarshalPKIXPublicKey(signer.Public())
			return spki, data, err
		}
	}
	return nil, nil, fault.Invalidf("command.key", "The file holds no key that can be read.").
		WithNext("Give a private key (unencrypted), a certificate, a certificate request or a public key, in PEM or DER.")
}
