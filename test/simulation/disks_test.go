//go:build synctests

package simulation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"januscdr/cdr"
	"januscdr/statestore"
)

// disks looks at what the last processors left on their disks: each store, told what the changelog says from its
// checkpoint on, has what the fold says.
func (w *world) disks(committed map[int32]int64) {
	log, err := read(w.admin, w.kafka(w.direct), topics.Events)
	if err != nil {
		w.fail("read events: %v", err)
		return
	}
	changes, err := read(w.admin, w.kafka(w.direct), topics.State)
	if err != nil {
		w.fail("read changelog: %v", err)
		return
	}
	for partition := range topics.Partitions {
		for _, h := range w.hosts {
			dir := filepath.Join(h.dir, topics.State, strconv.Itoa(int(partition)))
			identity, err := os.ReadFile(filepath.Join(dir, "IDENTITY"))
			if errors.Is(err, fs.ErrNotExist) {
				continue // never had it
			}
			if err != nil {
				w.fail("disk of %s: %v", h.name, err)
				continue
			}
			w.disk(h, dir, string(identity), partition, func(have cdr.MemoryStates, checkpoint int64) (cdr.MemoryStates, bool) {
				for _, r := range changes[partition] {
					switch {
					case r.Offset < checkpoint, string(r.Key) == "b":
					case r.Value == nil:
						delete(have, string(r.Key))
					default:
						have[string(r.Key)] = r.Value
					}
				}
				delete(have, "o")
				want, err := left(w.policy, partition, log[partition], have, committed[partition])
				if err != nil {
					w.fail("disk of %s: %v", h.name, err)
				}
				return want, len(changes[partition]) > 0 && checkpoint >= changes[partition][0].Offset
			})
		}
	}
}

func (w *world) disk(h *host, dir, identity string, partition int32, replay func(have cdr.MemoryStates, checkpoint int64) (want cdr.MemoryStates, whole bool)) {
	id := statestore.Identity{Partition: partition}
	for word := range strings.FieldsSeq(identity) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "cluster":
			id.Cluster = value
		case "topic":
			id.Topic = value
		case "id":
			id.TopicID = value
		}
	}
	store, err := statestore.Open(statestore.Options{Dir: dir, Identity: id, MinFree: 1})
	if err != nil {
		w.fail("disk of %s: %v", h.name, err)
		return
	}
	defer store.Close()
	have, checkpoint := cdr.MemoryStates{}, int64(0)
	if c := store.Checkpoint(); len(c) > 1 {
		next, _ := binary.Uvarint(c[1:])
		checkpoint = int64(next)
	}
	err = store.Scan(nil, func(key, value []byte) error {
		have[string(key)] = bytes.Clone(value)
		return nil
	})
	if err != nil {
		w.fail("disk of %s: %v", h.name, err)
		return
	}
	if checkpoint == 0 {
		return // whatever it has, the next start empties it
	}
	want, whole := replay(have, checkpoint)
	if !whole {
		return // older than the changelog, which was rewritten since: the next start empties it
	}
	w.count("disks looked at")
	if !maps.EqualFunc(have, want, bytes.Equal) {
		w.fail("disk of %s, partition %d: from checkpoint %d on it comes to %d states, want %d: %s", h.name, partition, checkpoint, len(have), len(want), firstDifference(have, want))
	}
}
