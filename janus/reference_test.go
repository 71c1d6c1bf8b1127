package janus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// What encoding/json makes of the same bytes: the reference that the scanner is held against.

// envelopeByEncodingJSON returns the envelope and the raw body, or false when the bytes are no event.
func envelopeByEncodingJSON(b []byte) (e Event, body json.RawMessage, ok bool) {
	if !utf8.Valid(b) || !json.Valid(b) {
		return Event{}, nil, false
	}
	var fields map[string]json.RawMessage // a map knows keys exactly; a struct would fold their case
	if json.Unmarshal(b, &fields) != nil || fields == nil {
		return Event{}, nil, false
	}
	integer := func(key string, from, to int64) (int64, bool) {
		n, err := strconv.ParseInt(string(fields[key]), 10, 64)
		return n, err == nil && n >= from && n <= to
	}
	if raw, there := fields["emitter"]; there {
		if raw[0] != '"' || json.Unmarshal(raw, &e.Emitter) != nil {
			return Event{}, nil, false
		}
	}
	if raw := fields["opaque_id"]; len(raw) > 0 && raw[0] == '"' {
		if json.Unmarshal(raw, &e.OpaqueID) != nil {
			return Event{}, nil, false
		}
	}
	t, ok := integer("type", 0, math.MaxInt32)
	if !ok {
		return Event{}, nil, false
	}
	e.Type = Type(t)
	if n, ok := integer("subtype", math.MinInt, math.MaxInt); ok && (t == 16 || t == 32 || t == 256) {
		e.Subtype = int(n)
	}
	at, ok := integer("timestamp", 1.5e15, 4e15)
	if !ok {
		return Event{}, nil, false
	}
	e.Time = Micros(at)
	if _, there := fields["session_id"]; there {
		n, ok := integer("session_id", 1, math.MaxInt64)
		if !ok {
			return Event{}, nil, false
		}
		e.Session = SessionID(n)
	}
	if _, there := fields["handle_id"]; there {
		n, ok := integer("handle_id", 1, math.MaxInt64)
		if !ok || e.Session == 0 {
			return Event{}, nil, false
		}
		e.Handle = HandleID(n)
	}
	return e, fields["event"], true
}

// streamByEncodingJSON is a StreamStats with the words of Janus.
type streamByEncodingJSON struct {
	Mid      *string `json:"mid"`
	Media    string  `json:"media"`
	Codec    string  `json:"codec"`
	Received int64   `json:"bytes-received"`
	Sent     int64   `json:"bytes-sent"`
	PacketsR int64   `json:"packets-received"`
	PacketsS int64   `json:"packets-sent"`
	Lost     int64   `json:"lost"`
	LostR    int64   `json:"lost-by-remote"`
	NACKsR   int64   `json:"nacks-received"`
	NACKsS   int64   `json:"nacks-sent"`
	Retrans  int64   `json:"retransmissions-received"`
	RTT      *int64  `json:"rtt"`
	JitterL  *int64  `json:"jitter-local"`
	JitterR  *int64  `json:"jitter-remote"`
	InLink   *int64  `json:"in-link-quality"`
	OutLink  *int64  `json:"out-link-quality"`
}

func (s streamByEncodingJSON) stats() StreamStats {
	gauge := func(v *int64) Gauge {
		if v == nil {
			return Gauge{}
		}
		return Gauge{*v, true}
	}
	st := StreamStats{Codec: s.Codec, BytesReceived: s.Received, BytesSent: s.Sent, PacketsReceived: s.PacketsR, PacketsSent: s.PacketsS,
		Lost: s.Lost, LostByRemote: s.LostR, NACKsReceived: s.NACKsR, NACKsSent: s.NACKsS, RetransmissionsReceived: s.Retrans,
		RTT: gauge(s.RTT), JitterLocal: gauge(s.JitterL), JitterRemote: gauge(s.JitterR), InLinkQuality: gauge(s.InLink), OutLinkQuality: gauge(s.OutLink)}
	if s.Mid != nil {
		st.Mid, st.HasMid = *s.Mid, true
	}
	words := map[string]StreamStats{"audio": {Media: MediaAudio}, "video": {Media: MediaVideo}, "data": {Media: MediaData},
		"video-sim1": {Media: MediaVideo, Layer: 1}, "video-sim2": {Media: MediaVideo, Layer: 2}}
	st.Media, st.Layer = words[s.Media].Media, words[s.Media].Layer
	return st
}

// eventByEncodingJSON is the obvious way to parse: the envelope with its body for later.
type eventByEncodingJSON struct {
	Emitter  string          `json:"emitter"`
	Type     Type            `json:"type"`
	Subtype  int             `json:"subtype"`
	Time     Micros          `json:"timestamp"`
	Session  SessionID       `json:"session_id"`
	Handle   HandleID        `json:"handle_id"`
	OpaqueID string          `json:"opaque_id"`
	Body     json.RawMessage `json:"event"`
}

func reportByEncodingJSON(raw []byte) (*MediaReport, error) {
	var e eventByEncodingJSON
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	if e.Type != TypeMedia || e.Subtype != 3 {
		return nil, fmt.Errorf("is %d/%d, no report", e.Type, e.Subtype)
	}
	var streams []streamByEncodingJSON
	if bytes.HasPrefix(e.Body, []byte("[")) {
		if err := json.Unmarshal(e.Body, &streams); err != nil {
			return nil, err
		}
	} else {
		streams = make([]streamByEncodingJSON, 1)
		if err := json.Unmarshal(e.Body, &streams[0]); err != nil {
			return nil, err
		}
	}
	report := &MediaReport{}
	for _, s := range streams {
		report.Streams = append(report.Streams, s.stats())
	}
	return report, nil
}

func pluginByEncodingJSON(raw []byte) (*PluginEvent, error) {
	var e struct {
		Event struct {
			Plugin string         `json:"plugin"`
			Data   map[string]any `json:"data"`
		} `json:"event"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&e); err != nil {
		return nil, err
	}
	data := e.Event.Data
	text := func(key string) string { s, _ := data[key].(string); return s }
	number := func(key string) uint64 {
		n, _ := data[key].(json.Number)
		v, _ := strconv.ParseUint(n.String(), 10, 64)
		return v
	}
	id := func(v any) ID {
		switch v := v.(type) {
		case string:
			return ID{v, true}
		case json.Number:
			return ID{v.String(), false}
		}
		return ID{}
	}
	p := &PluginEvent{Plugin: e.Event.Plugin, Room: id(data["room"]), ID: id(data["id"]), Feed: id(data["feed"]), PrivateID: number("private_id"),
		Username: text("username"), Display: text("display"), DisplayName: text("displayname"), Identity: text("identity"), Caller: text("caller"),
		Callee: text("callee"), CallID: text("call-id"), ReferredBy: text("referred_by"), Code: int(number("code")), Reason: text("reason"),
		ReasonText: text("reason_header"), ReasonProtocol: text("reason_header_protocol"), ReasonCause: text("reason_header_cause"), SIP: text("sip"), SDPType: text("type"), MasterID: number("master_id")}
	p.Helper, _ = data["helper"].(bool)
	p.Setup, _ = data["setup"].(bool)
	for _, key := range []string{"textroom", "audiobridge", "videoroom", "status", "event"} {
		if name, ok := data[key].(string); ok {
			p.Name, p.Key = name, key
		}
	}
	streams, _ := data["streams"].([]any)
	p.Streams = len(streams)
	for _, s := range streams {
		stream := s.(map[string]any)
		sources, _ := stream["source_ids"].([]any)
		for _, source := range sources {
			p.Feeds = append(p.Feeds, id(source))
		}
		if feed := id(stream["feed_id"]); feed.Known() {
			p.Feeds = append(p.Feeds, feed)
		}
	}
	return p, nil
}
