package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// A caller is one echo test of a Janus that falls silent in its midst.
type caller struct {
	session  int
	up, down int64 // its PeerConnection, microseconds since the epoch
}

func (c *caller) reference() string { return fmt.Sprintf("bill-%d", c.session) }

// event is one of the caller's, at a time.
func (c *caller) event(at int64, kind, more string) string {
	return fmt.Sprintf(`{"emitter":"fra-1","timestamp":%d,"session_id":%d,"handle_id":1,"opaque_id":%q,"type":%s,`+
		`"event":%s}`, at, c.session, c.reference(), kind, more)
}

// life is an event of the caller's session or handle: what it is called, and of which type.
func (c *caller) life(at int64, kind, name string) string {
	if kind == "1" {
		return fmt.Sprintf(`{"emitter":"fra-1","timestamp":%d,"session_id":%d,"type":1,"event":{"name":%q}}`,
			at, c.session, name)
	}
	return c.event(at, kind,
		fmt.Sprintf(`{"name":%q,"plugin":"janus.plugin.echotest","opaque_id":%q}`, name, c.reference()))
}

// begins is all up to the first statistics of the call.
func (c *caller) begins(now int64) []string {
	c.up = now
	return []string{
		c.life(now-3, "1", "created"),
		c.life(now-2, "2", "attached"),
		c.event(now, `16,"subtype":6`, `{"connection":"webrtcup"}`),
		c.event(now+1000, `32,"subtype":3`, `{"mid":"0","mindex":0,"media":"audio","codec":"opus","bytes-received":100}`),
	}
}

// ends is what comes of it after the silence.
func (c *caller) ends(now int64) []string {
	c.down = now
	return []string{
		c.event(now-1000, `32,"subtype":3`, `{"mid":"0","mindex":0,"media":"audio","codec":"opus","bytes-received":9000}`),
		c.event(now, `16,"subtype":6`, `{"connection":"hangup","reason":"Close PC"}`),
		c.life(now+1, "2", "detached"),
		c.life(now+2, "1", "destroyed"),
	}
}

// post sends events as Janus does, in one body.
func post(t *testing.T, url string, events []string) {
	t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader("["+strings.Join(events, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("post events: %s", answer.Status)
	}
}

// legs are the records of legs, by the leg's billing reference, in the order of their revisions.
func (s *site) legs(t *testing.T) map[string][]record {
	t.Helper()
	legs := map[string][]record{}
	for _, r := range s.records(t) {
		if r["record_type"] == "LEG" {
			reference := fmt.Sprint(r["opaque_id"])
			legs[reference] = append(legs[reference], r)
		}
	}
	for _, all := range legs {
		slices.SortFunc(all, func(a, b record) int { return number(a, "revision") - number(b, "revision") })
	}
	return legs
}

// told waits until there are so many records of legs.
func (s *site) told(t *testing.T, what string, want int) {
	t.Helper()
	until(t, what, func(context.Context) (bool, error) {
		n := 0
		for _, all := range s.legs(t) {
			n += len(all)
		}
		return n >= want, nil
	})
}

func number(r record, field string) int {
	n, _ := strconv.Atoi(fmt.Sprint(r[field]))
	return n
}

// TestWhatCameLateIsAmendedOnceAndConsumersEndWithTheRightSum: a Janus is not heard of for longer than its silence may
// last, so its calls are given up; then it is back, and each call's true end comes. The processor is
// killed all the time.
func TestWhatCameLateIsAmendedOnceAndConsumersEndWithTheRightSum(t *testing.T) {
	t.Parallel()
	const calls = 24
	s := newSite(t)
	s.settings["POLICY_EMITTER_SILENCE"] = "3s"
	processor, ingest := s.processor(t, "one").start(t), s.ingest(t).start(t)
	killed := 0
	again := func() {
		processor.killAndStart(t)
		killed++
	}
	callers := make([]*caller, calls)
	for i := range callers {
		callers[i] = &caller{session: 1000 + i}
		post(t, ingest.url(), callers[i].begins(time.Now().UnixMicro()))
		if i%8 == 4 {
			again()
		}
	}
	s.emitted(t, 1)
	again()
	s.told(t, "each call is given up", calls)
	for reference, all := range s.legs(t) {
		if len(all) != 1 || all[0]["end_basis"] != "LAST_EVIDENCE" || all[0]["confidence"] == "EXACT" {
			t.Fatalf("%s: %v", reference, all)
		}
	}
	again()

	for i, c := range callers {
		post(t, ingest.url(), c.ends(time.Now().UnixMicro()))
		if i%6 == 3 {
			again()
		}
	}
	s.told(t, "one call is amended", calls+1)
	again()
	s.told(t, "each call is amended", 2*calls)
	again()
	processor.stop(t)

	truth := map[string]int64{}
	for _, c := range callers {
		truth[c.reference()] = c.down - c.up
	}
	legs := s.legs(t)
	for reference, all := range legs {
		if len(all) != 2 || all[1]["supersedes"] != all[0]["record_id"] || all[1]["change_kind"] != "AMENDMENT" {
			t.Errorf("%s: not one record and its amendment: %v", reference, all)
		} else if d := int64(number(all[1], "duration")); d != truth[reference] || all[1]["end_basis"] != "WEBRTC_HANGUP" {
			t.Errorf("%s: %d us by %v, want %d", reference, d, all[1]["end_basis"], truth[reference])
		}
	}
	if len(legs) != calls {
		t.Errorf("%d legs, want %d", len(legs), calls)
	}
	s.verify(t, len(s.records(t)))
	for who, sums := range map[string]map[string]int64{"sql": s.sumsInSQL(t), "python": s.sumsInPython(t)} {
		if sums != nil && !maps.Equal(sums, truth) {
			t.Errorf("%s sums up %v, want %v", who, sums, truth)
		}
	}
	t.Logf("%d kills", killed)
}

// month takes what a page says of a month, for all time.
func month(t *testing.T, page, way, language string) string {
	t.Helper()
	text, err := os.ReadFile(repository("docs/consumers/" + page))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "<!-- month: "+way+" -->\n```"+language+"\n")
	if !found {
		t.Fatalf("%s has no month in %s", page, language)
	}
	said, _, _ := strings.Cut(after, "```")
	return strings.NewReplacer("1793491200000000", "0", "unixepoch('2026-11-01') * 1000000", "0",
		"1796083200000000", "9e15", "unixepoch('2026-12-01') * 1000000", "9e15").Replace(said)
}

// sumsInSQL is what the page of SQLite sums up, per billing reference.
func (s *site) sumsInSQL(t *testing.T) map[string]int64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "calls.sqlite")
	output(t, s.with(nil), our("cdr"), "sink", "sqlite", "--sink-sqlite-file", file, "--once")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), month(t, "sqlite.md", "sqlite", "sql"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sums := map[string]int64{}
	for rows.Next() {
		var reference string
		var calls, sum int64
		if err := rows.Scan(&reference, &calls, &sum); err != nil {
			t.Fatal(err)
		}
		sums[reference] = sum
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sums
}

// sumsInPython is what the page of Python sums up over what a stranger reads; nil without a Python.
func (s *site) sumsInPython(t *testing.T) map[string]int64 {
	t.Helper()
	python := os.Getenv("JANUSCDR_PYTHON")
	if python == "" {
		return nil
	}
	dir := t.TempDir()
	lines := output(t, nil, python, repository("scripts/external_consumer.py"), "--brokers", strings.Join(brokers, ","),
		"--topic", s.topics.CDR)
	if err := os.WriteFile(filepath.Join(dir, "cdrs.jsonl"), lines, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", month(t, "python.md", "python", "python"))
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for line := range bytes.Lines(out) {
		words := strings.Fields(string(line))
		if err := json.Unmarshal([]byte(words[len(words)-1]), new(int64)); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		sums[words[0]], _ = strconv.ParseInt(words[len(words)-1], 10, 64)
	}
	return sums
}
