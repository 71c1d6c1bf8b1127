package pipeline

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchPool is memory for what is fetched: events are folded and forgotten at once, so the next fetch takes the place
// of the one before. A record goes back by Recycle when it was folded, and nothing may keep its bytes then. One that
// does not go back is left to the garbage collector.
var fetchPool = &recordPool{}

// recordPool is a kgo.PoolDecompressBytes and a kgo.PoolRecords.
type recordPool struct{ bytes, records sync.Pool }

var (
	_ kgo.PoolDecompressBytes = (*recordPool)(nil)
	_ kgo.PoolRecords         = (*recordPool)(nil)
)

// GetDecompressBytes hands out a buffer; it grows when it is too small.
func (p *recordPool) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 4*len(compressed))
}

// PutDecompressBytes takes a buffer back.
func (p *recordPool) PutDecompressBytes(b []byte) { p.bytes.Put(&b) }

// GetRecords hands out room for n records.
func (p *recordPool) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return *r
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords takes the room back.
func (p *recordPool) PutRecords(r []kgo.Record) { p.records.Put(&r) }
