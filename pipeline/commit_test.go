package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"januscdr/avro"
	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/statestore"
)

// script is a transactional client in memory that answers as a test says; what a test does not mention goes well. It
// complains when it is used as no client may be.
type script struct {
	t     *testing.T
	asked []string // what was asked of it, in order; messages by topic, without repetitions

	member     string
	later      string // the member id after the first offsets, if it is another
	generation int32
	joins      func(next int32) // a generation, in which the group says at once what is ours
	epoch      int32            // of the leaders of the changelog

	begin   error
	refuse  func(*kgo.Record) error // the answer to a message
	flush   error
	add     *kerr.Error     // the answer to AddOffsetsToTxn
	offsets []offsetsAnswer // the answers to TxnOffsetCommit, one after the other
	end     error           // the answer to a commit, which is done all the same

	open     bool
	pending  []func() // promises
	produced []*kgo.Record
	fence    map[int32]int64 // offsets in the transaction
	taken    []int32         // the generations in which offsets came
}

// offsetsAnswer is what the brokers say to offsets, and in which generation the group is then.
type offsetsAnswer struct {
	err    *kerr.Error
	next   int32
	silent bool // about all partitions
}

func (s *script) note(what string) {
	if len(s.asked) == 0 || s.asked[len(s.asked)-1] != what {
		s.asked = append(s.asked, what)
	}
}

func (s *script) ProducerID(context.Context) (int64, int16, error) { return 7, 1, nil }

func (s *script) GroupMetadata() (string, int32) {
	if s.later != "" && len(s.taken) > 0 {
		return s.later, s.generation
	}
	return s.member, s.generation
}

func (s *script) PartitionLeader(string, int32) (leader, epoch int32, err error) {
	return 1, s.epoch, nil
}

func (s *script) BeginTransaction() error {
	s.note("begin")
	if s.open {
		s.t.Error("a transaction begins in another one")
	}
	s.open = s.begin == nil
	return s.begin
}

func (s *script) Produce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	s.note("produce " + r.Topic)
	if !s.open {
		s.t.Error("a message is outside of a transaction")
	}
	r.Offset = int64(100 + len(s.produced))
	s.produced = append(s.produced, r)
	s.pending = append(s.pending, func() {
		var err error
		if s.refuse != nil {
			err = s.refuse(r)
		}
		promise(r, err)
	})
}

func (s *script) Flush(context.Context) error {
	s.note("flush")
	for _, answer := range s.pending {
		answer()
	}
	s.pending = nil
	return s.flush
}

func (s *script) AbortBufferedRecords(context.Context) error {
	s.note("abort what is buffered")
	return nil
}

func (s *script) EndTransaction(_ context.Context, try kgo.TransactionEndTry) error {
	if !s.open {
		s.t.Error("a transaction ends that did not begin")
	}
	s.open = false
	if try == kgo.TryAbort {
		s.note("abort")
		return nil
	}
	s.note("commit")
	return s.end
}

func (s *script) Request(_ context.Context, req kmsg.Request) (kmsg.Response, error) {
	if len(s.pending) > 0 || !s.open {
		s.t.Errorf("%s while messages are not acknowledged, or outside of a transaction", kmsg.NameForKey(req.Key()))
	}
	switch req := req.(type) {
	case *kmsg.AddOffsetsToTxnRequest:
		s.note("add group")
		resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
		if s.add != nil {
			resp.ErrorCode = s.add.Code
		}
		return resp, nil
	case *kmsg.TxnOffsetCommitRequest:
		s.note(fmt.Sprintf("offsets in generation %d", req.Generation))
		if req.MemberID != s.member || req.TransactionalID != "g-one-0" || *req.InstanceID != "g-one-0" || req.Group != "g" {
			s.t.Errorf("offsets come from %q, %s, %s in %s", req.MemberID, req.TransactionalID, *req.InstanceID, req.Group)
		}
		answer := offsetsAnswer{next: s.generation}
		if len(s.offsets) > 0 {
			answer, s.offsets = s.offsets[0], s.offsets[1:]
		}
		s.taken, s.fence = append(s.taken, req.Generation), map[int32]int64{}
		if answer.next != s.generation {
			s.joins(answer.next)
		}
		resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, topic := range req.Topics {
			told := kmsg.NewTxnOffsetCommitResponseTopic()
			for _, p := range topic.Partitions {
				s.fence[p.Partition] = p.Offset
				one := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				if one.Partition = p.Partition; answer.err != nil {
					one.ErrorCode = answer.err.Code
				}
				told.Partitions = append(told.Partitions, one)
			}
			if answer.silent {
				told.Partitions = told.Partitions[1:]
			}
			resp.Topics = append(resp.Topics, told)
		}
		return resp, nil
	}
	s.t.Fatalf("%s was not expected", kmsg.NameForKey(req.Key()))
	return nil, nil
}

// desk is a committer with a script, and two tasks that have folded something.
type desk struct {
	*committer
	script   *script
	registry *prometheus.Registry
	tasks    []*task
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s := &script{t: t, member: "we", generation: 3}
	registry := prometheus.NewRegistry()
	d := &desk{script: s, registry: registry, committer: &committer{
		client: s, lineage: &lineage{}, offsets: offsetsAPI{implicit: true}, fences: true,
		commitEnv: commitEnv{
			name: "g-one-0", group: "g", topics: kafka.Topics{Events: "events", CDR: "cdr", State: "state", DLQ: "dlq"},
			cluster: clusterInfo{partitions: 8, dlq: 1}, encode: avro.Encode,
			log: hclog.NewNullLogger(), metrics: newMetrics(registry, newBoard(new(kafka.Contact)), 2),
			classify: classifier{group: "g", instance: "one", name: "g-one-0", transactionTimeout: time.Minute},
		},
	}}
	d.lineage.assigned(voucher{none: true})
	s.joins = func(next int32) {
		d.lineage.joins(s.generation, func(int32) []byte { return nil })
		s.generation = next
		d.lineage.assigned(voucher{none: true})
	}
	for _, partition := range []int32{2, 5} {
		task := newTask(t, partition)
		fold(t, task)
		task.place = d.lineage.place(s)
		d.tasks = append(d.tasks, task)
	}
	return d
}

// newTask is a task on an empty store, for the member "we".
func newTask(t *testing.T, partition int32) *task {
	t.Helper()
	store, err := statestore.Open(statestore.Options{Dir: t.TempDir(), MinFree: 1, FlushEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f, err := cdr.Open(cdr.DefaultPolicy(), cdr.Source{Topic: "events", Partition: partition}, store)
	if err != nil {
		t.Fatal(err)
	}
	return &task{partition: partition, fold: f, store: store, place: place{member: "we"}, releaseSlot: func() {}}
}

// fold lets a task fold a session that is over, one that is open, and a value that is no event.
func fold(t *testing.T, task *task) {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	event := func(session int, name string) string {
		return fmt.Sprintf(`{"emitter":"janus","type":1,"timestamp":%d,"session_id":%d,"event":{"name":%q,"transport":`+
			`{"transport":"janus.transport.http","id":"0"}}}`, at.UnixMicro(), session, name)
	}
	next := func(kind cdr.Kind, value string) {
		in := cdr.Input{Offset: task.next(), Kind: kind, Append: janus.Micros(at.UnixMicro()), Value: []byte(value)}
		if err := task.apply(in); err != nil {
			t.Fatal(err)
		}
		at = at.Add(10 * time.Second) // beyond the grace
	}
	next(cdr.KindEvent, event(1, "created"))
	next(cdr.KindEvent, event(1, "destroyed"))
	next(cdr.KindEvent, `{"emitter":`)
	next(cdr.KindTick, "")
	next(cdr.KindEvent, event(2, "created"))
	task.dirty = true
}

// commit commits what the tasks have folded.
func (d *desk) commit(t *testing.T) error { return d.committer.commit(t.Context(), d.tasks) }

// outcomes are how many transactions were committed, aborted, and of unknown outcome.
func (d *desk) outcomes() (n [3]float64) {
	counted := running{registry: d.registry}
	for i, outcome := range []string{committed, aborted, unknown} {
		n[i] = counted.count(d.script.t, "commits_total", outcome)
	}
	return n
}

// nothingIsRemembered fails when a store or a fold was told of what is not known to be committed.
func (d *desk) nothingIsRemembered(t *testing.T) {
	t.Helper()
	for _, task := range d.tasks {
		if task.store.Checkpoint() != nil {
			t.Errorf("the store of partition %d was told", task.partition)
		}
		if err := task.store.Scan(nil, func(key, _ []byte) error { return fmt.Errorf("it has %q", key) }); err != nil {
			t.Errorf("the store of partition %d: %v", task.partition, err)
		}
	}
}

func (d *desk) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.script.asked, want) {
		t.Errorf("the client was asked\n%s\nwant\n%s", strings.Join(d.script.asked, "\n"), strings.Join(want, "\n"))
	}
}

// write is what every transaction asks for up to the offsets.
var write = []string{
	"begin",
	"produce cdr", "produce dlq", "produce state", // of one task
	"produce cdr", "produce dlq", "produce state", // of the other
	"flush",
}

func TestACommitWritesAllOfATaskWithThePositionLastAndIsRememberedAfterTheEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.script.epoch = 6
	d.hooks.crash = func(point CrashPoint) {
		switch point {
		case AfterProduce:
			d.script.epoch = 7 // nobody says whether it was there before what was written
		case AfterEnd: // the last moment before
			d.nothingIsRemembered(t)
		}
	}
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	d.wantAsked(t, append(slices.Clone(write), "offsets in generation 3", "commit")...)
	if want := map[int32]int64{2: 5, 5: 5}; !maps.Equal(d.script.fence, want) {
		t.Errorf("the offsets in it are %v, want %v", d.script.fence, want)
	}
	for _, task := range d.tasks {
		var states, last []*kgo.Record
		for _, r := range d.script.produced {
			if r.Topic == "state" && r.Partition == task.partition {
				states, last = append(states, r), []*kgo.Record{r}
			}
		}
		if len(states) < 3 || string(last[0].Key) != "p" {
			t.Fatalf("partition %d: %d states, the last one %q, want the position", task.partition, len(states), last[0].Key)
		}
		if at, ok := readCheckpoint(task.store.Checkpoint()); !ok || at.next != last[0].Offset+1 || at.epoch != 6 {
			t.Errorf("partition %d: the store is told up to %v, want %d of epoch 6", task.partition, at, last[0].Offset+1)
		}
		for _, r := range states {
			if value, err := task.store.Get(r.Key); err != nil || !bytes.Equal(value, r.Value) {
				t.Errorf("partition %d: the store has %q under %q, want %q (%v)", task.partition, value, r.Key, r.Value, err)
			}
		}
		if task.dirty || task.fold.Pending() != 0 || task.changelog.next != last[0].Offset+1 {
			t.Errorf("partition %d: something is left to commit", task.partition)
		}
	}
	if d.outcomes() != [3]float64{1, 0, 0} {
		t.Errorf("counted %v", d.outcomes())
	}
}

func TestTasksThatHaveFoldedNothingAskNothingOfTheClient(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 2 { // the second time there is nothing
		if err := d.commit(t); err != nil {
			t.Fatal(err)
		}
	}
	d.tasks[1].dirty = true // a record that changed nothing
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	d.wantAsked(t, append(slices.Clone(write), "offsets in generation 3", "commit")...)
}

func TestOneTaskAloneTakesOnlyItsOwnOffsetsAlong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.tasks[0].dirty = false
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	if _, ours := d.script.fence[5]; !ours || len(d.script.fence) != 1 {
		t.Errorf("the offsets in it are %v, want those of partition 5", d.script.fence)
	}
}

// What is asked for after that, of a transaction that is given up before its offsets, or after the group refused them.
var (
	givenUp        = []string{"abort what is buffered", "abort"}
	refusedByGroup = append([]string{"offsets in generation 3"}, givenUp...)
)

// unfinished are the answers after which nobody may go on from what was folded.
var unfinished = []struct {
	name    string
	script  func(*script)
	asked   []string // after what every transaction asks for; nil: see all
	all     []string
	is, not error
	counted [3]float64
}{
	{
		name:   "it does not begin",
		script: func(s *script) { s.begin = errors.New("in another transaction") },
		all:    []string{"begin"}, is: errUnknown,
	},
	{
		name: "one message is refused",
		script: func(s *script) {
			n := 0
			s.refuse = func(*kgo.Record) error {
				if n++; n == 3 {
					return kerr.NotEnoughReplicas
				}
				return nil
			}
		},
		asked: givenUp, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "a message is too large",
		script: func(s *script) { s.refuse = func(*kgo.Record) error { return kerr.MessageTooLarge } },
		asked:  givenUp, is: ErrTooLarge, not: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "not all is acknowledged in time",
		script: func(s *script) { s.flush = context.DeadlineExceeded },
		asked:  givenUp, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "we may not write",
		script: func(s *script) { s.refuse = func(*kgo.Record) error { return kerr.TopicAuthorizationFailed } },
		asked:  givenUp, is: kerr.TopicAuthorizationFailed, not: errUnknown,
		counted: [3]float64{0, 1, 0},
	},
	{
		name:   "the group does not know us",
		script: func(s *script) { s.offsets = []offsetsAnswer{{err: kerr.UnknownMemberID, next: 4}} },
		asked:  refusedByGroup, is: errUnknown, not: ErrFenced,
		counted: [3]float64{0, 1, 0},
	},
	{
		name:   "the group says that another one has our name",
		script: func(s *script) { s.offsets = []offsetsAnswer{{err: kerr.FencedInstanceID, next: 3}} },
		asked:  refusedByGroup, is: ErrFenced, not: errUnknown,
		counted: [3]float64{0, 1, 0},
	},
	{
		name:   "offsets of one partition are not answered for",
		script: func(s *script) { s.offsets = []offsetsAnswer{{silent: true, next: 3}} },
		asked:  refusedByGroup, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "we are another member than the tasks were given to",
		script: func(s *script) { s.member = "somebody new" },
		asked:  givenUp, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name: "we are another member in the generation in which the offsets are written again",
		script: func(s *script) {
			s.offsets = []offsetsAnswer{{err: kerr.IllegalGeneration, next: 4}}
			s.later = "somebody new"
		},
		asked: refusedByGroup, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "the next generation that we see is the one after the next",
		script: func(s *script) { s.offsets = []offsetsAnswer{{err: kerr.IllegalGeneration, next: 5}} },
		asked:  refusedByGroup, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "a generation was missed before the first offsets",
		script: func(s *script) { s.joins(5) },
		asked:  givenUp, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "the group has begun to count anew",
		script: func(s *script) { s.joins(1) },
		asked:  givenUp, is: errUnknown, counted: [3]float64{0, 1, 0},
	},
	{
		name:   "the end is not answered",
		script: func(s *script) { s.end = context.DeadlineExceeded },
		asked:  []string{"offsets in generation 3", "commit"}, is: errUnknown, counted: [3]float64{0, 0, 1},
	},
	{
		name:   "the end is answered with an error that nobody knows",
		script: func(s *script) { s.end = kerr.UnknownServerError },
		asked:  []string{"offsets in generation 3", "commit"}, is: errUnknown, counted: [3]float64{0, 0, 1},
	},
	{
		name:   "the end is refused, since another process has our name",
		script: func(s *script) { s.end = kerr.ProducerFenced },
		asked:  []string{"offsets in generation 3", "commit"}, is: ErrFenced, not: errUnknown, counted: [3]float64{0, 0, 1},
	},
}

func TestNothingIsRememberedOfATransactionThatIsNotKnownToBeCommitted(t *testing.T) {
	t.Parallel()
	for _, scene := range unfinished {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			scene.script(d.script)
			err := d.commit(t)
			if !errors.Is(err, scene.is) || scene.not != nil && errors.Is(err, scene.not) {
				t.Errorf("got %v, want %v and not %v", err, scene.is, scene.not)
			}
			want := scene.all
			if want == nil {
				want = append(slices.Clone(write), scene.asked...)
			}
			d.wantAsked(t, want...)
			d.nothingIsRemembered(t)
			if d.outcomes() != scene.counted {
				t.Errorf("committed, aborted and unknown are counted %v, want %v", d.outcomes(), scene.counted)
			}
		})
	}
}

func TestATransactionThatTookLongerThanItsTimeoutIsNotTakenForAnotherProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.classify.transactionTimeout = time.Nanosecond
	d.script.end = kerr.ProducerFenced
	if err := d.commit(t); !errors.Is(err, errUnknown) || errors.Is(err, ErrFenced) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	d.nothingIsRemembered(t)
}

func TestOffsetsThatThisGenerationRefusesAreTakenInTheNext(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	late := kerr.IllegalGeneration
	d.script.offsets = []offsetsAnswer{{err: late, next: 4}, {err: late, next: 5}, {next: 5}}
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	if want := []int32{3, 4, 5}; !slices.Equal(d.script.taken, want) {
		t.Errorf("offsets came in generations %v, want %v", d.script.taken, want)
	}
	if d.outcomes() != [3]float64{1, 0, 0} {
		t.Errorf("counted %v", d.outcomes())
	}
}

func TestAMemberThatJoinsEachGenerationMayCommitInAnyOfThem(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.script.joins(4)
	d.script.joins(5)
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	if want := []int32{5}; !slices.Equal(d.script.taken, want) {
		t.Errorf("offsets came in generations %v, want %v", d.script.taken, want)
	}
}

func TestBrokersThatTakeOffsetsOfAGenerationThatIsOverAreRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fences = false
	if err := d.commit(t); !errors.Is(err, ErrNoFence) || errors.Is(err, errUnknown) {
		t.Errorf("got %v, want that there is no fence", err)
	}
	d.wantAsked(t, append(slices.Clone(write), "offsets in generation 2", "abort what is buffered", "abort")...)
	d.nothingIsRemembered(t)
}

func TestThatBrokersFenceIsSeenOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fences = false
	d.script.offsets = []offsetsAnswer{{err: kerr.IllegalGeneration, next: 3}}
	for range 2 {
		if err := d.commit(t); err != nil {
			t.Fatal(err)
		}
		for _, task := range d.tasks {
			fold(t, task)
		}
	}
	if want := []int32{2, 3, 3}; !slices.Equal(d.script.taken, want) {
		t.Errorf("offsets came in generations %v, want %v", d.script.taken, want)
	}
}

func TestOffsetsThatABrokerDoesNotTakeDuringARebalanceAreWrittenAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	during := kerr.RebalanceInProgress
	d.script.offsets = []offsetsAnswer{{err: during, next: 3}, {err: during, next: 4}, {next: 4}}
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	if want := []int32{3, 3, 4}; !slices.Equal(d.script.taken, want) {
		t.Errorf("offsets came in generations %v, want %v", d.script.taken, want)
	}
}

func TestOffsetsForWhichNoNextGenerationComesAbort(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.script.offsets = []offsetsAnswer{{err: kerr.IllegalGeneration, next: 3}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.committer.commit(ctx, d.tasks); !errors.Is(err, errUnknown) || !errors.Is(err, kerr.IllegalGeneration) {
		t.Errorf("got %v, want an unknown outcome, for the generation", err)
	}
	d.wantAsked(t, append(slices.Clone(write), "offsets in generation 3", "abort what is buffered", "abort")...)
	d.nothingIsRemembered(t)
}

func TestAClusterOfOlderTransactionsIsToldOfTheGroupFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.offsets.implicit = false
	if err := d.commit(t); err != nil {
		t.Fatal(err)
	}
	d.wantAsked(t, append(slices.Clone(write), "add group", "offsets in generation 3", "commit")...)

	d = newDesk(t)
	d.offsets.implicit, d.script.add = false, kerr.InvalidProducerEpoch
	if err := d.commit(t); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v, want that another process has our name", err)
	}
	d.wantAsked(t, append(slices.Clone(write), "add group", "abort what is buffered", "abort")...)
	d.nothingIsRemembered(t)
}

func TestARecordThatCannotBeEncodedBeginsNoTransaction(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.encode = func(*cdr.Record) ([]byte, error) { return nil, errors.New("no such field") }
	if err := d.commit(t); !errors.Is(err, ErrBroken) || errors.Is(err, errUnknown) {
		t.Errorf("got %v, want broken", err)
	}
	d.wantAsked(t)
	d.nothingIsRemembered(t)
}

func TestAStoreThatCannotRememberWhatIsCommittedStopsUs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if err := d.tasks[1].store.Close(); err != nil {
		t.Fatal(err)
	}
	err := d.commit(t)
	said := err != nil && strings.Contains(err.Error(), "partition 5 is committed up to 5")
	if !errors.Is(err, statestore.ErrClosed) || errors.Is(err, errUnknown) || !said {
		t.Errorf("got %v, want what is committed and not remembered", err)
	}
	if d.outcomes() != [3]float64{1, 0, 0} {
		t.Errorf("counted %v", d.outcomes())
	}
}
