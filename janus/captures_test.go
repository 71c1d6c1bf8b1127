package janus

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

// fact names what an event tells, finely enough that a table of facts shows what Janus says.
func fact(e *Event) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", e.Body), "*janus.")
	switch body := e.Body.(type) {
	case *PluginEvent:
		return fmt.Sprintf("%d %s %s %s=%s", e.Type, name, strings.TrimPrefix(body.Plugin, "janus.plugin."), body.Key, body.Name)
	case *TransportEvent:
		return fmt.Sprintf("%d %s %s", e.Type, name, body.Event)
	}
	return fmt.Sprintf("%d/%d %s", e.Type, e.Subtype, name)
}

func TestEveryEventOfEveryRecordingIsKnown(t *testing.T) {
	counts := make(map[string]int)
	reaches := make(map[Reach]int)
	events := 0
	var p Parser
	for _, name := range recordings.Names() {
		for i, raw := range recordings.Events(name) {
			e, err := p.Parse(raw)
			if err != nil {
				t.Fatalf("%s, line %d: %v", name, i+1, err)
			}
			if _, unknown := e.Body.(*Unknown); unknown {
				t.Errorf("%s, line %d: unknown: %s", name, i+1, raw)
			}
			counts[fact(e)]++
			reaches[e.Reach()]++
			events++
		}
	}
	for _, f := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Compare(counts[b], counts[a]) }) {
		t.Logf("%6d %s", counts[f], f)
	}
	t.Logf("%d events, %d of them concern everyone", events, reaches[ReachEveryone])
}

func TestAnEventWithoutEscapesAllocatesNothing(t *testing.T) {
	var p Parser
	events := 0
	for _, name := range recordings.Names() {
		for _, raw := range recordings.Events(name) {
			if bytes.IndexByte(raw, '\\') >= 0 {
				continue
			}
			events++
			n := 1.0
			for try := 0; n > 0 && try < 10; try++ { // the runtime allocates now and then; we would each time
				n = testing.AllocsPerRun(1, func() { // its warm-up lets the slices grow
					if _, err := p.Parse(raw); err != nil {
						t.Fatal(err)
					}
				})
			}
			if n > 0 {
				t.Fatalf("%v allocations: %s", n, raw)
			}
		}
	}
	if events < 9000 {
		t.Errorf("only %d events were tried", events)
	}
}

func TestReportsAreWhatEncodingJSONReads(t *testing.T) {
	var p Parser
	streams := 0
	for _, name := range recordings.Names() {
		for _, raw := range recordings.Events(name) {
			e, err := p.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			report, ok := e.Body.(*MediaReport)
			if !ok {
				continue
			}
			want, err := reportByEncodingJSON(raw)
			if err != nil {
				t.Fatalf("%v: %s", err, raw)
			}
			if !slices.Equal(report.Streams, want.Streams) {
				t.Fatalf("%s\ngot  %+v\nwant %+v", raw, report.Streams, want.Streams)
			}
			streams += len(want.Streams)
		}
	}
	if streams < 4000 {
		t.Errorf("only %d streams were compared", streams)
	}
}

func TestPluginsAreWhatEncodingJSONReads(t *testing.T) {
	var p Parser
	for _, name := range recordings.Names() {
		for _, raw := range recordings.Events(name) {
			e, err := p.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := e.Body.(*PluginEvent)
			if !ok {
				continue
			}
			want, err := pluginByEncodingJSON(raw)
			if err != nil {
				t.Fatalf("%v: %s", err, raw)
			}
			if !reflect.DeepEqual(flat(got), flat(want)) {
				t.Fatalf("%s\ngot  %+v\nwant %+v", raw, got, want)
			}
		}
	}
}
