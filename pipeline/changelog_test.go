package pipeline

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/cdr"
	"januscdr/janus"
)

// keys are the first bytes of all keys in the changelog: see changelog.go.
var keys = map[byte]string{'p': "cdr", 'e': "cdr", 's': "cdr", 'h': "cdr", 'l': "cdr", 'b': "pipeline", 'o': "pipeline"}

func TestKeysOfTheFoldAndOursDifferInTheFirstByte(t *testing.T) {
	task := newTask(t, 0)
	fold(t, task)
	call(t, task)
	seen := map[byte]string{}
	for _, change := range task.fold.Step().Changes {
		seen[change.Key[0]] = "cdr"
	}
	for _, key := range []string{barrierKey, originKey} {
		if len(key) != 1 || seen[key[0]] != "" {
			t.Errorf("the key %q of ours is not one byte, or is of something else, too", key)
		}
		seen[key[0]] = "pipeline"
	}
	if !maps.Equal(seen, keys) {
		t.Errorf("there are the kinds of keys %v, want %v", seen, keys)
	}
}

// call folds a call of a handle, which ends before its session.
func call(t *testing.T, task *task) {
	t.Helper()
	at := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	for _, event := range []string{
		`"type":1,"event":{"name":"created"}`,
		`"type":8,"handle_id":1,"event":{"owner":"remote","jsep":{"type":"offer"}}`,
		`"type":16,"subtype":6,"handle_id":1,"event":{"connection":"hangup","reason":"Close PC"}`,
		"",
	} {
		at = at.Add(10 * time.Second)
		in := cdr.Input{Offset: task.next(), Kind: cdr.KindTick, Append: janus.Micros(at.UnixMicro())}
		if event != "" {
			in.Kind = cdr.KindEvent
			in.Value = fmt.Appendf(nil, `{"emitter":"janus","timestamp":%d,"session_id":3,%s}`, at.UnixMicro(), event)
		}
		if err := task.apply(in); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreKeepsAKeyOfAnyKindApartFromItsCheckpoint(t *testing.T) {
	store := newTask(t, 0).store
	var all []string
	for first := range 256 {
		all = append(all, string([]byte{byte(first)}))
	}
	states := func(yield func(key, value []byte) bool) {
		for _, key := range all {
			if !yield([]byte(key), []byte("under "+key)) {
				return
			}
		}
	}
	checkpoint := []byte("checkpoint")
	for range 2 { // the second time over what is on disk
		if err := store.Remember(states, checkpoint); err != nil {
			t.Fatal(err)
		}
		if err := store.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	if err := store.Scan(nil, func(key, value []byte) error {
		if got = append(got, string(key)); string(value) != "under "+string(key) {
			t.Errorf("%q is under %q", value, key)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, all) || !bytes.Equal(store.Checkpoint(), checkpoint) {
		t.Errorf("the store has %d keys and the checkpoint %q", len(got), store.Checkpoint())
	}
}

func TestAStoreIsToldAllOfAChangelogButBarriers(t *testing.T) {
	records := make([]*kgo.Record, 0, len(keys))
	for _, first := range slices.Sorted(maps.Keys(keys)) {
		records = append(records, &kgo.Record{Key: []byte{first}})
	}
	told := ""
	for key := range ofRecords(records) {
		told += string(key)
	}
	if told != "ehlops" {
		t.Errorf("the store is told %q of %q", told, "behlops")
	}
}

func TestACheckpointOfAnAgeThatNobodyKnowsIsTooOld(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]bool{
		0: false, -time.Minute: false, maxCheckpointAge: false,
		maxCheckpointAge + 1: true, -2 * time.Hour: true, -30 * 24 * time.Hour: true,
	} {
		if got := tooOld(age); got != want {
			t.Errorf("%v: too old is %v, want %v", age, got, want)
		}
	}
}
