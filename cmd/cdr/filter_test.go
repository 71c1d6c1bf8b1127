package main

import (
	"strings"
	"testing"
	"time"

	"januscdr/cdr"
	"januscdr/janus"
)

func TestFiltersCombineAndTimeComesFirst(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) janus.Micros { return janus.Micros(noon.Add(d).UnixMicro()) }
	records := map[string]cdr.Record{
		"long": {RecordType: cdr.Leg, Plugin: "janus.plugin.sip", CallingParty: "sip:alice@example.org",
			CalledParty: "sip:bob@b", SIPCallID: "c1",
			Disposition: cdr.Answered, Emitter: "a", StartTime: at(-3 * time.Hour), EndTime: at(-time.Minute)},
		"busy": {RecordType: cdr.Leg, Plugin: "janus.plugin.sip", CallingParty: "sip:carol@c",
			CalledParty: "sip:alice@example.org", SIPCallID: "c2",
			Disposition: cdr.Busy, Emitter: "b", StartTime: at(-2 * time.Hour), EndTime: at(-2 * time.Hour)},
		"room": {RecordType: cdr.Leg, Plugin: "janus.plugin.videoroom", DisplayName: "Alice", RoomID: "1234", OpaqueID: "o",
			Disposition: cdr.Answered, Emitter: "a", StartTime: at(-10 * time.Minute), EndTime: at(-5 * time.Minute)},
		"session": {RecordType: cdr.SessionSummary, Emitter: "a", StartTime: at(-3 * time.Hour), EndTime: at(0)},
	}
	for flags, want := range map[string]string{
		"":                                 "busy long room session",
		"--party ALICE":                    "busy long room",
		"--party alice --plugin sip":       "busy long",
		"--plugin janus.plugin.sip":        "busy long",
		"--party alice --outcome answered": "long room",
		"--outcome busy":                   "busy",
		"--call-id c1":                     "long",
		"--room 1234 --emitter a":          "room",
		"--room 1234 --emitter b":          "",
		"--opaque-id o":                    "room",
		"--last 1h":                        "long room session",
		"--since 2026-11-27T11:52":         "long room session",
		"--until 2026-11-27T11:45":         "busy long session",
		"--until 2026-11-27T10:00":         "long session", // busy began at that moment
		"--since 2026-11-27T09:30 --until 2026-11-27T10:30": "busy long session",
	} {
		var o tailOptions
		cmd := newTail(nil)
		set := cmd.Flags()
		if err := set.Parse(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		get := func(name string) string { return set.Lookup(name).Value.String() }
		o.when = timeSpan{sinceText: get("since"), untilText: get("until"), lastText: get("last")}
		o.filter = recordFilter{party: get("party"), opaque: get("opaque-id"), call: get("call-id"), room: get("room"),
			plugin: get("plugin"), emitter: get("emitter"), outcome: get("outcome")}
		if err := o.check(noon); err != nil {
			t.Fatalf("%s: %v", flags, err)
		}
		var got []string
		for _, name := range []string{"busy", "long", "room", "session"} {
			if r := records[name]; o.wanted(&r) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", flags, got, want)
		}
	}
	for args, want := range map[string]string{
		"--outcome bussy":                       "did you mean busy?",
		"--last 0":                              "write 90m, 2h or 7d",
		"--since yesterday":                     "is no time",
		"--since 2026-11-27 --until 2026-11-26": "no time is between them",
		"--dlq --party alice":                   "--dlq",
		"--last 2h --since 2026-11-27":          "last since",
	} {
		got := says(t, "", append([]string{"tail"}, strings.Fields(args)...)...)
		if got.code == 0 || !strings.Contains(got.err, want) {
			t.Errorf("tail %s: %+v, want %q", args, got, want)
		}
	}
}

func TestTheNewestCallIsFoundFirst(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	s.happens("1.1-f_sip")
	processor := s.start("run", "--admin-listen=")
	processor.waitFor(t, "task started")
	rejected := s.says("tail", "--from", "earliest", "--outcome", "rejected", "--plugin", "sip", "--count", "1")
	if rejected.code != 0 {
		t.Fatalf("%+v", rejected)
	}
	got := s.says("tail", "--last", "3650d", "--plugin", "sip", "--party", "alice", "--newest-first")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != 0 || len(lines) < 5 || !strings.HasPrefix(lines[0], "START UTC") {
		t.Fatalf("%+v", got)
	}
	for i := 2; i < len(lines); i++ {
		if lines[i][:23] > lines[i-1][:23] {
			t.Errorf("%s\nis before\n%s", lines[i-1], lines[i])
		}
	}
	if busy := s.says("tail", "--from", "earliest", "--once", "--outcome", "busy"); strings.Count(busy.out, "\n") != 2 {
		t.Errorf("busy calls: %+v", busy)
	}
}

func TestExplainAndReplayReadOnlyTheTimeThatIsAskedFor(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	s.happens("1.1-f_sip")
	const session = "5133196797721488"
	for args, found := range map[string]bool{
		"explain " + session + " --last 1h":                 true,
		"explain " + session + " --until 2026-01-01":        false,
		"explain --opaque-id nobody-has-it --last 1h":       false,
		"explain " + session + " --since 2020-01-01T00:00Z": false, // no time
	} {
		if got := s.says(strings.Fields(args)...); (got.code == 0) != found {
			t.Errorf("%s: %d, %s", args, got.code, got.err)
		}
	}
	if got := s.says("replay", "--last", "1h"); got.code != 0 || !strings.Contains(got.err, "inputs=149") {
		t.Errorf("replay of the last hour: %+v", got)
	}
	if got := s.says("replay", "--until", "2026-01-01"); got.code != 0 || !strings.Contains(got.err, "inputs=0") {
		t.Errorf("replay of last year: %+v", got)
	}
}

// Whoever has to do with a call is found by what any field says of them.
func TestAPartyIsFoundWhateverItIsInACall(t *testing.T) {
	f := recordFilter{party: "ALICE"}
	for _, r := range []cdr.Record{{CallingParty: "sip:alice@example.com"}, {CalledParty: "sip:alice@example.com"},
		{DisplayName: "Alice"}, {PeerParty: "alice"},
		{MasterAccount: "sip:alice@example.com", ReferredBy: "sip:bob@example.com"},
		{MasterAccount: "sip:bob@example.com", ReferredBy: "sip:alice@example.com"}} {
		if !f.fits(&r) {
			t.Errorf("alice is not found in %+v", r)
		}
	}
	if f.fits(&cdr.Record{OpaqueID: "alice"}) {
		t.Error("an opaque id is no party")
	}
}
