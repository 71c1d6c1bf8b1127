package statestore

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// Badger reads and writes in mapped files. A disk that takes nothing more, or fails to read, is no error there but a
// fault: it ends the process, unless the goroutine that it meets wants a panic instead. Ours do; those of Badger cannot
// be told. So a store stops to write while there is still room for what Badger has in hand, and a database that could
// not be closed without writing is not closed.

// catchFault makes an error of a fault of the memory that a file is mapped to. It is for
//
//	defer s.catchFault(&err)()
func (s *Store) catchFault(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		p := recover()
		if p == nil {
			return
		}
		if _, fault := p.(interface{ Addr() uintptr }); !fault {
			panic(p)
		}
		*err = fmt.Errorf("read database %s: its disk fails: %v", s.opts.Dir, p)
	}
}

// abandoned are databases of this process that are not closed, by the directories of their stores.
var abandoned = struct {
	sync.Mutex
	of map[string]*badger.DB
}{of: map[string]*badger.DB{}}

func abandon(dir string, db *badger.DB) {
	abandoned.Lock()
	defer abandoned.Unlock()
	abandoned.of[dir] = db
}

// CloseAbandoned closes the databases that stores of this process have left on disks that were full. It is for a host
// that goes on when there is room again, and does not open them.
func CloseAbandoned() (failed error) {
	abandoned.Lock()
	dirs := slices.Sorted(maps.Keys(abandoned.of))
	abandoned.Unlock()
	for _, dir := range dirs {
		failed = errors.Join(failed, closeAbandoned(dir))
	}
	return failed
}

// closeAbandoned closes the database that this process has left in a directory, when there is room again.
func closeAbandoned(dir string) error {
	abandoned.Lock()
	defer abandoned.Unlock()
	db := abandoned.of[dir]
	if db == nil {
		return nil
	}
	delete(abandoned.of, dir)
	if err := db.Close(); err != nil {
		return fmt.Errorf("close database %s: %w", dir, err)
	}
	return nil
}
