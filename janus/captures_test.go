package janus

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/captures"
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
	for _, name := range captures.Names() {
		for i, raw := range captures.Events(name) {
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
