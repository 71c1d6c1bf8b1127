package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "../../docs/adr/0001-rooms-and-imports.md"

var quoted = regexp.MustCompile("`([^`]+)`")

// names are the words of a cell that are quoted, as folders.
func names(cell string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, strings.TrimSuffix(m[1], "/"))
	}
	return all
}

// rows are those of the tables of the page, cell by cell, without their headings.
func rows(t *testing.T) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimSpace(line), "|"); len(cells) > 2 && strings.Contains(cells[1], "`") {
			all = append(all, cells[1:len(cells)-1])
		}
	}
	return all
}

func TestThePageHasTheRoomsAndImportsOfThisTest(t *testing.T) {
	var above []string // of the table of rooms
	told := map[string]bool{}
	for _, row := range rows(t) {
		folders := names(row[0])
		for _, folder := range folders {
			told[folder] = true
			if _, err := os.Stat(filepath.Join("../..", folder)); err != nil {
				t.Errorf("the page names %s, which is not there", folder)
			}
		}
		if len(row) == 2 { // what stands around the rooms: the second cell says what is in the first
			for _, name := range names(row[1]) {
				told[folders[0]+"/"+name] = true
			}
			continue
		}
		may := names(row[3])
		for _, folder := range folders {
			if r, known := roomOf(folder); known && r.name == folder && !sameSet(may, r.rooms) {
				t.Errorf("the page lets %s import %v, this test %v", folder, may, r.rooms)
			}
		}
		for _, name := range may {
			if slices.Contains(above, name) {
				t.Errorf("the page lets %v import %s, which stands above", folders, name)
			}
		}
		above = append(above, folders...)
	}
	for _, r := range rooms {
		if !told[r.name] && r.name != "cmd" {
			t.Errorf("%s is a room, and the page does not name it", r.name)
		}
	}
	if len(above) < 10 {
		t.Errorf("only %d rooms were found: the pattern of this test is broken", len(above))
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
