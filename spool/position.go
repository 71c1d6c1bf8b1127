package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
)

// The file "position" says how far the reader has come: magic (8 bytes), number of the first record that is not
// acknowledged, id of the newest segment, CRC-32C of these. It is written beside, fsynced and renamed, so that it is
// whole: the old one or the new one. Without it all segments that are there are handed out again.
const (
	positionName  = "position"
	positionFresh = "position.new"
	positionMagic = "SPOOLPOS"
	positionSize  = 28
)

type position struct {
	acknowledged uint64 // 0: none yet
	segment      uint64
}

func (p position) encode() []byte {
	b := append(make([]byte, 0, positionSize), positionMagic...)
	b = binary.LittleEndian.AppendUint64(b, p.acknowledged)
	b = binary.LittleEndian.AppendUint64(b, p.segment)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errPosition = errors.New("damaged")

// readPosition is the zero position when there is none, and errPosition when it is damaged.
func readPosition(d disk) (position, error) {
	f, err := d.open(positionName)
	if errors.Is(err, fs.ErrNotExist) {
		return position{}, nil
	}
	if err != nil {
		return position{}, err
	}
	defer f.Close()
	var b [positionSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return position{}, err
	}
	p := position{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
	if string(b[:]) != string(p.encode()) {
		return position{}, errPosition
	}
	return p, nil
}

func writePosition(d disk, p position) error {
	_ = d.remove(positionFresh) // of a try that failed
	f, err := d.create(positionFresh)
	if err != nil {
		return err
	}
	_, err = f.Write(p.encode())
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.rename(positionFresh, positionName)
	}
	if err == nil {
		err = d.syncDir()
	}
	return err
}
