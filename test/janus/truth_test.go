package janustest

import (
	"testing"
	"time"

	"januscdr/janus"
)

// slack is how much later than Janus' word to the client something may be: Janus says "webrtcup" and "hangup" to the
// client first and then takes the time of the event, and "detach" is answered before it is done. It covers a busy
// machine.
const slack = 100 * time.Millisecond

// A span is what a caller knows of a moment: it lies somewhere in between. All clocks of a test are one.
type span struct{ from, to time.Time }

// contains complains when a moment of a record is not in the span.
func (s span) contains(t *testing.T, what string, got janus.Micros) {
	t.Helper()
	from, to := s.from.UnixMicro(), s.to.UnixMicro()
	if int64(got) < from || int64(got) > to {
		t.Errorf("%s is %d, %d µs after the earliest moment it can have been; the latest is at %d µs", what, got,
			int64(got)-from, to-from)
		return
	}
	t.Logf("%s: %d µs into a span of %d µs", what, int64(got)-from, to-from)
}

// equal complains when a field of a record is not as it should be.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// between complains when a number of a record is not in a range, both ends included.
func between(t *testing.T, what string, got, least, most int64) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s is %d, want %d to %d", what, got, least, most)
	}
}
