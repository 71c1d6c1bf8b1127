package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/internal/cli"
	"januscdr/janus"
)

func TestSumsAreOfGroupsAndOfAll(t *testing.T) {
	s := recorded(t, "1.1-f_sip")
	got := s.says("sum", "--by", "emitter,plugin", "--since", "2026-01-01")
	rows := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	if got.code != cli.OK || len(rows) < 3 || !strings.Contains(rows[0], "microseconds") {
		t.Fatalf("%+v", got)
	}
	first, last := strings.Fields(rows[1]), strings.Fields(rows[len(rows)-1])
	if len(first) != 5 || len(last) != 4 || last[0] != "all" || len(rows) == 3 && first[4] != last[3] {
		t.Errorf("%q, %q", first, last)
	}
	if none := s.says("sum", "--where", "emitter=nobody", "--json"); none.code != cli.OK || none.out != "" {
		t.Errorf("%+v", none)
	}
}

// A sum is of money: what it must leave out, and what it must not count twice, is all that is wrong with one.
func TestWhatAddsUpAndWhatDoesNot(t *testing.T) {
	s := newSite(t)
	if got := s.says("topics", "create"); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	answered := func(text string) janus.Micros {
		at, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return janus.Micros(at.UnixMicro())
	}
	leg := func(id byte, reference, at string, seconds int64) cdr.Record {
		r := cdr.Record{RecordType: cdr.Leg, CDRID: cdr.ID{id}, OpaqueID: reference, Emitter: "fra", Chargeable: true,
			Disposition: cdr.Answered, AnswerTime: answered(at), Duration: seconds * 1e6}
		r.StartTime, r.EndTime = r.AnswerTime, r.AnswerTime+janus.Micros(r.Duration)
		return r
	}
	with := func(r cdr.Record, change func(*cdr.Record)) cdr.Record { change(&r); return r }
	second := leg(2, "a", "2026-11-10 12:00", 100)
	for _, r := range []cdr.Record{
		leg(1, "a", "2026-11-01 00:00", 10), // the first moment
		with(second, func(r *cdr.Record) { r.RecordSequenceNumber = 1 }),
		with(second, func(r *cdr.Record) { r.RecordSequenceNumber, r.Duration = 2, 200e6 }), // the same call, another part
		leg(3, "b", "2026-11-30 23:59", 3600),                                               // its end is behind the time
		with(leg(3, "b", "2026-11-30 23:59", 4000), func(r *cdr.Record) { r.Revision = 1 }),
		with(leg(4, "b", "2026-11-05 08:00", 1<<20), func(r *cdr.Record) { r.Chargeable = false }),
		with(leg(5, "b", "2026-11-05 08:00", 1<<20), func(r *cdr.Record) { r.Disposition = cdr.Busy }),
		with(leg(6, "b", "2026-11-05 08:00", 1<<20), func(r *cdr.Record) { r.RecordType = cdr.SessionSummary }),
		leg(7, "b", "2026-10-31 23:59", 1<<20),
		leg(8, "b", "2026-12-01 00:00", 1<<20),
		with(leg(9, "b", "2026-11-05 08:00", 7), func(r *cdr.Record) { r.Emitter = "vie" }),
	} {
		value, err := avro.Encode(&r)
		if err != nil {
			t.Fatal(err)
		}
		s.produce(&kgo.Record{Topic: "janus.cdr", Key: []byte(r.OpaqueID), Value: value})
	}
	table := func(rows ...string) string {
		return "opaque_id legs duration microseconds\n" + strings.Join(rows, "\n") + "\n"
	}
	whole := table("a 2 0:05:10 310000000", "b 2 1:06:47 4007000000", "all 4 1:11:57 4317000000")
	for args, want := range map[string]string{
		"--month 2026-11":                          whole,
		"--since 2026-11-01 --until 2026-12-01":    whole,
		"--month 2026-11 --zone UTC":               whole,
		"--since 2026-11-30T23:59:00Z":             table("b 2 292:22:56 1052576000000", "all 2 292:22:56 1052576000000"),
		"--until 2026-11-01T00:00:00Z":             table("b 1 291:16:16 1048576000000", "all 1 291:16:16 1048576000000"),
		"--month 2026-11 --where emitter=vie":      table("b 1 0:00:07 7000000", "all 1 0:00:07 7000000"),
		"--month 2026-11 --json --where emitter!=": "",
	} {
		got := s.says(append([]string{"sum"}, strings.Fields(args)...)...)
		if want == "" {
			want = `{"opaque_id":"a","legs":2,"duration":310000000}` + "\n" +
				`{"opaque_id":"b","legs":2,"duration":4007000000}` + "\n"
		}
		if out := regexp.MustCompile(` +`).ReplaceAllString(got.out, " "); got.code != cli.OK || unpadded(out) != want {
			t.Errorf("sum %s: %d, %s\n%s\nwant\n%s", args, got.code, got.err, out, want)
		}
	}
	// A month begins where somebody lives: what began at the last minute of October there is of November here.
	if got := s.says("sum", "--month", "2026-11", "--zone", "Asia/Tokyo"); !strings.Contains(got.out, " 1048583000000\n") {
		t.Errorf("november in Tokyo: %s", got.out)
	}
}

// unpadded is a text without spaces at the beginnings and the ends of its lines.
func unpadded(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

func TestSumsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"no field with a single value": {"--by", "streams"},
		"say one of them":              {"--month", "2026-11", "--since", "2026-11-01"},
		"write 2026-11":                {"--month", "November"},
		"no field of a record":         {"--where", "colour=red"},
		"time zone database":           {"--zone", "Atlantis"},
		"is no time":                   {"--until", "soon"},
	} {
		if got := says(t, "", append([]string{"sum"}, args...)...); got.code != cli.Usage ||
			!strings.Contains(got.err, want) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
