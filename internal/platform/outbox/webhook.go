package outbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// The header fields of a webhook. SignatureHeader holds "t=SECONDS,v1=HEX": the
// Unix time of sending, and the HMAC-SHA256 of "SECONDS.ID.BODY" under the key
// that the receiver shares with us. MessageIDHeader holds ID, which is the same
// on a repeated delivery.
const (
	SignatureHeader = "Sealwright-Signature"
	MessageIDHeader = "Sealwright-Message-Id"
)

// Hook is the [Transport] for webhooks: it posts the body as JSON to the
// message's address.
//
// An answer of 2xx means that the receiver has it. 408, 425, 429 and 5xx are
// repeated, after Retry-After if given (at most an hour), and so are 401, 403
// and 407, which are about credentials that somebody mends. Redirects and all
// other 4xx are permanent.
type Hook struct {
	client *http.Client
	clock  clock.Clock
	key    func(ctx context.Context, e Envelope) (secret.Text, error)
}

// NewHook makes the transport. The client comes from package egress, as the
// addresses are chosen by customers. key finds the signing key of the receiver;
// an error repeats the delivery later.
func NewHook(client *http.Client, c clock.Clock, key func(ctx context.Context, e Envelope) (secret.Text, error)) *Hook {
	return &Hook{client: client, clock: c, key: key}
}

// Deliver implements [Transport].
func (h *Hook) Deliver(ctx context.Context, e Envelope) error {
	key, err := h.key(ctx, e)
	if err != nil {
		return fault.Wrap(err, "find the signing key")
	}
	if key.Empty() {
		return fmt.Errorf("there is no signing key for %s", describe(e.To))
	}
	body := e.Body.Reveal()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.To, strings.NewReader(body))
	if err != nil {
		return jobs.Permanent(errors.New("the address of the webhook cannot be used"))
	}
	for name, value := range e.Headers {
		req.Header.Set(name, value)
	}
	now := h.clock.Now().Unix()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sealwright")
	req.Header.Set(MessageIDHeader, e.ID)
	req.Header.Set(SignatureHeader, fmt.Sprintf("t=%d,v1=%s", now, hex.EncodeToString(mac(key, now, e.ID, body))))
	return exchange(h.client, req, nil, e.Confidential)
}

// describe names the recipient in logs and errors without the rest of a URL.
func describe(to string) string {
	if i := strings.Index(to, "://"); i >= 0 {
		if j := strings.IndexAny(to[i+3:], "/?#"); j >= 0 {
			return to[:i+3+j]
		}
	}
	return to
}

func mac(key secret.Text, seconds int64, id, body string) []byte {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	fmt.Fprintf(h, "%d.%s.%s", seconds, id, body)
	return h.Sum(nil)
}

// VerifyHook is what a receiver does with a webhook: it checks the signature
// header against the key, the message id and the body, and that it was sent
// within tolerance of now. It returns a fault with code "webhook.signature".
func VerifyHook(key secret.Text, signature, id string, body []byte, now time.Time, tolerance time.Duration) error {
	t, v, ok := strings.Cut(signature, ",v1=")
	seconds, err := strconv.ParseInt(strings.TrimPrefix(t, "t="), 10, 64)
	sum, hexErr := hex.DecodeString(v)
	if !ok || err != nil || hexErr != nil || !hmac.Equal(sum, mac(key, seconds, id, string(body))) {
		return fault.Unauthenticatedf("webhook.signature", "The signature of webhook %s does not match.", clip(id))
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return fault.Unauthenticatedf("webhook.signature", "Webhook %s was sent %s ago, which is too long.", clip(id), age.Round(time.Second))
	}
	return nil
}
