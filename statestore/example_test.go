package statestore_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"januscdr/statestore"
)

// changes are states to remember: pairs of key and value.
func changes(pairs ...string) func(yield func(key, value []byte) bool) {
	return func(yield func(key, value []byte) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield([]byte(pairs[i]), []byte(pairs[i+1])) {
				return
			}
		}
	}
}

// A store that is opened again says how far it came. Whoever feeds it goes on from there.
func ExampleOpen() {
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	options := statestore.Options{
		Dir:      filepath.Join(parent, "0"),
		Identity: statestore.Identity{Cluster: "C1", Topic: "janus.cdr.state", TopicID: "T1", Partition: 0},
	}

	store, err := statestore.Open(options)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("new: checkpoint %q\n", store.Checkpoint())
	if err := store.Remember(changes("session 1", "open", "session 2", "open"), []byte("offset 17")); err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil { // what was remembered is on disk now
		log.Fatal(err)
	}

	store, err = statestore.Open(options)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	value, err := store.Get([]byte("session 1"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("again: checkpoint %q, session 1 %q\n", store.Checkpoint(), value)
	// Output:
	// new: checkpoint ""
	// again: checkpoint "offset 17", session 1 "open"
}

// States are handed out in the order of their keys; a nil value deletes one.
func ExampleStore_Scan() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := statestore.Open(statestore.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.Remember(changes("s2", "talks", "s1", "rings", "p", "42"), []byte("1")); err != nil {
		log.Fatal(err)
	}
	gone := func(yield func(key, value []byte) bool) { yield([]byte("s1"), nil) }
	if err := store.Remember(gone, []byte("2")); err != nil {
		log.Fatal(err)
	}
	if err := store.Remember(changes("s3", "rings"), []byte("3")); err != nil {
		log.Fatal(err)
	}

	err = store.Scan([]byte("s"), func(key, value []byte) error {
		fmt.Printf("%s %s\n", key, value)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// s2 talks
	// s3 rings
}
