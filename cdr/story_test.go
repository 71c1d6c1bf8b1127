package cdr_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"januscdr/cdr"
	"januscdr/internal/fixtures/script"
)

// The stories in testdata/stories are scripts of what a Janus server says, and the records that follow. Each file has
// scenes (how something usually begins) and stories; what a line of them means is told by package script, what a record
// shows in story_show_test.go. After a look at each changed line, `go test ./cdr -run TestStories -rewrite` takes over
// what the program says now.
//
// Each story is told three times: in one step; with a step after every record; and with a restart after every record,
// from the states alone. All three must give the same records, and every record must obey the rules of money
// (story_laws_test.go). Together the stories reach every rule of the fold.
func TestStories(t *testing.T) {
	reached := map[cdr.TraceRule]bool{}
	told := 0
	datadriven.Walk(t, filepath.Join("testdata", "stories"), func(t *testing.T, path string) {
		told++
		book := &book{scenes: map[string][]string{}, reached: reached}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			title := strings.TrimPrefix(strings.TrimPrefix(d.FullCmd(), d.Cmd), " ")
			lines := strings.Split(d.Input, "\n")
			switch d.Cmd {
			case "scene":
				book.scenes[title] = lines
				return ""
			case "story":
				book.begin()
			case "then":
			default:
				d.Fatalf(t, "%q is no block: it is scene, story or then", d.Cmd)
			}
			said, err := book.tell(lines)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return said
		})
	})
	if files, err := filepath.Glob(filepath.Join("testdata", "stories", "*.txt")); err != nil || told < len(files) {
		return // only some were asked for
	}
	for rule := range cdr.TraceRules {
		if r := cdr.TraceRule(rule); r != cdr.RuleUnknown && !reached[r] {
			t.Errorf("no story reaches the rule %v", r)
		}
	}
}

// book is one file of stories; its partitions are those of the story at hand.
type book struct {
	scenes  map[string][]string
	script  *script.Script
	worlds  []*world
	laws    laws
	reached map[cdr.TraceRule]bool
}

// begin begins a new story with an empty log.
func (b *book) begin() {
	b.script = script.New(b.scenes)
	b.worlds = []*world{
		{name: "in one step", limit: maxState, reached: b.reached},
		{name: "with a step after every record", limit: maxState, steps: true},
		{name: "with a restart after every record", limit: maxState, steps: true, restarts: true},
	}
	b.laws = laws{}
}

// tell plays lines and says which records followed.
func (b *book) tell(lines []string) (string, error) {
	acts, err := b.script.Read(lines)
	if err != nil {
		return "", err
	}
	var shown shown
	if err := shown.read(b.script.Show); err != nil {
		return "", err
	}
	var first told
	for i, w := range b.worlds {
		said, err := w.play(b.script.Policy, acts)
		if err != nil {
			return "", fmt.Errorf("played %s: %w", w.name, err)
		}
		if i == 0 {
			first = said
			continue
		}
		one, other := first.show(everything), said.show(everything)
		if one != other {
			return "", fmt.Errorf("played %s:\n%s\nbut %s:\n%s", b.worlds[0].name, one, w.name, other)
		}
	}
	if err := b.laws.check(first.records); err != nil {
		return "", err
	}
	return first.show(shown), nil
}

// world is a partition with the states that it has committed and the log that it has read.
type world struct {
	name     string
	steps    bool // a step after every record
	restarts bool // and a new partition, opened from the states
	limit    int  // bytes that no state may reach

	fold    *cdr.Fold
	reached map[cdr.TraceRule]bool // by which rules it concluded anything; nil when nobody asks
	starts  starts
	log     []cdr.Input
}

// told is what a partition said.
type told struct {
	records []cdr.Record
	parked  []cdr.Parked
}

func (w *world) play(policy cdr.Policy, acts []script.Act) (told, error) {
	var said told
	take := func(step cdr.Step, err error) error { return errors.Join(err, w.take(&said, step)) }
	if w.fold == nil {
		if err := w.open(policy, cdr.MemoryStates{}); err != nil {
			return said, err
		}
	}
	for _, a := range acts {
		var err error
		switch a.Kind {
		case script.Append:
			a.Input.Offset = int64(len(w.log))
			w.log = append(w.log, a.Input)
			err = take(w.fold.Apply(a.Input))
		case script.Flush:
			err = take(w.fold.Flush())
		case script.Restart:
			if err = take(w.fold.Step(), nil); err == nil {
				err = w.open(policy, w.fold.States())
			}
		}
		if err == nil && w.steps {
			err = take(w.fold.Step(), nil)
		}
		if err == nil && w.restarts {
			err = w.open(policy, w.fold.States())
		}
		if err != nil {
			return said, fmt.Errorf("%s: %w", a.Line, err)
		}
	}
	if w.starts.wrong != nil {
		return said, w.starts.wrong
	}
	return said, take(w.fold.Step(), nil)
}

// open opens the partition from its states, as a restart does.
func (w *world) open(policy cdr.Policy, states cdr.MemoryStates) error {
	fold, err := cdr.OpenFold(policy, cdr.Source{Topic: "janus.events", Partition: 3}, states)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if want := int64(len(w.log)); want > 0 && fold.Next() != want {
		return fmt.Errorf("open: the next offset is %d, want %d", fold.Next(), want)
	}
	for _, in := range w.log {
		fold.PrimeWindow(in)
	}
	fold.Trace(func(c cdr.Conclusion) {
		if w.reached != nil {
			w.reached[c.Rule] = true
		}
		w.starts.conclusion(c)
	})
	w.fold = fold
	return nil
}

// maxState is the size that no state of a story may reach: a commit carries many of them.
const maxState = 64 << 10

// take checks a step, which the fold has remembered, and notes what it says.
func (w *world) take(said *told, step cdr.Step) error {
	for i, c := range step.Changes {
		if i > 0 && bytes.Compare(step.Changes[i-1].Key, c.Key) >= 0 && i < len(step.Changes)-1 {
			return fmt.Errorf("step: change %d is not in the order of keys", i)
		}
		if len(c.Value) >= w.limit || len(c.Key) > cdr.MaxKey {
			return fmt.Errorf("step: the state %q has %d bytes", c.Key, len(c.Value))
		}
	}
	said.records = append(said.records, step.Records...)
	said.parked = append(said.parked, step.Parked...)
	return nil
}
