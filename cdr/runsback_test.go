package cdr

import (
	"testing"

	"januscdr/janus"
)

// TestWhatIsAheadCoversEveryMomentThatIsCompared: the short way of runsBack may leave out only what the long one denies.
func TestWhatIsAheadCoversEveryMomentThatIsCompared(t *testing.T) {
	const at = janus.Micros(1000)
	for name, l := range map[string]*leg{
		"up":       {up: at + 1},
		"reported": {reported: at + 1},
		"stream":   {streams: []stream{{last: 1}, {last: at + 1}}},
	} {
		if !l.ahead(at) || l.ahead(at+1) {
			t.Errorf("%s: ahead of the moment before %t, of its own %t", name, l.ahead(at), l.ahead(at+1))
		}
	}
}
