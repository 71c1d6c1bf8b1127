package explain

import (
	"context"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// recorded are the events of a recording as the lines of a file.
func recorded(lines [][]byte) Inputs {
	return func(ctx context.Context, f func(cdr.Input) error) error {
		var parser janus.Parser
		latest := janus.Micros(0)
		for i, b := range lines {
			if e, err := parser.Parse(b); err == nil {
				latest = max(latest, e.Time)
			}
			if err := f(cdr.Input{Offset: int64(i), Append: latest, Value: b}); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
}

func options(name string) Options {
	return Options{Policy: cdr.DefaultPolicy(), Source: cdr.Source{Topic: "janus.events"}, Name: name, Ends: true}
}

func tell(t *testing.T, recording string, q Query) *Story {
	t.Helper()
	return tellLines(t, recording, recordings.Events(recording), q)
}

func tellLines(t *testing.T, name string, lines [][]byte, q Query) *Story {
	t.Helper()
	survey, err := Find(t.Context(), options(name), recorded(lines), q)
	if err != nil {
		t.Fatal(err)
	}
	found, err := survey.One()
	if err != nil {
		t.Fatal(err)
	}
	s, err := TellOf(t.Context(), options(name), recorded(lines), found, q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// firstSession is the id of the first session of some events.
func firstSession(t *testing.T, lines [][]byte) string {
	t.Helper()
	var parser janus.Parser
	for _, b := range lines {
		if e, err := parser.Parse(b); err == nil && e.Session != 0 {
			return e.Session.String()
		}
	}
	t.Fatal("no session")
	return ""
}
