package cdr

import (
	"iter"
	"maps"

	"januscdr/janus"
)

// handleSet are the handles of a session. Nearly each has a few, which are found by looking; an application server has
// thousands. The zero value is empty.
type handleSet struct {
	few  []*handleEntry
	many map[janus.HandleID]*handleEntry
}

const fewHandles = 8

// get is the handle of an id, nil for none.
func (s *handleSet) get(id janus.HandleID) *handleEntry {
	if s.many != nil {
		return s.many[id]
	}
	for _, e := range s.few {
		if e.id == id {
			return e
		}
	}
	return nil
}

// add puts a handle in of which there is none yet.
func (s *handleSet) add(e *handleEntry) {
	if s.many == nil && len(s.few) < fewHandles {
		s.few = append(s.few, e)
		return
	}
	if s.many == nil {
		s.many = map[janus.HandleID]*handleEntry{}
		for _, before := range s.few {
			s.many[before.id] = before
		}
		s.few = nil
	}
	s.many[e.id] = e
}

func (s *handleSet) remove(id janus.HandleID) {
	delete(s.many, id)
	for i, e := range s.few {
		if e.id == id {
			last := len(s.few) - 1
			s.few[i], s.few[last] = s.few[last], nil
			s.few = s.few[:last]
			return
		}
	}
}

func (s *handleSet) size() int { return len(s.few) + len(s.many) }

// all are the handles, in no order.
func (s *handleSet) all() iter.Seq[*handleEntry] {
	return func(yield func(*handleEntry) bool) {
		for _, e := range s.few {
			if !yield(e) {
				return
			}
		}
		maps.Values(s.many)(yield)
	}
}
