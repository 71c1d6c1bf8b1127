package explain

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"januscdr/cdr"
	"januscdr/internal/fixtures/script"
	"januscdr/janus"
)

// play is what happens on a partition, as a script tells it.
type play struct {
	policy cdr.Policy
	inputs []cdr.Input
	ends   bool // the last thing that happens is the end of a file
}

// read takes lines, which go on from those before.
func (p *play) read(s *script.Script, lines []string) error {
	acts, err := s.Read(lines)
	for _, a := range acts {
		p.ends = a.Kind == script.Flush
		if a.Kind == script.Append {
			a.Input.Offset = int64(len(p.inputs))
			p.inputs = append(p.inputs, a.Input)
		}
	}
	p.policy = s.Policy
	return err
}

func (p *play) log(ctx context.Context, f func(cdr.Input) error) error {
	for _, in := range p.inputs {
		if err := f(in); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *play) options(name string) Options {
	return Options{
		Policy: p.policy, Source: cdr.Source{Topic: "janus.events", Partition: 3}, Name: name, Ends: p.ends,
	}
}

// sessions are those that have events, in the order of their first ones.
func (p *play) sessions() []sessionRef {
	var all []sessionRef
	var parser janus.Parser
	for _, in := range p.inputs {
		e, err := parser.Parse(in.Value)
		if in.Kind != cdr.KindEvent || err != nil || e.Session == 0 {
			continue
		}
		at := sessionRef{strings.Clone(emitterOf(in, e)), e.Session}
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// tell is the story of a session.
func (p *play) tell(t *testing.T, at sessionRef) *Story {
	t.Helper()
	s, err := Tell(t.Context(), p.options("events"), p.log, at.emitter, at.session)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// records are what the fold makes of the log, without any story.
func (p *play) records(t *testing.T) []cdr.Record {
	t.Helper()
	fold, err := cdr.NewFold(p.policy, p.options("").Source)
	if err != nil {
		t.Fatal(err)
	}
	var all []cdr.Record
	take := func(step cdr.Step, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step.Records...)
	}
	for _, in := range p.inputs {
		take(fold.Apply(in))
	}
	take(fold.Step(), nil)
	if p.ends {
		take(fold.Flush())
	}
	return all
}

// everyPlay calls f with each story that the fold is tested with, as far as it goes at each of its steps.
func everyPlay(t *testing.T, f func(t *testing.T, name string, p *play)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "cdr", "testdata", "stories", "*.txt"))
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d files of stories, %v", len(paths), err)
	}
	for _, path := range paths {
		scenes := map[string][]string{}
		var s *script.Script
		var p *play
		name := ""
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			title := strings.TrimPrefix(strings.TrimPrefix(d.FullCmd(), d.Cmd), " ")
			lines := strings.Split(d.Input, "\n")
			switch d.Cmd {
			case "scene":
				scenes[title] = lines
				return d.Expected
			case "story":
				s, p, name = script.New(scenes), &play{}, filepath.Base(path)+": "+title
			}
			if err := p.read(s, lines); err != nil {
				d.Fatalf(t, "%v", err)
			}
			f(t, name, p)
			return d.Expected // which is the business of package cdr
		})
	}
}
