package cdr

import "hash/maphash"

// WindowSize is how many offsets back a repetition is known as one. Older repetitions are harmless by rule.
const WindowSize = 65536

// window remembers the hashes of the last WindowSize offsets. It is a function of the log, refilled at assignment, and
// costs no state. The seed differs from process to process: what is a duplicate does not depend on it.
//
// It has two tables without pointers. ring has, at an offset modulo the size, what was noted there; slots finds the last
// offset of a hash: open addressing, at most half full, each slot a place of ring, 0 for none. Places are freed in the
// order of the log, and the chain behind a freed one moves up.
type window struct {
	seed  maphash.Seed
	ring  []noted
	slots []uint32 // place in ring + 1
}

// noted is a record of the window.
type noted struct {
	hash uint64
	at   int64 // offset+1, 0 for none
}

const windowSlots = 2 * WindowSize

func newWindow() *window {
	w := &window{seed: maphash.MakeSeed()}
	w.reset()
	return w
}

// reset forgets everything.
func (w *window) reset() {
	w.ring, w.slots = make([]noted, WindowSize), make([]uint32, windowSlots)
}

// repeated notes the record at offset and tells whether the same kind and bytes came within the window before it.
func (w *window) repeated(offset int64, kind Kind, value []byte) bool {
	sum := maphash.Bytes(w.seed, value) ^ uint64(kind)*0x9e3779b97f4a7c15
	place := uint32(offset % WindowSize)
	w.free(place)
	w.ring[place] = noted{sum, offset + 1}
	i := w.find(sum)
	before := w.slots[i]
	w.slots[i] = place + 1
	if before == 0 {
		return false
	}
	at := w.ring[before-1].at - 1
	return offset-at <= WindowSize && at < offset
}

// find is the slot of a hash, or the empty one where it belongs.
func (w *window) find(sum uint64) uint32 {
	i := uint32(sum) % windowSlots
	for w.slots[i] != 0 && w.ring[w.slots[i]-1].hash != sum {
		i = (i + 1) % windowSlots
	}
	return i
}

// free takes what was noted at a place out of slots, unless its hash came again since.
func (w *window) free(place uint32) {
	if w.ring[place].at == 0 {
		return
	}
	i := w.find(w.ring[place].hash)
	if w.slots[i] != place+1 {
		return
	}
	for j := (i + 1) % windowSlots; w.slots[j] != 0; j = (j + 1) % windowSlots {
		home := uint32(w.ring[w.slots[j]-1].hash) % windowSlots
		if (j-home)%windowSlots >= (j-i)%windowSlots { // its chain begins at or before the gap
			w.slots[i] = w.slots[j]
			i = j
		}
	}
	w.slots[i] = 0
}
