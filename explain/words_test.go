package explain

import (
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/janus"
)

func TestSpansReadAsOneSaysThem(t *testing.T) {
	for m, want := range map[janus.Micros]string{
		0: "0 s", 1: "1 µs", 999: "999 µs", 1000: "1 ms", 1500: "1.5 ms", 999_999: "1000 ms", 1_000_000: "1 s",
		1_500_000: "1.5 s", 12_345_678: "12.35 s", 60_000_000: "1 min", 61_500_000: "1 min 1.5 s",
		3600_000_000: "1 h", 3660_000_000: "1 h 1 min", 3601_000_000: "1 h 0 min 1 s", 90_061_000_000: "25 h 1 min 1 s",
		-1_500_000: "-1.5 s",
	} {
		if got := span(m); got != want {
			t.Errorf("%d µs is %q, want %q", m, got, want)
		}
	}
}

func TestMomentsAreToldFromTheBeginningAndByTheClock(t *testing.T) {
	for m, want := range map[janus.Micros]string{
		0: "+0:00.000", 61_234_999: "+1:01.234", 3723_456_000: "+1:02:03.456", -1_500_000: "-0:01.500",
	} {
		if got := relative(m); got != want {
			t.Errorf("%d µs is %q, want %q", m, got, want)
		}
	}
	const at = janus.Micros(1790000000123456)
	if got := clockTime(at) + ", " + dateTime(at) + ", " + exactTime(at); got !=
		"14:13:20.123, 2026-09-21 14:13:20.123 UTC, 2026-09-21T14:13:20.123456Z" {
		t.Error(got)
	}
}

func TestVolumesAndListsReadAsOneSaysThem(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1550: "1.6 kB", 2_500_000: "2.5 MB", 7_890_000_000: "7.89 GB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	got := list(nil) + "|" + list([]string{"a"}) + "|" + list([]string{"a", "b"}) + "|" + list([]string{"a", "b", "c"})
	if got != "|a|a and b|a, b and c" {
		t.Error(got)
	}
	if got := many(1, "leg", "legs") + ", " + many(0, "leg", "legs"); got != "1 leg, 0 legs" {
		t.Error(got)
	}
}

func TestATextOfAClientIsCleaned(t *testing.T) {
	for text, want := range map[string]string{
		"Zoë 🎧": "Zoë 🎧", "a\x1b[2J\r\nb": "a?[2J??b", "\u202egnirts\u2066": "?gnirts?", "\xff": "?", "": "",
		"sip:bob:geheim@example.com":         "sip:bob:…@example.com",
		"SIPS:bob:a:b@example.com":           "SIPS:bob:…@example.com",
		"sip:bob@example.com?Auth=x&Replace": "sip:bob@example.com?…",
		"tel:+4930:1@x":                      "tel:+4930:…@x",
		"a gossip: who?":                     "a gossip: who?",
		strings.Repeat("ä", 121):             strings.Repeat("ä", 120) + "…",
		strings.Repeat("x", 9999):            strings.Repeat("x", 120) + "…",
	} {
		if got := clean(text); got != want {
			t.Errorf("%.60q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestTextBreaksAtSpacesAndKeepsNumbersWithTheirUnits(t *testing.T) {
	for _, scene := range []struct {
		text  string
		width int
		lines string
	}{
		{"", 10, ""},
		{"one two three", 7, "one two|three"},
		{"it took 12 ms more", 10, "it took|12 ms more"},
		{"0123456789abcdef", 10, "012345678|9abcdef"},
		{"ab 0123456789abcdef", 10, "ab|012345678|9abcdef"},
		{"日本語 日本語", 8, "日本語|日本語"},
		{"e\u0301e\u0301 e\u0301", 4, "e\u0301e\u0301 e\u0301"},
	} {
		if got := strings.Join(wrap(scene.text, scene.width), "|"); got != scene.lines {
			t.Errorf("%q in %d columns: %q, want %q", scene.text, scene.width, got, scene.lines)
		}
	}
}

// What several events tell in one line.
func TestEventsOfAKindAreToldTogether(t *testing.T) {
	report := func(at janus.Micros, streams ...janus.StreamStats) digest {
		return newReports(&janus.MediaReport{Streams: streams}, at)
	}
	audio := func(bytes, lost int64) janus.StreamStats {
		return janus.StreamStats{Media: janus.MediaAudio, Mid: "0", BytesReceived: bytes, BytesSent: 2 * bytes, Lost: lost}
	}
	video := func(mid string, bytes int64) janus.StreamStats {
		return janus.StreamStats{Media: janus.MediaVideo, Mid: mid, BytesReceived: bytes}
	}
	for _, scene := range []struct {
		events []digest
		text   string
	}{
		{[]digest{&connecting{ice: []string{"gathering"}}, &connecting{local: 1}, &connecting{remote: 1},
			&connecting{local: 1}},
			"ICE gathering; 2 candidates of Janus and 1 of the client"},
		{[]digest{&connecting{remote: 1}, &connecting{pair: "host to prflx, udp"}, &connecting{dtls: []string{"trying"}}},
			"1 candidate of the client; path host to prflx, udp; DTLS trying"},
		{[]digest{&messages{[]string{"100 Trying received"}}, &messages{[]string{"180 Ringing received"}},
			&messages{[]string{"180 Ringing received"}}},
			"SIP messages: 100 Trying received, 180 Ringing received (2 times)"},
		{[]digest{&flowing{[]string{"audio arrives"}}, &flowing{[]string{"audio no longer arrives"}}},
			"audio arrives, audio no longer arrives"},
		{[]digest{&slowLinks{count: 1, lost: 8}, &slowLinks{count: 1, lost: 1}},
			"2 slow links, 9 packets lost on the way to Janus"},
		{[]digest{&slowLinks{count: 1, up: 1, lost: 1}}, "1 slow link, 1 packet lost on the way to the client"},
		{[]digest{&slowLinks{count: 1, up: 1}, &slowLinks{count: 1}}, "2 slow links, 0 packets lost"},
		{[]digest{&plain{what: "a"}, &plain{what: "a"}, &plain{what: "a"}}, "a (3 times)"},
		{[]digest{&repetitions{}}, "an event comes again, to the byte"},
		{[]digest{&repetitions{}, &repetitions{}}, "2 events come again, to the byte"},
		{[]digest{report(0)}, "1 report"},
		{[]digest{report(0, audio(1000, 0)), report(1_020_000, audio(3000, 2)), report(2_000_000, audio(5000, 2))},
			"3 reports, 1 s apart: audio in 1 kB → 5 kB, out 2 kB → 10 kB, 2 packets lost"},
		{[]digest{report(0, video("1", 10), video("2", 20)), report(10, audio(0, 0))},
			"2 reports: no audio; 2 × video in 30 B, out 0 B"},
	} {
		first := scene.events[0]
		for _, later := range scene.events[1:] {
			if !first.join(later) {
				t.Errorf("%q does not take %q", first.text(), later.text())
			}
		}
		if got := first.text(); got != scene.text {
			t.Errorf("%q, want %q", got, scene.text)
		}
	}
	if (&plain{what: "a"}).join(&plain{what: "b"}) || (&flowing{}).join(&messages{}) ||
		(&connecting{}).join(&slowLinks{}) {
		t.Error("what is of another kind was taken")
	}
}

// Words of Janus that people call by another name, and those that nobody knows.
func TestWordsOfJanusArePutAsPeopleSayThem(t *testing.T) {
	for got, want := range map[string]string{
		transportName(janus.TransportHTTP):          "HTTP",
		transportName("janus.transport.pigeon\x07"): "janus.transport.pigeon?",
		pluginName(""):                        "a plugin that no event named",
		pluginName("x\x1b"):                   "x?",
		hangupReason(""):                      "no reason given",
		hangupReason("DTLS alert"):            "DTLS alert, the client closed it",
		mediumName(janus.MediaUnknown):        "a medium that is not known",
		sipUser("sip:ann@example.com"):        "ann",
		sipUser("sips:bob@example.com"):       "bob",
		sipUser("cid"):                        "cid",
		sipUser("sip:@x"):                     "sip:@x",
		initiatorName(cdr.InitiatorUnknown):   "nobody knows whom",
		initiatorName(cdr.ByTimer):            "a timer",
		partReason(cdr.CauseTariffTimeChange): "a new day begins",
		partReason(cdr.CauseInactivity):       cdr.CauseInactivity.String(),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for i := range cdr.Initiators {
		if initiatorName(cdr.Initiator(i)) == "" {
			t.Errorf("nobody says %s", cdr.Initiators[i])
		}
	}
	for i := range cdr.LegKinds {
		if kind := cdr.LegKind(i); kind != cdr.LegKindUnknown && legNoun(kind) == "leg" {
			t.Errorf("%s has no noun", kind)
		}
	}
	for i := range cdr.EndBases {
		if basis := cdr.EndBasis(i); basis != cdr.EndUnknown && howEnded(&cdr.Record{EndBasis: basis}) == "it goes on" {
			t.Errorf("%s does not say how it ended", basis)
		}
	}
}
