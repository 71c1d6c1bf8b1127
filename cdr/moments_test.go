package cdr

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"januscdr/janus"
)

// notMoments are the fields of a leg, a handle, a session and what is in them that hold a time and are no moment of the
// emitter's timeline: spans, moments of other clocks, timestamps, and what partial records have told.
var notMoments = []string{
	"leg.lifeClock", "leg.interval", "leg.intervalBefore", "leg.cadence", "leg.firstReport", "leg.gap", "leg.shift", "leg.closeClock",
	"leg.answerFixed", "leg.partStart",
	"stream.shortest", "stream.longest", "stream.interval", "stream.before",
	"hold.sum", "hold.told", "hold.askedSum",
	"handle.detachedClock", "handle.alive", "handle.again",
	"session.incarnation", "session.shift", "session.period", "session.touched", "session.touchedAlive", "session.closeClock",
	"session.newest",
	"emitterEnd.clock",
}

func TestEachMomentOfWhatIsOpenMovesWithTheClock(t *testing.T) {
	l := &leg{streams: make([]stream, 1)}
	h, s := &handle{}, &session{}
	names := map[*janus.Micros]string{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			name, f := v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i)
			add := func(f reflect.Value) {
				p := (*janus.Micros)(unsafe.Pointer(f.UnsafeAddr()))
				*p, names[p] = 1, name
			}
			switch {
			case f.Type() == reflect.TypeFor[janus.Micros]():
				add(f)
			case f.Kind() == reflect.Array && f.Type().Elem() == reflect.TypeFor[janus.Micros]():
				for i := range f.Len() {
					add(f.Index(i))
				}
			case f.Type() == reflect.TypeFor[hold](), f.Type() == reflect.TypeFor[emitterEnd]():
				walk(f)
			}
		}
	}
	for _, v := range []any{l, &l.streams[0], h, s} {
		walk(reflect.ValueOf(v).Elem())
	}
	move := func(t *janus.Micros) { *t += 1000 }
	l.moments(move)
	h.moments(move)
	s.moments(move)
	if len(names) < 40 {
		t.Fatalf("only %d fields were found", len(names))
	}
	for p, name := range names {
		if moved := *p > 1; moved == slices.Contains(notMoments, name) {
			t.Errorf("%s moved: %t", name, moved)
		}
	}
	l = &leg{next: &leg{start: 1}}
	if l.moments(move); l.next.start != 1001 {
		t.Error("what may be the next PeerConnection did not move")
	}
}
