package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// drainLimit bounds how much is read of a body over the limit, so that its sender hears an answer and does not send it
// again. What comes after that is not hashed.
const drainLimit = 1 << 30

// budget bounds the bytes of all bodies that are held.
type budget struct {
	room  *semaphore.Weighted
	held  atomic.Int64
	gauge prometheus.Gauge
}

func newBudget(size int64, gauge prometheus.Gauge) *budget {
	return &budget{room: semaphore.NewWeighted(size), gauge: gauge}
}

// take waits for so many bytes, in the order of asking, as long as the context lives.
func (b *budget) take(ctx context.Context, n int64) error {
	if b.room.Acquire(ctx, n) != nil {
		return errBusy
	}
	b.gauge.Set(float64(b.held.Add(n)))
	return nil
}

func (b *budget) give(n int64) {
	b.gauge.Set(float64(b.held.Add(-n)))
	b.room.Release(n)
}

var errBusy = errors.New("too many bytes of bodies are held already")

// posted is a body that came in.
type posted struct {
	sent   []byte // as it came; nil when it is over the limit
	plain  []byte // decompressed; the same as sent when it was not compressed
	hash   [sha256.Size]byte
	length int64
	parked *Parked // it will never do: sent is not to be looked into
	held   int64   // of the budget, to be given back
}

// reader reads bodies.
type reader struct {
	limit  int64
	budget *budget
}

// read takes in a body, in memory that it asks the budget for; the caller gives posted.held back, also after an error.
// An error means that the body did not come as a whole, or that there is no room: it must come again.
func (rd *reader) read(ctx context.Context, r *http.Request, who sender) (p posted, err error) {
	if err := rd.readSent(ctx, r, who, &p); err != nil || p.parked != nil {
		return p, err
	}
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		p.plain = p.sent
	case "gzip", "x-gzip":
		return p, rd.inflate(ctx, who, &p)
	default:
		parked := park(CodeEncoding, fmt.Sprintf("content encoding %q is unknown: use gzip or none", encoding), who, nil, p.sent)
		p.parked = &parked
	}
	return p, nil
}

// readSent reads the bytes as they come. A body that says it is over the limit is never held.
func (rd *reader) readSent(ctx context.Context, r *http.Request, who sender, p *posted) error {
	room := r.ContentLength
	if room > rd.limit {
		room = maxHead
	} else if room < 0 { // it does not say: whatever it is allowed
		room = rd.limit
	}
	if err := rd.hold(ctx, p, room); err != nil {
		return err
	}

	digest := sha256.New()
	if r.ContentLength > rd.limit {
		return rd.overLimit(r.Body, who, p, nil, digest)
	}
	if r.ContentLength >= 0 {
		p.sent = make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, p.sent); err != nil {
			return fmt.Errorf("read body: %w", err)
		}
	} else {
		sent, err := io.ReadAll(io.LimitReader(r.Body, rd.limit+1))
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
		if int64(len(sent)) > rd.limit {
			return rd.overLimit(r.Body, who, p, sent, digest)
		}
		p.sent = sent
	}
	digest.Write(p.sent)
	digest.Sum(p.hash[:0])
	p.length = int64(len(p.sent))
	return nil
}

// overLimit hashes the rest of a body that is too large, keeps its beginning only, and parks it.
func (rd *reader) overLimit(rest io.Reader, who sender, p *posted, begun []byte, digest hash.Hash) error {
	digest.Write(begun)
	beginning := bytes.Clone(begun[:min(len(begun), maxHead)])
	if begun == nil {
		beginning = make([]byte, maxHead)
		n, err := io.ReadFull(rest, beginning)
		if err != nil {
			return fmt.Errorf("read body: %w", err) // it said that it is longer
		}
		beginning = beginning[:n]
		digest.Write(beginning)
		begun = beginning
	}
	more, err := io.Copy(digest, io.LimitReader(rest, drainLimit-int64(len(begun))))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	digest.Sum(p.hash[:0])
	p.length = int64(len(begun)) + more
	p.parked = &Parked{Code: CodeBodyLimit, Reason: fmt.Sprintf("body has %d bytes or more, at most %d are taken", p.length, rd.limit),
		Value: beginning, Length: p.length, SHA256: p.hash, Sender: who.String(), Source: sourceHTTP}
	return nil
}

// inflate decompresses what was sent. The last four bytes of a gzip stream say how long it will be, modulo 2^32; as a
// guess that saves reserving the limit for each body, and a wrong guess costs a second pass.
func (rd *reader) inflate(ctx context.Context, who sender, p *posted) error {
	guess := int64(0)
	if n := len(p.sent); n >= 4 {
		guess = min(int64(binary.LittleEndian.Uint32(p.sent[n-4:])), rd.limit)
	}
	if err := rd.hold(ctx, p, guess); err != nil {
		return err
	}
	plain, err := gunzip(p.sent, guess)
	if errors.Is(err, errTooLong) && guess < rd.limit {
		if err := rd.hold(ctx, p, rd.limit-guess); err != nil {
			return err
		}
		plain, err = gunzip(p.sent, rd.limit)
	}
	var parked Parked
	switch {
	case err == nil:
		p.plain = plain
		return nil
	case errors.Is(err, errTooLong):
		parked = park(CodeBodyLimit, fmt.Sprintf("body has more than %d bytes when decompressed", rd.limit), who, nil, p.sent)
	default:
		parked = park(CodeGzip, fmt.Sprintf("decompress body: %v", err), who, nil, p.sent)
	}
	p.parked = &parked
	return nil
}

// hold takes more of the budget for a body.
func (rd *reader) hold(ctx context.Context, p *posted, n int64) error {
	if err := rd.budget.take(ctx, n); err != nil {
		return err
	}
	p.held += n
	return nil
}

var errTooLong = errors.New("too long")

// gunzip decompresses up to so many bytes.
func gunzip(sent []byte, room int64) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(sent))
	if err != nil {
		return nil, err
	}
	plain := make([]byte, room)
	n, err := io.ReadFull(z, plain)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	// Full, at its end, or cut off: another byte tells which.
	var another [1]byte
	switch _, err := io.ReadFull(z, another[:]); {
	case err == nil:
		return nil, errTooLong
	case errors.Is(err, io.EOF):
		return plain[:n:n], nil
	default:
		return nil, err
	}
}
