package cdr

import "hash/maphash"

// WindowSize is how many offsets back a repetition is known as one. Older repetitions are harmless by rule.
const WindowSize = 65536

// window remembers the hashes of the last WindowSize offsets. It is a function of the log, refilled at assignment, and
// costs no state. The seed differs from process to process: what is a duplicate does not depend on it.
type window struct {
	seed maphash.Seed
	seen map[uint64]int64   // hash -> last offset with it
	ring [WindowSize]uint64 // offset modulo size -> hash
	at   [WindowSize]int64  // offset modulo size -> offset+1, 0 for none
}

func newWindow() *window {
	return &window{seed: maphash.MakeSeed(), seen: make(map[uint64]int64)}
}

// repeated notes the record at offset and tells whether the same kind and bytes came within the window before it.
func (w *window) repeated(offset int64, kind Kind, value []byte) bool {
	var h maphash.Hash
	h.SetSeed(w.seed)
	h.WriteByte(byte(kind))
	h.Write(value)
	sum := h.Sum64()

	slot := offset % WindowSize
	if old := w.at[slot]; old != 0 && w.seen[w.ring[slot]] == old-1 {
		delete(w.seen, w.ring[slot])
	}
	before, known := w.seen[sum]
	w.ring[slot], w.at[slot], w.seen[sum] = sum, offset+1, offset
	return known && offset-before <= WindowSize && before < offset
}
