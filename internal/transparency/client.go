package transparency

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ct"
)

// A submission is what all logs of one call are sent.
type submission struct {
	path   string // below the log's address
	body   []byte
	entry  ct.Entry
	oldest time.Time // an SCT from before does not count
}

// An answer is how asking one log ended.
type answer struct {
	log        *known
	sct        ct.SCT // when outcome is OK
	outcome    Outcome
	status     int
	detail     string
	retryAfter time.Duration // as the log asked; zero when it did not
}

// ask submits to one log and checks its SCT.
func (s *Submitter) ask(ctx context.Context, k *known, sub submission) answer {
	a := answer{log: k}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.URL+sub.path, bytes.NewReader(sub.body))
	if err != nil {
		a.outcome, a.detail = Unreachable, "The address cannot be used."
		return a
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return a.broken(err)
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a.broken(err)
	}
	if resp.StatusCode != http.StatusOK {
		return a.refused(resp, body, s.clock.Now())
	}
	return s.checkAnswer(a, body, sub)
}

// broken is an exchange that did not come to its end.
func (a answer) broken(err error) answer {
	f := fault.Of(egress.Explain(err))
	a.outcome, a.detail = Unreachable, f.Message
	switch {
	case f.Code == "egress.too_large":
		a.outcome = BadAnswer
	case f.Code == "egress.timeout":
		a.outcome = TimedOut
	}
	return a
}

// refused is an answer without an SCT.
func (a answer) refused(resp *http.Response, body []byte, now time.Time) answer {
	a.detail = reason(body)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		a.outcome = Busy
		a.retryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		a.outcome = Rejected
	default:
		a.outcome = Failed
	}
	return a
}

func (s *Submitter) checkAnswer(a answer, body []byte, sub submission) answer {
	var response ct.AddChainResponse
	if err := json.Unmarshal(body, &response); err != nil {
		a.outcome, a.detail = BadAnswer, "The answer is not the JSON of an SCT."
		return a
	}
	sct, err := response.SCT()
	if err != nil {
		a.outcome, a.detail = BadAnswer, "The answer is not an SCT of version 1."
		return a
	}
	a.sct = sct
	a.outcome, a.detail = s.judge(a.log, sct, sub)
	return a
}

// judge decides whether an SCT counts.
func (s *Submitter) judge(k *known, t ct.SCT, sub submission) (Outcome, string) {
	err := k.key.VerifySCT(t, sub.entry)
	switch at := ct.Time(t.Timestamp); {
	case errors.Is(err, ct.ErrLogID):
		return WrongLog, "The SCT is of log " + t.LogID.String() + "."
	case err != nil:
		return BadSignature, "The signature of the SCT does not hold."
	case at.After(s.clock.Now().Add(s.timing.Skew)):
		return BadTime, "The SCT is from the future: " + at.Format(time.RFC3339Nano) + "."
	case at.Before(sub.oldest):
		return BadTime, "The SCT is too old: " + at.Format(time.RFC3339Nano) + "."
	}
	return OK, ""
}

// maxRetryAfter bounds what a log may ask for.
const maxRetryAfter = time.Hour

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) {
		return min(time.Duration(n)*time.Second, maxRetryAfter) // n is the largest there is when out of range
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// maxReason bounds, in bytes, what is kept of a log's own words.
const maxReason = 200

// reason is what a log says for people: its error message, or else the
// beginning of whatever it sent.
func reason(body []byte) string {
	text := string(body)
	var e ct.ErrorResponse
	if json.Unmarshal(body, &e) == nil && e.Message != "" {
		text = e.Message
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text))
}
