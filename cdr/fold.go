package cdr

// Fold is a Partition whose States are in memory, which then holds what is open and nothing else. It is the whole of what
// a host does with a Partition, in its order: Apply, Tell or Step, put the Changes away, say that they are Committed. So it
// is for files, comparisons and tests; package pipeline does the same around a transaction. It is used by one goroutine.
//
// What the Partition tells of itself (Trace, Clock, Next, OpenSessions, Counts) is asked of the Fold.
type Fold struct {
	*Partition
	states  MemoryStates
	waiting int // inputs since the last step
}

// Bounds of what waits in memory before it becomes records, and before it becomes states. They have no influence on the
// records.
const (
	foldInputs  = 1024
	foldBytes   = 1 << 20
	stateInputs = 16 * foldInputs // states are written seldom: nobody waits for them
)

// NewFold begins with nothing open.
func NewFold(policy Policy, source Source) (*Fold, error) {
	return OpenFold(policy, source, MemoryStates{})
}

// OpenFold goes on from states, which are the fold's from now on: those that another one left (States), or a changelog.
// The repetitions of records before Next are known when these were given to PrimeWindow.
func OpenFold(policy Policy, source Source, states MemoryStates) (*Fold, error) {
	p, err := Open(policy, source, states)
	if err != nil {
		return nil, err
	}
	p.mostSessions, p.mostHandles = decodedInFold, decodedInFold
	return &Fold{Partition: p, states: states}, nil
}

// Apply folds one record of the log. Now and then it returns what came of the records up to it, and else an empty Step.
// Its errors are those of Partition.Apply.
func (f *Fold) Apply(in Input) (Step, error) {
	if err := f.Partition.Apply(in); err != nil {
		return Step{}, err
	}
	f.waiting++
	switch {
	case f.waiting >= stateInputs:
		return f.Step(), nil
	case f.waiting%foldInputs == 0 || f.pending >= foldBytes:
		return f.put(f.Tell()), nil
	}
	return Step{}, nil
}

// Step returns what came of the inputs since the last one. Its Changes are in the states already.
func (f *Fold) Step() Step {
	return f.put(f.Partition.Step())
}

// put makes a step durable.
func (f *Fold) put(step Step) Step {
	if len(step.Changes) == 0 {
		return step
	}
	f.states.Put(step.Changes...)
	if !step.Lags {
		f.waiting = 0
		f.Committed()
	}
	return step
}

// Flush acts as if a tick came after the longest limit, and returns what came of it: what was open closes at its last
// evidence.
func (f *Fold) Flush() (Step, error) {
	if err := f.Partition.Flush(); err != nil {
		return Step{}, err
	}
	return f.Step(), nil
}

// States are what the steps so far have left. They change with the next one.
func (f *Fold) States() MemoryStates { return f.states }
