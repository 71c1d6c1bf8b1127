package spool_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"januscdr/spool"
)

// Entries that were appended wait until they are acknowledged, also for the next process.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	for _, event := range []string{"attached", "hangup", "detached"} {
		err := s.Append(ctx, spool.Entry{Key: []byte("janus-1"), Value: []byte(event), Arrived: time.Now()})
		if err != nil {
			panic(err)
		}
	}
	entries, after, err := s.Next(ctx, 1, 1<<20)
	if err != nil {
		panic(err)
	}
	fmt.Printf("first: %s\n", entries[0].Value)
	if err := s.Acknowledge(after); err != nil {
		panic(err)
	}
	if err := s.Close(); err != nil {
		panic(err)
	}

	s, err = spool.Open(spool.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	entries, _, err = s.Next(ctx, 10, 1<<20)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		fmt.Printf("after a restart: %s of %s\n", e.Value, e.Key)
	}
	// Output:
	// first: attached
	// after a restart: hangup of janus-1
	// after a restart: detached of janus-1
}
