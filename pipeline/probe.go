package pipeline

// Step is a point between two steps of the protocol.
type Step string

// The steps, in the order in which a task comes to them. In an embedded broker's rewrite they come once more.
const (
	AfterInit     Step = "after init"    // the transactional id is ours, nothing is restored yet
	AfterBarrier  Step = "after barrier" // the barrier of a restore is acknowledged
	AfterReplay   Step = "after replay"  // some of the changelog is in the store
	AfterRestore  Step = "after restore" // the task is ready, and not handed over
	BeforeBegin   Step = "before begin"
	AfterBegin    Step = "after begin"
	Producing     Step = "producing"      // after each message
	AfterProduce  Step = "after produce"  // of the last message; not all need be acknowledged
	BeforeAbort   Step = "before abort"   // one was refused
	BeforeOffsets Step = "before offsets" // all are acknowledged
	BeforeEnd     Step = "before end"     // the brokers have taken the offsets
	AfterEnd      Step = "after end"      // the brokers say that it is committed, the store does not know yet
	AfterRemember Step = "after remember" // after each task
)

// Steps are all of them.
var Steps = []Step{AfterInit, AfterBarrier, AfterReplay, AfterRestore, BeforeBegin, AfterBegin, Producing, AfterProduce, BeforeAbort, BeforeOffsets, BeforeEnd, AfterEnd, AfterRemember}

func (w *worker) at(step Step) {
	if w.p.opts.Probe != nil {
		w.p.opts.Probe(step)
	}
}
