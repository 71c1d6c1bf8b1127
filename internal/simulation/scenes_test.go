//go:build synctests

package simulation

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"januscdr/pipeline"
	"januscdr/statestore"
)

// The scenes are for what a run of a seed cannot tell: how long something takes, and what happens at one certain place.

// scene is a run by hand: one host at work on a log that is being fed.
func scene(t *testing.T, play func(w *world, p *process)) {
	t.Helper()
	dir := scratch(t, "januscdr-scene-")
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, dir)
		w.newHost()
		w.feed(300)
		w.pass(3 * time.Second)
		play(w, w.hosts[0].up)
		w.heal()
		w.judge()
		for _, failure := range w.failures {
			t.Error(failure)
		}
	})
}

func TestSceneADeathAtEachStep(t *testing.T) {
	for _, at := range steps() {
		t.Run(at, func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				switch pipeline.Step(at) {
				case pipeline.AfterInit, pipeline.AfterBarrier, pipeline.AfterReplay, pipeline.AfterRestore:
					w.end(p)
					p = w.process(p.host, "a#2", p.host.dir)
					p.host.up = p
					reached := p.haltAt(at, 1, 0)
					w.launch(p)
					p.dieAt(w, reached)
				case pipeline.BeforeAbort:
					reached := p.haltAt(at, 1, 0)
					w.refuseOne()
					p.dieAt(w, reached)
				default:
					p.dieAt(w, p.haltAt(at, 2, 0))
				}
				w.start(p.host)
			})
		})
	}
}

// dieAt lets a process die at a halt that it must reach.
func (p *process) dieAt(w *world, s *halt) {
	select {
	case <-s.reached:
	case <-time.After(20 * time.Second):
		w.fail("%s does not come to %q", p.name, s.at)
	}
	w.kill(p)
}

func TestSceneARestartDoesNotWaitForTheTransactionOfItsPredecessor(t *testing.T) {
	scene(t, func(w *world, p *process) {
		p.dieAt(w, p.haltAt(string(pipeline.BeforeEnd), 2, 0))
		died := time.Now()
		next := w.start(p.host)
		for !next.runs.Ready() {
			time.Sleep(50 * time.Millisecond)
			if took := time.Since(died); took > 2*time.Second {
				w.fail("it is not ready after %v", took) // its predecessor's transaction times out after 10 s
				return
			}
		}
	})
}

// The other processes of the group take over what a dead one had as soon as the group knows, and what it left open times
// out by then.
func TestSceneASurvivorTakesOver(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.newHost()
		w.pass(10 * time.Second)
		p.dieAt(w, p.haltAt(string(pipeline.BeforeEnd), 2, 0))
		w.catchUp(40 * time.Second)
	})
}

// A process that stands still in the middle of a transaction until another has its partitions must not bring its
// transaction to an end.
func TestSceneAZombieIsRefused(t *testing.T) {
	for _, at := range []pipeline.Step{pipeline.AfterBegin, pipeline.AfterProduce, pipeline.BeforeOffsets, pipeline.BeforeEnd, pipeline.AfterEnd} {
		t.Run(string(at), func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				w.newHost()
				w.pass(10 * time.Second)
				s := p.haltAt(string(at), 1, 0)
				<-s.reached
				p.line.freeze()
				w.pass(30 * time.Second)
				p.letGo()
				p.line.thaw()
				w.pass(20 * time.Second)
			})
		})
	}
}

// What a full disk did not take must not be covered by a later checkpoint.
func TestSceneAFullDisk(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.excuse(statestore.ErrFull)
		p.setDisk(diskFault{err: fmt.Errorf("%w: by the will of the simulation", statestore.ErrFull)})
		w.pass(5500 * time.Millisecond) // each store writes every 5 s
		p.setDisk(diskFault{})
		w.pass(12 * time.Second)
		if w.counts["ended by itself"] == 0 {
			w.fail("nobody noticed that the disk was full")
		}
	})
}
