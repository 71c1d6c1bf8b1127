package janus

import (
	"strings"
	"testing"
)

// TestNoTwoLongNamesAreOne: a name that is cut stays a name of its own, and text.
func TestNoTwoLongNamesAreOne(t *testing.T) {
	known := map[string]string{}
	for i := range 40 {
		for _, letter := range []string{"a", "é", "日"} {
			name := strings.Repeat(letter, MaxEmitter-20+i) + "."
			kept, cut := EmitterName(name)
			if before, twice := known[kept]; twice {
				t.Fatalf("%q and %q are both known as %q", before, name, kept)
			}
			known[kept] = name
			if again, _ := EmitterName(kept); again != kept {
				t.Errorf("%q is known as %q", kept, again)
			}
			if len(kept) > MaxEmitter || cut != (len(name) > MaxEmitter) || !cut && kept != name || strings.ToValidUTF8(kept, "") != kept {
				t.Errorf("a name of %d bytes is known by %d, cut %t: %q", len(name), len(kept), cut, kept)
			}
		}
	}
}

func TestEachTypeHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{Type(0).String(): true}
	for i, typ := range Types {
		if typ != 1<<i || seen[typ.String()] {
			t.Errorf("type %d is called %v", int(typ), typ)
		}
		seen[typ.String()] = true
	}
	if Type(512).String() != Type(0).String() {
		t.Errorf("a type that nobody knows is called %v", Type(512))
	}
}
