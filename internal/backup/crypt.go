package backup

import (
	"errors"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// MinPassphrase is the least number of bytes of a passphrase for a new backup.
const MinPassphrase = 12

// Passphrase encrypts a backup under a passphrase, which scrypt (2^18, about a
// second and 256 MiB) makes expensive to guess.
func Passphrase(p secret.Text) (age.Recipient, error) {
	if len(p.Reveal()) < MinPassphrase {
		return nil, fault.Invalidf("backup.passphrase_short", "The passphrase for the backup has fewer than %d characters.", MinPassphrase)
	}
	return age.NewScryptRecipient(p.Reveal())
}

// OpenPassphrase decrypts a backup that was made under a passphrase.
func OpenPassphrase(p secret.Text) (age.Identity, error) {
	id, err := age.NewScryptIdentity(p.Reveal())
	if err != nil {
		return nil, fault.Invalidf("backup.passphrase_missing", "The passphrase of the backup is empty.")
	}
	return id, nil
}

// ParseRecipients reads public keys as age-keygen prints them: "age1…".
func ParseRecipients(keys []string) ([]age.Recipient, error) {
	var out []age.Recipient
	for _, k := range keys {
		r, err := age.ParseRecipients(strings.NewReader(k))
		if err != nil {
			return nil, fault.Invalidf("backup.recipient", "%.80q is not the public key of a recipient.", k).WithNext("Make a key pair with age-keygen and give the line that begins with age1.")
		}
		out = append(out, r...)
	}
	return out, nil
}

// ParseIdentities reads a file of age-keygen, with private keys.
func ParseIdentities(r io.Reader) ([]age.Identity, error) {
	ids, err := age.ParseIdentities(r)
	if err != nil {
		return nil, fault.Invalidf("backup.identity", "The identity file cannot be read.").WithNext("Give the file that age-keygen made.") // the cause could quote the key
	}
	return ids, nil
}

// decrypt opens the age file. Its reader gives faults.
func decrypt(r io.Reader, with []age.Identity) (io.Reader, error) {
	in := &input{r: r}
	plain, err := age.Decrypt(in, with...)
	var wrong *age.NoIdentityMatchError
	switch {
	case in.err != nil:
		return nil, in.err
	case errors.As(err, &wrong):
		return nil, fault.Invalidf("backup.key", "The passphrase or identity does not open this backup.").WithNext("Give the one it was made for. If it is the right one, the beginning of the file is damaged.").WithCause(err)
	case err != nil:
		return nil, notBackup(err)
	}
	return &payload{plain, in}, nil
}

// input keeps the errors of the disk apart from those of the content.
type input struct {
	r   io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF {
		i.err = fault.Unavailablef(err, "backup.read", "The backup cannot be read.")
		err = i.err
	}
	return n, err
}

// payload is the decrypted content.
type payload struct {
	plain io.Reader
	in    *input
}

func (p *payload) Read(b []byte) (int, error) {
	n, err := p.plain.Read(b)
	switch {
	case err == nil || err == io.EOF:
	case p.in.err != nil:
		err = p.in.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = truncated(err)
	default:
		err = damaged(err)
	}
	return n, err
}

func notBackup(cause error) error {
	return fault.Invalidf("backup.unknown", "This is not a backup of Sealwright, or its beginning is damaged.").WithCause(cause)
}

func truncated(cause error) error {
	return fault.Invalidf("backup.truncated", "The backup is cut short.").WithNext("Use another copy of it.").WithCause(cause)
}

func damaged(cause error) error {
	return fault.Invalidf("backup.damaged", "The backup is damaged.").WithNext("Use another copy of it.").WithCause(cause)
}

// broken classes an error of gzip, tar or JSON; faults stay as they are.
func broken(err error) error {
	var f *fault.Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	return damaged(err)
}
