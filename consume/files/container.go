package files

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"io"

	"januscdr/avro"
	"januscdr/consume"
)

// containerEncoder writes an object container file of Avro, with blocks that are compressed by deflate, which every
// reader has.
type containerEncoder struct {
	w       io.Writer
	sync    [16]byte
	count   int64
	block   []byte
	packed  bytes.Buffer
	deflate *flate.Writer
}

const (
	blockBytes = 64 << 10
	headBytes  = 10 // of a message: the marker and the fingerprint, which a container has no use for
)

func newContainer(w io.Writer) (*containerEncoder, error) {
	e := &containerEncoder{w: w}
	// Any sixteen bytes do that do not stand in the data by chance; the same ones give the same file.
	sum := sha256.Sum256([]byte("januscdr " + avro.Schema()))
	copy(e.sync[:], sum[:])
	var err error
	if e.deflate, err = flate.NewWriter(&e.packed, flate.DefaultCompression); err != nil {
		return nil, err
	}
	text := func(b []byte, s string) []byte { return append(binary.AppendVarint(b, int64(len(s))), s...) }
	head := append([]byte("Obj\x01"), binary.AppendVarint(nil, 2)...)
	head = text(text(head, "avro.schema"), avro.Schema())
	head = text(text(head, "avro.codec"), "deflate")
	head = append(binary.AppendVarint(head, 0), e.sync[:]...)
	_, err = w.Write(head)
	return e, err
}

func (e *containerEncoder) Add(r *consume.Row, _ []avro.Value) error {
	message, err := avro.Encode(&r.Record)
	if err != nil {
		return err
	}
	e.block = append(e.block, message[headBytes:]...)
	e.count++
	if len(e.block) < blockBytes {
		return nil
	}
	return e.flush()
}

func (e *containerEncoder) flush() error {
	if e.count == 0 {
		return nil
	}
	e.packed.Reset()
	e.deflate.Reset(&e.packed)
	if _, err := e.deflate.Write(e.block); err != nil {
		return err
	}
	if err := e.deflate.Close(); err != nil {
		return err
	}
	head := binary.AppendVarint(binary.AppendVarint(nil, e.count), int64(e.packed.Len()))
	for _, part := range [][]byte{head, e.packed.Bytes(), e.sync[:]} {
		if _, err := e.w.Write(part); err != nil {
			return err
		}
	}
	e.block, e.count = e.block[:0], 0
	return nil
}

func (e *containerEncoder) Close() error { return e.flush() }
