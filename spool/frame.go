package spool

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// A frame is a record in a segment:
//
//	 0  magic     4 bytes, to find the next one after damage
//	 4  length    4 bytes: of the body
//	 8  sequence  8 bytes: its number; grows by one from record to record
//	16  synced    8 bytes: all below this number was fsynced when this one was written
//	24  body CRC  4 bytes
//	28  head CRC  4 bytes: of the 28 bytes before
//	32  body      the entry; sealed, with 16 bytes more, when the segment has a key
//
// Numbers are little endian. The checksums are CRC-32C and begin with the salt of the segment: an event whose bytes
// look like a frame is never taken for one, since nobody who sends events knows the salt. The head has a checksum of
// its own so that a search for the next good frame looks at a body only where a frame really begins.
const frameHead = 32

var frameMagic = []byte{0xF5, 's', 'p', 'l'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type frame struct {
	sequence uint64
	synced   uint64
	body     []byte // as it stands in the file; valid until the cursor moves on
	head     []byte // the first 24 bytes; likewise
	at       int64
	size     int64
}

// appendFrame frames a body, sealed if there is a sealer.
func appendFrame(to []byte, seed uint32, sealer cipher.AEAD, sequence, synced uint64, body []byte) []byte {
	start := len(to)
	length := len(body)
	if sealer != nil {
		length += sealer.Overhead()
	}
	to = append(to, frameMagic...)
	to = binary.LittleEndian.AppendUint32(to, uint32(length))
	to = binary.LittleEndian.AppendUint64(to, sequence)
	to = binary.LittleEndian.AppendUint64(to, synced)
	to = append(to, 0, 0, 0, 0, 0, 0, 0, 0)
	if sealer != nil {
		to = sealer.Seal(to, nonce(sequence), body, to[start:start+24])
	} else {
		to = append(to, body...)
	}
	head := to[start : start+frameHead]
	binary.LittleEndian.PutUint32(head[24:], crc32.Update(seed, castagnoli, to[start+frameHead:]))
	binary.LittleEndian.PutUint32(head[28:], crc32.Update(seed, castagnoli, head[:28]))
	return to
}

func nonce(sequence uint64) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 4, 12), sequence)
}

// open is the entry of a frame; it owns its bytes.
func (f frame) open(sealer cipher.AEAD) (Entry, error) {
	if sealer == nil {
		return decodeEntry(bytes.Clone(f.body))
	}
	body, err := sealer.Open(nil, nonce(f.sequence), f.body, f.head)
	if err != nil {
		return Entry{}, err
	}
	return decodeEntry(body)
}

// region is a part of a segment that is no record.
type region struct{ from, to int64 }

func (r region) empty() bool  { return r.from == r.to }
func (r region) bytes() int64 { return r.to - r.from }

// cursor walks over the frames of a segment.
type cursor struct {
	file  io.ReaderAt
	seed  uint32
	at    int64  // where the next frame should begin
	limit int64  // where the records end
	least uint64 // the number that the next frame has at least

	window   []byte // what was read of the file
	windowAt int64
}

const windowSize = 256 << 10

// next is the next good frame, and what had to be skipped before it. At the limit the error is io.EOF, and skipped is
// what lay before it. After any other error, of reading, the cursor stays where it was.
func (c *cursor) next() (f frame, skipped region, err error) {
	at := c.at
	for at < c.limit {
		f, length, err := c.frameAt(at)
		switch {
		case err != nil:
			return frame{}, region{}, err
		case f.size > 0:
			skipped = region{c.at, at}
			c.at, c.least = at+f.size, f.sequence+1
			return f, skipped, nil
		case length > 0: // the head is good, so we know where the next one begins
			at += length
		default:
			at, err = c.search(at + 1)
			if err != nil {
				return frame{}, region{}, err
			}
		}
	}
	skipped = region{c.at, c.limit}
	c.at = c.limit
	return frame{}, skipped, io.EOF
}

// frameAt is the frame at a place. If there is none, length is that of a frame whose head is good and whose body is
// not, or 0.
func (c *cursor) frameAt(at int64) (f frame, length int64, err error) {
	if at+frameHead > c.limit {
		return frame{}, 0, nil
	}
	head, err := c.read(at, frameHead)
	if err != nil {
		return frame{}, 0, err
	}
	if !bytes.HasPrefix(head, frameMagic) ||
		crc32.Update(c.seed, castagnoli, head[:28]) != binary.LittleEndian.Uint32(head[28:]) {
		return frame{}, 0, nil
	}
	size := frameHead + int64(binary.LittleEndian.Uint32(head[4:]))
	sequence := binary.LittleEndian.Uint64(head[8:])
	if size > frameHead+maxBody+64 || at+size > c.limit {
		return frame{}, 0, nil
	}
	all, err := c.read(at, size)
	if err != nil {
		return frame{}, 0, err
	}
	if sequence < c.least || crc32.Update(c.seed, castagnoli, all[frameHead:]) != binary.LittleEndian.Uint32(all[24:]) {
		return frame{}, size, nil
	}
	return frame{sequence: sequence, synced: binary.LittleEndian.Uint64(all[16:]),
		head: all[:24], body: all[frameHead:], at: at, size: size}, size, nil
}

// search is the next place from at on where a frame may begin, or the limit.
func (c *cursor) search(at int64) (int64, error) {
	for at+frameHead <= c.limit {
		part, err := c.read(at, min(windowSize, c.limit-at))
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(part, frameMagic); i >= 0 {
			return at + int64(i), nil
		}
		at += int64(len(part) - len(frameMagic) + 1)
	}
	return c.limit, nil
}

// read is a part of the file below the limit; valid until the next call.
func (c *cursor) read(at, size int64) ([]byte, error) {
	if from := at - c.windowAt; from >= 0 && from+size <= int64(len(c.window)) {
		return c.window[from : from+size : from+size], nil
	}
	want := min(max(size, windowSize), c.limit-at)
	if int64(cap(c.window)) < want {
		c.window = make([]byte, want)
	}
	n, err := c.file.ReadAt(c.window[:want], at)
	c.window, c.windowAt = c.window[:n], at
	if int64(n) >= size {
		return c.window[:size:size], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}
