//go:build synctests

package simulation

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/pipeline"
	"januscdr/statestore"
)

// mischief is one thing that can go wrong.
type mischief struct {
	name   string
	weight int
	do     func(w *world)
}

var mischiefs = []mischief{
	{"kill at a step", 24, (*world).killAtStep},
	{"kill at a request", 10, (*world).killAtRequest},
	{"kill", 6, (*world).killNow},
	{"stand still at a step", 10, (*world).standStill},
	{"stand still", 5, (*world).freeze},
	{"twin", 4, (*world).twin},
	{"stop", 8, (*world).stopOne},
	{"leave", 4, (*world).leave},
	{"join", 8, (*world).joinOne},
	{"bad weather", 8, (*world).badWeather},
	{"harm to a request", 14, (*world).harmOne},
	{"broker error", 18, (*world).brokerError},
	{"broker restart", 4, (*world).brokerRestart},
	{"disk is full", 4, (*world).fullDisk},
	{"disk is slow", 4, (*world).slowDisk},
}

// steps are the places to die at: those of the protocol, and those of a write of the store.
func steps() (all []string) {
	for _, s := range pipeline.CrashPoints {
		all = append(all, string(s))
	}
	for _, s := range statestore.CrashPoints {
		all = append(all, "store "+string(s))
	}
	return all
}

// misfortune lets one thing go wrong.
func (w *world) misfortune() {
	total := 0
	for _, m := range mischiefs {
		total += m.weight
	}
	n := w.rng.IntN(total)
	for _, m := range mischiefs {
		if n -= m.weight; n < 0 {
			w.count("fault: " + m.name)
			m.do(w)
			return
		}
	}
}

// any picks a process that runs; nil when none does.
func (w *world) any() *process {
	order := w.rng.Perm(len(w.hosts))
	for _, i := range order {
		if p := w.hosts[i].up; p != nil {
			return p
		}
	}
	return nil
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// reboot says when a host that died starts again, and on what its disk is by then.
func (w *world) reboot(h *host) {
	pauses := []time.Duration{time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second}
	pause := pauses[w.rng.IntN(len(pauses))]
	h.again = time.Now().Add(pause)
	disk := "as it was"
	switch n := w.rng.IntN(10); {
	case n == 0:
		h.dir = w.newDisk(h, "")
		disk = "empty"
	case n <= 2 && len(h.kept) > 0:
		from := h.kept[w.rng.IntN(len(h.kept))]
		h.dir = w.newDisk(h, from)
		disk = "an older copy, " + filepath.Base(from)
	case n == 3:
		other := w.hosts[w.rng.IntN(len(w.hosts))]
		if other != h && len(other.kept) > 0 {
			from := other.kept[w.rng.IntN(len(other.kept))]
			h.dir = w.newDisk(h, from)
			disk = "that of another host, " + filepath.Base(from)
		}
	}
	w.count("disk: " + disk[:min(len(disk), 9)])
	w.tell("%s: starts again in %v, its disk is %s", h.name, pause, disk)
}

// await waits until a process is at its halt; false when it does not come there.
func (w *world) await(p *process, s *halt) bool {
	select {
	case <-s.reached:
		w.count("at: " + s.at)
		return true
	case <-p.done:
	case <-time.After(8 * time.Second):
	}
	return false
}

func (w *world) killAtStep() {
	p := w.any()
	if p == nil {
		return
	}
	all := steps()
	at, nth, linger := all[w.rng.IntN(len(all))], 1+w.rng.IntN(4), time.Duration(0)
	if at == string(pipeline.Producing) || at == string(pipeline.AfterProduce) {
		nth = 1 + w.rng.IntN(20)
		linger = time.Duration(w.rng.IntN(2)) * 80 * time.Millisecond // so that some of the messages are on their way
	}
	s := p.haltAt(at, nth, linger)
	reached := w.await(p, s)
	w.tell("%s: killed at %q (%d.), reached %v", p.name, at, nth, reached)
	w.dies(p)
}

func (w *world) dies(p *process) {
	w.kill(p)
	w.reboot(p.host)
}

// of the commit protocol, and of the group.
var keys = []kmsg.Key{kmsg.Produce, kmsg.Produce, kmsg.EndTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.AddOffsetsToTxn, kmsg.AddPartitionsToTxn,
	kmsg.InitProducerID, kmsg.Fetch, kmsg.ListOffsets, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Metadata, kmsg.FindCoordinator, kmsg.DeleteRecords}

func (w *world) killAtRequest() {
	p := w.any()
	if p == nil {
		return
	}
	key, h, nth := keys[w.rng.IntN(len(keys))], cutBefore, 1+w.rng.IntN(3)
	if w.rng.IntN(3) > 0 {
		h = cutAfter
	}
	happened := make(chan struct{})
	p.line.arm(armed{key: key, nth: nth, harm: h, then: func() { p.line.cut(true); close(happened) }})
	select {
	case <-happened:
		w.count("killed at: " + key.Name())
	case <-p.done:
	case <-time.After(8 * time.Second):
	}
	w.tell("%s: killed at %s (%v, %d.)", p.name, key.Name(), h, nth)
	w.dies(p)
}

func (w *world) killNow() {
	if p := w.any(); p != nil {
		time.Sleep(w.upTo(500 * time.Millisecond))
		w.tell("%s: killed", p.name)
		w.dies(p)
	}
}

// standStill lets a process stand still at a step, as in a long pause of its machine, so that others take over, and
// then go on as if nothing had been.
func (w *world) standStill() {
	p := w.any()
	if p == nil {
		return
	}
	all := steps()
	at := all[w.rng.IntN(len(all))]
	s := p.haltAt(at, 1+w.rng.IntN(4), 0)
	if !w.await(p, s) {
		p.letGo()
		return
	}
	pause := w.upTo(25 * time.Second)
	w.tell("%s: stands still at %q for %v", p.name, at, pause)
	p.line.freeze()
	w.pass(pause)
	p.letGo()
	p.line.thaw()
	w.tell("%s: goes on", p.name)
}

func (w *world) freeze() {
	p := w.any()
	if p == nil {
		return
	}
	pause := w.upTo(25 * time.Second)
	w.tell("%s: is cut off for %v", p.name, pause)
	p.line.freeze()
	w.pass(pause)
	p.line.thaw()
}

// twin starts a second process under the name of one that runs, on another disk. One of the two must give up.
func (w *world) twin() {
	first := w.any()
	if first == nil {
		return
	}
	h := first.host
	w.excuse(pipeline.ErrFenced)
	frozen := w.rng.IntN(2) == 0
	if frozen {
		first.line.freeze()
	}
	image := ""
	if len(h.kept) > 0 {
		image = h.kept[w.rng.IntN(len(h.kept))]
	}
	dir := w.newDisk(h, image)
	h.lives++
	second := w.process(h, fmt.Sprintf("%s#%d", h.name, h.lives), dir)
	w.tell("%s: twin of %s, which is cut off: %v", second.name, first.name, frozen)
	w.launch(second)
	w.pass(w.upTo(10 * time.Second))
	first.line.thaw()
	for range 60 {
		select {
		case <-first.done:
			w.tell("%s gave up", first.name)
			if h.up == first {
				w.ended(first)
				h.dir, h.up = second.dir, second
			}
			return
		case <-second.done:
			w.tell("%s gave up", second.name)
			h.up = first
			second.line.cut(true)
			return
		case <-time.After(time.Second):
		}
		w.look()
		if h.up != first {
			break
		}
	}
	// Neither noticed: then at least one does no work. The first one is ended.
	w.tell("%s: neither twin gave up", h.name)
	w.count("twins that lived on")
	if h.up == first {
		w.end(first)
	}
	if h.up != nil {
		w.end(h.up)
	}
	h.again = time.Time{}
	h.dir, h.up = second.dir, second
}

// pass lets time pass, and life go on.
func (w *world) pass(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		time.Sleep(min(time.Until(until), 500*time.Millisecond))
		w.look()
	}
}

func (w *world) stopOne() {
	if p := w.any(); p != nil {
		w.tell("%s: is told to stop", p.name)
		w.end(p)
		w.reboot(p.host)
	}
}

// leave takes a host out for good, unless it is the last.
func (w *world) leave() {
	p := w.any()
	if p == nil || len(w.hosts) < 2 {
		return
	}
	w.tell("%s: leaves", p.name)
	w.end(p)
	p.host.again = time.Now().Add(15*time.Second + w.upTo(10*time.Second))
}

func (w *world) joinOne() {
	if len(w.hosts) >= 3 {
		return
	}
	w.newHost()
}

func (w *world) newHost() {
	h := &host{name: string(rune('a' + len(w.hosts))), workers: 1 + w.rng.IntN(2)}
	h.dir = w.newDisk(h, "")
	w.hosts = append(w.hosts, h)
	w.start(h)
}

func (w *world) badWeather() {
	rate := 0.02 + 0.15*w.rng.Float64()
	d := w.upTo(8 * time.Second)
	w.tell("bad weather: %.0f %% of all requests for %v", 100*rate, d)
	for _, l := range w.lines() {
		if l != w.direct {
			l.weather(rate)
		}
	}
	w.pass(d)
	for _, l := range w.lines() {
		l.weather(0)
	}
}

func (w *world) harmOne() {
	p := w.any()
	if p == nil {
		return
	}
	p.line.arm(armed{key: keys[w.rng.IntN(len(keys))], nth: 1 + w.rng.IntN(4), harm: harm(1 + w.rng.IntN(int(harms)-1))})
}

// brokerErrors are answers that a broker may give. Those in applied say so of what was done all the same.
var brokerErrors = []struct {
	key  kmsg.Key
	errs []*kerr.Error
}{
	{kmsg.Produce, []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.UnknownServerError, kerr.MessageTooLarge, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch}},
	{kmsg.AddPartitionsToTxn, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.UnknownServerError}},
	{kmsg.AddOffsetsToTxn, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions, kerr.UnknownServerError}},
	{kmsg.TxnOffsetCommit, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.UnknownServerError, kerr.RebalanceInProgress}},
	{kmsg.EndTxn, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.UnknownServerError, kerr.InvalidTxnState, kerr.RequestTimedOut}},
	{kmsg.InitProducerID, []*kerr.Error{kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.UnknownServerError}},
	{kmsg.Heartbeat, []*kerr.Error{kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.NotCoordinator}},
	{kmsg.JoinGroup, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.UnknownMemberID, kerr.NotCoordinator}},
	{kmsg.SyncGroup, []*kerr.Error{kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration}},
	{kmsg.OffsetFetch, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.UnstableOffsetCommit, kerr.NotCoordinator}},
	{kmsg.Fetch, []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.KafkaStorageError}},
	{kmsg.ListOffsets, []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownServerError}},
	{kmsg.Metadata, []*kerr.Error{kerr.LeaderNotAvailable}},
}

func (w *world) brokerError() {
	kind := brokerErrors[w.rng.IntN(len(brokerErrors))]
	err := kind.errs[w.rng.IntN(len(kind.errs))]
	count := 1 + w.rng.IntN(3)
	name := []string{topics.CDR, topics.State, topics.Events, ""}[w.rng.IntN(4)]
	f := kfake.Fault{Keys: []kmsg.Key{kind.key}, Err: err, Count: count}
	if kind.key == kmsg.Produce || kind.key == kmsg.Fetch {
		f.Topic = name
	}
	switch err {
	case kerr.MessageTooLarge:
		w.excuse(pipeline.ErrTooLarge)
	case kerr.InvalidProducerEpoch:
		w.excuse(pipeline.ErrFenced)
	}
	w.tell("broker: %s answers %s, %d times, topic %q", kind.key.Name(), err.Message, count, f.Topic)
	w.answers = append(w.answers, w.broker.Cluster().Fault(f))
}

// brokerRestart lets the broker go and come back, stopped in order or killed.
func (w *world) brokerRestart() {
	killed := w.rng.IntN(2) == 0 && *brokerKills
	w.tell("broker: restarts, killed %v", killed)
	w.restartBroker(killed)
}

func (w *world) fullDisk() {
	p := w.any()
	if p == nil {
		return
	}
	w.tell("%s: disk is full", p.name)
	w.excuse(statestore.ErrFull)
	p.setDisk(diskFault{err: fmt.Errorf("%w: by the will of the simulation", statestore.ErrFull)})
	w.pass(w.upTo(10 * time.Second))
	p.setDisk(diskFault{})
}

func (w *world) slowDisk() {
	p := w.any()
	if p == nil {
		return
	}
	w.tell("%s: disk is slow", p.name)
	p.setDisk(diskFault{slow: w.upTo(4 * time.Second)})
	w.pass(w.upTo(10 * time.Second))
	p.setDisk(diskFault{})
}

func (p *process) setDisk(d diskFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk = d
}

// refuseOne lets the broker refuse one message of the next transaction.
func (w *world) refuseOne() {
	w.answers = append(w.answers, w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.State, Err: kerr.NotEnoughReplicas, Count: 1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.State, Err: kerr.InvalidTxnState, Count: 1}))
}
