package janus

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"januscdr/internal/fixtures/recordings"
)

// recorded is all events of all recordings, so that the mix is that of real servers.
func recorded() (events [][]byte, size int64) {
	for _, name := range recordings.Names() {
		for _, e := range recordings.Events(name) {
			events = append(events, e)
			size += int64(len(e))
		}
	}
	return events, size
}

// BenchmarkParse compares three ways to parse the recorded events. The two that lost do less than Parse: they make
// facts of the envelope and of the reports, four events of ten, only. Of the other bodies jx reads every key and value
// and drops it, encoding/json none. "jx-unchecked" is jx at its fastest: other bodies are skipped, text may be no
// UTF-8, and a number where none is expected, or with a fraction, is an error.
func BenchmarkParse(b *testing.B) {
	events, size := recorded()
	run := func(name string, parse func([]byte) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, e := range events {
					if err := parse(e); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(events)), "ns/event")
		})
	}
	var p Parser
	run("own", func(raw []byte) error { _, err := p.Parse(raw); return err })
	j := &parserByJX{d: jx.DecodeBytes(nil)}
	run("jx", j.parse)
	fast := &parserByJX{d: jx.DecodeBytes(nil), unchecked: true}
	run("jx-unchecked", fast.parse)
	run("encoding-json", func(raw []byte) error {
		var e eventByEncodingJSON
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		if e.Type == TypeMedia && e.Subtype == subMediaReport {
			_, err := reportByEncodingJSON(raw)
			return err
		}
		return nil
	})
}

// BenchmarkParseReport is Parse of the most frequent event alone.
func BenchmarkParseReport(b *testing.B) {
	raw := []byte(envelope(`32,"subtype":3`, `{"mid":"0","mindex":0,"media":"audio","codec":"opus","base":48000,"rtt":31,"lost":2,"lost-by-remote":0,`+
		`"jitter-local":3,"jitter-remote":1,"in-link-quality":100,"in-media-link-quality":100,"out-link-quality":100,"out-media-link-quality":100,`+
		`"packets-received":500,"packets-sent":499,"bytes-received":56000,"bytes-sent":55888,"bytes-received-lastsec":5600,`+
		`"bytes-sent-lastsec":5588,"nacks-received":0,"nacks-sent":2,"retransmissions-received":1}`))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	var p Parser
	for b.Loop() {
		if _, err := p.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSplit cuts the recorded bodies.
func BenchmarkSplit(b *testing.B) {
	var bodies [][]byte
	var size int64
	for _, name := range recordings.Names() {
		for _, r := range recordings.Requests(name) {
			bodies = append(bodies, r.Body)
			size += int64(len(r.Body))
		}
	}
	run := func(name string, split func([]byte) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, body := range bodies {
					if err := split(body); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	run("own", func(body []byte) error { _, err := Split(body); return err })
	run("encoding-json", func(body []byte) error {
		if body[0] == '{' {
			return json.Unmarshal(body, new(json.RawMessage))
		}
		var events []json.RawMessage
		return json.Unmarshal(body, &events)
	})
}

// parserByJX reads the envelope and the reports with jx, in the way of its documentation that allocates least: a
// decoder that is used again, strings as bytes.
type parserByJX struct {
	d         *jx.Decoder
	event     Event
	streams   []StreamStats
	err       error
	unchecked bool
}

func (p *parserByJX) parse(raw []byte) error {
	if !p.unchecked && !utf8.Valid(raw) { // which jx does not look at
		return errors.New("invalid UTF-8")
	}
	p.d.ResetBytes(raw)
	p.event = Event{}
	it, err := p.d.ObjIter()
	if err != nil {
		return err
	}
	for it.Next() {
		switch string(it.Key()) {
		case "emitter":
			p.event.Emitter = p.text()
		case "type":
			p.event.Type = Type(p.integer())
		case "subtype":
			p.event.Subtype = int(p.integer())
		case "timestamp":
			p.event.Time = Micros(p.integer())
		case "session_id":
			p.event.Session = SessionID(p.integer())
		case "handle_id":
			p.event.Handle = HandleID(p.integer())
		case "opaque_id":
			p.event.OpaqueID = p.text()
		case "event":
			if p.event.Type == TypeMedia && p.event.Subtype == subMediaReport {
				p.report()
			} else {
				p.walk()
			}
		default:
			if err := p.d.Skip(); err != nil {
				return err
			}
		}
		if p.err != nil {
			return p.err
		}
	}
	return it.Err()
}

// walk reads every key and value.
func (p *parserByJX) walk() {
	switch {
	case p.unchecked:
		p.err = p.d.Skip()
	case p.d.Next() == jx.Object:
		it, err := p.d.ObjIter()
		if err != nil {
			p.err = err
			return
		}
		for it.Next() && p.err == nil {
			p.walk()
		}
		if it.Err() != nil {
			p.err = it.Err()
		}
	case p.d.Next() == jx.Array:
		it, err := p.d.ArrIter()
		if err != nil {
			p.err = err
			return
		}
		for it.Next() && p.err == nil {
			p.walk()
		}
		if it.Err() != nil {
			p.err = it.Err()
		}
	case p.d.Next() == jx.String:
		p.text()
	default:
		p.integer()
	}
}

func (p *parserByJX) text() string {
	if !p.unchecked && p.d.Next() != jx.String {
		p.err = p.d.Skip()
		return ""
	}
	b, err := p.d.StrBytes()
	if err != nil {
		p.err = err
	}
	return alias(b)
}

func (p *parserByJX) integer() int64 {
	if !p.unchecked { // Int64 cannot go on after a number with a fraction
		if p.d.Next() != jx.Number {
			p.err = p.d.Skip()
			return 0
		}
		n, err := p.d.Num()
		if err != nil {
			p.err = err
			return 0
		}
		v, err := n.Int64()
		if err != nil {
			return 0
		}
		return v
	}
	n, err := p.d.Int64()
	if err != nil {
		p.err = err
	}
	return n
}

func (p *parserByJX) report() {
	p.streams = p.streams[:0]
	if p.d.Next() == jx.Object {
		p.stream()
		return
	}
	it, err := p.d.ArrIter()
	if err != nil {
		p.err = err
		return
	}
	for it.Next() && p.err == nil {
		p.stream()
	}
	if it.Err() != nil {
		p.err = it.Err()
	}
}

func (p *parserByJX) stream() {
	it, err := p.d.ObjIter()
	if err != nil {
		p.err = err
		return
	}
	p.streams = append(p.streams, StreamStats{})
	st := &p.streams[len(p.streams)-1]
	gauge := func() Gauge { return Gauge{p.integer(), true} }
	for it.Next() && p.err == nil {
		switch string(it.Key()) {
		case "mid":
			st.Mid, st.HasMid = p.text(), true
		case "media":
			st.Media, st.Layer = mediaOf(p.text())
		case "codec":
			st.Codec = p.text()
		case "bytes-received":
			st.BytesReceived = p.integer()
		case "bytes-sent":
			st.BytesSent = p.integer()
		case "packets-received":
			st.PacketsReceived = p.integer()
		case "packets-sent":
			st.PacketsSent = p.integer()
		case "lost":
			st.Lost = p.integer()
		case "lost-by-remote":
			st.LostByRemote = p.integer()
		case "nacks-received":
			st.NACKsReceived = p.integer()
		case "nacks-sent":
			st.NACKsSent = p.integer()
		case "retransmissions-received":
			st.RetransmissionsReceived = p.integer()
		case "rtt":
			st.RTT = gauge()
		case "jitter-local":
			st.JitterLocal = gauge()
		case "jitter-remote":
			st.JitterRemote = gauge()
		case "in-link-quality":
			st.InLinkQuality = gauge()
		case "out-link-quality":
			st.OutLinkQuality = gauge()
		default:
			p.err = p.d.Skip()
		}
	}
	if it.Err() != nil {
		p.err = it.Err()
	}
}
