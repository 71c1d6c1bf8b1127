package statestore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFolderThatCannotBeWrittenIsToldInOneLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	if err := Writable(dir); err != nil {
		t.Errorf("a folder that is to be made: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Writable(filepath.Join(file, "state"))
	if err == nil || !strings.Contains(err.Error(), "set state_dir") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a file in the way: %v", err)
	}
}
