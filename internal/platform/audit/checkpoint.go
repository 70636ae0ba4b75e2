package audit

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A treeRow is the one row of audit_tree.
type treeRow struct {
	size       int64
	checkpoint string
}

func readTree(q store.Queryer) (t treeRow, err error) {
	err = q.QueryRow(`SELECT size, checkpoint FROM audit_tree WHERE id = 1`).Scan(&t.size, &t.checkpoint)
	return t, fault.Wrap(err, "read the size and checkpoint of the audit log")
}

// Checkpoint gives the latest signed checkpoint: a note (c2sp.org/signed-note)
// whose text is three lines, the log's origin, the number of entries, and the
// root hash in base64.
func (l *Log) Checkpoint(q store.Queryer) (string, error) {
	t, err := readTree(q)
	if err == nil && t.checkpoint == "" {
		err = fault.NotFoundf("audit.no_checkpoint", "The audit log has no checkpoint yet.").WithNext("Entries get one when they are sequenced, usually within a second.")
	}
	return t.checkpoint, err
}

// VerifierKey is the log's public key in the form "origin+hash+key" that tools
// for signed notes read.
func (l *Log) VerifierKey() (string, error) {
	if l.keyErr != nil {
		return "", l.keyErr
	}
	return note.NewEd25519VerifierKey(l.origin, l.signer.Public().(ed25519.PublicKey))
}

func newVerifier(origin string, key ed25519.PublicKey) (note.Verifier, error) {
	text, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// noteSigner signs notes with a key that may live elsewhere.
type noteSigner struct {
	note.Verifier
	key crypto.Signer
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(rand.Reader, msg, crypto.Hash(0))
}

func (l *Log) sign(t tlog.Tree) (string, error) {
	if l.keyErr != nil {
		return "", l.keyErr
	}
	text := l.origin + "\n" + strconv.FormatInt(t.N, 10) + "\n" + t.Hash.String() + "\n"
	b, err := note.Sign(&note.Note{Text: text}, noteSigner{l.own, l.signer})
	return string(b), err
}

// open reads a checkpoint that this log signed, now or with an earlier key.
func (l *Log) open(checkpoint string) (tlog.Tree, error) {
	if l.keyErr != nil {
		return tlog.Tree{}, l.keyErr
	}
	return openCheckpoint(checkpoint, l.origin, append(l.older[:len(l.older):len(l.older)], l.own)...)
}

// openCheckpoint checks the signature of a checkpoint and reads it.
func openCheckpoint(checkpoint, origin string, keys ...note.Verifier) (tlog.Tree, error) {
	n, err := note.Open([]byte(checkpoint), note.VerifierList(keys...))
	if err != nil {
		return tlog.Tree{}, errors.New("the checkpoint is not signed by the log's key")
	}
	for _, s := range n.Sigs {
		// note ignores the unused bits of the last character; two forms of one signature would be one too many.
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return tlog.Tree{}, errCheckpoint
		}
	}
	name, tree, err := parseCheckpoint(n.Text)
	if err == nil && name != origin {
		err = errors.New("the checkpoint is of the log " + strconv.Quote(name))
	}
	return tree, err
}

var errCheckpoint = errors.New("malformed checkpoint")

// parseCheckpoint reads the text of a checkpoint. It takes only what [Log.sign]
// writes, so that one tree has one text.
func parseCheckpoint(text string) (origin string, t tlog.Tree, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return "", tlog.Tree{}, errCheckpoint
	}
	t.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || t.N < 0 || strconv.FormatInt(t.N, 10) != lines[1] {
		return "", tlog.Tree{}, errCheckpoint
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize || len(lines[2]) != 44 {
		return "", tlog.Tree{}, errCheckpoint
	}
	return lines[0], tlog.Tree{N: t.N, Hash: tlog.Hash(root)}, nil
}
