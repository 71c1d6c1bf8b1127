package pipeline

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// tornStates are ways in which the log of values of a store that was closed can be damaged.
func tornStates() map[string]func(content []byte) []byte {
	ways := map[string]func([]byte) []byte{
		// Which event log the states belong to is read before all others, where nothing else is looked at yet.
		"the origin": func(content []byte) []byte {
			if at := bytes.Index(content, []byte(`{"cluster":`)); at >= 0 {
				clear(content[at+10 : at+60])
			}
			return content
		},
	}
	for tenths := range 10 {
		ways[fmt.Sprintf("what is behind %d tenths", tenths)] = func(content []byte) []byte {
			return content[:len(bytes.TrimRight(content, "\x00"))*tenths/10]
		}
	}
	return ways
}

func TestAStoreThatIsTornAnywhereIsBuiltAnew(t *testing.T) {
	t.Parallel()
	for name, tear := range tornStates() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1)
			dir := t.TempDir()
			c.worked(dir)
			logs, err := filepath.Glob(filepath.Join(dir, "*", "0", "db", "*.vlog"))
			if err != nil || len(logs) == 0 {
				t.Fatal("no log of values", err)
			}
			for _, name := range logs {
				content, err := os.ReadFile(name)
				if err == nil {
					err = os.WriteFile(name, tear(content), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			c.load(20)
			p := c.start(dir)
			c.caughtUp(p)
			if p.count(t, "stores_broken_total") != 1 {
				t.Error("nothing was broken: the damage was none")
			}
			p.stop(t)
			c.check()
		})
	}
}
