package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEachWayInIsOnThePageOfTheWays(t *testing.T) {
	page := read(t, "sources.md")
	source := regexp.MustCompile(`(?m)^var _ Source = \(\*(\w+)\)\(nil\)$`)
	files, err := filepath.Glob("../../ingest/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			name := m[1]
			if name == "Stdin" || name == "Requeue" { // for people, and on the page of operations
				continue
			}
			seen++
			if !strings.Contains(strings.ToLower(page), "| ["+strings.ToLower(name)+"](#") {
				t.Errorf("%s is a way in of which docs/sources.md does not say what it loses, and when", name)
			}
		}
	}
	if seen < 6 {
		t.Errorf("only %d ways were found: the pattern of this test is broken", seen)
	}
}
