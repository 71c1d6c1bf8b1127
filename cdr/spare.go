package cdr

// spare is memory of sessions, handles and legs that came to rest, for those that are decoded next: these change places
// with each event where many sessions are open. A nil *spare has none.
type spare struct {
	sessions []*session
	handles  []*handle
	legs     []*leg
	texts    [spareTexts]string
}

const (
	maxSpare   = 64  // of each
	spareTexts = 256 // short texts that were decoded last, by a hash
	shortText  = 32  // bytes that such a text has at most
)

// text is a string of these bytes: names of codecs, plugins, transports and versions come again and again.
func (u *spare) text(b []byte) string {
	if u == nil || len(b) == 0 || len(b) > shortText {
		return string(b)
	}
	sum := uint32(len(b))
	for _, c := range b {
		sum = sum*31 + uint32(c)
	}
	s := &u.texts[(sum^sum>>13)%spareTexts]
	if *s != string(b) {
		*s = string(b)
	}
	return *s
}

func (u *spare) session() *session {
	if u == nil || len(u.sessions) == 0 {
		return &session{}
	}
	return pop(&u.sessions)
}

func (u *spare) handle() *handle {
	if u == nil || len(u.handles) == 0 {
		return &handle{}
	}
	return pop(&u.handles)
}

func (u *spare) leg() *leg {
	if u == nil || len(u.legs) == 0 {
		return &leg{}
	}
	return pop(&u.legs)
}

func pop[T any](all *[]T) (v T) {
	last := len(*all) - 1
	v, (*all)[last] = (*all)[last], v
	*all = (*all)[:last]
	return v
}

// putSession takes the memory of a session. Nobody may have it any more.
func (u *spare) putSession(s *session) {
	if len(u.sessions) < maxSpare {
		*s = session{}
		u.sessions = append(u.sessions, s)
	}
}

// putHandle takes the memory of a handle and of its legs. Nobody may have them any more.
func (u *spare) putHandle(h *handle) {
	for _, legs := range [2][]*leg{h.legs, h.asleep} {
		for _, l := range legs {
			u.putLeg(l)
		}
		clear(legs)
	}
	if len(u.handles) < maxSpare {
		*h = handle{legs: h.legs[:0], asleep: h.asleep[:0]}
		u.handles = append(u.handles, h)
	}
}

func (u *spare) putLeg(l *leg) {
	if l.next != nil {
		u.putLeg(l.next)
	}
	if len(u.legs) < maxSpare {
		clear(l.streams)
		*l = leg{streams: l.streams[:0]}
		u.legs = append(u.legs, l)
	}
}
