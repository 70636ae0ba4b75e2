package ctlog

import (
	"context"
	"net/http"

	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/pki/ct"
)

// addFunc is one of the two ways to submit.
type addFunc func(l *ctlog.Log, ctx context.Context, chain [][]byte) (ct.SCT, error)

func treeHead(l *ctlog.Log, _ http.ResponseWriter, r *http.Request) (any, error) {
	head, err := l.TreeHead(r.Context())
	if err != nil {
		return nil, err
	}
	return head.Response()
}

func consistency(l *ctlog.Log, _ http.ResponseWriter, r *http.Request) (any, error) {
	first, second, err := numbers(r, "first", "second")
	if err != nil {
		return nil, err
	}
	proof, err := l.Consistency(r.Context(), first, second)
	return ct.ConsistencyResponse{Consistency: list(proof)}, err
}

func proofByHash(l *ctlog.Log, _ http.ResponseWriter, r *http.Request) (any, error) {
	size, err := number(r, "tree_size")
	if err != nil {
		return nil, err
	}
	leaf, err := hash(r)
	if err != nil {
		return nil, err
	}
	index, path, err := l.ProofByHash(r.Context(), leaf, size)
	return ct.ProofResponse{Index: index, Path: list(path)}, err
}

func entries(l *ctlog.Log, _ http.ResponseWriter, r *http.Request) (any, error) {
	start, end, err := numbers(r, "start", "end")
	if err != nil {
		return nil, err
	}
	found, err := l.Entries(r.Context(), start, end)
	return ct.EntriesResponse{Entries: found}, err
}

func roots(l *ctlog.Log, _ http.ResponseWriter, _ *http.Request) (any, error) {
	return ct.RootsResponse{Certificates: l.Roots()}, nil
}

func entryAndProof(l *ctlog.Log, _ http.ResponseWriter, r *http.Request) (any, error) {
	index, size, err := numbers(r, "leaf_index", "tree_size")
	if err != nil {
		return nil, err
	}
	entry, path, err := l.EntryAndProof(r.Context(), index, size)
	return ct.EntryAndProofResponse{LogEntry: entry, Path: list(path)}, err
}

// list keeps an empty proof an array where JSON would have null.
func list(hashes []ct.Hash) []ct.Hash {
	if hashes == nil {
		return []ct.Hash{}
	}
	return hashes
}
