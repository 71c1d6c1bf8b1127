package statestore

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// flusher writes behind: when enough waits, and every now and then.
func (s *Store) flusher(stop <-chan struct{}) {
	tick := time.NewTicker(s.opts.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			s.mu.Lock()
			close(s.written) // nobody waits for a flush that will not come
			s.mu.Unlock()
			return
		case <-s.wake:
		case <-tick.C:
		}
		s.flush()
	}
}

func (s *Store) flush() {
	s.mu.Lock()
	if s.failed == nil && !s.fresh.empty() {
		s.flushing, s.fresh = s.fresh, batch{}
		snapshot := s.db.NewTransaction(false)
		s.snapshot = snapshot
		s.mu.Unlock()
		err := s.write(s.flushing)
		s.mu.Lock()
		s.snapshot = nil
		snapshot.Discard()
		//mutant:failed-write
		if err != nil {
			// What was not written stays readable, and in order: no later batch was begun.
			s.failed = err
			s.log.Error("states cannot be written", "dir", s.opts.Dir, "error", err)
		} else {
			s.flushing = batch{}
		}
	}
	close(s.written)
	s.written = make(chan struct{})
	s.mu.Unlock()
}

// write writes a batch: the states, and when they are on disk, the checkpoint that speaks for them. A crash in between
// leaves states ahead of the checkpoint, which the next replay from there overwrites with the same values.
func (s *Store) write(b batch) error {
	if err := s.checkDisk(uint64(b.bytes)); err != nil {
		return err
	}
	return s.unlessTheDiskFails(func() error { return s.writeNow(b) })
}

func (s *Store) writeNow(b batch) (err error) {
	defer func() {
		if p := recover(); p != nil { // Badger panics where it cannot go on
			err = fmt.Errorf("write database %s: %v", s.opts.Dir, p)
		}
	}()
	defer s.catchFault(&err)()
	if err := s.at(BeforeStates); err != nil {
		return err
	}
	//mutant:states-written
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for key, value := range b.states {
		if value == nil {
			err = wb.Delete(dbKey([]byte(key)))
		} else {
			err = wb.Set(dbKey([]byte(key)), value)
		}
		if err != nil {
			return fmt.Errorf("write database %s: %w", s.opts.Dir, err)
		}
	}
	if err := wb.Flush(); err != nil {
		return fmt.Errorf("write database %s: %w", s.opts.Dir, err)
	}
	//mutant:before-checkpoint
	if err := s.at(BeforeCheckpoint); err != nil {
		return err
	}
	//mutant:checkpoint-written
	err = s.db.Update(func(txn *badger.Txn) error {
		if b.checkpoint == nil {
			return txn.Delete(checkpointKey)
		}
		return txn.Set(checkpointKey, b.checkpoint)
	})
	if err != nil {
		return fmt.Errorf("write checkpoint into database %s: %w", s.opts.Dir, err)
	}
	return s.at(AfterCheckpoint)
}

// oneGC lets one store at a time collect its garbage: each collection is a burst of disk work.
var oneGC = make(chan struct{}, 1)

// collector frees the space of dead values, which Badger does only when told to.
func (s *Store) collector(db *badger.DB, stop <-chan struct{}) {
	tick := time.NewTicker(gcEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		select {
		case <-stop:
			return
		case oneGC <- struct{}{}:
		}
		s.collect(db, stop)
		<-oneGC
	}
}

func (s *Store) collect(db *badger.DB, stop <-chan struct{}) {
	for s.checkDisk(uint64(valueLogFile)) == nil { // it writes before it deletes
		select {
		case <-stop:
			return
		default:
		}
		err := db.RunValueLogGC(gcRatio)
		if err != nil {
			if !errors.Is(err, badger.ErrNoRewrite) && !errors.Is(err, badger.ErrRejected) {
				s.log.Warn("garbage in the state store stays for now", "dir", s.opts.Dir, "error", err)
			}
			return
		}
	}
}
