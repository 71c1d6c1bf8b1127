package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"januscdr/internal/cli"
	"januscdr/internal/fixtures/recordings"
	"januscdr/internal/fixtures/twice"
)

// printed is what the tests look at of a record that a command prints.
type printed struct {
	RecordID        string `json:"record_id"`
	RecordType      string `json:"record_type"`
	SourceTopic     string `json:"source_topic"`
	SourcePartition int32  `json:"source_partition"`
	EndTime         *int64 `json:"end_time"`
	IsFinal         bool   `json:"is_final"`
	LastOffset      int64  `json:"last_offset"`
	Number          int64  `json:"local_record_sequence_number"`
}

func recordOf(t *testing.T, line string) (r printed) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return r
}

// said is what a command line came to.
type said struct {
	code     int
	out, err string
}

// says runs a command line in this process, with an environment that says nothing.
func says(t *testing.T, stdin string, args ...string) said {
	t.Helper()
	return once(t, saysIn(t.Context(), nil, stdin, args...))
}

// once expects that an error says each thing once: why it failed, and how to mend it.
func once(t *testing.T, got said) said {
	t.Helper()
	if all := twice.Said("cdr", got.err); len(all) > 0 {
		t.Errorf("%s is said twice in\n%s", strings.Join(all, ", "), got.err)
	}
	return got
}

func saysIn(ctx context.Context, environ []string, stdin string, args ...string) said {
	var out, stderr bytes.Buffer
	root := newRoot(environ)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	code := cli.Run(ctx, root, args, &stderr)
	return said{code, out.String(), stderr.String()}
}

// file is a recording as a file.
func file(t *testing.T, recording string) string {
	t.Helper()
	return string(bytes.Join(recordings.Events(recording), []byte("\n"))) + "\n"
}

func TestARecordingAssembledTwiceIsTheSameToTheByte(t *testing.T) {
	for _, name := range recordings.Names() {
		t.Run(name, func(t *testing.T) {
			events := file(t, name)
			first := says(t, events, "assemble", "-")
			if first.code != cli.OK || first.err != "" || first.out == "" {
				t.Fatalf("code %d, %d bytes, stderr %s", first.code, len(first.out), first.err)
			}
			if again := says(t, events, "assemble", "-"); again != first {
				t.Errorf("other bytes the second time:\n%s\n%s", first.out, again.out)
			}
			number := int64(-1)
			for i, line := range strings.Split(strings.TrimSuffix(first.out, "\n"), "\n") {
				r := recordOf(t, line)
				if r.SourceTopic != "janus.events" || r.SourcePartition != 0 || r.EndTime == nil && r.IsFinal {
					t.Errorf("line %d: %s", i+1, line)
				}
				if i > 0 && r.Number != number+1 {
					t.Errorf("line %d: number %d follows %d", i+1, r.Number, number)
				}
				number = r.Number
			}
		})
	}
}

func TestFilesCanBePackedAndComeFromAnywhere(t *testing.T) {
	t.Chdir(t.TempDir())
	events := file(t, "1.1-a_echotest")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(events)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"events.jsonl": events, "events.jsonl.gz": packed.String(),
		"no-end.jsonl": strings.TrimSuffix(events, "\n")} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := says(t, events, "assemble", "-")
	for _, got := range []said{
		says(t, "", "assemble", "events.jsonl"), says(t, "", "assemble", "events.jsonl.gz"),
		says(t, "", "assemble", "no-end.jsonl"), says(t, packed.String(), "assemble", "-"),
	} {
		if got != want {
			t.Errorf("got %+v", got)
		}
	}
}

func TestWhatIsNoEventIsNamedWithItsLineAndLeftOut(t *testing.T) {
	lines := strings.SplitAfter(file(t, "1.1-a_echotest"), "\n")
	clean := says(t, strings.Join(lines, ""), "assemble", "-")
	broken := "nonsense\n" + lines[0] + "\n{\"type\":1}\n" + strings.Repeat("x", 2<<20) + "\n" +
		strings.Join(lines[1:], "")

	got := says(t, broken, "assemble", "-")
	complaints := strings.Split(strings.TrimSuffix(got.err, "\n"), "\n")
	if got.code != cli.OK || len(complaints) != 3 {
		t.Fatalf("code %d, stderr:\n%.2000s", got.code, got.err)
	}
	for i, want := range []string{"cdr: standard input:1: ", "cdr: standard input:4: ",
		"cdr: standard input:5: the line has 2097153 bytes, more than ingest.event_limit (1MiB)"} {
		if !strings.HasPrefix(complaints[i], want) {
			t.Errorf("complaint %q, want %q", complaints[i], want)
		}
	}
	records := func(s said) (ids []string, offsets []int64) {
		for line := range strings.Lines(s.out) {
			r := recordOf(t, line)
			ids, offsets = append(ids, r.RecordID), append(offsets, r.LastOffset)
		}
		return ids, offsets
	}
	ids, offsets := records(got)
	wantIDs, wantOffsets := records(clean)
	if fmt.Sprint(ids) != fmt.Sprint(wantIDs) {
		t.Errorf("records %v, want %v", ids, wantIDs)
	}
	for i := range offsets {
		if offsets[i] != wantOffsets[i]+4 { // a broken line before, a blank one, two more broken ones
			t.Errorf("record %d ends at offset %d, want %d", i, offsets[i], wantOffsets[i]+4)
		}
	}

	if strict := says(t, broken, "assemble", "-", "--strict"); strict.code != cli.Failed || strict.out != got.out ||
		strict.err != got.err {
		t.Errorf("strict: code %d", strict.code)
	}
	if strict := says(t, strings.Join(lines, ""), "assemble", "-", "--strict"); strict != clean {
		t.Errorf("strict without a broken line: %+v", strict)
	}
}

func TestWhatIsOpenAtTheEndIsClosedUnlessToldNotTo(t *testing.T) {
	lines := strings.SplitAfter(file(t, "1.1-a_echotest"), "\n")
	half := strings.Join(lines[:len(lines)/2], "")
	closed := says(t, half, "assemble", "-")
	if !strings.Contains(closed.out, `"LAST_EVIDENCE"`) {
		t.Errorf("nothing ended by its last evidence:\n%s", closed.out)
	}
	if open := says(t, half, "assemble", "-", "--no-flush"); open.code != cli.OK || len(open.out) >= len(closed.out) {
		t.Errorf("not flushed: %+v", open)
	}
}

func TestThePolicyAndTheNameOfTheTopicCount(t *testing.T) {
	got := says(t, file(t, "1.1-a_echotest"), "assemble", "-", "--topics-events", "calls", "--policy-grace", "0s")
	if got.code != cli.OK || !strings.Contains(got.out, `"source_topic":"calls"`) {
		t.Errorf("%+v", got)
	}
}

func TestFilesThatCannotBeReadAreOneLine(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("broken.gz", []byte{0x1f, 0x8b, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"absent":    "cdr: read events: open absent: no such file or directory\n",
		".":         "cdr: read events: . is a folder; name a file, or - for standard input\n",
		"broken.gz": "cdr: unpack broken.gz: unexpected EOF\n",
	} {
		if got := says(t, "", "assemble", path); got.code != cli.Failed || got.err != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got := says(t, "", "assemble", "-"); got != (said{}) {
		t.Errorf("nothing makes %+v", got)
	}
}

// blocked is an input on which nothing ever comes.
type blocked chan struct{}

func (b blocked) Read([]byte) (int, error) { <-b; return 0, context.Canceled }

func TestAnInputThatBlocksDoesNotKeepTheProgram(t *testing.T) {
	never := make(blocked)
	defer close(never)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	root := newRoot(nil)
	root.SetIn(never)
	var stderr bytes.Buffer
	if code := cli.Run(ctx, root, []string{"assemble", "-"}, &stderr); code != cli.Failed {
		t.Errorf("code %d, %s", code, stderr.String())
	}
}
