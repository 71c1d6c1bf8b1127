//go:build synctests

package simulation

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

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
		w.feed(800)
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
				switch pipeline.CrashPoint(at) {
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
	for _, at := range []pipeline.CrashPoint{pipeline.AfterBegin, pipeline.AfterProduce, pipeline.BeforeOffsets, pipeline.BeforeEnd, pipeline.AfterEnd} {
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
		w.pass(15500 * time.Millisecond) // each store writes every 15 s
		p.setDisk(diskFault{})
		w.pass(12 * time.Second)
		if w.counts["ended by itself"] == 0 {
			w.fail("nobody noticed that the disk was full")
		}
	})
}

// A rewrite of the changelog puts all states there once more and deletes the old ones. Whoever dies in the middle of it:
// the changelog alone has all that a cold start needs.
func TestSceneADeathInARewrite(t *testing.T) {
	for _, at := range []pipeline.CrashPoint{pipeline.AfterBegin, pipeline.Producing, pipeline.AfterProduce, pipeline.BeforeOffsets, pipeline.BeforeEnd, pipeline.AfterEnd, pipeline.AfterRemember} {
		t.Run(string(at), func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				w.end(p)
				host := p.host
				host.workers = 1
				p = w.process(host, "a#2", host.dir)
				host.up = p
				rewrites := make(chan *halt, 1)
				begun := 0
				w.launch(p, func(o *pipeline.Options) {
					o.RewriteAfter = 1 // the first commit is followed by one
					o.OnCrashPoint(func(step pipeline.CrashPoint) {
						if step == pipeline.BeforeBegin {
							if begun++; begun == 2 {
								rewrites <- p.haltAt(string(at), 1, 0)
							}
						}
						p.probe(step)
					})
				})
				p.dieAt(w, <-rewrites)
				host.dir = w.newDisk(host, "")
				w.start(host)
			})
		})
	}
	t.Run("what is old is deleted", func(t *testing.T) {
		scene(t, func(w *world, p *process) {
			w.end(p)
			deleted := make(chan struct{})
			p = w.process(p.host, "a#2", p.host.dir)
			p.host.up = p
			p.line.arm(armed{key: kmsg.DeleteRecords, nth: 1, harm: cutAfter, then: func() { p.line.cut(true); close(deleted) }})
			w.launch(p, func(o *pipeline.Options) { o.RewriteAfter = 1 })
			<-deleted
			w.kill(p)
			p.host.dir = w.newDisk(p.host, "")
			w.start(p.host)
		})
	})
}

// Whether a transaction was committed whose end was not answered is asked of the changelog, and of nobody else.
func TestSceneTheEndIsNotAnswered(t *testing.T) {
	for _, h := range []harm{cutBefore, cutUnseen, cutAfter, lostRequest, lostAnswer} {
		t.Run(h.String(), func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				p = w.alone(p)
				for range 3 {
					harmed := make(chan struct{})
					p.line.arm(armed{key: kmsg.EndTxn, nth: 1, when: p.emits.Load, harm: h, then: func() { close(harmed) }})
					if h != lostRequest && h != lostAnswer {
						<-harmed
					}
					w.pass(5 * time.Second)
				}
			})
		})
	}
}

// A message that the brokers refuse takes all of its transaction with it, and nobody goes on from what was folded.
func TestSceneAMessageIsRefused(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.alone(p)
		for range 3 {
			w.refuseOne()
			w.pass(3 * time.Second)
		}
	})
}

// The client would commit the others.
func TestSceneAMessageThatIsTooLargeTakesItsTransactionWithIt(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.alone(p)
		w.excuse(pipeline.ErrTooLarge)
		for range 3 {
			w.answers = append(w.answers, w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.CDR, Err: kerr.MessageTooLarge, Count: 1}))
			w.pass(3 * time.Second)
		}
	})
}

// A disk that was away knows sessions that were closed and forgotten since.
func TestSceneAnOldDisk(t *testing.T) {
	for what, rewriteAfter := range map[string]int64{"the changelog tells of what was deleted": 1 << 40, "the changelog was rewritten": 50} {
		t.Run(what, func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				short := func(o *pipeline.Options) { o.RewriteAfter = rewriteAfter }
				w.end(p)
				p = w.start(p.host, short)
				w.pass(12 * time.Second) // each store writes every 5 s
				w.kill(p)
				old := p.host.kept[len(p.host.kept)-1]
				p = w.start(p.host, short)
				<-w.feeder.done
				w.pass(90 * time.Second) // all is closed, and nothing comes by which time would go on
				w.kill(p)
				p.host.dir = w.newDisk(p.host, old)
				w.start(p.host, short)
			})
		})
	}
}

// A partition goes to another process and comes back: what its first owner knows of it is old.
func TestSceneAPartitionComesBack(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.alone(p)
		for range 2 {
			other := w.nextHost()
			w.pass(8 * time.Second)
			w.kill(other)
			w.pass(15 * time.Second)
		}
	})
}

// alone leaves one host with one worker.
func (w *world) alone(p *process, change ...func(*pipeline.Options)) *process {
	w.end(p)
	p.host.workers = 1
	p = w.start(p.host, change...)
	w.pass(15 * time.Second) // the other worker is forgotten by then
	return p
}

// forgotten brings a process to where the group has given its partitions to another one, which has brought them further
// and is gone, too. The process itself knows nothing: it stands at the beginning of a transaction, and its question for a
// place in the group is on the way until it is released.
func (w *world) forgotten(p *process) (release chan struct{}) {
	release = make(chan struct{})
	p.line.arm(armed{key: kmsg.JoinGroup, nth: 1, hold: release})
	other := w.nextHost()
	w.until("the group waits for its members", func() bool { return w.groupState() == preparing })
	w.pass(2 * time.Second) // it hears of it
	stands := p.haltAt(string(pipeline.AfterBegin), 1, 0)
	<-stands.reached
	w.catchUp(60 * time.Second)
	w.kill(other)
	w.pass(15 * time.Second)
	return release
}

// nextHost starts another host with one worker.
func (w *world) nextHost() *process {
	h := &host{name: string(rune('a' + len(w.hosts))), workers: 1}
	h.dir = w.newDisk(h, "")
	w.hosts = append(w.hosts, h)
	return w.start(h)
}

// busy is the process that has the partition in which most happens.
func (w *world) busy() *process {
	ends, _, _ := w.ends()
	most := int32(0)
	for partition, end := range ends {
		if end > ends[most] {
			most = partition
		}
	}
	for _, h := range w.hosts {
		for _, s := range h.up.runs.Status().Partitions {
			if s.Partition == most && s.State == pipeline.Running {
				return h.up
			}
		}
	}
	w.t.Fatalf("nobody has partition %d", most)
	return nil
}

// The group has taken it in again under another name, and the client says nothing of what was in between.
func TestSceneAWorkerThatIsTakenInAgainCommitsNothingOfBefore(t *testing.T) {
	scene(t, func(w *world, p *process) {
		p = w.alone(p)
		release := w.forgotten(p)
		close(release)
		w.until("it is taken in", func() bool { return w.groupState() == "Stable" })
		w.pass(time.Second)
		p.letGo()
		w.pass(10 * time.Second)
	})
}

// It hears that it was thrown out when it writes its offsets, and is taken in again right then.
func TestSceneAWorkerThatIsThrownOutDoesNotTryAgainAsAnother(t *testing.T) {
	scene(t, func(w *world, p *process) {
		p = w.alone(p)
		release := w.forgotten(p)
		p.line.arm(armed{key: kmsg.TxnOffsetCommit, nth: 1, then: func() { close(release) }})
		p.letGo()
		w.pass(10 * time.Second)
	})
}

// missed brings a process to where the group has had a generation without it, in which another one brought its partitions
// further and is gone, while it stayed a member under its name. It stands at the beginning of a transaction, and its
// question for a place in the group is on the way until it is released.
func (w *world) missed(p *process) (release chan struct{}) {
	w.static.Hurry(5 * time.Second)
	release = make(chan struct{})
	p.line.arm(armed{key: kmsg.JoinGroup, nth: 1, hold: release})
	other := w.nextHost()
	w.until("the group waits for its members", func() bool { return w.groupState() == preparing })
	w.pass(time.Second) // it hears of it
	stands := p.haltWhen(pipeline.AfterBegin, p.emits.Load)
	<-stands.reached
	w.bringsFurther(other)
	w.pass(3 * time.Second)
	return release
}

// bringsFurther waits until a process has a partition, and is at its end.
func (w *world) bringsFurther(other *process) {
	w.until("the other one has brought its partitions further", func() bool {
		has := other.runs.Status().Partitions
		further := func(s pipeline.PartitionStatus) bool {
			return s.State == pipeline.Running && s.Lag == 0 && s.Position > 50
		}
		return slices.ContainsFunc(has, further)
	})
}

// It was away from the group for one generation under the same name: whatever it had before may have been another's.
func TestSceneAStaticMemberThatMissesAGeneration(t *testing.T) {
	for _, tries := range []string{"in that generation", "in the next"} {
		t.Run("it writes its offsets first "+tries, func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				p = w.alone(p)
				release := w.missed(p)
				if tries == "in the next" {
					close(release)
					w.until("it is taken in", func() bool { return w.groupState() == "Stable" })
					w.pass(3 * time.Second)
					p.letGo()
				} else {
					p.line.arm(armed{key: kmsg.TxnOffsetCommit, nth: 1, then: func() { close(release) }})
					p.letGo()
				}
				w.pass(15 * time.Second)
			})
		})
	}
}

// It was told of a generation that the coordinator forgot, and another one of that number has begun without it.
func TestSceneAGenerationThatWasForgottenIsNotTheNextOfItsNumber(t *testing.T) {
	for _, hears := range []string{"it has no assignment", "it gets its assignment"} {
		t.Run(hears, func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				p = w.alone(p)
				release := w.unwritten(p)
				if hears == "it gets its assignment" {
					close(release)
					w.pass(time.Second)
				}
				p.letGo()
				w.pass(15 * time.Second)
				if hears == "it has no assignment" {
					close(release)
				}
				w.pass(15 * time.Second)
			})
		})
	}
}

// unwritten brings a process to where it stands at the beginning of a transaction and takes a generation for its own in
// which another one has brought its partitions further. Its question for its assignment is on the way until it is
// released.
func (w *world) unwritten(p *process) (release chan struct{}) {
	w.static.Hurry(10 * time.Second) // so long the group waits for those who ask what is theirs, too
	join, release := make(chan struct{}), make(chan struct{})
	p.line.arm(armed{key: kmsg.JoinGroup, nth: 1, hold: join})
	p.line.arm(armed{key: kmsg.SyncGroup, nth: 1, hold: release})
	w.static.Forget(fmt.Sprintf("%s-%s-0", group, p.host.name))
	other := w.nextHost()
	w.until("the group waits for its members", func() bool { return w.groupState() == preparing })
	w.pass(time.Second) // it hears of it
	stands := p.haltWhen(pipeline.AfterBegin, p.emits.Load)
	<-stands.reached
	close(join)
	w.bringsFurther(other)
	return release
}

// The brokers have taken its offsets, then the group gives its partitions away: what it commits now counts, and the next
// owner waits for it.
func TestSceneWhatIsCommittedAfterAMoveIsSeenByTheNextOwner(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.alone(p)
		w.nextHost()
		w.pass(10 * time.Second)
		p = w.busy()
		stands := p.haltWhen(pipeline.BeforeEnd, p.emits.Load)
		<-stands.reached
		w.takeOut(p)
		w.pass(5 * time.Second) // the next owner is at its barrier; the transaction times out after 10 s
		done := p.haltAt(string(pipeline.AfterEnd), 1, 0)
		close(stands.goOn)
		<-done.reached
		w.kill(p) // else it would have its partitions back at once
		w.pass(10 * time.Second)
	})
}

// Messages that are on their way while the group gives the partition away come behind the mark of the next owner, who
// does not see them. They must not be committed.
func TestSceneMessagesThatAreLateAreNotCommittedAfterAMove(t *testing.T) {
	scene(t, func(w *world, p *process) {
		w.alone(p)
		w.nextHost()
		w.pass(10 * time.Second)
		p = w.busy()
		release := make(chan struct{})
		p.line.arm(armed{key: kmsg.Produce, nth: 1, when: p.emits.Load, hold: release})
		w.until("a transaction with records is on its way", p.emits.Load)
		w.pass(time.Second)
		w.takeOut(p)
		w.pass(5 * time.Second)
		close(release)
		w.pass(10 * time.Second)
	})
}

// haltWhen makes a process stand still when it comes to a step in a certain state.
func (p *process) haltWhen(at pipeline.CrashPoint, when func() bool) *halt {
	s := p.haltAt(string(at), 1, 0)
	p.mu.Lock()
	s.when = when
	p.mu.Unlock()
	return s
}

// takeOut takes a process with one worker out of the group.
func (w *world) takeOut(p *process) {
	removed, err := kadm.NewClient(w.admin).LeaveGroup(context.Background(), kadm.LeaveGroup(group).InstanceIDs(fmt.Sprintf("%s-%s-0", group, p.host.name)))
	if err == nil {
		err = removed.Error()
	}
	if err != nil {
		w.fail("take a member out of the group: %v", err)
	}
}

// Somebody moves the group's offsets while nothing runs: the positions count.
func TestSceneTheGroupsOffsetsAreMovedByHand(t *testing.T) {
	for _, to := range []string{"the end", "the beginning"} {
		t.Run("to "+to, func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				w.end(p)
				time.Sleep(20 * time.Second) // nobody is in the group, and events come
				ends, _, ok := w.ends()
				if !ok {
					w.fail("the broker does not tell its offsets")
				}
				var offsets kadm.Offsets
				for partition, end := range ends {
					if to == "the beginning" {
						end = 0
					}
					offsets.AddOffset(topics.Events, partition, end, -1)
				}
				if err := kadm.NewClient(w.admin).CommitAllOffsets(context.Background(), group, offsets); err != nil {
					w.fail("move the offsets of the group: %v", err)
				}
				w.start(p.host)
				w.pass(10 * time.Second)
			})
		})
	}
}

// Each commit brings the offsets of the group along, also when the brokers do not take them at first.
func TestSceneACommitWithoutItsOffsetsIsNone(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.CoordinatorLoadInProgress, kerr.UnknownServerError} {
		t.Run(answer.Message, func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				var before atomic.Int64
				w.alone(p, func(o *pipeline.Options) {
					o.RewriteAfter, o.ChangelogLag = 1<<40, 0 // states that come later bring the same offsets again
					o.OnCrashPoint(func(step pipeline.CrashPoint) {
						if step != pipeline.AfterEnd {
							return
						}
						_, committed, ok := w.ends()
						var sum int64
						for _, offset := range committed {
							sum += offset
						}
						if last := before.Swap(sum); ok && sum <= last {
							w.fail("a commit leaves the group's offsets at %d, they were %d", sum, last)
						}
					})
				})
				w.answers = append(w.answers, w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: answer, Count: 1}))
				w.pass(15 * time.Second)
				if before.Load() == 0 {
					w.fail("nothing was committed")
				}
			})
		})
	}
}

// The brokers go away while a worker makes itself a new client, at whichever request: it waits for them.
func TestSceneTheBrokersGoAwayWhileAClientIsMade(t *testing.T) {
	for nth := range 4 {
		t.Run(fmt.Sprintf("at connection %d", nth), func(t *testing.T) {
			scene(t, func(w *world, p *process) {
				p = w.alone(p)
				gone := make(chan struct{})
				p.line.arm(armed{key: kmsg.ApiVersions, nth: 1 + nth, harm: cutAfter, then: func() { p.line.refuse(true); close(gone) }})
				w.refuseOne()
				<-gone
				w.pass(30 * time.Second)
				p.line.refuse(false)
			})
		})
	}
}

// until waits for something that must come.
func (w *world) until(what string, come func() bool) {
	for range 600 {
		if come() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.fail("not in a minute: %s", what)
}

const preparing = "PreparingRebalance" // the state of a group that waits for its members to join

func (w *world) groupState() string {
	described, err := kadm.NewClient(w.admin).DescribeGroups(context.Background(), group)
	if err != nil {
		return err.Error()
	}
	return described[group].State
}
