package pipeline

import "januscdr/statestore"

// CrashPoint is a point between two steps of the protocol, at which tests let a process die or stand still. Only a
// build with the tag synctests has a way to do that: OnCrashPoint of Options.
type CrashPoint string

// The crash points, in the order in which a task comes to them. In an embedded broker's rewrite they come once more.
const (
	AfterInit     CrashPoint = "after init"    // the transactional id is ours, nothing is restored yet
	AfterBarrier  CrashPoint = "after barrier" // the barrier of a restore is acknowledged
	AfterReplay   CrashPoint = "after replay"  // some of the changelog is in the store
	AfterRestore  CrashPoint = "after restore" // the task is ready, and not handed over
	BeforeBegin   CrashPoint = "before begin"
	AfterBegin    CrashPoint = "after begin"
	Producing     CrashPoint = "producing"      // after each message
	AfterProduce  CrashPoint = "after produce"  // of the last message; not all need be acknowledged
	BeforeAbort   CrashPoint = "before abort"   // one was refused
	BeforeOffsets CrashPoint = "before offsets" // all are acknowledged
	BeforeEnd     CrashPoint = "before end"     // the brokers have taken the offsets
	AfterEnd      CrashPoint = "after end"      // the brokers say that it is committed, the store does not know yet
	AfterRemember CrashPoint = "after remember" // after each task
)

// CrashPoints are all of them.
var CrashPoints = []CrashPoint{
	AfterInit, AfterBarrier, AfterReplay, AfterRestore,
	BeforeBegin, AfterBegin, Producing, AfterProduce, BeforeAbort, BeforeOffsets, BeforeEnd, AfterEnd, AfterRemember,
}

// hooks are what tests do at crash points. Nil outside of them.
type hooks struct {
	crash func(CrashPoint)
	store func(*statestore.Options) // gives each store hooks of its own
}

// at lets a test act here.
func (h hooks) at(point CrashPoint) {
	if h.crash != nil {
		h.crash(point)
	}
}
