package statestore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAValueThatWasTornOnDiskIsAnErrorAndNotZeros(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "store")}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("state "), 1000)
	if err := s.Remember(func(yield func(k, v []byte) bool) { yield([]byte("key"), value) }, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(o.Dir, databaseDir, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatal("no value log", err)
	}
	torn := false
	for _, name := range logs {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(content, value); at >= 0 {
			clear(content[at+len(value)/2 : at+len(value)])
			torn = true
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !torn {
		t.Fatal("the value is in no log of values")
	}
	s, err = Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Get([]byte("key")); !errors.Is(err, ErrTorn) {
		t.Errorf("half of the value is gone, and it is read as %d bytes, %v", len(got), err)
	}
	if err := s.Scan(nil, func(_, value []byte) error { return nil }); !errors.Is(err, ErrTorn) {
		t.Errorf("half of the value is gone, and a scan ends with %v", err)
	}
}
