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
	"strings"
)

// drainLimit bounds how much is read of a body over the limit, so that its sender hears an answer and does not send it
// again. What comes after that is not hashed.
const drainLimit = 1 << 30

// incoming is a body as its source has it: as a whole, or to be read from a stream.
type incoming struct {
	whole  []byte // nil when it is a stream, or empty
	stream io.Reader
	length int64  // negative when a stream does not say
	cut    func() // makes a read of the stream end at once, from another goroutine; nil: it cannot be cut
}

// received is a body that was taken in.
type received struct {
	sent  []byte // as it came; nil when it is over the limit
	plain []byte // decompressed; the same as sent when it was not compressed

	encoding string // of sent; empty when it is plain
	hash     [sha256.Size]byte
	length   int64
	parked   *DeadLetter // it will never do: sent is not to be looked into
}

// reader takes bodies in.
type reader struct {
	limit  int64
	budget *budget
	turns  *turns
}

// read takes in a body, in memory that it claims; the caller closes the claim, also after an error. An error means that
// the body did not come as a whole, or that there is no room: it must come again.
func (rd *reader) read(ctx context.Context, from Sender, encoding string, in *incoming, c *claim) (received, error) {
	b, err := rd.readEncoded(ctx, from, encoding, in, c)
	if err != nil {
		return received{}, err
	}
	return b, c.came()
}

func (rd *reader) readEncoded(
	ctx context.Context, from Sender, encoding string, in *incoming, c *claim,
) (b received, err error) {
	if err := rd.readSent(ctx, from, in, c, &b); err != nil || b.parked != nil {
		return b, err
	}
	encoding = strings.ToLower(strings.TrimSpace(encoding))
	switch encoding {
	case "", "identity":
		b.plain = b.sent
	case "gzip", "x-gzip":
		b.encoding = "gzip"
		return b, rd.inflate(ctx, from, c, &b)
	default:
		why := fmt.Sprintf("content encoding %q is unknown: use gzip or none", encoding)
		parked := park(CodeEncoding, why, from, nil, b.sent)
		parked.Encoding = encoding[:min(len(encoding), maxReason)]
		b.parked = &parked
	}
	return b, nil
}

// readSent takes the bytes as they come. A body that says it is over the limit is never held.
func (rd *reader) readSent(ctx context.Context, from Sender, in *incoming, c *claim, b *received) error {
	digest := sha256.New()
	switch {
	case in.length > rd.limit:
		if err := c.take(ctx, maxHead); err != nil {
			return err
		}
		stream := in.stream
		if stream == nil {
			stream = bytes.NewReader(in.whole)
		}
		return rd.drain(ctx, stream, from, c, b, nil, digest)
	case in.stream == nil:
		if err := c.take(ctx, in.length); err != nil {
			return err
		}
		b.sent = in.whole
	default:
		most := in.length
		if most < 0 { // it does not say: whatever it is allowed, and a byte that tells whether it is more
			most = rd.limit + 1
		}
		sent, err := c.arrive(ctx, in.stream, most)
		switch {
		case errors.Is(err, errBusy):
			return err
		case err != nil:
			return fmt.Errorf("read body: %w", err)
		case int64(len(sent)) < in.length:
			return fmt.Errorf("read body: %w", io.ErrUnexpectedEOF)
		case int64(len(sent)) > rd.limit:
			return rd.drain(ctx, in.stream, from, c, b, sent, digest)
		}
		b.sent = sent
	}
	done, err := rd.turns.take(ctx, c.of, int64(len(b.sent)))
	if err != nil {
		return err
	}
	defer done()
	digest.Write(b.sent)
	digest.Sum(b.hash[:0])
	b.length = int64(len(b.sent))
	return nil
}

// drain is overLimit, of one body of a sender at a time: to read on costs time of the processors.
func (rd *reader) drain(
	ctx context.Context, rest io.Reader, from Sender, c *claim, b *received, begun []byte, digest hash.Hash,
) error {
	done, err := rd.turns.alone(ctx, c.of)
	if err != nil {
		return err
	}
	defer done()
	return rd.overLimit(rest, from, b, begun, digest)
}

// overLimit hashes the rest of a body that is too large, keeps its beginning only, and parks it.
func (rd *reader) overLimit(rest io.Reader, from Sender, b *received, begun []byte, digest hash.Hash) error {
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
	digest.Sum(b.hash[:0])
	b.length = int64(len(begun)) + more
	why := fmt.Sprintf("body has %d bytes or more, at most %d are taken", b.length, rd.limit)
	b.parked = &DeadLetter{Code: CodeBodyLimit, Reason: why, Value: beginning, Length: b.length, SHA256: b.hash,
		Sender: from.String(), Source: from.part()}
	return nil
}

// inflate decompresses what was sent. The last four bytes of a gzip stream say how long it will be, modulo 2^32; as a
// guess that saves reserving the limit for each body, and a wrong guess costs a second pass.
func (rd *reader) inflate(ctx context.Context, from Sender, c *claim, b *received) error {
	guess := int64(0)
	if n := len(b.sent); n >= 4 {
		guess = min(int64(binary.LittleEndian.Uint32(b.sent[n-4:])), rd.limit)
	}
	if err := c.take(ctx, guess); err != nil {
		return err
	}
	done, err := rd.turns.take(ctx, c.of, guess)
	if err != nil {
		return err
	}
	defer done()
	plain, err := gunzip(b.sent, guess)
	if errors.Is(err, errTooLong) && guess < rd.limit {
		if err := c.take(ctx, rd.limit-guess); err != nil {
			return err
		}
		plain, err = gunzip(b.sent, rd.limit)
	}
	var parked DeadLetter
	switch {
	case err == nil:
		b.plain = plain
		return nil
	case errors.Is(err, errTooLong):
		why := fmt.Sprintf("body has more than %d bytes when decompressed", rd.limit)
		parked = park(CodeBodyLimit, why, from, nil, b.sent)
	default:
		parked = park(CodeGzip, fmt.Sprintf("decompress body: %v", err), from, nil, b.sent)
	}
	parked.Encoding = b.encoding
	b.parked = &parked
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
