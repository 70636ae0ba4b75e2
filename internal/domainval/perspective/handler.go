package perspective

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Limits of a [Handler].
const (
	maxQuestion = 4 << 10
	maxLooks    = 32 // at a time
	maxLook     = 45 * time.Second
)

// Handler answers questions with a Local's observations. tokenHashes are the
// [secret.Hash] of the tokens that callers may show: more than one while a token
// is being changed. It wants to be served over TLS and holds no state.
func Handler(l *Local, tokenHashes []string, log *slog.Logger) http.Handler {
	h := &handler{local: l, hashes: tokenHashes, log: log, slots: make(chan struct{}, maxLooks)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", h.look)
	return mux
}

type handler struct {
	local  *Local
	hashes []string
	log    *slog.Logger
	slots  chan struct{}
}

func (h *handler) look(w http.ResponseWriter, r *http.Request) {
	if !h.known(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "The bearer token is missing or not known here.", http.StatusUnauthorized)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "Too many questions at a time.", http.StatusTooManyRequests)
		return
	}
	var q Question
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "The question is not what the protocol says.", status)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxLook)
	defer cancel()
	o, err := h.local.Look(ctx, q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.log.InfoContext(ctx, "looked", "id", q.ID, "kind", string(q.Kind), "name", q.Name)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(o) // the caller may be gone; it asks again
}

// known compares hashes in constant time, all of them.
func (h *handler) known(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	hash, match := []byte(secret.Hash(token)), 0
	for _, known := range h.hashes {
		match |= subtle.ConstantTimeCompare(hash, []byte(known))
	}
	return ok && match == 1
}
