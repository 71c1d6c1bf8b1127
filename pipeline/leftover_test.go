package pipeline

import (
	"testing"

	"januscdr/statestore"
)

// A crash after the first states and before the first checkpoint leaves states that nobody vouches for.
func TestStatesWithoutACheckpointAreNotTrusted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	c.load(20)
	p := c.start(dir)
	c.caughtUp(p)
	p.stop(t)

	o := p.processor.storeOptions(0)
	o.Log = nil
	store, err := statestore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Reset(); err != nil {
		t.Fatal(err)
	}
	leftover := func(yield func([]byte, []byte) bool) { yield([]byte("leftover"), []byte("of a session that ended")) }
	if err := store.Remember(leftover, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	c.load(20)
	p = c.start(dir)
	c.caughtUp(p)
	p.stop(t)
	c.check()
	if store, err = statestore.Open(o); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	value, err := store.Get([]byte("leftover"))
	if value != nil || err != nil {
		t.Fatalf("the leftover is still there: %q, %v", value, err)
	}
}
