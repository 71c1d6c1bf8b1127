package ingest

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"januscdr/internal/fixtures/recordings"
)

// hall is where emitters are met, at a time that the test sets.
type hall struct {
	*emitters
	sorter sorter
	log    bytes.Buffer
	at     time.Time
}

func newHall() *hall {
	h := &hall{at: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)}
	h.emitters = newEmitters(hclog.New(&hclog.LoggerOptions{Output: &h.log, DisableTime: true}))
	h.now = func() time.Time { return h.at }
	h.sorter = sorter{eventLimit: defaultEvent, emitters: h.emitters}
	return h
}

func by(address string) Sender { return Sender{Source: "http", Address: netip.MustParseAddr(address)} }

// comes lets bodies come, and the introduction be over.
func (h *hall) comes(from Sender, bodies ...string) {
	for _, body := range bodies {
		h.sorter.sort(from, []byte(body), []byte(body))
	}
	h.at = h.at.Add(introduction)
	h.introduce()
}

// said is the log since it was last asked.
func (h *hall) said() string {
	defer h.log.Reset()
	return h.log.String()
}

// onServer is an event of a server by the name of e1.
func onServer(kind, subtype, session, handle int, event string) string {
	ids := ""
	if session != 0 {
		ids = fmt.Sprintf(`"session_id":%d,`, session)
	}
	if handle != 0 {
		ids += fmt.Sprintf(`"handle_id":%d,`, handle)
	}
	return fmt.Sprintf(`{"emitter":"e1","type":%d,"subtype":%d,"timestamp":1795220842905806,%s"event":%s}`,
		kind, subtype, ids, event)
}

const startedEvent = `{"emitter":"e1","type":256,"subtype":1,"timestamp":1795220842905806,` +
	`"event":{"status":"started","info":{"version_string":"1.4.1","session-timeout":%d}}}`

func TestANewJanusIsIntroducedOnceAndHasNoFaultIfItIsConfiguredWell(t *testing.T) {
	for name, of := range map[string][2]string{"1.1-f_sip": {"janus-par-01", "1.1.2"},
		"1.4-t_newer": {"new-ams-2", "1.4.1"}} {
		h := newHall()
		var bodies []string
		for _, e := range recordings.Events(name) {
			bodies = append(bodies, string(e))
		}
		h.at = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) // after it was recorded
		h.comes(by("192.0.2.1"), bodies...)
		said := h.said()
		for _, want := range []string{"a new Janus sends events: emitter=" + of[0] + " sender=192.0.2.1 source=http\n",
			"what a new Janus sends: emitter=" + of[0] + " version=" + of[1], "session,handle,jsep,webrtc", "plugin",
			"stats_period="} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not in:\n%s", name, want, said)
			}
		}
		if strings.Contains(said, "WARN") || strings.Contains(said, "not seen yet") {
			t.Errorf("%s has a fault:\n%s", name, said)
		}
		h.comes(by("192.0.2.1"), bodies...)
		if said := h.said(); said != "" {
			t.Errorf("%s is introduced again: %s", name, said)
		}
	}
}

func TestWhatOfAConfigurationIsBadForBillingIsToldOnceWithItsRemedy(t *testing.T) {
	sessions := func(each ...string) (all []string) {
		for i := range enough {
			for _, e := range each {
				all = append(all, strings.ReplaceAll(e, `"session_id":1`, fmt.Sprintf(`"session_id":%d`, i+1)))
			}
		}
		return all
	}
	created := onServer(1, 0, 1, 0, `{"name":"created"}`)
	attach := onServer(2, 0, 1, 1, `{"name":"attached","plugin":"janus.plugin.sip"}`)
	offer := onServer(8, 0, 1, 1, `{"owner":"remote","jsep":{"type":"offer","sdp":""}}`)
	up := onServer(16, 6, 1, 1, `{"connection":"webrtcup"}`)
	media := onServer(32, 3, 1, 1, `{"mid":"0","media":"audio","bytes-received":1}`)
	plugin := onServer(64, 0, 1, 1, `{"plugin":"janus.plugin.sip","data":{"event":"registered"}}`)
	named := func(name string) []string { return []string{strings.Replace(created, "e1", name, 1)} }
	for _, scene := range []struct {
		fault, remedy string
		bodies        []string
	}{
		{"it has no name of its own", "server_name", named("")},
		{"it has no name of its own", "server_name", named("MyJanusInstance")},
		{"no session events come", "events to all", sessions(attach, offer, up, media, plugin)},
		{"no handle events come", "events to all", sessions(created, offer, up, media, plugin)},
		{"no webrtc events come", "events to all", sessions(created, attach, offer, media, plugin)},
		{"no jsep events come", "events to all", sessions(created, attach, up, media, plugin)},
		{"no plugin events come", "events to all", sessions(created, attach, offer, up, media)},
		{"no statistics come", "stats_period = 5", sessions(created, attach, offer, up, plugin)},
		{"no statistics come", "stats_period = 5", []string{
			onServer(256, 1, 0, 0,
				`{"status":"update","info":{"sessions":1,"handles":1,"peerconnections":1,"stats-period":0}}`)}},
		{"statistics come too seldom", "stats_period = 5", []string{media,
			strings.Replace(media, "1795220842905806", "1795220902905806", 1)}},
		{"sessions never time out", "session_timeout = 60", []string{fmt.Sprintf(startedEvent, 0)}},
		{"its clock is ahead", "NTP", []string{strings.Replace(created, "1795220842905806", "1795798800000000", 1)}},
	} {
		h := newHall()
		h.comes(by("192.0.2.1"), scene.bodies...)
		said := h.said()
		if strings.Count(said, "WARN") != 1 || !strings.Contains(said, scene.fault) || !strings.Contains(said, scene.remedy) {
			t.Errorf("%s:\n%s", scene.fault, said)
		}
		h.comes(by("192.0.2.1"), scene.bodies...)
		if said := h.said(); said != "" {
			t.Errorf("%s, again: %s", scene.fault, said)
		}
	}
	h := newHall()
	h.comes(by("192.0.2.1"), sessions(created, attach, offer, up, media, plugin)...)
	if said := h.said(); strings.Contains(said, "WARN") {
		t.Errorf("all is sent, and still: %s", said)
	}
}

func TestOneNameAtTwoAddressesAndCompressedBodiesAreFaults(t *testing.T) {
	event := onServer(1, 0, 1, 0, `{"name":"created"}`)
	h := newHall()
	h.comes(by("192.0.2.1"), event)
	h.comes(by("192.0.2.2"), event) // it has moved
	if said := h.said(); strings.Contains(said, "WARN") {
		t.Errorf("it has moved, and still: %s", said)
	}
	h.comes(by("192.0.2.1"), event)
	if said := h.said(); !strings.Contains(said, "from two addresses at a time") {
		t.Error(said)
	}
	h.sorter.sort(by("192.0.2.1"), []byte("zip"), []byte(event))
	h.introduce()
	if said := h.said(); !strings.Contains(said, "compress = false") {
		t.Error(said)
	}
}

func TestWhateverNamesAreSentNoMoreThanSomeAreKnown(t *testing.T) {
	h := newHall()
	come := func(n int) {
		name := fmt.Sprintf("e-%d", n)
		body := []byte(strings.Replace(onServer(1, 0, 1, 0, `{"name":"created"}`), "e1", name, 1))
		h.sorter.sort(by("192.0.2.1"), body, body)
		h.acknowledged(name, 2, 1)
	}
	for n := range maxKnown + 7 {
		come(n)
	}
	names, counts, others := h.snapshot()
	if len(names) != maxKnown || counts[0].events != 2 || others.events != 14 || others.sessions != 7 ||
		others.seen.IsZero() {
		t.Errorf("%d names, %+v, others %+v", len(names), counts[0], others)
	}
	if said := h.said(); strings.Count(said, "a new Janus") != maxKnown || strings.Count(said, "more emitters than") != 1 {
		t.Errorf("%d introductions", strings.Count(said, "a new Janus"))
	}
	h.at = h.at.Add(knownFor)
	come(maxKnown)
	if said := h.said(); !strings.Contains(said, fmt.Sprintf("emitter=e-%d ", maxKnown)) {
		t.Errorf("those that went long ago make no room: %s", said)
	}
}

func TestEachJanusIsCounted(t *testing.T) {
	s := open(t, nil)
	s.accepted([]byte(`[` + onServer(1, 0, 7, 0, `{"name":"created"}`) + `,` +
		onServer(2, 0, 7, 8, `{"name":"attached","plugin":"p"}`) + `]`))
	for name, want := range map[string]float64{"emitter_events_total": 2, "emitter_sessions_total": 1} {
		if got := s.count(name, "e1"); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if at := s.count("emitter_last_event_timestamp_seconds", "e1"); time.Since(time.Unix(int64(at), 0)) > time.Minute {
		t.Errorf("last event at %v", at)
	}
}
