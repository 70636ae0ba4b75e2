package house

import (
	"context"
	"net/netip"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func inviteLink(base string, inv access.Invitation) secret.Text {
	return secret.New(base + "/invitation/" + inv.Token.Reveal())
}

// devMessages is how many messages the page of the outgoing mail keeps.
const devMessages = 1000

// openOutbox attaches the channels that the configuration describes. In dev
// mode all messages go to a page instead.
func (h *House) openOutbox() error {
	transports := map[outbox.Channel]outbox.Transport{}
	if h.Config.Dev.Enabled {
		h.Dev = outbox.NewDev(h.Clock, devMessages)
		transports[outbox.Email], transports[outbox.SMS], transports[outbox.Webhook] = h.Dev, h.Dev, h.Dev
	} else if err := h.transports(transports); err != nil {
		return err
	}
	h.Outbox = outbox.New(h.DB, h.Clock, h.Logger, h.Queue, h.Vault, transports, outbox.Options{})
	return nil
}

func (h *House) transports(t map[outbox.Channel]outbox.Transport) error {
	policy := h.egress()
	if h.Config.Mail.Host != "" {
		smtp, err := h.smtp(policy)
		if err != nil {
			return err
		}
		t[outbox.Email] = smtp
		h.closers = append(h.closers, smtp)
	}
	key := h.Config.Webhook.Secret
	t[outbox.Webhook] = outbox.NewHook(policy.Client(egress.Options{}), h.Clock, func(context.Context, outbox.Envelope) (secret.Text, error) { return key, nil })
	return h.sms(t, policy)
}

func (h *House) sms(t map[outbox.Channel]outbox.Transport, policy egress.Policy) error {
	c := h.Config.SMS
	switch c.Kind {
	case config.SMSHTTP:
		gateway, err := outbox.NewHTTPSMS(outbox.SMSConfig{
			URL: c.HTTP.URL.Reveal(), Method: c.HTTP.Method, ContentType: c.HTTP.ContentType, Headers: c.HTTP.Headers,
			Body: c.HTTP.Body, Success: c.HTTP.Success, Client: policy.Client(egress.Options{}),
		})
		t[outbox.SMS] = gateway
		return err
	case config.SMSMail:
		gateway, err := outbox.NewMailSMS(c.Mail.Address, c.Mail.Subject, t[outbox.Email])
		t[outbox.SMS] = gateway
		return err
	}
	return nil
}

func (h *House) smtp(policy egress.Policy) (*outbox.SMTP, error) {
	m := h.Config.Mail
	modes := map[string]outbox.TLSMode{config.StartTLSRequired: outbox.STARTTLS, config.StartTLSOpportunistic: outbox.Opportunistic, config.StartTLSNever: outbox.Plain}
	// The mail server is the operator's own choice and usually inside.
	policy.Allow = append([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, policy.Allow...)
	policy.Ports = nil
	return outbox.NewSMTP(outbox.SMTPConfig{
		Host: m.Host, Port: m.Port, TLS: modes[m.StartTLS], Username: m.User, Password: m.Password, From: m.From, Dial: policy.Dialer().DialContext,
	})
}

func (h *House) egress() egress.Policy {
	e := h.Config.Egress
	return egress.Policy{Allow: e.Allow, Deny: e.Deny, Ports: e.Ports, Timeout: e.Timeout, MaxBody: e.MaxResponse}
}
