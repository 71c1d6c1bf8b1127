//go:build synctests

package simulation

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"januscdr/kafka"
	"januscdr/kafka/embedded"
	"januscdr/statestore"
)

var (
	seeds       = flag.Int("simulation.seeds", 0, "run so many seeds instead of the list")
	from        = flag.Uint64("simulation.from", 0, "the first of them")
	reread      = flag.String("simulation.reread", "", "let the oracle read what a failed run has left in this directory")
	brokerKills = flag.Bool("simulation.brokerkills", true, "kill the broker, too")
	brief       = flag.Bool("simulation.brief", false, "stop at the first failure and say nothing but its seed and its first complaint")
)

// committedSeeds run with each test.
var committedSeeds = []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 1248, 41082}

func TestNothingIsLostOrDoubledWhateverDies(t *testing.T) {
	list := committedSeeds
	if *seeds > 0 {
		list = nil
		for i := range *seeds {
			list = append(list, *from+uint64(i))
		}
	}
	sum := map[string]int{}
	began := time.Now()
	for i, seed := range list {
		outcome := simulate(t, seed)
		for what, n := range outcome.counts {
			sum[what] += n
		}
		if len(outcome.failures) > 0 {
			if *brief {
				t.Fatalf("CAUGHT by run %d, seed %d: %s", i+1, seed, strings.SplitN(outcome.failures[0], "\n", 2)[0])
			}
			t.Errorf("seed %d: %s\nto run it again: go test -tags synctests ./test/simulation -simulation.from %d -simulation.seeds 1\nwhat it left is in %s, to judge it again: -run Reread -simulation.reread %[4]s",
				seed, strings.Join(outcome.failures, "\n"), seed, outcome.kept)
			if testing.Verbose() {
				t.Logf("what happened:\n%s", outcome.told)
			}
		}
	}
	var lines strings.Builder
	for _, what := range slices.Sorted(maps.Keys(sum)) {
		fmt.Fprintf(&lines, "%8d %s\n", sum[what], what)
	}
	t.Logf("%d runs in %v\n%s", len(list), time.Since(began).Round(time.Millisecond), lines.String())
}

// outcome is what is to be told of a run.
type outcome struct {
	counts   map[string]int
	failures []string
	told     string
	kept     string
}

// simulate runs one seed. What a failed run has left stays on the disk.
func simulate(t *testing.T, seed uint64) (o outcome) {
	dir := scratch(t, fmt.Sprintf("januscdr-simulation-%d-", seed))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, dir)
		w.run()
		o = outcome{counts: w.counts, failures: w.failures, told: w.told.String()}
		if len(o.failures) > 0 {
			o.kept = dir
			w.keep()
		}
	})
	if o.kept == "" || *brief {
		os.RemoveAll(dir)
	}
	return o
}

// scratch makes a directory in memory if there is such a place: stores sync each write.
func scratch(t testing.TB, prefix string) string {
	place := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		place = "/dev/shm"
	}
	dir, err := os.MkdirTemp(place, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run is a whole run: a time of faults, a time of healing, the judgement.
func (w *world) run() {
	for range 1 + w.rng.IntN(2) {
		w.newHost()
	}
	w.feed(300 + w.rng.IntN(400))
	for range 4 + w.rng.IntN(6) {
		w.pass(w.upTo(4 * time.Second))
		w.misfortune()
	}
	w.heal()
	w.judge()
}

// heal ends all faults, lets the feeder finish, and gives the processors time to catch up and timers time to fire.
func (w *world) heal() {
	w.tell("all is well again")
	for _, l := range w.lines() {
		l.weather(0)
		l.thaw()
	}
	for _, a := range w.answers {
		a.Remove()
	}
	for _, h := range w.hosts {
		if h.up != nil {
			h.up.setDisk(diskFault{})
			h.up.letGo()
		}
	}
	for w.pass(0); ; w.pass(time.Second) {
		select {
		case <-w.feeder.done:
		default:
			continue
		}
		break
	}
	if !slices.ContainsFunc(w.hosts, func(h *host) bool { return h.up != nil || !h.again.IsZero() }) {
		w.start(w.hosts[0])
	}
	w.catchUp(4 * time.Minute)
	w.pass(20 * time.Second)
	w.catchUp(4 * time.Minute)
}

func (w *world) judge() {
	for _, h := range w.hosts {
		if h.up != nil {
			w.end(h.up)
		}
	}
	for _, p := range w.gone {
		<-p.done
	}
	if err := statestore.CloseAbandoned(); err != nil { // of those that died on a full disk
		w.fail("%v", err)
	}
	// The transaction of one that died just now may still be open.
	time.Sleep(15 * time.Second)
	_, committed, ok := w.ends()
	if !ok {
		w.fail("the broker does not tell its offsets")
	}
	v, err := judge(w.admin, w.kafka(w.direct), w.policy, committed)
	if err != nil {
		w.fail("judge: %v", err)
	}
	for _, complaint := range v.complaints {
		w.fail("%s", complaint)
	}
	w.acknowledged()
	w.disks(committed)
	w.mu.Lock()
	w.counts["records"] += v.records
	w.counts["events in the log"] += v.events
	w.counts["parked"] += v.parked
	w.counts["states left open"] += v.states
	w.mu.Unlock()
	w.remember(committed)
	w.admin.Close()
	w.direct.cut(true)
	if err := w.broker.Close(); err != nil {
		w.fail("stop broker: %v", err)
	}
}

// acknowledged looks whether each event that ingest answered for is in the log.
func (w *world) acknowledged() {
	log, err := read(w.admin, w.kafka(w.direct), topics.Events)
	if err != nil {
		w.fail("read events: %v", err)
		return
	}
	there := map[string]bool{}
	for _, records := range log {
		for _, r := range records {
			there[string(r.Value)] = true
		}
	}
	for value := range w.feeder.acked {
		if !there[value] {
			w.fail("an event was acknowledged and is not in the log: %s", value)
			return
		}
	}
}

// memory is what the oracle needs besides the topics.
type memory struct {
	Seed      uint64
	Committed map[int32]int64
	Broker    string
}

const memoryFile = "run.json"

func (w *world) remember(committed map[int32]int64) {
	b, err := json.Marshal(memory{Seed: w.seed, Committed: committed, Broker: filepath.Base(w.brokerDir)})
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, memoryFile), b, 0o644)
	}
	if err != nil {
		w.fail("write down the run: %v", err)
	}
}

// keep writes down what the processors said.
func (w *world) keep() {
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
			w.t.Error(err)
		}
	}
	write("faults.log", w.told.String())
	for _, p := range w.all {
		write("processor-"+p.name+".log", p.log.String())
	}
}

func TestReread(t *testing.T) {
	if *reread == "" {
		t.Skip("only with -simulation.reread")
	}
	var m memory
	b, err := os.ReadFile(filepath.Join(*reread, memoryFile))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(*reread, m.Broker)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	o := kafka.Options{Brokers: broker.Addrs(), Dialer: new(net.Dialer).DialContext}
	client, err := kafka.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.WaitReady(context.Background(), client, nil); err != nil {
		t.Fatal(err)
	}
	v, err := judge(client, o, policy(m.Seed), m.Committed)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, %d records, %d parked, %d states", v.events, v.records, v.parked, v.states)
	for _, complaint := range v.complaints {
		t.Error(complaint)
	}
}
