package cdr

import "hash/maphash"

// WindowSize is how many offsets back a repetition is known as one. Older repetitions are harmless by rule.
const WindowSize = 65536

// window remembers the hashes of the last WindowSize offsets. It is a function of the log, refilled at assignment, and
// costs no state. The seed differs from process to process: what is a duplicate does not depend on it.
//
// It has two tables without pointers. ring has, at an offset modulo the size, what was noted there; slots finds the last
// offset of a hash: open addressing, at most half full. Places are freed in the order of the log, and the chain behind a
// freed one moves up. What is looked at for an event is far apart in memory, so a slot says enough for a look at ring to
// be rare.
type window struct {
	seed  maphash.Seed
	ring  []noted
	slots []slot
}

// noted is a record of the window.
type noted struct {
	hash uint64
	at   int64 // offset+1, 0 for none
}

// slot is 0 for none, or from the lowest bits on: 17 of a place in ring + 1, 5 of how far it lies behind the home of its
// hash, 10 of the hash.
type slot uint32

const (
	windowSlots = 2 * WindowSize

	placeBits = 17
	placeMask = 1<<placeBits - 1
	wayBits   = 5
	farAway   = 1<<wayBits - 1 // so far, or farther
)

func slotOf(sum uint64, way, place uint32) slot {
	return slot(sum>>54)<<(placeBits+wayBits) | slot(min(way, farAway))<<placeBits | slot(place+1)
}

func (s slot) place() uint32         { return uint32(s)&placeMask - 1 }
func (s slot) maybe(sum uint64) bool { return uint64(s>>(placeBits+wayBits)) == sum>>54 }

func homeOf(sum uint64) uint32 { return uint32(sum) % windowSlots }

// way is how far the slot at i lies behind the home of its hash.
func (w *window) way(i uint32) uint32 {
	s := w.slots[i]
	if way := uint32(s>>placeBits) & farAway; way < farAway {
		return way
	}
	return (i - homeOf(w.ring[s.place()].hash)) % windowSlots
}

func newWindow() *window {
	w := &window{seed: maphash.MakeSeed()}
	w.reset()
	return w
}

// reset forgets everything.
func (w *window) reset() {
	w.ring, w.slots = make([]noted, WindowSize), make([]slot, windowSlots)
}

// repeated notes the record at offset and tells whether the same kind and bytes came within the window before it.
func (w *window) repeated(offset int64, kind Kind, value []byte) bool {
	return w.note(offset, maphash.Bytes(w.seed, value)^uint64(kind)*0x9e3779b97f4a7c15)
}

func (w *window) note(offset int64, sum uint64) bool {
	place := uint32(offset % WindowSize)
	w.free(place)
	w.ring[place] = noted{sum, offset + 1}
	i, way := homeOf(sum), uint32(0)
	for w.slots[i] != 0 && !(w.slots[i].maybe(sum) && w.ring[w.slots[i].place()].hash == sum) {
		i, way = (i+1)%windowSlots, way+1
	}
	before := w.slots[i]
	w.slots[i] = slotOf(sum, way, place)
	if before == 0 {
		return false
	}
	at := w.ring[before.place()].at - 1
	return offset-at <= WindowSize && at < offset
}

// free takes what was noted at a place out of slots, unless its hash came again since.
func (w *window) free(place uint32) {
	if w.ring[place].at == 0 {
		return
	}
	i := homeOf(w.ring[place].hash)
	for w.slots[i] != 0 && w.slots[i].place() != place {
		i = (i + 1) % windowSlots
	}
	if w.slots[i] == 0 {
		return
	}
	for j := (i + 1) % windowSlots; w.slots[j] != 0; j = (j + 1) % windowSlots {
		// Its chain begins at or before the gap?
		if way, gap := w.way(j), (j-i)%windowSlots; way >= gap {
			s := w.slots[j]
			w.slots[i] = slotOf(w.hashBits(s), way-gap, s.place())
			i = j
		}
	}
	w.slots[i] = 0
}

func (w *window) hashBits(s slot) uint64 { return uint64(s>>(placeBits+wayBits)) << 54 }
