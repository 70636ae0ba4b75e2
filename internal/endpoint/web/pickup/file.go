package pickup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

const (
	leastPiece   = 1 << 10                // written and flushed at a time, so that a cut is noticed
	pieceTime    = 30 * time.Second       // for the other side to take a piece
	ackTime      = 10 * time.Second       // for it to acknowledge all that was written
	goneTime     = 100 * time.Millisecond // for news of a cut to arrive before the last piece leaves
	completeTime = 20 * time.Second       // for a database that is away to come back
)

// file sends the file, whole or from where a broken download stopped (N19).
// Once its last byte has left, the desk erases it and sends its password (N21),
// before this handler returns.
func (h *handler) file(v *visit) {
	file, d, err := h.Desk.File(v.ctx(), v.token, v.session)
	if err != nil {
		v.fail(err)
		return
	}
	v.delivery = d
	head, size := v.w.Header(), int64(len(file))
	head.Set("Accept-Ranges", "bytes")
	head.Set("ETag", etag(file))
	part, partial, err := rangeOf(v.r.Header, etag(file), size)
	if err != nil {
		head.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		head.Del("ETag")
		v.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	head.Set("Content-Type", contentType(d.Kind))
	head.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.FileName}))
	// In HTTP/2 the length is left out: a client that knows it may hang up with
	// the last byte, before its download is completed, and that cannot be told
	// from a cut. Without it the client waits for the end of the stream.
	if v.r.ProtoMajor == 1 || v.r.Method == http.MethodHead || part.to < size {
		head.Set("Content-Length", strconv.FormatInt(part.to-part.from, 10))
	}
	status := http.StatusOK
	if partial {
		head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.from, part.to-1, size))
		status = http.StatusPartialContent
	}
	v.w.WriteHeader(status)
	if v.r.Method == http.MethodHead {
		return
	}
	if err := v.send(file, part); err != nil {
		// The answer is short or its end is in doubt: whoever still listens
		// must not take it for whole.
		if !errors.Is(err, errCut) {
			telemetry.Logger(v.ctx()).ErrorContext(v.ctx(), "a download was not completed", "delivery", d.ID, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
}

func contentType(k handover.Kind) string {
	if k == handover.Certificate {
		return "application/x-pem-file"
	}
	return "application/x-pkcs12"
}

func etag(file []byte) string {
	sum := sha256.Sum256(file)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// errCut means that the other side is gone or did not take the bytes.
var errCut = errors.New("the connection was cut")

// send writes a part of the file and, if with it all of the file has left,
// completes the delivery.
//
// A crash at any point before completion leaves the delivery open, no password
// sent, and what had left noted; the recipient resumes.
func (v *visit) send(file []byte, part span) error {
	ctx, size := v.ctx(), int64(len(file))
	out := http.NewResponseController(v.w)
	piece := max(leastPiece, size/64)
	if v.delivery.Kind != handover.PKCS12 {
		piece = size // nothing secret follows it, so that how far it came matters to nobody
	}
	for at := part.from; at < part.to; {
		end := min(at+piece, part.to)
		// A certificate is public and no password follows it: it need not wait.
		if end == size && v.delivery.Kind == handover.PKCS12 {
			if err := v.stillThere(); err != nil {
				return err
			}
		}
		// The deadline is the kernel's business, hence not the installation's clock.
		if err := out.SetWriteDeadline(time.Now().Add(pieceTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return errors.Join(errCut, err)
		}
		if _, err := v.w.Write(file[at:end]); err != nil {
			return errors.Join(errCut, err)
		}
		if err := out.Flush(); err != nil {
			return errors.Join(errCut, err)
		}
		at = end
		if at < size {
			// Noted even if the caller is gone by now: it may have read this
			// piece, and resumes behind it.
			v.sent(part.from, at)
		}
		if ctx.Err() != nil && (at < size || !v.mayHangUp()) {
			return errCut
		}
	}
	if part.to < size {
		return nil
	}
	if err := v.acknowledged(); err != nil {
		v.sent(part.from, size)
		return err
	}
	return v.complete(part.from)
}

// sent notes how far the file has left without a gap. Failing to note it costs
// the recipient a longer download at worst.
func (v *visit) sent(from, upto int64) {
	if from > v.delivery.Sent {
		return
	}
	if err := v.h.Desk.Progress(context.WithoutCancel(v.ctx()), v.delivery, upto); err != nil {
		telemetry.Logger(v.ctx()).WarnContext(v.ctx(), "the progress of a download was not noted", "delivery", v.delivery.ID, "error", err)
		return
	}
	v.delivery.Sent = max(v.delivery.Sent, upto)
}

// complete ends the delivery if everything before this part has left as well.
// It no longer depends on the caller, who has the file and may be gone.
func (v *visit) complete(from int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx()), completeTime)
	defer cancel()
	if from > v.delivery.Sent && v.delivery.Kind == handover.PKCS12 {
		// Another request may have sent the beginning in the meantime.
		d, err := v.h.Desk.Resume(ctx, v.token, v.session)
		if err != nil || from > d.Sent {
			return nil
		}
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := v.h.Orders.CompletePickup(ctx, v.delivery, v.session)
		switch f := fault.Of(err); {
		case err == nil:
			v.h.finished.add(v.session, v.delivery.ID)
			return nil
		case f.Kind == fault.Gone, f.Kind == fault.Unauthenticated, f.Kind == fault.NotFound:
			return nil // a parallel download was first, or another browser took over
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(err, "complete the delivery "+v.delivery.ID)
		case <-time.After(pause):
		}
	}
}

// stillThere holds the last piece back until the other side has taken all
// before it, and for a moment in which news of a cut arrives. Without it, a
// small file would be in the kernel's hands before a cut can be seen.
func (v *visit) stillThere() error {
	if err := v.acknowledged(); err != nil {
		return err
	}
	select {
	case <-v.ctx().Done():
		return errCut
	case <-time.After(goneTime):
		return nil
	}
}

// acknowledged waits until the other side has acknowledged all that was
// written, where that can be seen.
func (v *visit) acknowledged() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx()), ackTime)
	defer cancel()
	for pause := time.Millisecond; wireOf(v.ctx()) != nil; pause = min(2*pause, 50*time.Millisecond) {
		pending, reset, err := wireOf(v.ctx()).pending()
		if err != nil || reset {
			return errCut
		}
		if pending == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return errCut
		case <-time.After(pause):
		}
	}
	if v.ctx().Err() != nil && !v.mayHangUp() {
		return errCut
	}
	return nil
}

// mayHangUp tells whether a client that ends the connection may have everything
// all the same: in HTTP/1.1 it may hang up the moment it has the last byte, and
// where acknowledgements can be seen they are the better witness. In HTTP/2 a
// client that has everything does not reset the stream.
func (v *visit) mayHangUp() bool {
	return v.r.ProtoMajor == 1 && wireOf(v.ctx()) != nil
}
