package embedded

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/kafka"
)

// mortal is a broker that is killed and started again under its address, so that its clients find it.
type mortal struct {
	*Broker
	o kafka.Options
}

// begun is a broker with topics on which nothing was written.
func begun(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{}
	t.Cleanup(func() { m.Close() })
	m.start(t, t.TempDir(), "")
	m.o = kafka.Options{Brokers: m.Addrs()}
	if _, err := kafka.CreateTopics(within(t, 20*time.Second), client(t, m.o), ours()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mortal) start(t *testing.T, dir, addr string) {
	t.Helper()
	e, err := Start(Options{Dir: dir, Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	m.Broker = e
}

// left is the directory that a kill leaves, after which nothing runs.
func (m *mortal) left(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// dies kills it and starts it again.
func (m *mortal) dies(t *testing.T) {
	t.Helper()
	m.start(t, m.left(t), m.o.Brokers[0])
}

// writer is a client with a transactional id, for all partitions. To close it takes a second if it wants to tell its
// metrics to a broker that is gone.
func writer(t *testing.T, o kafka.Options, id string) *kgo.Client {
	return client(t, o, kgo.DisableClientMetrics(), kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// writes begins a transaction that writes to some partitions of the records, and leaves it open.
func writes(t *testing.T, cl *kgo.Client, value string, partitions ...int32) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, partition := range partitions {
		if err := cl.ProduceSync(within(t, 20*time.Second),
			&kgo.Record{Topic: "c", Partition: partition, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func ends(t *testing.T, cl *kgo.Client, how kgo.TransactionEndTry) {
	t.Helper()
	if err := cl.EndTransaction(within(t, 20*time.Second), how); err != nil {
		t.Fatal(err)
	}
}

// wantCommitted compares what a reader of committed records sees in each partition, and that nothing holds it up.
func wantCommitted(t *testing.T, o kafka.Options, want ...string) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	admin := client(t, o)
	stable, err := kadm.NewClient(admin).ListCommittedOffsets(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	last, err := kadm.NewClient(admin).ListEndOffsets(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	for partition := range int32(3) {
		s, _ := stable.Lookup("c", partition)
		e, _ := last.Lookup("c", partition)
		if s.Offset != e.Offset {
			t.Errorf("partition %d: readers of what is committed are held up at offset %d of %d", partition, s.Offset, e.Offset)
		}
	}
	got := make([][]string, 3)
	ranges, err := kafka.CommittedRanges(ctx, admin, "c")
	if err != nil {
		t.Fatal(err)
	}
	r, err := kafka.NewReader(o, "c", ranges)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		records, err := r.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			got[record.Partition] = append(got[record.Partition], string(record.Value))
		}
	}
	for partition, values := range got {
		if strings.Join(values, " ") != want[partition] {
			t.Errorf("partition %d: a reader of what is committed sees %q, want %q", partition, values, want[partition])
		}
	}
}

func TestTransactionsThatAKillLeftOpenAreAborted(t *testing.T) {
	m := begun(t)
	one, two, three := writer(t, m.o, "one"), writer(t, m.o, "two"), writer(t, m.o, "three")
	writes(t, one, "1", 0, 1)
	ends(t, one, kgo.TryCommit)
	writes(t, two, "2", 0)
	ends(t, two, kgo.TryAbort)
	writes(t, one, "lost", 0, 1)
	writes(t, two, "lost", 1, 2)
	writes(t, three, "3", 2)
	ends(t, three, kgo.TryCommit)
	for range 3 { // each kill leaves another one open
		m.dies(t)
		wantCommitted(t, m.o, "1", "1", "3")
		writes(t, writer(t, m.o, "one"), "lost", 0, 1)
	}
	m.dies(t)
	for _, id := range []string{"one", "two", "three"} {
		next := writer(t, m.o, id)
		writes(t, next, "next-"+id, 0, 1, 2)
		ends(t, next, kgo.TryCommit)
	}
	want := []string{"1 next-one next-two next-three", "1 next-one next-two next-three", "3 next-one next-two next-three"}
	wantCommitted(t, m.o, want...)
	m.dies(t)
	wantCommitted(t, m.o, want...)
}

func TestAProducerCannotGoOnWithATransactionThatAKillEnded(t *testing.T) {
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprintf("writes more %v", more), func(t *testing.T) {
			m := begun(t)
			cl := writer(t, m.o, "one")
			writes(t, cl, "1", 0)
			ends(t, cl, kgo.TryCommit)
			// What the broker notes at a stop in order is that the last one was committed. It must not be the answer to a
			// question about the next.
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			m.start(t, m.dir, m.o.Brokers[0])
			writes(t, cl, "lost", 0, 1)
			m.dies(t)
			if more { // after two kills, too
				m.dies(t)
				if err := cl.ProduceSync(within(t, 20*time.Second),
					&kgo.Record{Topic: "c", Partition: 2, Value: []byte("half")}).FirstErr(); err == nil {
					t.Error("it could write to a transaction that was aborted")
				}
			}
			if err := cl.EndTransaction(within(t, 20*time.Second), kgo.TryCommit); err == nil {
				t.Error("it was told that its transaction is committed")
			}
			wantCommitted(t, m.o, "1", "", "")
		})
	}
}

// halfway is what a kill leaves that comes when the markers of the end of a transaction stand in some of its partitions
// only. The broker writes them one by one, and how the transaction ended when all are written.
func halfway(t *testing.T, how kgo.TransactionEndTry, without ...int) *mortal {
	t.Helper()
	m := begun(t)
	one, two := writer(t, m.o, "one"), writer(t, m.o, "two")
	writes(t, one, "1", 0, 1, 2)
	ends(t, one, kgo.TryCommit)
	writes(t, two, "lost", 0, 1, 2)
	writes(t, one, "2", 0, 1, 2)
	logs := []string{"broker/pids.log", "broker/groups.log"}
	for _, partition := range without {
		logs = append(logs, fmt.Sprintf("broker/partitions/c-%d/0.dat", partition),
			fmt.Sprintf("broker/partitions/c-%d/0.idx", partition))
	}
	sizes := map[string]int64{}
	for _, name := range logs {
		if info, err := os.Stat(filepath.Join(m.dir, name)); err == nil {
			sizes[name] = info.Size()
		}
	}
	ends(t, one, how)
	dir := m.left(t)
	for name, size := range sizes {
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			t.Fatal(err)
		}
	}
	m.start(t, dir, m.o.Brokers[0])
	return m
}

func TestATransactionThatWasHalfwayThroughItsEndGoesTheWholeWay(t *testing.T) {
	for _, without := range [][]int{{0}, {2}, {0, 1}, {1, 2}} {
		t.Run(fmt.Sprintf("commit without %v", without), func(t *testing.T) {
			m := halfway(t, kgo.TryCommit, without...)
			wantCommitted(t, m.o, "1 2", "1 2", "1 2")
			next := writer(t, m.o, "one")
			writes(t, next, "3", 0, 1, 2)
			ends(t, next, kgo.TryCommit)
			m.dies(t)
			wantCommitted(t, m.o, "1 2 3", "1 2 3", "1 2 3")
		})
		t.Run(fmt.Sprintf("abort without %v", without), func(t *testing.T) {
			wantCommitted(t, halfway(t, kgo.TryAbort, without...).o, "1", "1", "1")
		})
	}
	t.Run("none of its markers", func(t *testing.T) {
		wantCommitted(t, halfway(t, kgo.TryCommit, 0, 1, 2).o, "1", "1", "1")
	})
}

// A kill can come between the batch and its entry in the index, and in the middle of anything that is written.
func TestWhatAKillCutOffIsNotTakenForSomethingElse(t *testing.T) {
	log := "broker/partitions/c-0/0"
	for name, cut := range map[string]func(t *testing.T, dir string){
		"an entry of the index is missing": func(t *testing.T, dir string) {
			shorten(t, filepath.Join(dir, log+".idx"),
				indexEntrySize)
		},
		"half an entry of the index": func(t *testing.T, dir string) { shorten(t, filepath.Join(dir, log+".idx"), 7) },
		"the index is missing": func(t *testing.T, dir string) {
			shorten(t, filepath.Join(dir, log+".idx"),
				2*indexEntrySize)
		},
		"half a batch": func(t *testing.T, dir string) {
			lengthen(t, filepath.Join(dir, log+".dat"), "\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80")
		},
		"half an entry of the producers": func(t *testing.T, dir string) {
			lengthen(t, filepath.Join(dir, "broker/pids.log"), "\x40\x00\x00\x00half")
		},
		"half an entry of the groups": func(t *testing.T, dir string) {
			lengthen(t, filepath.Join(dir, "broker/groups.log"), "\x40\x00\x00\x00half")
		},
		"what was mended is cut off": mendedUpToTheMarkers,
	} {
		t.Run(name, func(t *testing.T) {
			m := begun(t)
			writes(t, writer(t, m.o, "two"), "lost", 0)
			writes(t, writer(t, m.o, "one"), "lost", 0)
			dir := m.left(t)
			cut(t, dir)
			m.start(t, dir, m.o.Brokers[0])
			wantCommitted(t, m.o, "", "", "")
			one := writer(t, m.o, "one")
			writes(t, one, "1", 0)
			ends(t, one, kgo.TryCommit)
			writes(t, one, "lost", 0)
			m.dies(t)
			if err := one.EndTransaction(within(t, 20*time.Second), kgo.TryCommit); err == nil {
				t.Error("it was told that its transaction is committed")
			}
			wantCommitted(t, m.o, "1", "", "")
			offsets := kadm.Offsets{}
			offsets.AddOffset("c", 0, 1, -1)
			if err := kadm.NewClient(client(t, m.o)).CommitAllOffsets(within(t, 20*time.Second), "g", offsets); err != nil {
				t.Fatal(err)
			}
			m.dies(t)
			fetched, err := kadm.NewClient(client(t, m.o)).FetchOffsets(within(t, 20*time.Second), "g")
			if at, ok := fetched.Lookup("c", 0); err != nil || !ok || at.At != 1 {
				t.Errorf("the offset of the group is %v, %v, want 1", at.At, err)
			}
		})
	}
}

func shorten(t *testing.T, path string, by int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-by)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func lengthen(t *testing.T, path, by string) {
	t.Helper()
	if err := appendTo(path, []byte(by)); err != nil {
		t.Fatal(err)
	}
}

// mendedUpToTheMarkers is a mending that was killed after the producers were fenced and one log was mended.
func mendedUpToTheMarkers(t *testing.T, dir string) {
	t.Helper()
	const log = "partitions/c-0/0.dat"
	before, err := os.ReadFile(filepath.Join(dir, brokerDir, log))
	if err != nil {
		t.Fatal(err)
	}
	if _, aborted, err := endOpenTransactions(filepath.Join(dir, brokerDir)); err != nil || aborted != 2 {
		t.Fatalf("%d aborted, %v", aborted, err)
	}
	after, err := os.ReadFile(filepath.Join(dir, brokerDir, log))
	if err != nil || !slices.Equal(after[:len(before)], before) {
		t.Fatalf("more than markers were written: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, brokerDir, log),
		int64(len(before)+(len(after)-len(before))*3/4)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesOfAnotherFormatAreLeftAlone(t *testing.T) {
	dir := begun(t).left(t)
	meta := filepath.Join(dir, brokerDir, "meta.json")
	b, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, []byte(strings.Replace(string(b), `"version":1`, `"version":2`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "stop it in order") {
		t.Fatalf("got %v", err)
	}
}

func TestAMissingEntryOfTheIndexDoesNotShiftTheNext(t *testing.T) {
	m := begun(t)
	one := writer(t, m.o, "one")
	writes(t, one, "1", 0)
	ends(t, one, kgo.TryCommit)
	dir := m.left(t)
	shorten(t, filepath.Join(dir, "broker/partitions/c-0/0.idx"), indexEntrySize)
	m.start(t, dir, m.o.Brokers[0])
	again := writer(t, m.o, "one")
	writes(t, again, "lost", 0)
	ends(t, again, kgo.TryAbort)
	m.dies(t)
	wantCommitted(t, m.o, "1", "", "")
}

// A producer that outlives the broker is not measured by what the broker knew of it at a stop long ago.
func TestAProducerGoesOnAfterAKill(t *testing.T) {
	m := begun(t)
	cl := client(t, m.o, kgo.DisableClientMetrics(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.StopProducerOnDataLossDetected())
	put := func(value string) {
		t.Helper()
		if err := cl.ProduceSync(within(t, 20*time.Second),
			&kgo.Record{Topic: "c", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
	}
	put("1")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m.start(t, m.dir, m.o.Brokers[0])
	put("2")
	put("3")
	m.dies(t)
	put("4")
	wantCommitted(t, m.o, "1 2 3 4", "", "")
}
