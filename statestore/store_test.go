package statestore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var ours = Identity{Cluster: "c", Topic: "state", TopicID: "id", Partition: 3}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Identity == (Identity{}) {
		o.Identity = ours
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// changes are those of a map; nil deletes.
func changes(m map[string][]byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for key, value := range m {
			if !yield([]byte(key), value) {
				return
			}
		}
	}
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// same compares a store with a map: each key, and scans by prefix, in order.
func same(t fataler, s *Store, want map[string][]byte, prefixes ...string) {
	t.Helper()
	for key, value := range want {
		got, err := s.Get([]byte(key))
		if err != nil || string(got) != string(value) || got == nil {
			t.Fatalf("key %q has %q, %v; want %q", key, got, err, value)
		}
	}
	for _, prefix := range append(prefixes, "") {
		var keys []string
		err := s.Scan([]byte(prefix), func(key, value []byte) error {
			keys = append(keys, string(key))
			if string(value) != string(want[string(key)]) {
				t.Fatalf("scan of %q: key %q has %q, want %q", prefix, key, value, want[string(key)])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var wantKeys []string
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if strings.HasPrefix(key, prefix) {
				wantKeys = append(wantKeys, key)
			}
		}
		if !slices.Equal(keys, wantKeys) {
			t.Fatalf("scan of %q: keys %q, want %q", prefix, keys, wantKeys)
		}
	}
}

// put is what a map does where a store remembers a change.
func put(model, change map[string][]byte) {
	for key, value := range change {
		if value == nil {
			delete(model, key)
		} else {
			model[key] = value
		}
	}
}

var (
	someKey = rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 255}), 0, 3).Draw(t, "key"))
	})
	someValue = rapid.Custom(func(t *rapid.T) []byte {
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2:
			return []byte(strings.Repeat("v", 600)) // into the value log
		}
		return rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "value")
	})
	someChange = rapid.MapOfN(someKey, someValue, 0, 5)
)

func TestAStoreBehavesLikeAMapBeforeAndAfterReopening(t *testing.T) {
	root := t.TempDir()
	rounds := 0
	rapid.Check(t, func(t *rapid.T) {
		rounds++
		o := Options{
			Dir: filepath.Join(root, strconv.Itoa(rounds)), Identity: ours,
			FlushBytes: rapid.SampledFrom([]int{64, 1 << 20}).Draw(t, "flush"),
		}
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close(); os.RemoveAll(o.Dir) }()
		model := map[string][]byte{}
		var checkpoint []byte
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"remember", "remember", "remember", "flush", "reopen", "reset"}).Draw(t, "do") {
			case "remember":
				change := someChange.Draw(t, "change")
				checkpoint = fmt.Append(nil, step)
				if err := s.Remember(changes(change), checkpoint); err != nil {
					t.Fatal(err)
				}
				put(model, change)
			case "flush":
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			case "reopen":
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open(o); err != nil {
					t.Fatal(err)
				}
			case "reset":
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					continue
				}
				if err := s.Reset(); err != nil {
					t.Fatal(err)
				}
				model, checkpoint = map[string][]byte{}, nil
			}
			same(t, s, model, "a", "b\x00", "\xff")
			if string(s.Checkpoint()) != string(checkpoint) {
				t.Fatalf("checkpoint %q, want %q", s.Checkpoint(), checkpoint)
			}
		}
	})
}

// The log of the killed writer: in round r it writes r into ten keys and deletes one, so anybody can replay it.
func round(r uint64) map[string][]byte {
	m := map[string][]byte{}
	for i := range uint64(10) {
		m[fmt.Sprint("k", (r*7+i)%50)] = append(binary.BigEndian.AppendUint64(nil, r), make([]byte, 1000)...)
	}
	m[fmt.Sprint("k", (r*7+25)%50)] = nil
	return m
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("STATESTORE_WRITER"); dir != "" {
		writer(dir)
	}
	os.Exit(m.Run())
}

func writer(dir string) {
	s, err := Open(Options{Dir: dir, Identity: ours, FlushBytes: 30_000})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for r := decode(s.Checkpoint()); ; r++ {
		if err := s.Remember(changes(round(r)), binary.BigEndian.AppendUint64(nil, r+1)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(r)
	}
}

func decode(checkpoint []byte) uint64 {
	if checkpoint == nil {
		return 0
	}
	return binary.BigEndian.Uint64(checkpoint)
}

// killedWriter lets a process write into a store and kills it after some rounds. It returns the last one told of.
func killedWriter(t *testing.T, dir string, rounds int) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STATESTORE_WRITER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	last := uint64(0)
	for n := 0; n < rounds && lines.Scan(); n++ {
		if last, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatal(lines.Text())
		}
	}
	cmd.Process.Kill()
	for lines.Scan() { // it may have been further than we read
		if r, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
			last = r
		}
	}
	cmd.Wait()
	return last
}

func TestAKilledWriterLeavesNoCheckpointAheadAndReplayHealsIt(t *testing.T) {
	dir := t.TempDir()
	for kill := range 6 {
		last := killedWriter(t, dir, 300+97*kill)
		s := open(t, Options{Dir: dir})
		if s.MovedAside() != "" {
			t.Fatal("the store was given up")
		}
		from := decode(s.Checkpoint())
		model := map[string][]byte{}
		for r := range from {
			put(model, round(r))
		}
		for key, value := range model {
			got, err := s.Get([]byte(key))
			if err != nil {
				t.Fatal(err)
			}
			if got != nil && string(got) < string(value) {
				t.Fatalf("kill %d: key %s is of round %d, older than %d, which checkpoint %d covers",
					kill, key, decode(got[:8]), decode(value[:8]), from)
			}
		}
		// One more than was told may have been written.
		for r := from; r <= last+1; r++ {
			put(model, round(r))
			if err := s.Remember(changes(round(r)), binary.BigEndian.AppendUint64(nil, r+1)); err != nil {
				t.Fatal(err)
			}
		}
		same(t, s, model)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir, Identity: ours})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, want in use, with the directory", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir}).Close()
}

func TestADirectoryOfAnotherTopicIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir}).Close()
	for _, other := range []Identity{
		{"other", "state", "id", 3}, {"c", "state", "made again", 3}, {"c", "state", "id", 4},
	} {
		_, err := Open(Options{Dir: dir, Identity: other})
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v: got %v, want foreign, with the directory", other, err)
		}
	}
	open(t, Options{Dir: dir}).Close()
}

func TestABrokenStoreIsMovedAsideAndStartsEmpty(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	if err := s.Remember(changes(map[string][]byte{"k": []byte("v")}), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, databaseDir, "MANIFEST")
	if err := os.WriteFile(manifest, []byte("rubbish that is no manifest"), 0o640); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	defer s.Close()
	if s.MovedAside() == "" || s.Checkpoint() != nil {
		t.Fatalf("moved to %q with checkpoint %q, want a new, empty store", s.MovedAside(), s.Checkpoint())
	}
	same(t, s, nil)
	if _, err := os.Stat(filepath.Join(s.MovedAside(), "MANIFEST")); err != nil {
		t.Fatalf("what was broken is gone: %v", err)
	}
}

func TestAStoreThatIsGivenUpIsKeptAsideAndStartsEmpty(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	if err := s.Remember(changes(map[string][]byte{"k": []byte("v")}), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	aside, err := s.Quarantine()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(aside, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get([]byte("k")); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want closed", err)
	}
	again := open(t, Options{Dir: dir})
	defer again.Close()
	same(t, again, nil)
}

func TestAFullDiskIsAnErrorThatLosesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, FlushEvery: time.Hour})
	if err := s.Remember(changes(map[string][]byte{"old": []byte("1")}), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.opts.MinFree = math.MaxUint64 / 2 // no disk has that
	if err := s.Remember(changes(map[string][]byte{"new": []byte("2")}), []byte("2")); err != nil {
		t.Fatal(err) // not known yet
	}
	if err := s.Flush(); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, want a full disk, with the directory", err)
	}
	if err := s.Remember(changes(nil), []byte("3")); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want a full disk still", err)
	}
	same(t, s, map[string][]byte{"old": []byte("1"), "new": []byte("2")})
	if err := s.Close(); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want a full disk still", err)
	}
	if _, err := Open(Options{Dir: dir, Identity: ours, MinFree: math.MaxUint64 / 2}); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want a full disk", err)
	}
	again := open(t, Options{Dir: dir})
	defer again.Close()
	if string(again.Checkpoint()) != "1" || again.MovedAside() != "" {
		t.Fatalf("checkpoint %q, moved to %q; want all as it was before the disk was full",
			again.Checkpoint(), again.MovedAside())
	}
	same(t, again, map[string][]byte{"old": []byte("1")})
}

func TestWritingWaitsForTheDiskInsteadOfGrowing(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), FlushBytes: 1000, FlushEvery: time.Hour})
	defer s.Close()
	for i := range 200 {
		if err := s.Remember(changes(map[string][]byte{fmt.Sprint(i): make([]byte, 900)}), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		s.mu.RLock()
		waiting := s.fresh.bytes
		s.mu.RUnlock()
		if waiting > 6000 {
			t.Fatalf("%d bytes wait to be written, bound is 4000 and one more change", waiting)
		}
	}
}

func TestWhileABatchIsBeingWrittenEachReadSeesWhatWasRememberedLast(t *testing.T) {
	var s *Store
	var seen []string
	s = open(t, Options{Dir: t.TempDir(), FlushEvery: time.Hour, crashHook: func(CrashPoint) error {
		if s == nil || seen == nil {
			return nil
		}
		var now []string
		for _, key := range []string{"old", "changed", "deleted", "new", "none"} {
			value, err := s.Get([]byte(key))
			if err != nil {
				return err
			}
			now = append(now, fmt.Sprintf("%s=%s", key, value))
		}
		seen = append(seen, strings.Join(now, " "))
		return nil
	}})
	a, b := []byte("a"), []byte("b")
	if err := s.Remember(changes(map[string][]byte{"old": a, "changed": a, "deleted": a}), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	seen = []string{}
	if err := s.Remember(changes(map[string][]byte{"changed": b, "deleted": nil, "new": b}), []byte("2")); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(seen) == 0 {
		t.Fatal("nothing was read in between")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, got := range seen {
		if got != "old=a changed=b deleted= new=b none=" {
			t.Errorf("read %s", got)
		}
	}
}
