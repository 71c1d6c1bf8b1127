package explain

import (
	"fmt"
	"slices"
	"strings"

	"januscdr/janus"
)

// digest collects what events of one kind tell, one after the other on one handle, to be told in one line.
type digest interface {
	// join takes what a later event tells; false when it is of another kind.
	join(later digest) bool
	text() string
}

// connecting is how ICE and DTLS went.
type connecting struct {
	local, remote int
	ice, dtls     []string
	pair          string
}

func (d *connecting) join(later digest) bool {
	l, ok := later.(*connecting)
	if !ok {
		return false
	}
	d.local, d.remote = d.local+l.local, d.remote+l.remote
	d.ice, d.dtls = append(d.ice, l.ice...), append(d.dtls, l.dtls...)
	if l.pair != "" {
		d.pair = l.pair
	}
	return true
}

func (d *connecting) text() string {
	var parts []string
	if len(d.ice) > 0 {
		parts = append(parts, "ICE "+states(d.ice))
	}
	switch {
	case d.local > 0 && d.remote > 0:
		parts = append(parts,
			fmt.Sprintf("%s of Janus and %d of the client", many(d.local, "candidate", "candidates"), d.remote))
	case d.local > 0:
		parts = append(parts, many(d.local, "candidate", "candidates")+" of Janus")
	case d.remote > 0:
		parts = append(parts, many(d.remote, "candidate", "candidates")+" of the client")
	}
	if d.pair != "" {
		parts = append(parts, "path "+d.pair)
	}
	if len(d.dtls) > 0 {
		parts = append(parts, "DTLS "+states(d.dtls))
	}
	return strings.Join(parts, "; ")
}

// states are states one after the other, repetitions counted.
func states(of []string) string {
	var out []string
	for i := 0; i < len(of); {
		n := 1
		for i+n < len(of) && of[i+n] == of[i] {
			n++
		}
		word := of[i]
		if n > 1 {
			word += fmt.Sprintf(" (%d times)", n)
		}
		out, i = append(out, word), i+n
	}
	return strings.Join(out, ", ")
}

// messages are SIP messages.
type messages struct{ lines []string }

func (d *messages) join(later digest) bool {
	l, ok := later.(*messages)
	if ok {
		d.lines = append(d.lines, l.lines...)
	}
	return ok
}

func (d *messages) text() string { return "SIP messages: " + states(d.lines) }

// flowing is which media come and go.
type flowing struct{ states []string }

func (d *flowing) join(later digest) bool {
	l, ok := later.(*flowing)
	if ok {
		d.states = append(d.states, l.states...)
	}
	return ok
}

func (d *flowing) text() string { return states(d.states) }

// slowLinks are lossy links.
type slowLinks struct {
	count, up int
	lost      int64
}

func (d *slowLinks) join(later digest) bool {
	l, ok := later.(*slowLinks)
	if ok {
		d.count, d.up, d.lost = d.count+l.count, d.up+l.up, d.lost+l.lost
	}
	return ok
}

func (d *slowLinks) text() string {
	text := many(d.count, "slow link", "slow links") + ", " + many(d.lost, "packet", "packets") + " lost"
	switch d.up {
	case 0:
		return text + " on the way to Janus"
	case d.count:
		return text + " on the way to the client"
	}
	return text
}

// plain is an event that may come often and says little.
type plain struct {
	what  string
	count int
}

func (d *plain) join(later digest) bool {
	l, ok := later.(*plain)
	if ok = ok && l.what == d.what; ok {
		d.count += 1 + l.count
	}
	return ok
}

func (d *plain) text() string {
	if d.count == 0 {
		return d.what
	}
	return fmt.Sprintf("%s (%d times)", d.what, d.count+1)
}

// reports are statistics.
type reports struct {
	count       int
	first, last janus.Micros // of the stream that was reported on first
	steps       int          // of that stream
	streams     []volume
}

// volume is how much a medium carried, at the first and at the last report.
type volume struct {
	media, mid  string
	layer       int
	first, last [2]int64 // bytes received, sent
	lost        int64
}

func (v *volume) same(o *volume) bool {
	return v.media == o.media && v.mid == o.mid && v.layer == o.layer
}

// maxVolumes bounds the streams that a line of the story keeps apart.
const maxVolumes = 64

func newReports(b *janus.MediaReport, at janus.Micros) *reports {
	d := &reports{count: 1, first: at, last: at}
	for i := range b.Streams {
		if len(d.streams) == maxVolumes {
			break
		}
		s := &b.Streams[i]
		bytes := [2]int64{s.BytesReceived, s.BytesSent}
		d.streams = append(d.streams, volume{
			media: mediumName(s.Media), mid: clean(s.Mid), layer: s.Layer, first: bytes, last: bytes, lost: s.Lost,
		})
	}
	return d
}

func (d *reports) join(later digest) bool {
	l, ok := later.(*reports)
	if !ok {
		return false
	}
	d.count += l.count
	for i := range l.streams {
		v := &l.streams[i]
		j := slices.IndexFunc(d.streams, func(o volume) bool { return o.same(v) })
		switch {
		case j >= 0:
			d.streams[j].last, d.streams[j].lost = v.last, v.lost
			if j == 0 {
				d.last, d.steps = l.last, d.steps+1
			}
		case len(d.streams) < maxVolumes:
			d.streams = append(d.streams, *v)
		}
	}
	return true
}

func (d *reports) text() string {
	text := many(d.count, "report", "reports")
	if steps := janus.Micros(d.steps); steps > 0 && d.last-d.first >= 100_000*steps {
		text += ", " + span(((d.last-d.first)/steps+50_000)/100_000*100_000) + " apart"
	}
	var parts []string
	for _, name := range []string{"audio", "video", "data"} {
		if part := d.carried(name); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return text
	}
	return text + ": " + strings.Join(parts, "; ")
}

// carried sums up the streams of a medium; "" when there are none.
func (d *reports) carried(medium string) string {
	var sum volume
	n := 0
	for i := range d.streams {
		s := &d.streams[i]
		if s.media != medium {
			continue
		}
		n++
		for way := range sum.first {
			sum.first[way] += s.first[way]
			sum.last[way] += s.last[way]
		}
		sum.lost += s.lost
	}
	name := medium
	if n > 1 {
		name = fmt.Sprintf("%d × %s", n, medium)
	}
	switch {
	case n == 0:
		return ""
	case sum.first == [2]int64{} && sum.last == [2]int64{}:
		name = "no " + medium
	default:
		name += " " + grown("in", sum.first[0], sum.last[0]) + ", " + grown("out", sum.first[1], sum.last[1])
	}
	if sum.lost > 0 {
		name += ", " + many(sum.lost, "packet", "packets") + " lost"
	}
	return name
}

// grown is a volume at the first and at the last report.
func grown(way string, first, last int64) string {
	if size(first) == size(last) {
		return way + " " + size(last)
	}
	return way + " " + size(first) + " → " + size(last)
}
