package perspective

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// A Remote asks a perspective elsewhere. Its methods may be called from any
// goroutine.
type Remote struct {
	At     Place
	URL    string       // of its [Handler], https://…
	Token  secret.Text  // the bearer token that it knows the hash of
	Client *http.Client // from [egress.Policy.Client]: TLS, a time-out, a limit on the answer
}

// Place says where it stands.
func (r *Remote) Place() Place { return r.At }

// Look passes the question on. An answer that is late, not authentic, not to
// this question or not complete is an error; what it says of the network is in
// the observation.
func (r *Remote) Look(ctx context.Context, q Question) (Observation, error) {
	q.Version, q.ID = Version, ident.New("look")
	if err := q.check(); err != nil {
		return Observation{}, err
	}
	if !strings.HasPrefix(r.URL, "https://") { // TLS BR 3.2.2.9: authenticated and encrypted
		return Observation{}, fmt.Errorf("perspective %q has no https address", r.At.Name)
	}
	o, err := r.post(ctx, q)
	if err == nil {
		err = r.match(q, o)
	}
	if err != nil {
		return Observation{}, fault.Unavailablef(err, "perspective.unavailable", "The perspective %s gave no usable answer.", r.At.Name).
			WithNext("Check that it is up, its token and its version.")
	}
	return o, nil
}

func (r *Remote) post(ctx context.Context, q Question) (Observation, error) {
	var o Observation
	body, err := json.Marshal(q)
	if err != nil {
		return o, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return o, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.Token.Reveal())
	resp, err := r.Client.Do(req)
	if err != nil {
		return o, egress.Explain(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // only to help in the log
		return o, fmt.Errorf("status %d: %q", resp.StatusCode, text)
	}
	dec := json.NewDecoder(resp.Body)
	if err := dec.Decode(&o); err != nil {
		return o, fmt.Errorf("the answer is not what the protocol says: %w", egress.Explain(err))
	}
	return o, nil
}

// match tells whether an answer belongs to the question and is complete.
func (r *Remote) match(q Question, o Observation) error {
	switch {
	case o.Version != Version:
		return fmt.Errorf("the answer has version %d of the protocol", o.Version)
	case o.ID != q.ID:
		return errors.New("the answer is to another question")
	case o.Perspective != r.At.Name:
		return fmt.Errorf("the answer is from %.50q", o.Perspective)
	case q.Kind == HTTP && o.Fetch == nil, q.Kind != HTTP && len(o.Lookups) == 0:
		return errors.New("the answer holds no finding")
	case q.Kind != HTTP && o.Lookups[0].Name != q.Name:
		return errors.New("the answer is about another name")
	}
	return nil
}
