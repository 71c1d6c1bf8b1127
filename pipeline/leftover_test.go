package pipeline

import (
	"errors"
	"testing"

	"januscdr/statestore"
)

// A crash after the first states and before the first checkpoint leaves states that nobody vouches for.
func TestStatesWithoutACheckpointAreNotTrusted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	dir := t.TempDir()
	p := c.worked(dir)

	leftover := func(yield func([]byte, []byte) bool) { yield([]byte("leftover"), []byte("of a session that ended")) }
	p.inStore(t, 0, func(s *statestore.Store) error { return errors.Join(s.Reset(), s.Remember(leftover, nil)) })

	c.load(20)
	p = c.start(dir)
	c.caughtUp(p)
	p.stop(t)
	c.check()
	p.inStore(t, 0, func(s *statestore.Store) error {
		value, err := s.Get([]byte("leftover"))
		if value != nil {
			t.Errorf("the leftover is still there: %q", value)
		}
		return err
	})
}
