package ct

import (
	"errors"
)

// The messages of a log's HTTP interface (RFC 6962, section 4), as
// encoding/json reads and writes them; byte slices are base64.

// An AddChainRequest is the body of add-chain and add-pre-chain: the
// certificate or pre-certificate and the chain up to a root that the log accepts.
type AddChainRequest struct {
	Chain [][]byte `json:"chain"`
}

// An AddChainResponse is an SCT in the form in which logs hand it out.
type AddChainResponse struct {
	Version    int    `json:"sct_version"`
	ID         []byte `json:"id"`
	Timestamp  int64  `json:"timestamp"`
	Extensions []byte `json:"extensions"`
	Signature  []byte `json:"signature"`
}

// SCT reads the response. Another version than 1 gives [ErrVersion].
func (r AddChainResponse) SCT() (SCT, error) {
	if r.Version != v1 {
		return SCT{}, ErrVersion
	}
	t := SCT{Timestamp: r.Timestamp, Extensions: r.Extensions}
	if len(r.Extensions) == 0 {
		t.Extensions = nil
	}
	if len(r.ID) != len(t.LogID) || r.Timestamp < 0 || len(r.Extensions) > maxVector16 {
		return SCT{}, errors.New("ct: a malformed answer to a submission")
	}
	copy(t.LogID[:], r.ID)
	var err error
	t.Signature, err = ParseSignature(r.Signature)
	return t, err
}

// AddChainResponse writes the SCT as a log hands it out.
func (t SCT) AddChainResponse() (AddChainResponse, error) {
	signature, err := t.Signature.Marshal()
	extensions := t.Extensions
	if extensions == nil {
		extensions = []byte{} // the member is a string, never null
	}
	return AddChainResponse{Version: v1, ID: t.LogID[:], Timestamp: t.Timestamp, Extensions: extensions, Signature: signature}, err
}

// A TreeHeadResponse is the answer to get-sth.
type TreeHeadResponse struct {
	Size      int64  `json:"tree_size"`
	Timestamp int64  `json:"timestamp"`
	Root      []byte `json:"sha256_root_hash"`
	Signature []byte `json:"tree_head_signature"`
}

// TreeHead reads the response; the signature is not checked.
func (r TreeHeadResponse) TreeHead() (TreeHead, error) {
	h := TreeHead{Size: r.Size, Timestamp: r.Timestamp}
	if r.Size < 0 || r.Timestamp < 0 || len(r.Root) != len(h.Root) {
		return TreeHead{}, errors.New("ct: a malformed tree head")
	}
	copy(h.Root[:], r.Root)
	var err error
	h.Signature, err = ParseSignature(r.Signature)
	return h, err
}

// Response writes the tree head as the answer to get-sth.
func (h TreeHead) Response() (TreeHeadResponse, error) {
	signature, err := h.Signature.Marshal()
	return TreeHeadResponse{Size: h.Size, Timestamp: h.Timestamp, Root: h.Root[:], Signature: signature}, err
}

// A ConsistencyResponse is the answer to get-sth-consistency. Its hashes, like
// those of the other proofs, are base64 of 32 bytes, which [Hash] takes care of.
type ConsistencyResponse struct {
	Consistency []Hash `json:"consistency"`
}

// A ProofResponse is the answer to get-proof-by-hash.
type ProofResponse struct {
	Index int64  `json:"leaf_index"`
	Path  []Hash `json:"audit_path"`
}

// A LogEntry is one entry as a log hands it out: its [Leaf] and what else is
// needed to see what was submitted; see [ParseExtra].
type LogEntry struct {
	Leaf  []byte `json:"leaf_input"`
	Extra []byte `json:"extra_data"`
}

// An EntriesResponse is the answer to get-entries.
type EntriesResponse struct {
	Entries []LogEntry `json:"entries"`
}

// A RootsResponse is the answer to get-roots.
type RootsResponse struct {
	Certificates [][]byte `json:"certificates"`
}

// An EntryAndProofResponse is the answer to get-entry-and-proof.
type EntryAndProofResponse struct {
	LogEntry
	Path []Hash `json:"audit_path"`
}

// An ErrorResponse accompanies a status of 4xx or 5xx. RFC 6962 asks for an
// error message for people; the code is for programs.
type ErrorResponse struct {
	Message string `json:"error_message"`
	Code    string `json:"error_code,omitempty"`
}
