package spool

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A segment is a file of frames: 0000000000000001.spool and so on. It begins with two copies of its header, each in a
// page of its own, so that one bad sector does not cost a segment.
//
//	 0  magic   8 bytes, with the version of the format
//	 8  id      8 bytes: grows from segment to segment
//	16  first   8 bytes: number of its first record. What the segment before has from this number on is void
//	24  salt   16 bytes of chance
//	40  key id  8 bytes; zero: not encrypted
//	48  CRC     4 bytes: CRC-32C of the 48 bytes before
const (
	segmentMagic = "SPOOL\x00\x001"
	headerSize   = 52
	headerPage   = 4096
	dataStart    = 2 * headerPage
	segmentName  = "%016d.spool"
)

type salt [16]byte

type header struct {
	id    uint64
	first uint64
	salt  salt
	key   KeyID
}

func (h header) name() string { return fmt.Sprintf(segmentName, h.id) }

// seed is what the checksums of the segment's frames begin with.
func (h header) seed() uint32 { return crc32.Checksum(h.salt[:], castagnoli) }

func (h header) encode() []byte {
	one := []byte(segmentMagic)
	one = binary.LittleEndian.AppendUint64(one, h.id)
	one = binary.LittleEndian.AppendUint64(one, h.first)
	one = append(one, h.salt[:]...)
	one = append(one, h.key[:]...)
	one = binary.LittleEndian.AppendUint32(one, crc32.Checksum(one, castagnoli))
	b := make([]byte, dataStart)
	copy(b, one)
	copy(b[headerPage:], one)
	return b
}

var (
	errHeader  = errors.New("no good header")
	errVersion = errors.New("its format is of another version of the program")
)

func decodeHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, errHeader
	}
	b = b[:headerSize]
	if crc32.Checksum(b[:48], castagnoli) != binary.LittleEndian.Uint32(b[48:]) {
		return header{}, errHeader
	}
	if !bytes.HasPrefix(b, []byte(segmentMagic)) {
		return header{}, errVersion
	}
	return header{id: binary.LittleEndian.Uint64(b[8:]), first: binary.LittleEndian.Uint64(b[16:]),
		salt: salt(b[24:40]), key: KeyID(b[40:48])}, nil
}

// readHeader reads the first copy that is good. The error is errHeader when both could be read and neither is.
func readHeader(file io.ReaderAt) (header, error) {
	var b [headerSize]byte
	failed := errHeader
	for _, at := range []int64{0, headerPage} {
		n, err := file.ReadAt(b[:], at)
		if err != nil && !errors.Is(err, io.EOF) {
			failed = err
			continue
		}
		h, err := decodeHeader(b[:n])
		if err == nil || errors.Is(err, errVersion) {
			return h, err
		}
	}
	return header{}, failed
}

// segment is what is known of a file of records. Its fields are guarded by the spool's mutex, but for header and
// sealer, which never change.
type segment struct {
	header
	sealer cipher.AEAD // nil: not encrypted
	size   int64       // bytes that may be read
	disk   int64       // bytes that the file takes; more than size after a failed write
}

// cursor is one over the whole segment.
func (s *segment) cursor(file io.ReaderAt) *cursor {
	return &cursor{file: file, seed: s.seed(), at: dataStart, limit: max(dataStart, s.size), least: s.first}
}

// sealerOf is the cipher of a segment by its header, nil when it has none.
func sealerOf(h header, keys []Key) (cipher.AEAD, error) {
	if h.key == (KeyID{}) {
		return nil, nil
	}
	for _, k := range keys {
		if k.ID() == h.key {
			return k.sealer(h.salt)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: %s is encrypted with key %s, and no key is given", ErrKey, h.name(), h.key)
	}
	return nil, fmt.Errorf("%w: %s is encrypted with key %s, which is none of the %d given",
		ErrKey, h.name(), h.key, len(keys))
}

// createSegment makes a segment that is surely there, with its header, and nothing else. After an error nothing of it
// is left, if the disk lets us.
func createSegment(d disk, id, first uint64, keys []Key) (*segment, file, error) {
	s := &segment{header: header{id: id, first: first}, size: dataStart, disk: dataStart}
	_, _ = rand.Read(s.salt[:]) // never fails
	if len(keys) > 0 {
		s.key = keys[0].ID()
		sealer, err := keys[0].sealer(s.salt)
		if err != nil {
			return nil, nil, err
		}
		s.sealer = sealer
	}
	name := s.name()
	f, err := d.create(name)
	if err != nil {
		return nil, nil, fmt.Errorf("make segment: %w", err)
	}
	_, err = f.Write(s.encode())
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = d.syncDir()
	}
	if err != nil {
		f.Close()
		_ = d.remove(name) // what stays has no records; the next Open removes it
		return nil, nil, fmt.Errorf("make segment %s: %w", name, err)
	}
	return s, f, nil
}
