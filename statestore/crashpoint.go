package statestore

// CrashPoint is a point in the writing of a batch at which tests hold it up, let it fail, or look at the directory.
// Only a build with the tag synctests has a way to do that: OnCrashPoint of Options.
type CrashPoint string

// The crash points of a write, in order.
const (
	BeforeStates     CrashPoint = "before states"
	BeforeCheckpoint CrashPoint = "before checkpoint" // the states are on disk
	AfterCheckpoint  CrashPoint = "after checkpoint"
)

// CrashPoints are all of them.
var CrashPoints = []CrashPoint{BeforeStates, BeforeCheckpoint, AfterCheckpoint}

func (s *Store) at(point CrashPoint) error {
	if s.opts.crashHook == nil {
		return nil
	}
	return s.opts.crashHook(point)
}
